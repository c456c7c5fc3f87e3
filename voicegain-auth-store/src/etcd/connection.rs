//! One member at a time, and the next one as soon as that does not answer.
//!
//! The client's own balancing is not used: it goes on giving requests to a member that takes them and never
//! answers. Every request here can be sent again without harm, see [`commit`](super::commit), so that those
//! under way move over together.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, KvClient, TlsOptions, Txn, TxnResponse, WatchClient};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use voicegain_auth_core::store::StoreError;

use super::attempt::{Advice, Trouble};
use super::error::Cause;
use super::url::Credentials;

/// How long a member may take to answer at first; longer after answers that were slow.
const PATIENCE: Duration = Duration::from_millis(500);
const MAX_PATIENCE: Duration = Duration::from_secs(3);
/// How long a new connection may take, with its login.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A server takes pings no more often than every 5 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(3);
/// A page of large records is longer than the client's default allows.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
const MAX_PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Connection {
    endpoints: Vec<String>,
    options: ConnectOptions,
    state: Mutex<State>,
    /// Held by whoever makes a new connection.
    connecting: tokio::sync::Mutex<()>,
    /// The number of the connection in use.
    serial: watch::Sender<u64>,
}

struct State {
    /// Which endpoint.
    at: usize,
    client: Option<Clients>,
    patience: Duration,
    /// Why the connection before this one was given up.
    why: String,
}

/// The client, and the connection's number.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) serial: u64,
    endpoint: String,
    kv: KvClient,
    pub(super) watch: WatchClient,
}

/// Why a request was given up.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) cause: Cause,
    /// Whether it may have been, or may yet be, carried out (rule M1).
    pub(super) may_happen: bool,
    /// Whether an earlier copy of it may have been, or may yet be.
    pub(super) earlier: bool,
}

/// For changes that may be made again.
impl From<GivenUp> for StoreError {
    fn from(GivenUp { cause, may_happen, .. }: GivenUp) -> Self {
        if may_happen { Self::outcome_unknown(cause) } else { Self::unavailable(cause) }
    }
}

/// An answer, and whether the request may have been carried out before.
pub(super) struct Answer {
    pub(super) response: TxnResponse,
    pub(super) not_the_first: bool,
}

impl Connection {
    pub(super) fn new(
        endpoints: Vec<String>,
        credentials: Option<&Credentials>,
        tls: Option<TlsOptions>,
    ) -> Self {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_LIMIT)
            .with_tcp_keepalive(KEEP_ALIVE)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE_LIMIT)
            .with_keep_alive_while_idle(false)
            // A member that has lost the others says so at once, and ends its watches.
            .with_require_leader(true)
            // Logins expire, in 5 minutes by default.
            .with_auto_token_refresh(true);
        if let Some(credentials) = credentials {
            options = options.with_user(&credentials.user, credentials.password.as_str());
        }
        if let Some(tls) = tls {
            options = options.with_tls(tls);
        }
        let state = State { at: 0, client: None, patience: PATIENCE, why: String::new() };
        Self {
            endpoints,
            options,
            state: Mutex::new(state),
            connecting: tokio::sync::Mutex::new(()),
            serial: watch::Sender::new(0),
        }
    }

    pub(super) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when another connection than this one is in use.
    pub(super) async fn switched(&self, serial: u64) -> Cause {
        // The sender lives as long as `self`.
        let _ = self.serial.subscribe().wait_for(|now| *now != serial).await;
        Cause::Abandoned { why: self.state().why.clone() }
    }

    /// The connection in use, made if need be.
    pub(super) async fn clients(&self) -> Result<Clients, Trouble> {
        let _connecting = self.connecting.lock().await;
        let (serial, endpoint) = {
            let state = self.state();
            if let Some(clients) = &state.client {
                return Ok(clients.clone());
            }
            let endpoint = self.endpoints.get(state.at % self.endpoints.len().max(1));
            (*self.serial.borrow(), endpoint.cloned().unwrap_or_default())
        };
        let connect = Client::connect([endpoint.as_str()], Some(self.options.clone()));
        let client = match timeout(CONNECT_LIMIT, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                let trouble = Trouble::connecting(&endpoint, error);
                self.switch(serial, &trouble.cause);
                return Err(trouble);
            }
            Err(_) => {
                let cause = Cause::TimedOut { endpoint, limit: CONNECT_LIMIT };
                self.switch(serial, &cause);
                return Err(Trouble { cause, advice: Advice::Switch, may_happen: false });
            }
        };
        let clients = Clients {
            serial,
            endpoint,
            kv: client.kv_client().max_decoding_message_size(MAX_ANSWER),
            watch: client.watch_client(),
        };
        self.state().client = Some(clients.clone());
        Ok(clients)
    }

    /// Gives this connection up for one to the next member, unless that has been done.
    pub(super) fn switch(&self, serial: u64, cause: &dyn fmt::Display) {
        let mut state = self.state();
        let switched = self.serial.send_if_modified(|now| {
            let current = *now == serial;
            *now = now.wrapping_add(u64::from(current));
            current
        });
        if !switched {
            return;
        }
        tracing::debug!(%cause, "the connection to etcd is given up for another one");
        state.why = cause.to_string();
        state.client = None;
        state.at = state.at.wrapping_add(1);
    }

    fn answered(&self, after: Duration) {
        let mut state = self.state();
        let less = state.patience.saturating_sub(state.patience / 8);
        state.patience = less.max(after * 4).clamp(PATIENCE, MAX_PATIENCE);
    }

    /// Has a transaction carried out, however many members have to be asked for that until then. It must do no
    /// harm if it is sent again.
    pub(super) async fn txn(&self, txn: Txn, until: Instant) -> Result<Answer, GivenUp> {
        let mut may_happen = false;
        let mut last = None;
        let mut pause = Duration::from_millis(5);
        let mut patience = 1_u32;
        loop {
            let trouble = match self.attempt(txn.clone(), patience, until).await {
                Ok(response) => return Ok(Answer { response, not_the_first: may_happen }),
                Err(trouble) => trouble,
            };
            let earlier = may_happen;
            may_happen |= trouble.may_happen;
            if matches!(trouble.cause, Cause::TimedOut { .. }) {
                // It may be that it takes so long.
                patience = patience.saturating_mul(2);
            }
            let next = Instant::now() + jittered(pause);
            if trouble.advice == Advice::Final || next >= until {
                let cause = match (trouble.cause, last) {
                    (Cause::TooLate, Some(last)) => last,
                    (cause, _) => cause,
                };
                return Err(GivenUp { cause, may_happen, earlier });
            }
            last = Some(trouble.cause);
            sleep_until(next).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn attempt(&self, txn: Txn, patience: u32, until: Instant) -> Result<TxnResponse, Trouble> {
        let too_late = |may_happen| Trouble { cause: Cause::TooLate, advice: Advice::Final, may_happen };
        let clients = timeout_at(until, self.clients()).await.map_err(|_| too_late(false))?;
        let Clients { serial, endpoint, mut kv, .. } = clients?;
        let limit = self.state().patience.saturating_mul(patience).min(MAX_PATIENCE);
        let asked = Instant::now();
        let answer = tokio::select! {
            biased;
            answer = timeout(limit, kv.txn(txn)) => answer,
            cause = self.switched(serial) => {
                return Err(Trouble { cause, advice: Advice::Repeat, may_happen: true });
            }
            () = sleep_until(until) => return Err(too_late(true)),
        };
        match answer {
            Ok(Ok(response)) => {
                self.answered(asked.elapsed());
                Ok(response)
            }
            Ok(Err(error)) => {
                let trouble = Trouble::judge(&endpoint, error);
                if trouble.advice == Advice::Switch {
                    self.switch(serial, &trouble.cause);
                }
                Err(trouble)
            }
            Err(_) => {
                let cause = Cause::TimedOut { endpoint, limit };
                self.switch(serial, &cause);
                Err(Trouble { cause, advice: Advice::Switch, may_happen: true })
            }
        }
    }
}

/// Between half and all of a duration, so that those who failed together do not come again together.
pub(super) fn jittered(most: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    most / 2 + most.mul_f64(0.5 * f64::from(random) / f64::from(u32::MAX))
}
