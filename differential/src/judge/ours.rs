//! Our own verdict: the verifier over a store in memory, by its public interface.

use std::time::Duration;

use tokio::runtime::Runtime;
use voicegain_auth_core::clock::Reading as Clocks;
use voicegain_auth_core::{
    Clock, Field, MemoryStore, NewWebConfig, Policy, Reason, RequestHead, Secret, SecretCache, SecretStore,
    Verifier,
};

use super::{Reading, Verdict};
use crate::setup::{API_URL, NOW, Owner, REQUEST_PATH};

/// The same time, always.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn read(&self) -> Clocks {
        Clocks { boot: Duration::from_secs(1), wall: Duration::from_secs(NOW) }
    }
}

/// A request with nothing in it but the token: no `Origin`, so that any `aud` will do (rule O1).
struct Head(Vec<u8>);

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        REQUEST_PATH
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        (field == Field::Authorization).then_some(self.0.as_slice()).into_iter()
    }
}

/// The verifier, and what carries its feed.
pub(crate) struct Ours {
    runtime: Runtime,
    verifier: Verifier,
}

impl Ours {
    /// Imports all secrets, the older one of each first.
    pub(crate) fn new(owners: &[Owner]) -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build()?;
        let verifier = runtime.block_on(async {
            let store = MemoryStore::new()?;
            for owner in owners {
                let id = owner.id.parse()?;
                let new = NewWebConfig {
                    id,
                    account_id: "account".parse()?,
                    context_id: "context".parse()?,
                    name: "imported".into(),
                    allowed_origins: Vec::new(),
                    secret: Secret::from_bytes(&owner.older)?,
                    revive: false,
                };
                store.create(new).await?;
                store.regenerate(id, Secret::from_bytes(&owner.secret)?).await?;
            }
            let cache = SecretCache::builder(store).api_url(API_URL).clock(Stopped).preload(true).build()?;
            if !cache.ready().await {
                return Err("our cache does not become ready".into());
            }
            Ok::<_, Box<dyn std::error::Error>>(Verifier::new(cache, Policy::default()))
        })?;
        Ok(Self { runtime, verifier })
    }

    pub(crate) fn judge(&self, token: &[u8]) -> Verdict {
        let head = Head([b"Bearer ", token].concat());
        match self.runtime.block_on(self.verifier.authorize(&head)) {
            Ok(admitted) => match admitted.caller().identity() {
                Some(identity) => {
                    let id = identity.web_config_id();
                    let sub =
                        identity.api_path().map_or_else(|| id.to_string(), |path| format!("api:{path}:{id}"));
                    let exp = identity.token_expires_at().map(|exp| exp.to_string());
                    Verdict::Accepted(Reading { sub: Some(sub), exp })
                }
                None => Verdict::Refused { refused: "nobody".into(), foreign: true },
            },
            // The token is good, but for another path: the last thing looked at (rule V9).
            Err(rejection) if rejection.reason() == Reason::InsufficientScope => {
                Verdict::Accepted(Reading { sub: None, exp: None })
            }
            // Such a token is not looked for further.
            Err(rejection) if rejection.reason() == Reason::MissingToken => {
                Verdict::Refused { refused: Reason::InvalidToken.as_str().into(), foreign: false }
            }
            Err(rejection) => {
                Verdict::Refused { refused: rejection.reason().as_str().into(), foreign: false }
            }
        }
    }
}
