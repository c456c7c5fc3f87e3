use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response as Answer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::*;
use crate::clock::Moment;
use crate::error::Refusal;

const LONG: &str = "bG9uZw.bGl2ZWQ.dG9rZW4";
const PAGE: &str = "https://app.example.com";

/// What the API does next.
#[derive(Clone)]
enum Mode {
    /// Mints `n.n.n`, n counted from 1.
    Mint,
    /// Answers this to everything.
    Answer(u16, String),
    /// Leads elsewhere.
    Lead(String),
    /// Reads the request, and never answers.
    Hang,
    /// Mints, but accepts only this token on other paths.
    AcceptOnly(&'static str),
}

struct Api {
    url: String,
    mode: Mutex<Mode>,
    mints: AtomicUsize,
    /// Target and `Authorization` of each request.
    seen: Mutex<Vec<(String, String)>>,
    /// A mint takes one of these, so that a test can hold it.
    permits: Semaphore,
}

impl Api {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Arc::new(Self {
            url: format!("http://{}/v1", listener.local_addr().unwrap()),
            mode: Mutex::new(Mode::Mint),
            mints: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
            permits: Semaphore::new(1_000_000),
        });
        let app = Router::new().fallback(serve).with_state(Arc::clone(&api));
        tokio::spawn(async move { axum::serve(listener, app).await });
        api
    }

    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    fn mints(&self) -> usize {
        self.mints.load(Ordering::SeqCst)
    }

    fn token(&self) -> LongLivedToken {
        LongLivedToken::new(LONG).unwrap()
    }

    fn minter(&self) -> TokenMinter {
        TokenMinter::new(&*self.url, self.token()).unwrap()
    }

    /// With a clock that only the test moves.
    fn minter_with_clock(&self) -> (TokenMinter, Arc<Mutex<Moment>>) {
        let now = Arc::new(Mutex::new(Moment::now()));
        let clock = {
            let now = Arc::clone(&now);
            Clock::from_fn(move || *now.lock().unwrap())
        };
        (TokenMinter::builder(&*self.url, self.token()).clock(clock).build().unwrap(), now)
    }

    /// Lets no mint end until permits are added.
    fn hold(&self) {
        self.permits.forget_permits(usize::MAX >> 4);
    }

    async fn until_mints_have_begun(&self, number: usize) {
        while self.mints() < number {
            tokio::task::yield_now().await;
        }
    }
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Answer {
    let target = request.uri().to_string();
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let authorization = authorization.unwrap_or_default();
    api.seen.lock().unwrap().push((target.clone(), authorization.clone()));
    let mode = api.mode.lock().unwrap().clone();
    if target.starts_with("/v1/security/jwt?") {
        let number = api.mints.fetch_add(1, Ordering::SeqCst) + 1;
        api.permits.acquire().await.unwrap().forget();
        match mode {
            Mode::Mint | Mode::AcceptOnly(_) => format!("{number}.{number}.{number}").into_response(),
            Mode::Answer(status, body) => {
                let status = StatusCode::from_u16(status).unwrap();
                (status, [("retry-after", "7")], body).into_response()
            }
            Mode::Lead(to) => (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response(),
            Mode::Hang => std::future::pending().await,
        }
    } else {
        match mode {
            Mode::AcceptOnly(good) if authorization != format!("Bearer {good}") => {
                StatusCode::UNAUTHORIZED.into_response()
            }
            _ => authorization.into_response(),
        }
    }
}

fn pass(now: &Mutex<Moment>, seconds: u64) {
    let mut now = now.lock().unwrap();
    let passed = Duration::from_secs(seconds);
    *now = Moment { monotonic: now.monotonic + passed, wall: now.wall + passed };
}

fn refused(outcome: Result<ShortLivedToken, MintError>) -> Refusal {
    match outcome {
        Err(MintError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn refusal(status: u16, reason: &str) -> Mode {
    Mode::Answer(status, format!(r#"{{"error":{{"reason":"{reason}","detail":"Do this."}}}}"#))
}

#[tokio::test]
async fn a_token_is_given_out_until_a_fifth_of_its_life_is_left() {
    let api = Api::start().await;
    let (minter, now) = api.minter_with_clock();
    let first = minter.token(PAGE).await.unwrap();
    assert_eq!(first.expose(), "1.1.1");
    pass(&now, 239);
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "1.1.1");
    assert_eq!(first.remaining_at(*now.lock().unwrap()), Duration::from_secs(61));
    pass(&now, 1);
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "2.2.2");
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "2.2.2");
    assert_eq!(api.mints(), 2);
}

#[tokio::test]
async fn what_a_token_is_for_is_what_it_is_kept_for() {
    let api = Api::start().await;
    let minter = api.minter();
    let requests = [
        TokenRequest::new(PAGE),
        TokenRequest::new("https://b.example.com"),
        TokenRequest::new(PAGE).lifetime(Duration::from_secs(60)),
        TokenRequest::new(PAGE).api_path("/data"),
    ];
    for _ in 0..2 {
        for (index, request) in requests.iter().enumerate() {
            let number = index + 1;
            assert_eq!(minter.token(request).await.unwrap().expose(), format!("{number}.{number}.{number}"));
        }
    }
    // One that is asked for by itself is new, and leaves what is kept.
    assert_eq!(minter.mint(PAGE).await.unwrap().expose(), "5.5.5");
    assert_eq!(minter.clone().token(PAGE).await.unwrap().expose(), "1.1.1");
}

#[tokio::test]
async fn many_at_once_wait_for_one_mint() {
    let api = Api::start().await;
    let minter = api.minter();
    api.hold();
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let minter = minter.clone();
        callers.spawn(async move { minter.token(PAGE).await.unwrap().expose().to_owned() });
    }
    api.until_mints_have_begun(1).await;
    api.permits.add_permits(1_000);
    assert_eq!(callers.join_all().await, vec!["1.1.1"; 50]);
    assert_eq!(api.mints(), 1);
}

#[tokio::test]
async fn who_waited_for_a_mint_takes_what_it_brought_however_late() {
    let api = Api::start().await;
    let (minter, now) = api.minter_with_clock();
    let brief = TokenRequest::new(PAGE).lifetime(Duration::from_secs(10));
    api.hold();
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (minter, brief) = (minter.clone(), brief.clone());
        callers.spawn(async move { minter.token(brief).await.unwrap().expose().to_owned() });
    }
    api.until_mints_have_begun(1).await;
    pass(&now, 9);
    api.permits.add_permits(1_000);
    assert_eq!(callers.join_all().await, vec!["1.1.1"; 50]);
    assert_eq!(api.mints(), 1);
    // Whoever comes now has not waited for it.
    assert_eq!(minter.token(brief).await.unwrap().expose(), "2.2.2");
}

#[tokio::test]
async fn many_at_once_share_a_failure_and_the_next_asks_again() {
    let api = Api::start().await;
    let minter = api.minter();
    api.set(refusal(503, "temporarily_unavailable"));
    api.hold();
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let minter = minter.clone();
        callers.spawn(async move { refused(minter.token(PAGE).await).reason });
    }
    api.until_mints_have_begun(1).await;
    // All of them have asked by now: they share this thread, and came before the API's answer.
    api.permits.add_permits(1_000);
    assert_eq!(callers.join_all().await, vec!["temporarily_unavailable"; 50]);
    assert_eq!(api.mints(), 1);
    api.set(Mode::Mint);
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "2.2.2");
}

#[tokio::test]
async fn whoever_gives_up_leaves_the_next_to_mint() {
    let api = Api::start().await;
    let minter = api.minter();
    api.hold();
    let first = tokio::spawn({
        let minter = minter.clone();
        async move { minter.token(PAGE).await }
    });
    api.until_mints_have_begun(1).await;
    let second = tokio::spawn(async move { minter.token(PAGE).await });
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    api.permits.add_permits(1_000);
    assert!(second.await.unwrap().is_ok());
}

#[tokio::test]
async fn while_one_gets_the_next_the_others_use_what_is_still_good() {
    let api = Api::start().await;
    let (minter, now) = api.minter_with_clock();
    minter.token(PAGE).await.unwrap();
    pass(&now, 250);
    api.hold();
    let next = tokio::spawn({
        let minter = minter.clone();
        async move { minter.token(PAGE).await }
    });
    api.until_mints_have_begun(2).await;
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "1.1.1");
    api.permits.add_permits(1_000);
    assert_eq!(next.await.unwrap().unwrap().expose(), "2.2.2");
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "2.2.2");
}

#[tokio::test]
async fn an_api_that_is_away_ends_no_token_that_is_good() {
    let api = Api::start().await;
    let (minter, now) = api.minter_with_clock();
    minter.token(PAGE).await.unwrap();
    api.set(refusal(503, "temporarily_unavailable"));
    pass(&now, 250);
    for _ in 0..10 {
        assert_eq!(minter.token(PAGE).await.unwrap().expose(), "1.1.1");
    }
    assert_eq!(api.mints(), 2, "it is not asked for each of them");
    pass(&now, 1);
    assert_eq!(minter.token(PAGE).await.unwrap().expose(), "1.1.1");
    assert_eq!(api.mints(), 3, "but again after a while");
    pass(&now, 49);
    let refusal = refused(minter.token(PAGE).await);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_long_lived_token_that_was_replaced_ends_what_it_minted() {
    let api = Api::start().await;
    let (minter, now) = api.minter_with_clock();
    minter.token(PAGE).await.unwrap();
    api.set(refusal(401, "invalid_token"));
    pass(&now, 250);
    for mints in [2, 3] {
        assert_eq!(refused(minter.token(PAGE).await).reason, "invalid_token");
        assert_eq!(api.mints(), mints);
    }
}

#[tokio::test]
async fn the_long_lived_token_goes_into_one_header_and_nowhere_else() {
    let api = Api::start().await;
    let minter = api.minter();
    let request =
        TokenRequest::new("*.example.com").lifetime(Duration::from_millis(60_900)).api_path("/a b&c");
    let token = minter.token(request).await.unwrap();
    assert!(token.remaining() <= Duration::from_secs(60), "no more than it was asked for");
    let answer = minter.send(PAGE, || reqwest::Client::new().get(format!("{}/x", api.url))).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "Bearer 2.2.2");
    let seen = api.seen.lock().unwrap().clone();
    let target = "/v1/security/jwt?aud=*.example.com&expInSec=60&api=%2Fa+b%26c";
    assert_eq!(seen[0], (target.to_owned(), format!("Bearer {LONG}")));
    assert_eq!(seen[2], ("/v1/x".to_owned(), "Bearer 2.2.2".to_owned()));
    assert!(!seen.iter().any(|(target, _)| target.contains(LONG)));
    for shown in [format!("{minter:?}"), format!("{:?}", TokenMinter::builder(&*api.url, api.token()))] {
        assert!(!shown.contains(LONG) && !shown.contains("1.1.1"), "{shown}");
    }
    assert!(!format!("{:?}", minter.token(PAGE).await.unwrap()).contains("2.2.2"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let [api, elsewhere] = [Api::start().await, Api::start().await];
    // Also with a client that would follow it, and to a path of the same host.
    let http = ClientBuilder::new().redirect(Policy::limited(5));
    let minter = TokenMinter::builder(&*api.url, api.token()).http(http).build().unwrap();
    for to in [format!("{}/security/jwt?x", elsewhere.url), "/elsewhere".to_owned()] {
        api.set(Mode::Lead(to));
        match minter.token(PAGE).await {
            Err(MintError::Unexpected { status: StatusCode::TEMPORARY_REDIRECT, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(elsewhere.seen.lock().unwrap().len(), 0);
    assert_eq!(api.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_apis_words_and_without_the_token() {
    let api = Api::start().await;
    let minter = api.minter();
    api.set(refusal(400, "invalid_parameter"));
    let refusal = refused(minter.token(PAGE).await);
    assert_eq!(
        (refusal.status.as_u16(), &*refusal.reason, &*refusal.detail),
        (400, "invalid_parameter", "Do this.")
    );
    let echo = format!(r#"{{"error":{{"reason":"Bearer {LONG}","detail":"you sent {LONG}"}}}}"#);
    api.set(Mode::Answer(403, echo));
    let error = minter.token(PAGE).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(LONG), "{error:?}");
    assert!(!error.is_temporary());
    let busy = r#"{"error":{"reason":"too_many_requests","detail":"Later."}}"#;
    api.set(Mode::Answer(429, busy.to_owned()));
    assert!(minter.token(PAGE).await.unwrap_err().is_temporary());
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_not_shown_and_no_token() {
    let api = Api::start().await;
    let minter = api.minter();
    let cases = [
        (200, "<html>sign in</html>".to_owned()),
        (200, "a.b".to_owned()),
        (200, "a.b.c\n".to_owned()),
        (200, format!("a.b.{}", "c".repeat(20_000))),
        (204, String::new()),
        (201, "a.b.c".to_owned()),
        (404, "<h1>no a.b.c</h1>".to_owned()),
        (502, "bad gateway".to_owned()),
    ];
    for (status, body) in cases {
        api.set(Mode::Answer(status, body.clone()));
        let error = minter.token(PAGE).await.unwrap_err();
        assert!(matches!(error, MintError::Unexpected { .. }), "{status} {body}: {error:?}");
        assert!(error.is_temporary(), "what the API has not said changes nothing");
        assert!(body.is_empty() || !format!("{error} {error:?}").contains(&body), "{error:?}");
    }
}

#[tokio::test]
async fn an_api_that_never_answers_is_waited_for_as_long_as_said() {
    let api = Api::start().await;
    api.set(Mode::Hang);
    let builder = TokenMinter::builder(&*api.url, api.token()).timeout(Duration::from_millis(50));
    let error = builder.build().unwrap().token(PAGE).await.unwrap_err();
    assert!(matches!(&error, MintError::Transport(cause) if cause.is_timeout()), "{error:?}");
    assert!(error.is_temporary());
    assert!(!format!("{error:?}").contains(LONG));
}

#[tokio::test]
async fn a_401_costs_a_new_token_and_one_more_try() {
    let api = Api::start().await;
    let minter = api.minter();
    let http = reqwest::Client::new();
    let (url, mut built) = (format!("{}/x", api.url), 0);
    api.set(Mode::AcceptOnly("2.2.2"));
    let mut send = async || {
        minter
            .send(PAGE, || {
                built += 1;
                http.post(&url).body("x")
            })
            .await
    };
    let answer = send().await.unwrap();
    assert_eq!((answer.status(), answer.text().await.unwrap()), (StatusCode::OK, "Bearer 2.2.2".to_owned()));
    // The new one is kept, and 401 after another new one is the answer.
    assert_eq!(send().await.unwrap().status(), StatusCode::OK);
    api.set(Mode::AcceptOnly("none"));
    assert_eq!(send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!((built, api.mints()), (5, 3));
    // One that was refused before the newest was minted takes nothing from it.
    let newest = minter.token(PAGE).await.unwrap();
    let old = ShortLivedToken::new("1.1.1".to_owned().into(), Moment::now(), Duration::from_secs(300));
    minter.forget(PAGE, &old);
    assert!(minter.token(PAGE).await.unwrap().is(&newest));
}

#[tokio::test]
async fn without_a_new_token_there_is_no_second_try() {
    let api = Api::start().await;
    let minter = api.minter();
    minter.token(PAGE).await.unwrap();
    api.set(Mode::Answer(401, String::new()));
    let sent = Mutex::new(0);
    // The path is not one that mints, and so accepts anything: what refuses is a second server.
    let strict = Api::start().await;
    strict.set(Mode::AcceptOnly("none"));
    let outcome = minter
        .send(PAGE, || {
            *sent.lock().unwrap() += 1;
            reqwest::Client::new().get(format!("{}/x", strict.url))
        })
        .await;
    assert!(matches!(outcome, Err(SendError::Mint(MintError::Unexpected { .. }))), "{outcome:?}");
    assert_eq!(*sent.lock().unwrap(), 1);
}

#[tokio::test]
async fn strangers_audiences_do_not_fill_the_memory() {
    let api = Api::start().await;
    let minter = api.minter();
    for number in 0..1_100 {
        minter.token(format!("https://{number}.example.com")).await.unwrap();
    }
    let shown = format!("{minter:?}");
    assert!(shown.contains("requests: 1000"), "{shown}");
}

#[test]
fn the_api_is_https_or_this_machine() {
    let build = |url: &str| TokenMinter::new(url, LongLivedToken::new(LONG).unwrap());
    for good in
        ["https://api.voicegain.ai/v1", "http://127.0.0.1:8080/v1", "http://[::1]/v1/", "http://localhost"]
    {
        assert!(build(good).is_ok(), "{good}");
    }
    for plain in [
        "http://api.voicegain.ai/v1",
        "http://10.0.0.1/v1",
        "http://localhost.example.com",
        "http://a.localhost",
    ] {
        assert!(matches!(build(plain), Err(ConfigError::PlainHttp)), "{plain}");
        let token = LongLivedToken::new(LONG).unwrap();
        assert!(TokenMinter::builder(plain, token).dangerously_allow_http().build().is_ok());
    }
    for bad in ["", "api.voicegain.ai", "ftp://a/v1", "https://u:p@a/v1", "https://a/v1?x", "https://a/v1#x"]
    {
        assert!(matches!(build(bad), Err(ConfigError::ApiUrl(_))), "{bad}");
    }
    for (api, mints_at) in [
        ("https://a.example/v1", "https://a.example/v1/security/jwt"),
        ("https://a.example/v1/", "https://a.example/v1/security/jwt"),
        ("https://a.example", "https://a.example/security/jwt"),
    ] {
        assert_eq!(mint_url(api).unwrap().as_str(), mints_at);
    }
}

#[tokio::test]
async fn time_is_counted_from_before_the_question() {
    let api = Api::start().await;
    let minter = api.minter();
    api.hold();
    let begin = Instant::now();
    let token = tokio::spawn(async move { minter.token(PAGE).await.unwrap() });
    api.until_mints_have_begun(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let held = begin.elapsed();
    api.permits.add_permits(1);
    let token = token.await.unwrap();
    assert!(token.remaining() < TokenRequest::LIFETIME - Duration::from_millis(49), "{held:?} {token:?}");
}
