//! The watch on the head, which is a hint and no more.
//!
//! It begins anew from the present whenever it ends, for whatever reason: it was broken, a member lost the
//! others, its revision was compacted, or the store went back in time, where a watch from the last revision seen
//! would stay silent for long. Whoever waits is woken each time, and reads the log.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use voicegain_auth_core::store::{Revision, StoreError};

use super::connection::{Clients, Connection, jittered};
use super::error::{Cause, Outcome};
use super::keys::Keys;
use super::values::{self, HeadValue};
use super::view::{Reader, View};

/// How long a look at the head, or the beginning of a watch, may take.
const LIMIT: Duration = Duration::from_secs(5);
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What is known of the head without having asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hint {
    pub(super) head: Revision,
    /// How often there was another reason to look.
    pub(super) alarms: u64,
}

fn alarm(hints: &watch::Sender<Hint>) {
    hints.send_modify(|hint| hint.alarms = hint.alarms.wrapping_add(1));
}

fn publish(hints: &watch::Sender<Hint>, head: Revision) {
    hints.send_modify(|hint| {
        if head < hint.head {
            hint.alarms = hint.alarms.wrapping_add(1);
        }
        hint.head = head;
    });
}

/// Watches the head for as long as it is polled.
pub(super) async fn run(connection: Arc<Connection>, keys: Arc<Keys>, hints: Arc<watch::Sender<Hint>>) {
    let mut pause = MIN_PAUSE;
    loop {
        let mut began = false;
        let ended = follow(&connection, &keys, &hints, &mut began).await;
        if let Err(failed) = ended {
            let error = StoreError::from(failed).chain();
            tracing::debug!(error, "the watch on the store's head begins anew");
        }
        alarm(&hints);
        pause = if began { MIN_PAUSE } else { (pause * 2).min(MAX_PAUSE) };
        sleep(jittered(pause)).await;
    }
}

async fn follow(
    connection: &Connection,
    keys: &Keys,
    hints: &watch::Sender<Hint>,
    began: &mut bool,
) -> Outcome<()> {
    let (view, []) = Reader::new(connection, keys, LIMIT).begin([]).await?;
    let clients = connection.clients().await.map_err(|trouble| trouble.cause)?;
    let serial = clients.serial;
    let watched = async {
        let mut stream = begin(clients, keys, &view).await?;
        // From here on nothing gets lost between what was read and what is watched.
        publish(hints, view.head.revision);
        alarm(hints);
        *began = true;
        while let Some(message) = stream.message().await.map_err(ended)? {
            heard(&message, hints)?;
        }
        Err(Cause::WatchEnded("by the server".to_owned()).into())
    };
    tokio::select! {
        ended = watched => ended,
        cause = connection.switched(serial) => Err(cause.into()),
    }
}

async fn begin(mut clients: Clients, keys: &Keys, view: &View) -> Outcome<WatchStream> {
    let options = WatchOptions::new().with_start_revision(view.revision.saturating_add(1));
    let begun = timeout(LIMIT, clients.watch.watch(keys.head(), Some(options))).await;
    Ok(begun.map_err(|_| Cause::TooLate)?.map_err(ended)?)
}

fn heard(message: &WatchResponse, hints: &watch::Sender<Hint>) -> Outcome<()> {
    if message.canceled() {
        let reason = match message.compact_revision() {
            0 => message.cancel_reason().to_owned(),
            revision => format!("etcd has compacted its history up to {revision}"),
        };
        return Err(Cause::WatchEnded(reason).into());
    }
    // The last is the newest.
    let Some(event) = message.events().last() else { return Ok(()) };
    match (event.event_type(), event.kv()) {
        (EventType::Put, Some(kv)) => {
            publish(hints, values::decode::<HeadValue>(kv.value())?.position().revision);
        }
        _ => alarm(hints),
    }
    Ok(())
}

fn ended(error: etcd_client::Error) -> Cause {
    Cause::WatchEnded(error.to_string())
}
