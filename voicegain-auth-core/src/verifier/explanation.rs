//! Why a request was refused, or was not: each check of rule V9 in its order, for whoever runs the deployment.

use std::fmt::Write as _;
use std::time::Duration;

use super::identity::Identity;
use super::shell::{self, Verifier};
use crate::claims::Claims;
use crate::credentials::{Found, TokenSource, find};
use crate::freshness::Life;
use crate::head::{Field, RequestHead, Single, is_preflight, own_authority, single};
use crate::ids::WebConfigId;
use crate::jws;
use crate::policy::Policy;
use crate::record::Record;
use crate::rejection::{Reason, Rejection};
use crate::subject::decoded;

/// A check of rule V9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// It is a request that is taken at all: authority, form of the path, base path, method. A gateway looks at that.
    Request,
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
    /// It may mint what is asked for (rules M2, M3). Only a request to mint comes to it.
    Minting,
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
    /// secret, and what the token says only if its signature holds, unless
    /// [`compare_deployments`](Explanation::compare_deployments) has added that, which says so.
    pub compared: String,
}

/// A decision, check by check.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The refusal, if it was one.
    pub rejection: Option<Rejection>,
    /// Every check, in the order of rule V9; [`Minting`](Check::Minting) only if it was come to.
    pub steps: Vec<Step>,
    /// The web config that the token names, if it lives here.
    pub web_config: Option<WebConfigId>,
    /// Who calls, if it was let in with a token.
    pub identity: Option<Identity>,
    /// The `aud` of a long-lived token whose web config does not live here, for people, in one line and shortened. That is the
    /// API URL of the deployment that made it (rule W2), if it is to be believed: there is no secret here to check it with. See
    /// [`compare_deployments`](Self::compare_deployments).
    pub unverified_api_url: Option<String>,
}

impl Check {
    /// All of them, in the order they are made.
    pub const ALL: [Self; 10] = [
        Self::Request,
        Self::Credentials,
        Self::Token,
        Self::WebConfig,
        Self::Signature,
        Self::Expiry,
        Self::NotBefore,
        Self::Origin,
        Self::ApiPath,
        Self::Minting,
    ];

    /// What is checked, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Request => "The request itself",
            Self::Credentials => "One token, in one place",
            Self::Token => "The token's form",
            Self::WebConfig => "Its web config",
            Self::Signature => "Its signature",
            Self::Expiry => "Not expired",
            Self::NotBefore => "Already valid",
            Self::Origin => "The page's origin",
            Self::ApiPath => "The path of the API",
            Self::Minting => "What it may mint",
        }
    }

    /// Which one a refusal comes from.
    fn of(rejection: &Rejection) -> Self {
        match (rejection.reason(), rejection.cause()) {
            (Reason::MissingToken, _) | (Reason::InvalidRequest, shell::AMBIGUOUS) => Self::Credentials,
            (Reason::InvalidToken, shell::MALFORMED) => Self::Token,
            // Nothing can be said of it while no proof of freshness holds.
            (Reason::InvalidToken, shell::UNKNOWN) | (Reason::TemporarilyUnavailable, _) => Self::WebConfig,
            (Reason::InvalidToken, "not yet valid") => Self::NotBefore,
            (Reason::InvalidToken, _) => Self::Signature,
            (Reason::TokenExpired, _) => Self::Expiry,
            (Reason::OriginNotAllowed, _) => Self::Origin,
            (Reason::InsufficientScope, Rejection::RIGHT_TO_MINT) | (Reason::InvalidParameter, _) => {
                Self::Minting
            }
            (Reason::InsufficientScope, _) => Self::ApiPath,
            _ => Self::Request,
        }
    }
}

/// What is known of a request beside the decision about it.
#[derive(Default)]
struct Facts {
    of: [String; Check::ALL.len()],
    web_config: Option<WebConfigId>,
    /// Whether there is a token to check.
    has_token: bool,
    /// Whether its signature holds, if that could be looked at.
    is_signed: Option<bool>,
    /// Whether its web config is proved not to live here.
    is_absent: bool,
    unverified_api_url: Option<String>,
}

impl Facts {
    fn say(&mut self, check: Check, text: impl Into<String>) {
        if let Some(place) = self.of.get_mut(check as usize) {
            *place = text.into();
        }
    }

    /// For a token that is gone.
    fn accepted_as(&mut self, identity: &Identity) {
        self.has_token = true;
        for check in
            Check::ALL.into_iter().filter(|check| (Check::Credentials..=Check::ApiPath).contains(check))
        {
            self.say(check, "It passed when the token was accepted.");
        }
        let (id, context, account) = (identity.web_config_id(), identity.context_id(), identity.account_id());
        self.say(
            Check::WebConfig,
            format!("It names web config {id} of context {context}, account {account}."),
        );
        self.web_config = Some(id);
    }

    fn forget_from(&mut self, first: Check) {
        for check in Check::ALL.into_iter().filter(|check| *check >= first) {
            self.say(check, "Its web config was changed just then.");
        }
    }

    /// Whether the decision was made about the same: a change may have come in between.
    fn fit(&self, rejection: Option<&Rejection>) -> bool {
        let failed = rejection.map(Check::of);
        let should_be_signed = match failed {
            Some(Check::Signature) => Some(false),
            Some(failed) if failed > Check::Signature => Some(true),
            None if self.has_token => Some(true),
            _ => None,
        };
        !matches!((should_be_signed, self.is_signed), (Some(should), Some(is)) if should != is)
    }

    fn explain(self, rejection: Option<Rejection>, identity: Option<Identity>) -> Explanation {
        let failed = rejection.as_ref().map(Check::of);
        let last = failed.unwrap_or(if self.has_token { Check::ApiPath } else { Check::Credentials });
        let Self { of, web_config, has_token, unverified_api_url, .. } = self;
        let steps = Check::ALL
            .into_iter()
            .zip(of)
            .filter(|(check, _)| *check <= Check::ApiPath || failed == Some(*check));
        let steps = steps.map(|(check, text)| {
            let outcome = match failed {
                _ if check > last => Outcome::NotReached,
                Some(failed) if failed == check => Outcome::Failed,
                // Without a token, which may be let in, there is nothing to be looked at in between.
                _ if !has_token && check > Check::Credentials => Outcome::NotReached,
                _ => Outcome::Passed,
            };
            let compared = match (outcome, &rejection) {
                (Outcome::NotReached, _) => String::new(),
                // What is known of the web config by now is not why.
                (Outcome::Failed, Some(rejection))
                    if rejection.reason() == Reason::TemporarilyUnavailable =>
                {
                    format!("It cannot be decided at the moment: {}.", rejection.cause())
                }
                (Outcome::Failed, Some(rejection)) if text.is_empty() || check == Check::Request => {
                    rejection.detail().to_owned()
                }
                _ => text,
            };
            Step { check, outcome, compared }
        });
        let steps = steps.collect();
        let is_unknown = rejection.as_ref().is_some_and(|rejection| rejection.cause() == shell::UNKNOWN);
        let unverified_api_url = unverified_api_url.filter(|_| is_unknown);
        Explanation { rejection, steps, web_config, identity, unverified_api_url }
    }
}

impl Verifier {
    /// Decides about a request as [`authorize`](Self::authorize) does, and says how that came about. It is counted and logged
    /// nowhere.
    pub async fn explain<H: RequestHead + Sync>(&self, head: &H) -> Explanation {
        const ROUNDS: usize = 3;

        let mut round = 0_usize;
        loop {
            let decision = self.authorize_quietly(head).await;
            let facts = self.facts(head);
            round = round.saturating_add(1);
            if facts.fit(decision.as_ref().err()) || round >= ROUNDS {
                return match decision {
                    Ok(admitted) => facts.explain(None, admitted.caller().identity().cloned()),
                    Err(rejection) => facts.explain(Some(rejection), None),
                };
            }
        }
    }

    /// Explains a refusal of this request that was made already, here or by a gateway in front or behind. Does not wait: what
    /// is known of the token's web config is what is cached. Behind, the token is gone, and the identity stands for it.
    #[must_use]
    pub fn explain_refusal<H: RequestHead>(
        &self,
        head: &H,
        identity: Option<&Identity>,
        rejection: Rejection,
    ) -> Explanation {
        let mut facts = self.facts(head);
        if let Some(identity) = identity.filter(|_| !facts.has_token) {
            facts.accepted_as(identity);
        }
        if !facts.fit(Some(&rejection)) {
            // The web config has been changed since: what is known now says nothing of what was decided.
            facts.forget_from(Check::Signature);
        }
        facts.explain(Some(rejection), None)
    }

    fn facts<H: RequestHead>(&self, head: &H) -> Facts {
        let mut facts = Facts::default();
        let policy = self.policy();
        let authority = own_authority(head).map_or("no authority".to_owned(), shown);
        facts.say(Check::Request, format!("{}, for {authority}.", asked(head)));
        if is_preflight(head) {
            facts.say(Check::Credentials, "It is a preflight, which carries none.");
            facts.say(Check::Origin, origin_header(head));
            return facts;
        }
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
        let told = jws::read(&token, |unverified| {
            let form = format!("{} bytes: three parts, HS256, claims that can be used.", token.len());
            facts.say(Check::Token, form);
            let id = unverified.id();
            let Some(record) = self.web_config_of(id, &mut facts) else {
                if facts.is_absent {
                    facts.unverified_api_url = unverified.api_url().map(shown);
                }
                // The same work, as for the decision itself (rule V5).
                let _ = unverified.verify(None);
                return;
            };
            let wall = self.cache().now().wall;
            let claims = unverified.verify(Some(&record.key));
            if let Some(claims) = &claims {
                said_by(claims, &record, head, source, policy, wall, &mut facts);
            }
            facts.is_signed = Some(claims.is_some());
            facts.say(Check::Signature, signature(record.generation.get(), claims.is_some()));
        });
        if let Err(malformed) = told {
            facts.say(Check::Token, format!("It is no such token: {malformed}."));
        }
        facts
    }

    fn web_config_of(&self, id: WebConfigId, facts: &mut Facts) -> Option<crate::cache::Held> {
        let seen = self.cache().see(id);
        let Some(record) = seen.record else {
            let text = match self.cache().life(id, seen.stamp.epoch) {
                Life::NotThere if seen.proof.is_some() => {
                    facts.is_absent = true;
                    format!(
                        "It names web config {id}, and the store of this deployment has none of this id: it may have been \
                         deleted, or the token is of another deployment, whose own gateway takes it."
                    )
                }
                Life::Lives => {
                    format!("It names web config {id}, which lives and could not be read just now.")
                }
                Life::NotThere | Life::Unknown => {
                    format!("It names web config {id}, of which nothing can be proved at the moment.")
                }
            };
            facts.say(Check::WebConfig, text);
            return None;
        };
        let state = match seen.proof {
            Some(_) => "lives",
            None => "lived when that could last be proved, which is longer ago than the promise allows",
        };
        let (context, account) = (&record.context_id, &record.account_id);
        let text =
            format!("It names web config {id} of context {context}, account {account}, which {state}.");
        facts.say(Check::WebConfig, text);
        facts.web_config = Some(id);
        Some(record)
    }
}

fn signature(generation: u64, holds: bool) -> String {
    if holds {
        return format!("It is signed with the secret of generation {generation}, the newest.");
    }
    format!(
        "It is not signed with the secret of generation {generation}, the newest: Regenerate has replaced the one it was signed \
         with, or it is damaged, or of another deployment with the same web config."
    )
}

/// What claims say whose signature holds.
fn said_by<H: RequestHead>(
    claims: &Claims<'_>,
    record: &Record,
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
    let audience = claims.audience().iter();
    let mut origin = format!("{} `aud` is {}.", origin_header(head), list(audience));
    if !matches!(single(head, Field::Origin), Single::Absent) && claims.expires_at().is_none() {
        let authority = own_authority(head).map_or("not known".to_owned(), shown);
        let allowed = list(record.allowed_origins.patterns());
        // Writing into a String does not fail.
        let _ = write!(
            origin,
            " It is long-lived: the request's own authority is {authority}, allowed origins are {allowed}."
        );
    }
    if matches!(source, TokenSource::Cookie | TokenSource::Query) {
        origin.push_str(
            " From there a token counts only with a matching Origin, or in a request of the same site.",
        );
    }
    facts.say(Check::Origin, origin);
    let (base, path) = (policy.base_path(), shown(head.path()));
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
        Single::One(origin) => format!("Origin is {}.", shown(&String::from_utf8_lossy(origin))),
    }
}

/// The first few of them.
fn list<'a>(mut texts: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 10;

    let mut list: Vec<String> = texts.by_ref().take(MOST).map(shown).collect();
    match texts.count() {
        0 if list.is_empty() => return "empty".to_owned(),
        0 => {}
        more => list.push(format!("and {more} more")),
    }
    list.join(", ")
}

/// What was asked for, for people.
pub(super) fn asked<H: RequestHead>(head: &H) -> String {
    format!("{} {}", shown(head.method()), shown(head.path()))
}

/// What a client has sent, for people: in one line, no longer than need be, and without what looks like a token.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;

    if looks_like_a_token(text) {
        return "(not shown: there is what looks like a token in it)".to_owned();
    }
    let mut shown = String::new();
    for letter in text.chars() {
        // Of these nothing needs to be escaped, and all else that cannot be seen or turns the line around is.
        if matches!(letter, '"' | '\'' | '\\') {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_debug());
        }
        if shown.len() > MOST {
            shown.push('…');
            break;
        }
    }
    shown
}

/// A JSON object in base64url, or a run of its letters that is longer than an id: a signature has 43. However many of them are
/// percent-encoded.
fn looks_like_a_token(text: &str) -> bool {
    /// A UUID's.
    const LONGEST_ID: usize = 36;

    let decoded: Vec<u8> = decoded(text).collect();
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let has_long_run = decoded.split(|byte| !is_letter(byte)).any(|run| run.len() > LONGEST_ID);
    has_long_run || decoded.windows(3).any(|start| start == b"eyJ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_in_one_line_and_no_token() {
        for (text, expected) in [
            ("/v1/a?b=c \"d\"", "/v1/a?b=c \"d\""),
            ("/v1/7be57e29-edcf-4d2f-997f-bb57e92b8225/%41", "/v1/7be57e29-edcf-4d2f-997f-bb57e92b8225/%41"),
            ("a\nb\u{202e}c\u{0}%", "a\\nb\\u{202e}c\\0%"),
        ] {
            assert_eq!(shown(text), expected);
        }
        let signature = "x".repeat(43);
        for text in [
            "/v1/eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAA/x",
            "/v1/%65yJhbGciOi",
            &format!("/v1/%65%79A%2Ee30%2E{signature}"),
            &signature,
            &format!("%78{}", "x".repeat(42)),
        ] {
            assert!(shown(text).starts_with("(not shown"), "{text}");
        }
        let long = shown(&"ä/".repeat(1_000));
        assert!(long.len() <= 206 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn a_list_says_how_many_more_there_are() {
        assert_eq!(list(std::iter::empty()), "empty");
        assert_eq!(list(["a", "b"].into_iter()), "a, b");
        assert_eq!(list(["a"; 12].into_iter()), format!("{}and 2 more", "a, ".repeat(10)));
    }
}
