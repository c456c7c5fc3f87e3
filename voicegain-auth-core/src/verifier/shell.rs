use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::decision::{check, check_origin_header};
use super::explanation::asked;
use super::identity::{Caller, Identity};
use super::recent::{Recent, RecentRefusal};
use super::tally::{Decisions, Tally};
use crate::cache::{Held, SecretCache, Waited, Waiting};
use crate::constant_time::is_same;
use crate::credentials::{Found, Strip, TokenSource, find, other_protocol};
use crate::freshness::Life;
use crate::head::{RequestHead, is_preflight};
use crate::ids::WebConfigId;
use crate::jws::{self, MalformedToken, UnverifiedToken};
use crate::long_lived::{self, Recognised};
use crate::policy::{Mode, Policy};
use crate::record::Record;
use crate::rejection::{Reason, Rejection};
use crate::request_id::RequestId;

/// How often a request looks again before it is told to come later.
const MAX_ROUNDS: u8 = 8;

/// Causes of refusals that an explanation tells apart.
pub(super) const AMBIGUOUS: &str = "more than one token";
pub(super) const MALFORMED: &str = "malformed token";
pub(super) const UNKNOWN: &str = "unknown web config";

const NOT_VALID: &str = "The token is not valid; check that it was copied whole and is the newest one.";

/// Decides about requests. Cloning is cheap.
///
/// [`decide`](Self::decide) answers at once when what is cached is fresh, without waiting and without allocating. When it
/// cannot, it hands back a [`Pending`] to wait for, after which [`resume`](Self::resume) goes on with the same request.
/// [`authorize`](Self::authorize) does all of that.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    cache: SecretCache,
    policy: Policy,
    tally: Tally,
    recent: Recent,
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    caller: Caller,
    source: Option<TokenSource>,
    protocol: Option<String>,
}

impl Admitted {
    fn as_caller(caller: Caller) -> Self {
        Self { caller, source: None, protocol: None }
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who calls.
    #[must_use]
    pub fn into_caller(self) -> Caller {
        self.caller
    }

    /// Where the token was found, if there was one.
    #[must_use]
    pub fn source(&self) -> Option<TokenSource> {
        self.source
    }

    /// Whether the answer must say `Cache-Control: private`, unless the application says something stricter (rule V1).
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self.source, Some(TokenSource::Query | TokenSource::Cookie))
    }

    /// The subprotocol that the answer to a WebSocket handshake names if the application chooses none (rule V1).
    #[must_use]
    pub fn default_protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }
}

/// How far a decision has come.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "an adapter must handle both")]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for a moment; boxing would allocate on every hit"
)]
pub enum Progress {
    /// It is made.
    Decided(Result<Admitted, Rejection>),
    /// Wait for this, then call [`Verifier::resume`].
    Pending(Pending),
}

/// A decision that waits for the store. Needs no particular executor.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Pending {
    waiting: Waiting,
    round: Round,
}

/// What a [`Pending`] resolves to.
#[derive(Debug)]
#[must_use = "a decision goes on only when it is resumed"]
pub struct Resumption {
    waited: Waited,
    round: Round,
}

#[derive(Debug, Clone)]
struct Round {
    /// When the request was first looked at, on the boot clock: not before it arrived.
    arrived: Duration,
    count: u8,
    /// What it waits to be refused for.
    doubt: Option<Doubt>,
}

/// Why a token is refused unless something has changed.
#[derive(Debug, Clone)]
struct Doubt {
    id: WebConfigId,
    /// The record under which its signature is wrong; `None`: there is no such web config.
    record: Option<Held>,
}

impl Doubt {
    fn cause(&self) -> &'static str {
        if self.record.is_some() { "wrong or superseded signature" } else { UNKNOWN }
    }
}

impl Future for Pending {
    type Output = Resumption;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Resumption> {
        let waited = ready!(Pin::new(&mut self.waiting).poll(cx));
        Poll::Ready(Resumption { waited, round: self.round.clone() })
    }
}

/// What a token needs before it can be decided about.
enum Verdict {
    Decided(Result<Identity, Rejection>),
    Wait(Waiting, Round),
}

impl Verdict {
    /// Names the web config to the operator.
    fn about(self, id: WebConfigId) -> Self {
        match self {
            Self::Decided(Err(rejection)) => Self::Decided(Err(rejection.about(id))),
            other => other,
        }
    }
}

impl Verifier {
    /// A verifier over a cache, with its own policy.
    #[must_use]
    pub fn new(cache: SecretCache, policy: Policy) -> Self {
        Self::keeping(cache, policy, 0)
    }

    fn keeping(cache: SecretCache, policy: Policy, refusals: usize) -> Self {
        let (tally, recent) = (Tally::default(), Recent::new(refusals));
        Self { inner: Arc::new(Inner { cache, policy, tally, recent }) }
    }

    /// The same, which keeps the last so many refusals in memory, explained and without their tokens, for
    /// [`recent_refusals`](Self::recent_refusals). Counts nothing yet.
    #[must_use]
    pub fn keeping_refusals(self, refusals: usize) -> Self {
        Self::keeping(self.inner.cache.clone(), self.inner.policy.clone(), refusals)
    }

    /// The refusals that are kept, the newest first. Of more than 50 in one second not all are: they are counted.
    #[must_use]
    pub fn recent_refusals(&self) -> Vec<RecentRefusal> {
        self.inner.recent.list()
    }

    /// What it has decided so far.
    #[must_use]
    pub fn decisions(&self) -> Decisions {
        self.inner.tally.read()
    }

    /// The policy it decides by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The cache it reads from.
    #[must_use]
    pub fn cache(&self) -> &SecretCache {
        &self.inner.cache
    }

    /// What must be taken out of a request before it is passed on.
    pub fn strip<H: RequestHead>(&self, head: &H) -> Strip {
        Strip::plan(&self.inner.policy, head)
    }

    /// The same for a request that was admitted just now: where its token is need not be looked for again.
    pub fn strip_admitted<H: RequestHead>(&self, head: &H, admitted: &Admitted) -> Strip {
        Strip::plan_after(&self.inner.policy, head, admitted.source)
    }

    /// Decides about a request, waiting where it must.
    ///
    /// # Errors
    /// The refusal.
    pub async fn authorize<H: RequestHead + Sync>(&self, head: &H) -> Result<Admitted, Rejection> {
        let mut progress = self.decide(head);
        loop {
            match progress {
                Progress::Decided(decision) => return decision,
                Progress::Pending(pending) => progress = self.resume(head, pending.await),
            }
        }
    }

    /// Begins to decide about a request.
    pub fn decide<H: RequestHead>(&self, head: &H) -> Progress {
        let progress = self.attempt(head, None);
        if let Progress::Pending(_) = progress {
            self.inner.tally.wait();
        }
        self.told(head, progress)
    }

    /// Goes on after a wait, with the same request.
    pub fn resume<H: RequestHead>(&self, head: &H, resumption: Resumption) -> Progress {
        self.told(head, self.go_on(head, resumption))
    }

    /// Keeps a refusal that somebody else made of the same requests, as a gateway does before and after, if refusals are kept.
    /// The identity is that of the token, if the token had been accepted.
    pub fn keep_refusal<H: RequestHead>(&self, head: &H, identity: Option<&Identity>, rejection: &Rejection) {
        let Inner { recent, cache, .. } = &*self.inner;
        let now = cache.now();
        if recent.has_room(now.boot) {
            let (request, target) = (head.request_id(), asked(head));
            let explanation = self.explain_refusal(head, identity, rejection.clone());
            recent.keep(RecentRefusal { request, at: now.wall, target, explanation });
        }
    }

    /// Counts a refusal that somebody else made of the same requests, and tells the log.
    pub fn count_refusal(&self, request: Option<RequestId>, rejection: &Rejection) {
        self.inner.tally.refuse(rejection);
        tracing::info!(
            reason = rejection.reason().as_str(),
            cause = rejection.cause(),
            web_config = rejection.web_config_id().map(tracing::field::display),
            request = request.map(tracing::field::display),
            "refused"
        );
    }

    /// Decides without telling anybody.
    pub(super) async fn authorize_quietly<H: RequestHead + Sync>(
        &self,
        head: &H,
    ) -> Result<Admitted, Rejection> {
        let mut progress = self.attempt(head, None);
        loop {
            match progress {
                Progress::Decided(decision) => return decision,
                Progress::Pending(pending) => progress = self.go_on(head, pending.await),
            }
        }
    }

    fn go_on<H: RequestHead>(&self, head: &H, resumption: Resumption) -> Progress {
        match resumption.waited {
            Waited::Look => match self.confirm(&resumption.round) {
                Some(rejection) => Progress::Decided(Err(self.in_realm(rejection))),
                None => self.attempt(head, Some(resumption.round)),
            },
            Waited::InVain(cause) => Progress::Decided(Err(self.in_realm(unavailable(cause)))),
        }
    }

    /// Refuses what there was a doubt about, if nothing has changed and a proof says so (rule C7). The token need not be read
    /// again for that, so that it costs a stranger's token no more to be wrong than to be right.
    fn confirm(&self, round: &Round) -> Option<Rejection> {
        let doubt = round.doubt.as_ref()?;
        let cache = &self.inner.cache;
        let seen = cache.see(doubt.id);
        let is_proved = seen.proof.is_some_and(|proof| proof.asked.boot >= round.arrived);
        let stands = match (&doubt.record, &seen.record) {
            (Some(before), Some(now)) => ptr::eq::<Record>(&**before, &**now),
            (None, None) => cache.life(doubt.id, seen.stamp.epoch) == Life::NotThere,
            _ => false,
        };
        (is_proved && stands).then(|| not_valid(doubt.cause()).about(doubt.id))
    }

    fn attempt<H: RequestHead>(&self, head: &H, round: Option<Round>) -> Progress {
        match self.attempt_unnamed(head, round) {
            Ok(progress) => progress,
            Err(rejection) => Progress::Decided(Err(self.in_realm(rejection))),
        }
    }

    fn in_realm(&self, rejection: Rejection) -> Rejection {
        rejection.in_realm(Arc::clone(&self.inner.policy.realm))
    }

    /// Counts a decision that is made, and takes down what was used for it.
    fn told<H: RequestHead>(&self, head: &H, progress: Progress) -> Progress {
        match &progress {
            Progress::Decided(Ok(admitted)) => {
                self.inner.tally.accept();
                if let Caller::Identified(identity) = &admitted.caller {
                    self.inner.cache.note_use(identity.record(), identity.verified_at());
                }
            }
            Progress::Decided(Err(rejection)) => self.tell(head, rejection),
            Progress::Pending(_) => {}
        }
        progress
    }

    /// Counts a refusal, and tells the operator.
    #[cold]
    fn tell<H: RequestHead>(&self, head: &H, rejection: &Rejection) {
        self.count_refusal(head.request_id(), rejection);
        self.keep_refusal(head, None, rejection);
    }

    fn attempt_unnamed<H: RequestHead>(&self, head: &H, round: Option<Round>) -> Result<Progress, Rejection> {
        let admit = |caller| Ok(Progress::Decided(Ok(Admitted::as_caller(caller))));
        if is_preflight(head) {
            check_origin_header(head)?;
            return admit(Caller::Preflight);
        }
        let policy = &self.inner.policy;
        let (token, source) = match find(head, &policy.sources) {
            Found::Token(token, source) => (token, source),
            Found::Ambiguous(why) => return Err(ambiguous(why)),
            Found::Nothing if policy.mode == Mode::Optional => {
                check_origin_header(head)?;
                return admit(Caller::Anonymous);
            }
            Found::Nothing => return Err(Rejection::missing_token()),
        };
        let verdict = match self.judge_long_lived(&token, head, source) {
            Some(verdict) => verdict,
            None => jws::read(&token, |token| {
                let id = token.id();
                self.judge(token, head, source, round).about(id)
            })
            .map_err(|error| malformed(error, head.request_id()))?,
        };
        match verdict {
            Verdict::Wait(waiting, round) => Ok(Progress::Pending(Pending { waiting, round })),
            Verdict::Decided(decision) => {
                #[cfg(feature = "second-opinion")]
                if let Ok(identity) = &decision
                    && !identity.record().second_opinion.agrees(&token)
                {
                    return Err(not_valid("second opinion"));
                }
                let protocol = (source == TokenSource::Protocol).then(|| other_protocol(head)).flatten();
                Ok(Progress::Decided(Ok(Admitted {
                    caller: Caller::Identified(decision?),
                    source: Some(source),
                    protocol: protocol.map(str::to_owned),
                })))
            }
        }
    }

    /// Decides about a long-lived token that is just as it was issued. `None`: it is not, or there is something to wait for.
    fn judge_long_lived<H: RequestHead>(
        &self,
        token: &[u8],
        head: &H,
        source: TokenSource,
    ) -> Option<Verdict> {
        let Inner { cache, policy, .. } = &*self.inner;
        let form = cache.long_lived();
        let Recognised { id, signature } = form.recognise(token)?;
        let seen = cache.see(id);
        // Compared in any case, so that a web config that is not known takes as long as a wrong signature (rule V5).
        let expected = seen.record.as_ref().map_or(&long_lived::NOBODY, |record| record.long_lived());
        let is_it = std::hint::black_box(is_same(expected, signature));
        let record = seen.proof.and(seen.record).filter(|_| is_it)?;
        let claims = form.claims(id);
        let checked = check(&claims, &record, head, source, policy, seen.now.wall);
        Some(
            Verdict::Decided(checked.map(|()| Identity::new(record, seen.stamp, seen.now, &claims)))
                .about(id),
        )
    }

    fn judge<H: RequestHead>(
        &self,
        token: UnverifiedToken<'_>,
        head: &H,
        source: TokenSource,
        round: Option<Round>,
    ) -> Verdict {
        let Inner { cache, policy, .. } = &*self.inner;
        let id = token.id();
        let seen = cache.see(id);
        let round = round.unwrap_or(Round { arrived: seen.now.boot, count: 0, doubt: None });
        let Some(proof) = seen.proof else {
            return self.wait(round, |cache| cache.wait_for_proof(seen.now.boot));
        };
        if seen.record.is_none() {
            match cache.life(id, seen.stamp.epoch) {
                Life::Lives => return self.wait(round, |cache| cache.wait_for_record(id)),
                Life::Unknown => return self.wait(round, |cache| cache.wait_for_proof(seen.now.boot)),
                Life::NotThere => {}
            }
        }
        let claims = token.verify(seen.record.as_ref().map(|record| &record.key));
        let doubt = match (seen.record, claims) {
            (Some(record), Some(claims)) => {
                let checked = check(&claims, &record, head, source, policy, seen.now.wall);
                return Verdict::Decided(
                    checked.map(|()| Identity::new(record, seen.stamp, seen.now, &claims)),
                );
            }
            (record, _) => Doubt { id, record },
        };
        // The token may be newer than what is cached: refusing it takes a proof asked for since it came (rule C7).
        if proof.asked.boot < round.arrived {
            let since = round.arrived;
            let round = Round { doubt: Some(doubt), ..round };
            return self.wait(round, |cache| cache.wait_for_proof(since));
        }
        Verdict::Decided(Err(not_valid(doubt.cause())))
    }

    fn wait(&self, round: Round, how: impl FnOnce(&SecretCache) -> Waiting) -> Verdict {
        if round.count >= MAX_ROUNDS {
            return Verdict::Decided(Err(unavailable("the store changes too quickly")));
        }
        let next = Round { count: round.count.saturating_add(1), ..round };
        Verdict::Wait(how(&self.inner.cache), next)
    }
}

fn not_valid(cause: &'static str) -> Rejection {
    Rejection::new(Reason::InvalidToken, NOT_VALID).because(cause)
}

fn unavailable(cause: &'static str) -> Rejection {
    let detail = "The request cannot be decided at the moment; try again shortly.";
    Rejection::new(Reason::TemporarilyUnavailable, detail).because(cause)
}

fn malformed(malformed: MalformedToken, request: Option<RequestId>) -> Rejection {
    let request = request.map(tracing::field::display);
    tracing::debug!(%malformed, request, "a token could not be read");
    not_valid(MALFORMED)
}

/// A sentence for each way of sending more than one token.
fn ambiguous(why: &'static str) -> Rejection {
    let detail = format!("The request does not say clearly which token counts: {why}.");
    Rejection::new(Reason::InvalidRequest, detail).because(AMBIGUOUS)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("policy", &self.inner.policy)
            .field("cache", &self.inner.cache)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn v6_a_request_that_has_looked_often_enough_is_told_to_come_later() {
        let world = World::new().await;
        let verifier = world.verifier(Policy::default());
        let mut round = Round { arrived: Duration::ZERO, count: 0, doubt: None };
        for count in 1..=MAX_ROUNDS {
            let waits = verifier.wait(round, |cache| cache.wait_for_proof(Duration::ZERO));
            let Verdict::Wait(_, next) = waits else { panic!("given up after {count} rounds") };
            assert_eq!(next.count, count);
            round = next;
        }
        let over = verifier.wait(round, |cache| cache.wait_for_proof(Duration::ZERO));
        assert!(
            matches!(over, Verdict::Decided(Err(rejection)) if rejection.reason() == Reason::TemporarilyUnavailable)
        );
    }
}
