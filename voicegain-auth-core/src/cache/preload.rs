//! Loading all web configs at the start, so that the first requests find them.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use super::{Shared, load};
use crate::store::StoreError;

const PAGE: usize = 500;
/// How often the store may fail before the rest is left to be loaded as it is asked for.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Says that loading ahead is over, also when a store's panic has ended it.
struct Preloading(Arc<Shared>);

impl Drop for Preloading {
    fn drop(&mut self) {
        self.0.preloading.send_replace(false);
    }
}

/// Loads pages until all that live are cached, or the cache is full. Where it fails, requests load what they need as ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let preloading = Preloading(shared);
    let mut attempts = 0;
    loop {
        match all(&preloading.0).await {
            Ok(loaded) => {
                tracing::info!(loaded, "the web configs were loaded ahead");
                break;
            }
            Err(error) => {
                attempts += 1;
                tracing::warn!(error = %error.chain(), "the web configs could not be loaded ahead");
                if attempts >= ATTEMPTS {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn all(shared: &Shared) -> Result<u64, StoreError> {
    let mut status = shared.status.subscribe();
    // Until something is proved, nothing is known of which web configs live.
    let _ = status.wait_for(|status| !status.proved.is_zero()).await;
    let mut after = None;
    let mut loaded = 0;
    while loaded < shared.capacity {
        let ticket = shared.machine().begin_load();
        let ticket = ticket.ok_or_else(|| StoreError::unavailable("everything is being read anew"))?;
        let page = shared.store.load_page(after, PAGE).await?;
        for stored in page.value.stored {
            let id = stored.config.id;
            // One that the machine does not let in is loaded again when it is asked for.
            load::commit(shared, ticket, id, page.head, Some(load::prepare(shared, stored)));
            loaded += 1;
        }
        if page.value.next.is_some() && page.value.next <= after {
            return Err(StoreError::damaged("a page of web configs does not lead on to the next"));
        }
        after = page.value.next;
        if after.is_none() {
            break;
        }
        yield_now().await;
    }
    Ok(loaded)
}
