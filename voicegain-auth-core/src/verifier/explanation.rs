//! Why a request was refused, or was not: each check of rule V9 in its order, for whoever runs the deployment.

use std::fmt::Write as _;
use std::time::Duration;

use super::shell::Verifier;
use crate::claims::Claims;
use crate::credentials::{Found, TokenSource, find};
use crate::head::{Field, RequestHead, Single, own_authority, single};
use crate::jws;
use crate::mac::MacKey;
use crate::policy::Policy;
use crate::rejection::{Reason, Rejection};
use crate::store::StoreError;
use crate::web_config::{StoredWebConfig, WebConfig};

/// A check of rule V9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// There is one token, in one place (rules V1, V2).
    Credentials,
    /// It is a JWT as these are (rules W1 to W6).
    Token,
    /// Its web config lives (rule W4).
    WebConfig,
    /// It is signed with the newest secret (rules V3, M1).
    Signature,
    /// `exp` has not come.
    Expiry,
    /// `nbf` has come.
    NotBefore,
    /// The page's origin may use it (section O).
    Origin,
    /// It is good for the path (section P).
    ApiPath,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It is why the request was refused.
    Failed,
    /// It was not come to.
    NotReached,
}

/// A check, and what was compared with what.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// Which check.
    pub check: Check,
    /// What came of it.
    pub outcome: Outcome,
    /// What was compared with what, in a sentence for the operator; empty if it was not come to. It holds no token and no
    /// secret, and what the token says only if its signature holds.
    pub compared: String,
}

/// A decision, check by check.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The refusal, if it was one.
    pub rejection: Option<Rejection>,
    /// Every check, in the order of rule V9.
    pub steps: Vec<Step>,
    /// The web config that the token names, if the store has it.
    pub web_config: Option<WebConfig>,
}

impl Check {
    /// All of them, in the order they are made.
    pub const ALL: [Self; 8] = [
        Self::Credentials,
        Self::Token,
        Self::WebConfig,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
        Self::Origin,
        Self::ApiPath,
    ];

    /// What is checked, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Credentials => "One token, in one place",
            Self::Token => "The token's form",
            Self::WebConfig => "Its web config",
            Self::Signature => "Its signature",
            Self::Expiry => "Not expired",
            Self::NotBefore => "Already valid",
            Self::Origin => "The page's origin",
            Self::ApiPath => "The path of the API",
        }
    }

    /// Which one a refusal of the verifier's comes from.
    fn of(rejection: &Rejection) -> Self {
        match rejection.reason() {
            Reason::TokenExpired => Self::Expiry,
            Reason::OriginNotAllowed => Self::Origin,
            Reason::InsufficientScope => Self::ApiPath,
            Reason::InvalidToken => match rejection.cause() {
                "malformed token" => Self::Token,
                "unknown web config" => Self::WebConfig,
                "not yet valid" => Self::NotBefore,
                _ => Self::Signature,
            },
            // Nothing can be said of it while no proof of freshness holds.
            Reason::TemporarilyUnavailable => Self::WebConfig,
            _ => Self::Credentials,
        }
    }
}

/// What is known of a request beside the decision about it.
#[derive(Default)]
struct Facts {
    of: [String; Check::ALL.len()],
    web_config: Option<WebConfig>,
    /// Whether there is a token to check.
    has_token: bool,
}

impl Facts {
    fn say(&mut self, check: Check, text: impl Into<String>) {
        if let Some(place) = self.of.get_mut(check as usize) {
            *place = text.into();
        }
    }
}

impl Verifier {
    /// Decides about a request as [`authorize`](Self::authorize) does, and says how that came about. The store is asked for
    /// the web config besides, so this is for people, not for every request.
    pub async fn explain<H: RequestHead + Sync>(&self, head: &H) -> Explanation {
        let rejection = self.authorize(head).await.err();
        let facts = self.facts(head).await;
        let failed = rejection.as_ref().map(Check::of);
        let last = failed.unwrap_or(if facts.has_token { Check::ApiPath } else { Check::Credentials });
        let Facts { mut of, web_config, has_token } = facts;
        let steps = Check::ALL.into_iter().zip(&mut of).map(|(check, text)| {
            let outcome = match failed {
                _ if check > last => Outcome::NotReached,
                Some(failed) if failed == check => Outcome::Failed,
                // Without a token, which may be let in, there is nothing to be looked at in between.
                _ if !has_token && check != Check::Credentials => Outcome::NotReached,
                _ => Outcome::Passed,
            };
            let compared = if outcome == Outcome::NotReached { String::new() } else { std::mem::take(text) };
            Step { check, outcome, compared }
        });
        Explanation { steps: steps.collect(), rejection, web_config }
    }

    async fn facts<H: RequestHead + Sync>(&self, head: &H) -> Facts {
        let mut facts = Facts::default();
        let policy = self.policy();
        let (token, source) = match find(head, policy.token_sources()) {
            Found::Token(token, source) => (token, source),
            Found::Ambiguous(why) => {
                facts.say(Check::Credentials, format!("It is not clear which token counts: {why}."));
                return facts;
            }
            Found::Nothing => {
                facts.say(Check::Credentials, "There is no token where one is looked for.");
                facts.say(Check::Origin, origin_header(head));
                return facts;
            }
        };
        facts.has_token = true;
        facts.say(Check::Credentials, format!("There is one, {}.", place(source)));
        let id = match jws::read(&token, |token| token.id()) {
            Ok(id) => id,
            Err(malformed) => {
                facts.say(Check::Token, format!("It is no such token: {malformed}."));
                return facts;
            }
        };
        facts.say(
            Check::Token,
            format!("{} bytes: three parts, HS256, claims that can be used.", token.len()),
        );
        let stored = match self.cache().store().load(id).await {
            Ok(snapshot) => snapshot.value,
            Err(error) => {
                facts.say(Check::WebConfig, unread(&error));
                return facts;
            }
        };
        let Some(stored) = stored else {
            let text = format!(
                "It names web config {id}, which does not live here. It may have been deleted, or the token is of another \
                 deployment, whose own gateway takes it."
            );
            facts.say(Check::WebConfig, text);
            return facts;
        };
        let config = &stored.config;
        let names = format!(
            "It names web config {id} of context {}, account {}",
            config.context_id, config.account_id
        );
        let state = if self.cache().status().ready {
            "lives"
        } else {
            "lives, but that cannot be proved within the promise"
        };
        facts.say(Check::WebConfig, format!("{names}, which {state}."));
        let key = MacKey::new(&stored.secret);
        let wall = self.cache().now().wall;
        let is_signed = jws::read(&token, |token| {
            let Some(claims) = token.verify(Some(&key)) else { return false };
            said_by(&claims, &stored, head, source, policy, wall, &mut facts);
            true
        });
        let generation = config.generation;
        facts.say(
            Check::Signature,
            if is_signed == Ok(true) {
                format!("It is signed with the secret of generation {generation}, the newest.")
            } else {
                format!(
                    "It is not signed with the secret of generation {generation}, the newest: Regenerate has replaced the one \
                     it was signed with, or it is damaged, or of another deployment with the same web config."
                )
            },
        );
        facts.web_config = Some(stored.config);
        facts
    }
}

/// What claims say whose signature holds.
fn said_by<H: RequestHead>(
    claims: &Claims<'_>,
    stored: &StoredWebConfig,
    head: &H,
    source: TokenSource,
    policy: &Policy,
    wall: Duration,
    facts: &mut Facts,
) {
    let now = format!("now is {}, and clocks may differ by {} s", wall.as_secs(), policy.leeway.as_secs());
    facts.say(
        Check::Expiry,
        match claims.expires_at() {
            Some(exp) => format!("`exp` is {}, {now}.", exp.whole_seconds()),
            None => "There is no `exp`: it is long-lived.".to_owned(),
        },
    );
    facts.say(
        Check::NotBefore,
        match claims.not_before() {
            Some(nbf) => format!("`nbf` is {}, {now}.", nbf.whole_seconds()),
            None => "There is no `nbf`.".to_owned(),
        },
    );
    let audience: Vec<&str> = claims.audience().iter().collect();
    let mut origin = format!("{} `aud` is {audience:?}.", origin_header(head));
    if !matches!(single(head, Field::Origin), Single::Absent) && claims.expires_at().is_none() {
        let authority = own_authority(head).unwrap_or("not known");
        let allowed = &stored.config.allowed_origins;
        // Writing into a String does not fail.
        let _ = write!(
            origin,
            " It is long-lived: the request's own authority is {authority}, allowed origins are {allowed:?}."
        );
    }
    if matches!(source, TokenSource::Cookie | TokenSource::Query) {
        origin.push_str(
            " From there a token counts only with a matching Origin, or in a request of the same site.",
        );
    }
    facts.say(Check::Origin, origin);
    let (base, path) = (policy.base_path(), head.path());
    facts.say(
        Check::ApiPath,
        match claims.subject().api_path() {
            Some(api_path) => format!("It is limited to {api_path}, below {base}; the path is {path}."),
            None => format!("It is limited to no path; the path is {path}."),
        },
    );
}

fn place(source: TokenSource) -> &'static str {
    match source {
        TokenSource::Header => "in the Authorization header",
        TokenSource::Query => "in the query",
        TokenSource::Protocol => "among the WebSocket's subprotocols",
        TokenSource::Cookie => "in a cookie",
    }
}

fn origin_header<H: RequestHead>(head: &H) -> String {
    match single(head, Field::Origin) {
        Single::Absent => "There is no Origin header: no browser says that a page sends this.".to_owned(),
        Single::Several => "There are several Origin headers.".to_owned(),
        Single::One(origin) => format!("Origin is {:?}.", String::from_utf8_lossy(origin)),
    }
}

/// What the store says may hold what is not for everybody; it stands in the log.
fn unread(error: &StoreError) -> String {
    tracing::warn!(error = error.chain(), "a web config could not be read for an explanation");
    "The store does not answer, so that nothing can be said of its web config.".to_owned()
}
