//! When what outlives its request must end (rule C8).

use std::time::{Duration, SystemTime};

use futures_util::future::OptionFuture;
use voicegain_auth_core::{Identity, RequestId, SecretCache, WebConfigId};

use crate::forward::Ending;

/// The wall clock may be set, and timers sleep through a suspend: so often it is looked at.
const MAX_NAP: Duration = Duration::from_secs(1);

/// Which exchanges are ended while they are under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndOf {
    /// Those whose token is revoked, or can no longer be confirmed.
    pub(crate) revoked: bool,
    /// Those whose token has expired, this long after its `exp`.
    pub(crate) expired: Option<Duration>,
}

impl EndOf {
    /// What ends an exchange that was authorised so, if anything is to.
    pub(crate) fn exchange(
        self,
        cache: &SecretCache,
        identity: &Identity,
        id: Option<RequestId>,
    ) -> Option<Ending> {
        let which = Which(id, identity.web_config_id());
        let expiry = self.expired.and_then(|leeway| {
            let exp = Duration::from_secs(identity.token_expires_at()?);
            SystemTime::UNIX_EPOCH.checked_add(exp.saturating_add(leeway))
        });
        match expiry {
            // Most tokens, and so without a task.
            None => self.revoked.then(|| on_revoked(cache.clone(), identity.clone(), which)),
            Some(expiry) => {
                let revoked: OptionFuture<_> = self.revoked.then(|| cache.revoked(identity)).into();
                Some(Ending::when(async move {
                    tokio::select! {
                        Some(()) = revoked => which.tell(REVOKED),
                        () = until(expiry) => which.tell("its token has expired"),
                    }
                }))
            }
        }
    }
}

fn on_revoked(cache: SecretCache, identity: Identity, which: Which) -> Ending {
    Ending::by(move |end| {
        cache.on_revoked(&identity, move || {
            end.end();
            which.tell(REVOKED);
        })
    })
}

const REVOKED: &str = "its token can no longer be confirmed";

/// An exchange, for the log.
#[derive(Debug, Clone, Copy)]
struct Which(Option<RequestId>, WebConfigId);

impl Which {
    fn tell(self, why: &str) {
        let Self(request, web_config) = self;
        tracing::info!(request = request.map(display), %web_config, "an exchange is ended: {why}");
    }
}

async fn until(time: SystemTime) {
    // Nothing is left of the time between once it has come.
    while let Some(left) = time.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(MAX_NAP)).await;
    }
}
