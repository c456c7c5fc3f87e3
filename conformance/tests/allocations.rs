//! Nothing is allocated to accept a request whose record is at hand, nor to find out that one must be refused. What a refusal
//! says is written afterwards, by whoever answers. The API path that an identity carries is. Who waits for a proof of freshness
//! waits in a list that grows with how many wait at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use voicegain_auth_core::clock::{Reading, SystemClock};
use voicegain_auth_core::{
    Clock, CreateRequest, Field, Issuer, MemoryStore, Policy, Progress, Reason, RequestHead, SecretCache,
    Verifier,
};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Head {
    path: &'static str,
    headers: Vec<(Field, String)>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn target_authority(&self) -> Option<&str> {
        None
    }

    fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(name, _)| *name == field).map(|(_, value)| value.as_bytes())
    }
}

fn head(token: &str, origin: Option<&str>) -> Head {
    let mut headers =
        vec![(Field::Host, "api.example.net".to_owned()), (Field::Authorization, format!("Bearer {token}"))];
    headers.extend(origin.map(|origin| (Field::Origin, origin.to_owned())));
    Head { path: "/v1/asr", headers }
}

/// Decides at once, and answers how many allocations that took.
fn decide(verifier: &Verifier, head: &Head) -> (usize, Result<(), Reason>) {
    let before = COUNT.get();
    let progress = verifier.decide(head);
    let count = COUNT.get() - before;
    match progress {
        Progress::Decided(decision) => (count, decision.map(drop).map_err(|rejection| rejection.reason())),
        Progress::Pending(_) => panic!("the record should be at hand"),
    }
}

/// Moka does its housekeeping now and then on the caller's thread; the least of many runs is what the decision takes.
fn least(verifier: &Verifier, head: &Head) -> (usize, Result<(), Reason>) {
    (0..100).map(|_| decide(verifier, head)).min_by_key(|(count, _)| *count).expect("it ran")
}

/// Decides about what needs a proof of freshness, and answers how many allocations it took to begin to wait, how many to decide
/// afterwards, and the decision. The least of many runs, as above.
async fn least_waiting(verifier: &Verifier, head: &Head) -> (usize, usize, Result<(), Reason>) {
    let mut runs = Vec::new();
    for _ in 0..100 {
        let before = COUNT.get();
        let Progress::Pending(pending) = verifier.decide(head) else { panic!("it should wait") };
        let mut pending = std::pin::pin!(pending);
        let first = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let to_wait = COUNT.get() - before;
        assert!(first.is_pending());
        let resumption = pending.await;
        let before = COUNT.get();
        let progress = verifier.resume(head, resumption);
        let to_decide = COUNT.get() - before;
        let Progress::Decided(decision) = progress else { panic!("one wait should do") };
        runs.push((to_wait, to_decide, decision.map(drop).map_err(|rejection| rejection.reason())));
    }
    runs.into_iter().min_by_key(|(to_wait, to_decide, _)| to_wait + to_decide).expect("it ran")
}

/// Mints what has expired.
#[derive(Debug)]
struct HourAgo;

impl Clock for HourAgo {
    fn read(&self) -> Reading {
        let mut now = SystemClock::default().read();
        now.wall -= Duration::from_secs(3_600);
        now
    }
}

/// The token with the first character of its last part changed.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{other}{}", &signature[1..])
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should not wait"),
    }
}

#[tokio::test]
async fn deciding_allocates_nothing() {
    let store = MemoryStore::new().unwrap();
    let cache = SecretCache::builder(store.clone()).build().unwrap();
    let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
    let request = CreateRequest::new("a".parse().unwrap(), "c".parse().unwrap(), "n");
    let issued = issuer.create(request).await.unwrap();
    let verifier = Verifier::new(cache.clone(), Policy::default());
    let long_lived = head(&issued.jwt, None);
    let admitted = verifier.authorize(&long_lived).await.unwrap();
    let caller = admitted.caller().identity().unwrap();
    let app = "https://app.example.com";
    let short = issuer.mint(caller, Some(&format!("aud={app}"))).unwrap();
    let wildcard = issuer.mint(caller, Some("aud=*.example.com")).unwrap();
    let limited = issuer.mint(caller, Some("aud=*&api=/asr")).unwrap();
    let expired = {
        let cache = SecretCache::builder(store).clock(HourAgo).build().unwrap();
        let issuer = Issuer::new(cache.clone(), "https://api.voicegain.ai/v1").unwrap();
        let verifier = Verifier::new(cache, Policy::default());
        let admitted = verifier.authorize(&head(&issued.jwt, None)).await.unwrap();
        issuer.mint(admitted.caller().identity().unwrap(), Some(&format!("aud={app}"))).unwrap()
    };

    let accepted = [
        ("long-lived", long_lived),
        ("short-lived", head(&short, Some(app))),
        ("short-lived with a wildcard", head(&wildcard, Some(app))),
        ("long-lived from its own host", head(&issued.jwt, Some("https://api.example.net"))),
    ];
    for (what, head) in &accepted {
        assert_eq!(least(&verifier, head), (0, Ok(())), "{what}");
    }

    let mut cut = issued.jwt.clone();
    cut.pop();
    let large = format!("{}.e30.{}", "A".repeat(8_000), "A".repeat(43));
    let elsewhere = Head { path: "/v1/other", ..head(&limited, Some(app)) };
    let refused = [
        ("expired", head(&expired, Some(app)), Reason::TokenExpired),
        ("another api path", elsewhere, Reason::InsufficientScope),
        ("another origin", head(&short, Some("https://evil.example")), Reason::OriginNotAllowed),
        ("a page's long-lived token", head(&issued.jwt, Some(app)), Reason::OriginNotAllowed),
        ("cut", head(&cut, None), Reason::InvalidToken),
        ("rubbish", head("rubbish", None), Reason::InvalidToken),
        ("large", head(&large, None), Reason::InvalidToken),
        ("a mebibyte of dots", head(&".".repeat(1 << 20), None), Reason::InvalidToken),
        ("no token", head("", None), Reason::MissingToken),
    ];
    for (what, head, reason) in &refused {
        assert_eq!(least(&verifier, head), (0, Err(*reason)), "{what}");
    }

    // An api-limited token carries its path along into the identity: the path, and the `Arc` that shares it.
    for origin in [None, Some(app)] {
        assert_eq!(least(&verifier, &head(&limited, origin)), (2, Ok(())), "{origin:?}");
    }

    // A web config of another store.
    let other = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    let other = Issuer::new(other, "https://api.voicegain.ai/v1").unwrap();
    let request = CreateRequest::new("a".parse().unwrap(), "c".parse().unwrap(), "n");
    let unknown = other.create(request).await.unwrap().jwt;
    let waiting = [
        ("forged, long-lived", head(&forged(&issued.jwt), None)),
        ("forged, short-lived", head(&forged(&short), Some(app))),
        ("unknown", head(&unknown, None)),
    ];
    for (what, head) in &waiting {
        // The list of those who wait keeps the room that it once had.
        assert_eq!(least_waiting(&verifier, head).await, (0, 0, Err(Reason::InvalidToken)), "{what}");
    }

    // That the counter counts.
    let before = COUNT.get();
    ready(async { drop(std::hint::black_box(Box::new(1))) });
    assert!(COUNT.get() > before);
}
