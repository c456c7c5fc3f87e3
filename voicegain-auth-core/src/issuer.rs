//! Making tokens: generating and replacing secrets, and minting short-lived tokens for pages (rules M1 to M4).

mod act;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Act, Actor, Deed, Effect, Given};
use crate::cache::SecretCache;
use crate::claims::{long_lived_payload, short_lived_payload};
use crate::config_error::ConfigError;
use crate::day::Day;
use crate::ids::{AccountId, ContextId, WebConfigId};
use crate::jws;
use crate::mac::MacKey;
use crate::origin::{OriginPattern, OriginRules};
use crate::rejection::{Reason, Rejection};
use crate::secret::Secret;
use crate::store::{BoxError, Ended, ListQuery, Scope, StoreError};
use crate::subject::{ApiPath, PathForm, Subject};
use crate::verifier::{Identity, TokenKind};
use crate::web_config::{NewWebConfig, WebConfig, WebConfigPatch};

/// Creates, changes and ends web configs, and makes their tokens. Cloning is cheap.
///
/// Whatever it returns, the change has then been made and this process knows of it; others follow within the promise of
/// rule C1.
#[derive(Clone)]
pub struct Issuer {
    cache: SecretCache,
    api_url: Arc<str>,
    /// Where changes are written down.
    log: Option<act::Audit>,
    /// Who makes them.
    actor: Arc<Actor>,
}

/// What a web config is to be created from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CreateRequest {
    /// Who pays.
    pub account_id: AccountId,
    /// The workspace.
    pub context_id: ContextId,
    /// A name for people, 1 to 128 characters.
    pub name: String,
    /// Which origins may use its long-lived token (rule O8); none by default.
    pub allowed_origins: Vec<String>,
    /// A secret from elsewhere, to be imported (rule W7). By default a new one is generated.
    pub secret: Option<Secret>,
    /// The id it had there, so that tokens in use stay good. Only together with a secret.
    pub id: Option<WebConfigId>,
    /// Whether that id may be one that was deleted here.
    pub revive: bool,
}

impl CreateRequest {
    /// A request for a new web config with a generated secret.
    pub fn new(account_id: AccountId, context_id: ContextId, name: impl Into<String>) -> Self {
        Self {
            account_id,
            context_id,
            name: name.into(),
            allowed_origins: Vec::new(),
            secret: None,
            id: None,
            revive: false,
        }
    }
}

/// A web config and its long-lived token, which cannot be read again. `Debug` does not show the token.
#[derive(Clone)]
#[non_exhaustive]
pub struct Issued {
    /// The web config as it is now.
    pub config: WebConfig,
    /// Its long-lived token (rule W2).
    pub jwt: String,
    /// The context's other web configs, whose tokens stay valid; filled by Regenerate alone.
    pub others: Vec<WebConfig>,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("config", &self.config)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

/// Why a web config was not created or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// A field does not fit; nothing was changed.
    #[error("{field}: {problem}")]
    Invalid {
        /// Which field, in the spelling of the admin API.
        field: &'static str,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The operating system has no randomness to give; nothing was changed.
    #[error("no randomness")]
    Randomness(#[source] getrandom::Error),
    /// The store said no; [`StoreError`] says whether anything may have changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log cannot be written; nothing was changed.
    #[error("the audit log cannot be written, so nothing was changed")]
    Audit(#[source] BoxError),
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// A parameter does not fit; the refusal names it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written down.
    #[error(transparent)]
    Untold(IssueError),
}

impl IssueError {
    fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into() }
    }
}

impl Issuer {
    /// The longest name of a web config, in characters.
    pub const MAX_NAME_CHARS: usize = 128;
    /// The most origin patterns of one web config.
    pub const MAX_ALLOWED_ORIGINS: usize = 1_000;

    /// An issuer for the store behind a cache. `api_url` is the `aud` of every long-lived token (rule W2), as in
    /// `https://api.voicegain.ai/v1`.
    ///
    /// # Errors
    /// If that is no http or https URL of visible ASCII without quotes, backslashes, query and fragment.
    pub fn new(cache: SecretCache, api_url: impl Into<Arc<str>>) -> Result<Self, ConfigError> {
        let api_url = api_url.into();
        let authority = api_url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        let origin = authority.map(|(scheme, rest)| {
            let end = rest.find('/').unwrap_or(rest.len());
            format!("{scheme}://{}", rest.get(..end).unwrap_or_default())
        });
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'?' | b'#');
        let is_origin = origin.is_some_and(|origin| crate::origin::Origin::parse(origin.as_bytes()).is_ok());
        if !is_origin || !api_url.bytes().all(plain) {
            return Err(ConfigError::ApiUrl(api_url.as_ref().to_owned()));
        }
        Ok(Self { cache, api_url, log: None, actor: Arc::new(Actor::unknown()) })
    }

    /// The `aud` of every long-lived token.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// The cache whose store it changes.
    #[must_use]
    pub fn cache(&self) -> &SecretCache {
        &self.cache
    }

    /// Creates a web config, or imports one (rule W7), and answers its long-lived token.
    ///
    /// # Errors
    /// If a field does not fit, or the store says no.
    pub async fn create(&self, request: CreateRequest) -> Result<Issued, IssueError> {
        check_name(&request.name)?;
        check_allowed_origins(&request.allowed_origins)?;
        if request.id.is_some() && request.secret.is_none() {
            return Err(IssueError::invalid(
                "id",
                "comes only with a `secret`; leave it out to get a new one",
            ));
        }
        if request.revive && request.id.is_none() {
            return Err(IssueError::invalid("revive", "comes only with the `id` that was deleted"));
        }
        let id = match request.id {
            Some(id) => id,
            None => WebConfigId::generate().map_err(IssueError::Randomness)?,
        };
        let imported = request.secret.is_some();
        let secret = match request.secret {
            Some(secret) => secret,
            None => Secret::generate().map_err(IssueError::Randomness)?,
        };
        let jwt = self.long_lived(id, &secret);
        let deed = Deed::on(Act::Create, id).within(&request.account_id, &request.context_id).given([
            Given::Name(request.name.clone()),
            Given::AllowedOrigins(request.allowed_origins.clone()),
            Given::Secret { imported },
        ]);
        let deed = deed.given(request.revive.then_some(Given::Revival));
        let new = NewWebConfig {
            id,
            account_id: request.account_id,
            context_id: request.context_id,
            name: request.name,
            allowed_origins: request.allowed_origins,
            secret,
            revive: request.revive,
        };
        let cache = self.cache.clone();
        let work = async move { cache.store().create(new).await.map(with_effect) };
        let config = self.act(deed, work).await?;
        Ok(Issued { config, jwt, others: Vec::new() })
    }

    /// Regenerate (rule M1): replaces the secret and answers the new long-lived token, once.
    ///
    /// # Errors
    /// If the store says no. After [`StoreError::OutcomeUnknown`] the generation tells whether it happened; the token is
    /// lost either way.
    pub async fn regenerate(&self, id: WebConfigId) -> Result<Issued, IssueError> {
        let secret = Secret::generate().map_err(IssueError::Randomness)?;
        let jwt = self.long_lived(id, &secret);
        let deed = self.deed_on(Act::Regenerate, id).await.given([Given::Secret { imported: false }]);
        let cache = self.cache.clone();
        let work = async move {
            let regenerated = cache.store().regenerate(id, secret).await?;
            let effect = Effect::of(&regenerated.config);
            Ok((regenerated, effect))
        };
        let regenerated = self.act(deed, work).await?;
        Ok(Issued { config: regenerated.config, jwt, others: regenerated.others })
    }

    /// Changes the name or the allowed origins.
    ///
    /// # Errors
    /// If a field does not fit, or the store says no.
    pub async fn update(&self, id: WebConfigId, patch: WebConfigPatch) -> Result<WebConfig, IssueError> {
        if let Some(name) = &patch.name {
            check_name(name)?;
        }
        if let Some(allowed_origins) = &patch.allowed_origins {
            check_allowed_origins(allowed_origins)?;
        }
        let deed = self.deed_on(Act::Update, id).await;
        let deed = deed.given(patch.name.clone().map(Given::Name));
        let deed = deed.given(patch.allowed_origins.clone().map(Given::AllowedOrigins));
        let cache = self.cache.clone();
        self.act(deed, async move { cache.store().update(id, patch).await.map(with_effect) }).await
    }

    /// Deletes a web config; its tokens end with it.
    ///
    /// # Errors
    /// If the store says no.
    pub async fn delete(&self, id: WebConfigId) -> Result<(), IssueError> {
        let deed = self.deed_on(Act::Delete, id).await;
        let cache = self.cache.clone();
        let work = async move {
            let revision = cache.store().delete(id).await?;
            Ok(((), Effect::at(revision)))
        };
        self.act(deed, work).await
    }

    /// Bulk end: ends every web config of an account or a context at once, and all of their tokens with them. What is created
    /// there later lives.
    ///
    /// # Errors
    /// If the store says no. A scope in which nothing lives is no error.
    pub async fn end(&self, scope: Scope) -> Result<Ended, IssueError> {
        let deed = Deed::new(Act::End).to_all(&scope);
        let cache = self.cache.clone();
        let work = async move {
            let ended = cache.store().end(scope).await?;
            Ok((ended, Effect::at(ended.revision).on(ended.web_configs)))
        };
        self.act(deed, work).await
    }

    /// Reads a web config from the store, without its secret.
    ///
    /// # Errors
    /// If the store cannot be read, or does not know it.
    pub async fn get(&self, id: WebConfigId) -> Result<WebConfig, IssueError> {
        let snapshot = self.cache.store().load(id).await?;
        Ok(snapshot.value.ok_or(StoreError::NotFound)?.config)
    }

    /// Lists web configs from the store, without their secrets.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn list(&self, query: ListQuery) -> Result<Vec<WebConfig>, IssueError> {
        Ok(self.cache.store().list(query).await?)
    }

    /// On which day, in UTC, each of these web configs was last used: that is, when a request with one of its tokens was last
    /// accepted, by any process that shares the store, up to a minute ago. Those of which nothing is known are left out: not
    /// used since uses are noted, or not there. For people who look for tokens that nobody needs any more.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn last_uses(
        &self,
        ids: impl IntoIterator<Item = WebConfigId> + Send,
    ) -> Result<BTreeMap<WebConfigId, Day>, IssueError> {
        let ids = ids.into_iter().collect();
        Ok(self.cache.store().last_uses(ids).await?)
    }

    /// The long-lived token of a secret: the same bytes every time (rule W2).
    fn long_lived(&self, id: WebConfigId, secret: &Secret) -> String {
        jws::sign(&MacKey::new(secret), &long_lived_payload(&self.api_url, id))
    }

    /// Mints a short-lived token (rules M2, M3, W3) for a verified caller, from the query of
    /// `GET <base>/security/jwt`, with every token source already taken out of it. It is signed with the very secret that
    /// verified the caller, so that a superseded token cannot mint a successor of itself.
    ///
    /// # Errors
    /// `insufficient_scope` for a caller with a short-lived or api-limited token, then `invalid_parameter` naming the
    /// parameter.
    pub fn mint(&self, caller: &Identity, query: Option<&str>) -> Result<String, Rejection> {
        if caller.token_kind() != TokenKind::LongLived || caller.api_path().is_some() {
            let detail = "Only a long-lived token that is not limited to an API path can get short-lived ones; use that.";
            return Err(Rejection::new(Reason::InsufficientScope, detail).because(Rejection::RIGHT_TO_MINT));
        }
        let parameters = MintParameters::from_query(query.unwrap_or_default(), caller.context_id())?;
        Ok(self.sign(&caller.record().key, caller.web_config_id(), &parameters))
    }

    /// Mints a short-lived token for whoever runs the deployment, from the same parameters, with the newest secret that the
    /// store has.
    ///
    /// # Errors
    /// `invalid_parameter` naming the parameter, or what is wrong with the store.
    pub async fn mint_for(&self, id: WebConfigId, query: &str) -> Result<String, MintError> {
        let snapshot = self.cache.store().load(id).await?;
        let stored = snapshot.value.ok_or(StoreError::NotFound)?;
        let parameters = MintParameters::from_query(query, &stored.config.context_id)?;
        let token = self.sign(&MacKey::new(&stored.secret), id, &parameters);
        let deed = Deed::on(Act::Mint, id).within(&stored.config.account_id, &stored.config.context_id);
        let deed = deed.given(parameters.given());
        // It is made, and given to nobody unless that is written down.
        let work = async move { Ok((token, Effect::default())) };
        self.act(deed, work).await.map_err(MintError::Untold)
    }

    fn sign(&self, key: &MacKey, id: WebConfigId, parameters: &MintParameters) -> String {
        let expires = ceiling_seconds(self.cache.now().wall).saturating_add(parameters.expires_in);
        let subject = Subject::new(id, parameters.api_path.as_ref().map(ApiPath::borrowed));
        jws::sign(key, &short_lived_payload(&parameters.audience, subject, expires))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("api_url", &self.api_url).field("cache", &self.cache).finish()
    }
}

/// A web config, and what there is to say of it.
fn with_effect(config: WebConfig) -> (WebConfig, Effect) {
    let effect = Effect::of(&config);
    (config, effect)
}

fn check_name(name: &str) -> Result<(), IssueError> {
    let fits =
        (1..=Issuer::MAX_NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        Ok(())
    } else {
        Err(IssueError::invalid("name", "must be 1 to 128 characters, none of them a control character"))
    }
}

fn check_allowed_origins(patterns: &[String]) -> Result<(), IssueError> {
    if patterns.len() > Issuer::MAX_ALLOWED_ORIGINS {
        return Err(IssueError::invalid("allowedOrigins", "there may be 1,000 patterns at most"));
    }
    OriginRules::parse_allowed(patterns).map(drop).map_err(|(index, error)| {
        IssueError::invalid("allowedOrigins", format!("pattern {}: {error}", index.saturating_add(1)))
    })
}

/// The time counted from now rounded up (rule M2), in seconds.
fn ceiling_seconds(now: Duration) -> u64 {
    now.as_secs().saturating_add(u64::from(now.subsec_nanos() > 0))
}

/// The parameters of `GET <base>/security/jwt` (rule M2).
#[derive(Debug, PartialEq, Eq)]
struct MintParameters {
    audience: String,
    expires_in: u64,
    api_path: Option<ApiPath>,
}

impl MintParameters {
    const MAX_AUDIENCE_CHARS: usize = 128;
    const EXPIRES_IN_DEFAULT: u64 = 300;
    const EXPIRES_IN: std::ops::RangeInclusive<u64> = 1..=3600;

    fn from_query(query: &str, own_context: &ContextId) -> Result<Self, Rejection> {
        let [mut aud, mut expires_in, mut api, mut context_id] = [None, None, None, None];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "aud" => &mut aud,
                "expInSec" => &mut expires_in,
                "api" => &mut api,
                "contextId" => &mut context_id,
                other => {
                    // Nothing by which a stranger's text changes how the rest is shown, markup and bidi marks included.
                    let plain = |c: &char| c.is_ascii_graphic() && !"<>&\"'`".contains(*c);
                    let shown: String = other.chars().take(40).filter(plain).collect();
                    return Err(wrong(&shown, "is not known here; use aud, expInSec, api and contextId"));
                }
            };
            // What is not UTF-8 has been replaced by this character, which nobody means.
            if value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(wrong(&name, "must be UTF-8 when its escapes are decoded"));
            }
            if slot.replace(value).is_some() {
                return Err(wrong(&name, "must be given once only"));
            }
        }
        if context_id.is_some_and(|id| id != own_context.as_str()) {
            return Err(wrong("contextId", "must be the context of the token, or left out"));
        }
        let Some(audience) = aud else {
            return Err(wrong(
                "aud",
                "is missing; name the origin that will use the token, as in https://app.example.com",
            ));
        };
        Ok(Self {
            audience: Self::audience(audience)?,
            expires_in: expires_in.map_or(Ok(Self::EXPIRES_IN_DEFAULT), |text| Self::expires_in(&text))?,
            api_path: api.map(|text| Self::api_path(&text)).transpose()?,
        })
    }

    /// For the audit log.
    fn given(&self) -> impl Iterator<Item = Given> {
        let Self { audience, expires_in, api_path } = self;
        let api_path = api_path.as_ref().map(|path| Given::ApiPath(path.to_string()));
        [Given::Audience(audience.clone()), Given::ExpiresIn(*expires_in)].into_iter().chain(api_path)
    }

    fn audience(text: Cow<'_, str>) -> Result<String, Rejection> {
        if !(1..=Self::MAX_AUDIENCE_CHARS).contains(&text.chars().count()) {
            return Err(wrong("aud", "must be 1 to 128 characters"));
        }
        match OriginPattern::parse_minted(&text) {
            Ok(_) => Ok(text.into_owned()),
            Err(error) => Err(wrong("aud", &error.to_string())),
        }
    }

    fn expires_in(text: &str) -> Result<u64, Rejection> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|seconds| digits && Self::EXPIRES_IN.contains(seconds));
        seconds
            .ok_or_else(|| wrong("expInSec", "must be a number of seconds from 1 to 3600, in decimal digits"))
    }

    fn api_path(text: &str) -> Result<ApiPath, Rejection> {
        if text.chars().count() > ApiPath::MAX_CHARS {
            return Err(wrong("api", "must be 128 characters at most"));
        }
        text.parse().map_err(|error: PathForm| wrong("api", &error.to_string()))
    }
}

fn wrong(parameter: &str, problem: &str) -> Rejection {
    Rejection::new(Reason::InvalidParameter, format!("Parameter `{parameter}`: {problem}."))
}

mod moving;
#[cfg(test)]
mod tests;

pub use moving::Inventory;
