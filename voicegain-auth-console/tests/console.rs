//! The console's pages from outside, without a browser: what a browser could be made to do is asked of it elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy takes only what is marked as a test for one"
)]

mod head;

use axum::Router;
use axum::body::{Body, to_bytes};
use form_urlencoded::Serializer;
use http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken};
use voicegain_auth_core::store::ListQuery;
use voicegain_auth_core::{
    CreateRequest, Issuer, MemoryStore, Policy, Reason, Rejection, RequestId, SecretCache, Verifier,
    WebConfigId,
};

use self::head::Head;

const TOKEN: &str = "the-admin-token-of-these-tests";

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    /// The value of the first field of this name.
    fn field(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let at =
            self.text.find(&mark).unwrap_or_else(|| panic!("no field {name}: {}", self.text)) + mark.len();
        self.text[at..].split('"').next().unwrap().to_owned()
    }

    /// The token that it shows.
    fn token(&self) -> Option<String> {
        let (_, rest) = self.text.split_once("data-once>")?;
        Some(rest.split('<').next().unwrap().to_owned())
    }
}

/// A console, and a browser that is signed in or not.
#[derive(Clone)]
struct Browser {
    router: Router,
    issuer: Issuer,
    cookie: Option<String>,
}

impl Browser {
    async fn new() -> Self {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        assert!(cache.ready().await);
        let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
        let verifier = Verifier::new(issuer.cache().clone(), Policy::default());
        let router = AdminApi::builder(issuer.clone(), AdminToken::new(TOKEN).unwrap())
            .explain_decisions_of(verifier)
            .build();
        Self { router, issuer, cookie: None }
    }

    async fn signed_in() -> Self {
        let mut browser = Self::new().await;
        browser.sign_in().await;
        browser
    }

    async fn sign_in(&mut self) {
        let answer = self.post("/console/sign-in", &[("token", TOKEN)]).await;
        assert_eq!(answer.location(), "/console/contexts");
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8081");
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn send(&self, request: Request<Body>) -> Page {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        assert_eq!(parts.headers["cache-control"], "no-store", "nothing here may be cached");
        assert!(
            parts.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';")
        );
        assert!(!text.contains(TOKEN), "{text}");
        Page { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Page {
        self.send(self.request("GET", path).body(Body::empty()).unwrap()).await
    }

    async fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request("POST", path).header("origin", origin);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from("http://localhost:8081", path, fields).await
    }

    async fn create(&self, context: &str, name: &str) -> WebConfigId {
        let request = CreateRequest::new("acc".parse().unwrap(), context.parse().unwrap(), name);
        self.issuer.create(request).await.unwrap().config.id
    }

    async fn generation(&self, id: WebConfigId) -> u64 {
        self.issuer.get(id).await.unwrap().generation.get()
    }
}

#[tokio::test]
async fn without_signing_in_there_is_nothing_but_the_sign_in_page() {
    let browser = Browser::new().await;
    let id = browser.create("ctx", "n").await;
    let own = format!("/console/web-configs/{id}");
    for path in [
        "/console/contexts",
        "/console/contexts/acc/ctx",
        &own,
        &format!("{own}/regenerate"),
        &format!("{own}/mint"),
    ] {
        let next = Serializer::new(String::new()).append_pair("next", path).finish();
        assert_eq!(browser.get(path).await.location(), format!("/console/sign-in?{next}"));
    }
    for path in ["regenerate", "delete", "settings", "mint"] {
        let answer = browser.post(&format!("{own}/{path}"), &[("once", "x"), ("session", "")]).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
    }
    assert_eq!(browser.generation(id).await, 1);
    for (path, to) in
        [("/", "/console/contexts"), ("/console/", "contexts"), ("/console", "/console/contexts")]
    {
        let request = browser.request("GET", path).body(Body::empty()).unwrap();
        let answer = browser.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["location"], to, "{path}");
    }
    assert_eq!(browser.get("/console/sign-in").await.status, 200);
}

#[tokio::test]
async fn the_cookie_is_for_the_console_alone_and_good_until_it_is_signed_out() {
    let mut browser = Browser::new().await;
    let answer =
        browser.post("/console/sign-in", &[("token", TOKEN), ("next", "/console/contexts/a/b")]).await;
    assert_eq!(answer.location(), "/console/contexts/a/b");
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Path=/console; HttpOnly; SameSite=Lax"), "{cookie}");
    browser.sign_in().await;
    let page = browser.get("/console/contexts").await;
    assert_eq!(page.status, 200);
    let session = page.field("session");
    assert_eq!(
        browser.post("/console/sign-out", &[("session", &session)]).await.location(),
        "/console/sign-in"
    );
    assert_eq!(browser.get("/console/contexts").await.status, 303, "the same cookie is good for nothing");
}

#[tokio::test]
async fn signing_in_leads_to_no_other_site() {
    let browser = Browser::new().await;
    for next in [
        "//evil.test",
        "https://evil.test/",
        "/console//evil.test",
        "/console/\\evil.test",
        "/api",
        "evil",
        "",
    ] {
        let answer = browser.post("/console/sign-in", &[("token", TOKEN), ("next", next)]).await;
        assert_eq!(answer.location(), "/console/contexts", "{next}");
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_so_and_not_very_often() {
    let browser = Browser::new().await;
    for _ in 0..10 {
        let answer = browser.post("/console/sign-in", &[("token", "wrong-wrong-wrong")]).await;
        assert_eq!(answer.status, 401);
        assert!(answer.headers.get("set-cookie").is_none());
    }
    let answer = browser.post("/console/sign-in", &[("token", TOKEN)]).await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (429, true));
}

#[tokio::test]
async fn forms_of_others_do_nothing() {
    let browser = Browser::signed_in().await;
    let id = browser.create("ctx", "n").await;
    let path = format!("/console/web-configs/{id}/regenerate");
    let page = browser.get(&path).await;
    let (session, once) = (page.field("session"), page.field("once"));
    let fields = [("session", &*session), ("once", &*once)];
    for origin in ["null", "http://evil.test", "http://localhost:9000"] {
        assert_eq!(browser.post_from(origin, &path, &fields).await.status, 403, "{origin}");
        assert_eq!(browser.post_from(origin, "/console/sign-in", &[("token", TOKEN)]).await.status, 403);
    }
    let mut other = browser.clone();
    other.sign_in().await;
    let of_other = other.get(&path).await.field("session");
    for session in ["", "x", &of_other] {
        assert_eq!(browser.post(&path, &[("session", session), ("once", &once)]).await.status, 403);
    }
    let body = format!("session={session}&once={once}");
    for media_type in ["text/plain", "multipart/form-data", "application/json"] {
        let request = browser.request("POST", &path).header("content-type", media_type);
        assert_eq!(browser.send(request.body(Body::from(body.clone())).unwrap()).await.status, 403);
    }
    assert_eq!(browser.generation(id).await, 1);
    assert_eq!(browser.post(&path, &fields).await.status, 200);
    assert_eq!(browser.generation(id).await, 2);
}

#[tokio::test]
async fn m1_a_token_is_shown_once_and_the_form_works_once() {
    let browser = Browser::signed_in().await;
    let page = browser.get("/console/contexts").await;
    let (session, once) = (page.field("session"), page.field("once"));
    let fields =
        [("session", &*session), ("once", &once), ("account", "acc"), ("context", "ctx"), ("name", "n")];
    let first = browser.post("/console/web-configs", &fields).await;
    let token = first.token().unwrap();
    assert_eq!(token.matches('.').count(), 2, "{token}");
    assert_eq!(browser.post("/console/web-configs", &fields).await.status, 409);

    let found = browser.issuer.list(ListQuery { limit: 9, ..ListQuery::default() }).await.unwrap();
    assert_eq!(found.len(), 1, "sent again it created nothing");
    let own = format!("/console/web-configs/{}", found[0].id);
    let ask = browser.get(&format!("{own}/regenerate")).await;
    assert!(ask.text.contains("30 seconds"), "{}", ask.text);
    let fields = [("session", &*session), ("once", &ask.field("once"))];
    let second = browser.post(&format!("{own}/regenerate"), &fields).await.token().unwrap();
    assert_ne!(first.token().unwrap(), second);
    assert_eq!(browser.post(&format!("{own}/regenerate"), &fields).await.status, 409);
    assert_eq!(browser.generation(found[0].id).await, 2);
    for path in [
        "/console/contexts",
        "/console/contexts/acc/ctx",
        &own,
        &format!("{own}/regenerate"),
        &format!("{own}/mint"),
    ] {
        let text = browser.get(path).await.text;
        assert!(!text.contains(&token) && !text.contains(&second), "{path}");
    }
}

#[tokio::test]
async fn what_others_have_written_is_text() {
    let browser = Browser::signed_in().await;
    let (name, context) = ("<script>alert(1)</script>\"'", "<b>&c/d%2f?#");
    let id = browser.create(context, name).await;
    let list = browser.get("/console/contexts").await.text;
    let path = "/console/contexts/acc/%3Cb%3E%26c%2Fd%252f%3F%23";
    assert!(list.contains(&format!("href=\"{path}\"")), "{list}");
    for path in [path, "/console/contexts", &format!("/console/web-configs/{id}")] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text.contains("<script>") && !page.text.contains("<b>"), "{}", page.text);
    }
    let search = browser.get("/console/contexts?account=%22%3E%3Cscript%3E&part=%22%3E%3Cscript%3E").await;
    assert!(!search.text.contains("<script>"), "{}", search.text);
}

#[tokio::test]
async fn contexts_are_found_by_account_and_by_a_part_of_their_name() {
    let browser = Browser::signed_in().await;
    for context in ["calls", "callers", "videos"] {
        browser.create(context, "n").await;
    }
    let rows = async |query: &str| {
        browser.get(&format!("/console/contexts?{query}")).await.text.matches("<tr><td>").count()
    };
    assert_eq!((rows("").await, rows("account=acc").await, rows("account=other").await), (3, 3, 0));
    assert_eq!((rows("part=CALL").await, rows("part=x%20y").await), (2, 0));
    assert_eq!(rows("after_account=acc&after_context=callers").await, 2);
}

#[tokio::test]
async fn settings_are_saved_and_what_does_not_fit_is_not_lost() {
    let browser = Browser::signed_in().await;
    let id = browser.create("ctx", "old").await;
    let own = format!("/console/web-configs/{id}");
    let session = browser.get(&own).await.field("session");
    let change = async |name: &str, origins: &str| {
        let page = browser.get(&own).await;
        let (had_name, had_origins) = (page.field("had_name"), page.field("had_origins"));
        let had = [("had_name", &*had_name), ("had_origins", &*had_origins)];
        let fields = [&[("session", &*session), ("name", name), ("origins", origins)], &had[..]].concat();
        browser.post(&format!("{own}/settings"), &fields).await
    };
    let saved = change("new", "https://*.shop.example\r\n\r\nlocalhost:8080").await;
    let saved = browser.get(saved.location()).await;
    assert!(saved.text.contains("Saved"), "{}", saved.text);
    assert!(saved.text.contains("<code>https://a.shop.example</code>"), "{}", saved.text);
    let config = browser.issuer.get(id).await.unwrap();
    assert_eq!(config.name, "new");
    assert_eq!(config.allowed_origins, ["https://*.shop.example", "localhost:8080"]);

    let bad = change("newer", "https://ok.example\nhttps://*").await;
    assert_eq!(bad.status, 400);
    assert!(bad.text.contains("pattern 2") && bad.text.contains("Nothing was changed"), "{}", bad.text);
    assert!(bad.text.contains("https://ok.example\nhttps://*"), "what was typed is still there");
    assert_eq!(browser.issuer.get(id).await.unwrap(), config);

    // What somebody else has taken out meanwhile does not come back.
    let fields = [("session", &*session), ("name", "renamed"), ("origins", "https://old.example")];
    let stale = [&fields[..], &[("had_name", "new"), ("had_origins", "https://old.example")]].concat();
    let refused = browser.post(&format!("{own}/settings"), &stale).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains("changed meanwhile") && refused.text.contains("https://old.example"));
    assert_eq!(browser.post(&format!("{own}/settings"), &fields).await.status, 409);
    assert_eq!(browser.issuer.get(id).await.unwrap(), config);
}

#[tokio::test]
async fn what_origins_mean_is_told_while_they_are_typed() {
    let browser = Browser::signed_in().await;
    let session = browser.get("/console/contexts").await.field("session");
    let fields = [("session", &*session), ("origins", "*.shop.example\n*.com")];
    let answer: serde_json::Value =
        serde_json::from_str(&browser.post("/console/origins", &fields).await.text).unwrap();
    assert_eq!(answer[0]["matches"][0], "https://a.shop.example");
    assert_eq!(answer[0]["differs"][0], "https://shop.example");
    assert!(answer[1]["problem"].as_str().unwrap().contains("strangers"), "{answer}");
}

#[tokio::test]
async fn deleting_asks_first_and_is_for_good() {
    let browser = Browser::signed_in().await;
    let (id, _) = (browser.create("ctx", "doomed").await, browser.create("ctx", "stays").await);
    let own = format!("/console/web-configs/{id}");
    let ask = browser.get(&format!("{own}/delete")).await;
    assert!(ask.text.contains("stays") && ask.text.contains("doomed"), "{}", ask.text);
    let fields = [("session", &*ask.field("session")), ("once", &ask.field("once"))];
    assert_eq!(browser.post(&format!("{own}/delete"), &fields).await.location(), "/console/contexts");
    assert_eq!(browser.get(&own).await.status, 404);
}

#[tokio::test]
async fn m2_a_token_for_a_page_is_minted_by_the_rules() {
    let browser = Browser::signed_in().await;
    let id = browser.create("ctx", "n").await;
    let path = format!("/console/web-configs/{id}/mint");
    let session = browser.get(&path).await.field("session");
    let mint = async |aud: &str, seconds: &str, api: &str| {
        browser.post(&path, &[("session", &*session), ("aud", aud), ("seconds", seconds), ("api", api)]).await
    };
    let minted = mint("https://app.example.com", "60", "/data-prep").await;
    assert_eq!(minted.token().unwrap().matches('.').count(), 2);
    for snippet in ["fetch(", "curl -H", "voicegain_speech.Configuration", "https://api.voicegain.ai/v1"] {
        assert!(minted.text.contains(snippet), "{snippet}");
    }
    for (aud, seconds, api, named) in [
        ("https://app.example.com", "3601", "", "expInSec"),
        ("https://app.example.com/x", "60", "", "aud"),
        ("*.com", "60", "", "aud"),
        ("https://app.example.com", "60", "x", "api"),
    ] {
        let refused = mint(aud, seconds, api).await;
        assert_eq!((refused.status.as_u16(), refused.token()), (400, None), "{aud}");
        assert!(
            refused.text.contains(named) && refused.text.contains(&format!("value=\"{aud}\"")),
            "{}",
            refused.text
        );
    }
}

#[tokio::test]
async fn the_console_can_be_mounted_below_a_path() {
    let mut browser = Browser::new().await;
    browser.router = Router::new().nest("/ops/auth", browser.router.clone());
    assert_eq!(
        browser.get("/ops/auth/console/contexts").await.location(),
        "/ops/auth/console/sign-in?next=%2Fops%2Fauth%2Fconsole%2Fcontexts"
    );
    let answer = browser.post("/ops/auth/console/sign-in", &[("token", TOKEN)]).await;
    assert_eq!(answer.location(), "/ops/auth/console/contexts");
    assert!(answer.headers["set-cookie"].to_str().unwrap().contains("; Path=/ops/auth/console;"));
    browser.cookie =
        Some(answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
    assert!(
        browser
            .get("/ops/auth/console/contexts")
            .await
            .text
            .contains("href=\"/ops/auth/console/console.css\"")
    );
    let request = browser.request("GET", "/ops/auth").body(Body::empty()).unwrap();
    let answer = browser.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["location"], "/ops/auth/console/contexts");
    for asset in ["console.css", "console.js", "icon.svg"] {
        assert_eq!(browser.get(&format!("/ops/auth/console/{asset}")).await.status, 200);
    }
}

#[tokio::test]
async fn v9_a_refusal_is_explained_and_the_token_is_not_kept() {
    let browser = Browser::signed_in().await;
    let id = browser.create("ctx", "n").await;
    let old = browser.issuer.regenerate(id).await.unwrap().jwt;
    let new = browser.issuer.regenerate(id).await.unwrap().jwt;
    let session = browser.get("/console/explain").await.field("session");
    let explain = async |token: &str, origin: &str| {
        let fields = [
            ("session", &*session),
            ("token", token),
            ("method", "GET"),
            ("path", "/v1/asr?x=y"),
            ("origin", origin),
            ("host", "api.example"),
        ];
        let answer = browser.post("/console/explain", &fields).await;
        browser.get(answer.location()).await.text
    };
    for (token, origin, heading, failed) in [
        (&*old, "", "Refused: 401 <code>invalid_token", Some("Its signature")),
        (
            &*new,
            "https://page.example",
            "Refused: 403 <code>origin_not_allowed",
            Some("The page&#39;s origin"),
        ),
        (&*format!("Bearer {new}"), "", "It is accepted", None),
        ("x", "", "Refused: 401 <code>invalid_token", Some("The token&#39;s form")),
    ] {
        let text = explain(token, origin).await;
        assert!(text.contains(heading), "{text}");
        let (_, rest) = text.split_once("<li class=\"failed\"><strong>").unwrap_or_default();
        assert!(failed.map_or(rest.is_empty(), |failed| rest.starts_with(failed)), "{text}");
        assert!(!text.contains(&old) && !text.contains(&new), "{text}");
    }
}

#[tokio::test]
async fn v9_what_more_decides_is_asked_where_it_is_said() {
    let browser = Browser::signed_in().await;
    let verifier = Verifier::new(browser.issuer.cache().clone(), Policy::default());
    let whole = AdminApi::builder(browser.issuer.clone(), AdminToken::new(TOKEN).unwrap())
        .explain_decisions_of(verifier.clone())
        .explain_requests(move |head| {
            assert_eq!(head.uri, "/elsewhere?access_token=hush");
            assert_eq!(head.headers["host"], "api.example");
            assert_eq!(head.headers["origin"], "https://page.example");
            let refused = Rejection::new(Reason::NotFound, "There is nothing at this path.");
            std::future::ready(verifier.explain_refusal(&named(RequestId::new()), None, refused))
        })
        .build();
    let mut browser = Browser { router: whole, ..browser };
    browser.sign_in().await;
    let page = browser.get("/console/explain").await;
    let session = page.field("session");
    let explain = async |method: &str, path: &str| {
        let fields = [
            ("session", &*session),
            ("token", "a.b.c"),
            ("method", method),
            ("path", path),
            ("origin", "https://page.example"),
            ("host", "api.example"),
        ];
        let answer = browser.post("/console/explain", &fields).await;
        browser.get(answer.location()).await.text
    };
    let text = explain("GET", "/elsewhere?access_token=hush").await;
    assert!(text.contains("Refused: 404 <code>not_found"), "{text}");
    let (_, rest) = text.split_once("<li class=\"failed\"><strong>").unwrap();
    assert!(rest.starts_with("The request itself"), "{text}");
    assert!(!text.contains("hush"), "a token in the query is not shown again: {text}");
    assert!(text.contains("value=\"/elsewhere\""), "{text}");
    for (method, path, said) in
        [("G T", "/v1/x", "No client can send"), ("GET", "v1/x", "begins with a slash")]
    {
        let text = explain(method, path).await;
        assert!(text.contains(said), "{text}");
        assert!(!text.contains("class=\"checks\""), "{text}");
    }
}

fn named(id: RequestId) -> Head {
    Head { id: Some(id), authorization: None }
}

#[tokio::test]
async fn a_refusal_that_was_made_is_found_by_its_requests_id() {
    let browser = Browser::signed_in().await;
    let verifier = Verifier::new(browser.issuer.cache().clone(), Policy::default()).keeping_refusals(5);
    let router = AdminApi::builder(browser.issuer.clone(), AdminToken::new(TOKEN).unwrap())
        .explain_decisions_of(verifier.clone())
        .build();
    let mut browser = Browser { router, ..browser };
    browser.sign_in().await;
    assert!(browser.get("/console/explain").await.text.contains("None is kept"));
    let (first, second) = (RequestId::new(), RequestId::new());
    verifier.keep_refusal(&named(first), None, &Rejection::missing_token());
    verifier.keep_refusal(&named(second), None, &Rejection::new(Reason::NotFound, "<b>nothing</b>"));
    let list = browser.get("/console/explain").await.text;
    let [at_first, at_second] = [first, second].map(|id| list.find(&format!("request={id}\"")).unwrap());
    assert!(at_second < at_first, "the newest first");
    let text = browser.get(&format!("/console/explain?request={second}")).await.text;
    assert!(text.contains("Refused: 404 <code>not_found") && !text.contains("<b>nothing"), "{text}");
    let upper = first.to_string().to_uppercase();
    let text = browser.get(&format!("/console/explain?request=%20{upper}")).await.text;
    assert!(text.contains("Refused: 401 <code>missing_token"), "{text}");
    for other in [RequestId::new().to_string(), "<script>".to_owned()] {
        let text = browser
            .get(&format!("/console/explain?request={}", other.replace('<', "%3C").replace('>', "%3E")))
            .await
            .text;
        assert!(text.contains("No refusal with the id") && !text.contains("<script>"), "{text}");
    }
    let signed_out = Browser { cookie: None, ..browser.clone() };
    assert_eq!(signed_out.get(&format!("/console/explain?request={second}")).await.status, 303);
}

#[tokio::test]
async fn by_https_the_cookie_is_for_nothing_else() {
    let browser = Browser::new().await;
    for (origin, is_secure) in [("https://console.example", true), ("http://console.example", false)] {
        let request = browser
            .request("POST", "/console/sign-in")
            .header("origin", origin)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        let body = Serializer::new(String::new()).append_pair("token", TOKEN).finish();
        let answer = browser.send(request.body(Body::from(body)).unwrap()).await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert_eq!(cookie.contains("; Secure"), is_secure, "{cookie}");
    }
}

#[tokio::test]
async fn a_form_with_very_many_origins_is_taken_from_who_is_signed_in() {
    let browser = Browser::signed_in().await;
    let id = browser.create("ctx", "n").await;
    let page = browser.get(&format!("/console/web-configs/{id}")).await;
    let session = page.field("session");
    let origins: Vec<_> =
        (0..900).map(|number| format!("https://{}.a{number}.example.com", "x".repeat(60))).collect();
    let origins = origins.join("\r\n");
    assert!(origins.len() > 64 * 1024);
    let fields = [
        ("session", &*session),
        ("name", "n"),
        ("origins", &*origins),
        ("had_name", "n"),
        ("had_origins", ""),
    ];
    let answer = browser.post(&format!("/console/web-configs/{id}/settings"), &fields).await;
    // Whatever is said of that many, it is said about what was typed.
    assert!(answer.status == 303 || answer.text.contains(".a899.example.com"), "{}", answer.status);
    let long = "x".repeat(20 * 1024);
    let answer = Browser::new().await.post("/console/sign-in", &[("token", &long)]).await;
    assert_eq!(answer.status, 413, "nobody who is not signed in sends that much");
}

#[tokio::test]
async fn what_cannot_be_read_of_a_path_or_a_query_is_a_page_too() {
    let browser = Browser::signed_in().await;
    for path in
        ["/console/contexts?part=%FF&part=2", "/console/contexts/%FF/x", "/console/explain?shown=1&shown=2"]
    {
        let answer = browser.get(path).await;
        let html = answer.headers["content-type"].to_str().unwrap().starts_with("text/html");
        assert!(html && answer.text.contains("<h1>"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_day_of_the_last_use_stands_in_the_list_on_its_page_and_where_it_may_be_ended() {
    let browser = Browser::signed_in().await;
    let new = |name| CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), name);
    let used = browser.issuer.create(new("used")).await.unwrap();
    let page = |rest: &str| format!("/console/web-configs/{}{rest}", used.config.id);
    let shown = |text: &str| text.matches("title=\"by days in UTC\"").count();
    for path in ["/console/contexts/acc/ctx", &page(""), &page("/delete")] {
        let text = browser.get(path).await.text;
        assert!(text.contains("not seen") && shown(&text) == 0, "{path}: {text}");
    }
    browser.issuer.create(new("unused")).await.unwrap();
    let head = Head { authorization: Some(format!("Bearer {}", used.jwt)), ..Head::default() };
    let verifier = Verifier::new(browser.issuer.cache().clone(), Policy::default());
    verifier.authorize(&head).await.unwrap();
    browser.issuer.cache().write_uses().await.unwrap();
    let day = browser.issuer.last_uses([used.config.id]).await.unwrap()[&used.config.id];
    let time = format!("<time datetime=\"{day}\" title=\"by days in UTC\">{day}</time>");
    for path in ["/console/contexts/acc/ctx", &page(""), &page("/regenerate"), &page("/delete")] {
        let text = browser.get(path).await.text;
        let unused = usize::from(path.ends_with("/ctx"));
        assert!(text.contains(&time) && shown(&text) == 1, "{path}: {text}");
        assert_eq!(text.matches("not seen").count(), unused, "{path}: {text}");
    }
    // Also where what was typed is shown again.
    let typed = [("session", browser.get(&page("")).await.field("session"))];
    let mut fields: Vec<_> = typed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend([("name", "used"), ("had_name", "used"), ("origins", "nonsense://*"), ("had_origins", "")]);
    let again = browser.post(&page("/settings"), &fields).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "{}", again.text);
    assert!(again.text.contains(&time), "{}", again.text);
}
