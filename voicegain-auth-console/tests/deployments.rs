//! What a deployment says of itself, and what its console shows of others: `GET /deployment`, the page `Edge`, and whose token
//! one may be that is not known here.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy takes only what is marked as a test for one"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use form_urlencoded::Serializer;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminApiBuilder, AdminToken, Deployment, Edge};
use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Policy, SecretCache, Verifier};

const TOKEN: &str = "the-admin-token-of-these-tests";
const CLOUD: &str = "https://api.voicegain.ai/v1";
const EDGE: &str = "https://edge.example:9443/ascalon-web-api";

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

async fn send(router: &Router, request: http::request::Builder, body: String) -> Answer {
    let request = request.header("host", "localhost").body(Body::from(body)).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

async fn issuer(api_url: &str) -> Issuer {
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    assert!(cache.ready().await);
    Issuer::new(cache, api_url).unwrap()
}

fn admin(issuer: &Issuer, base_path: &str) -> AdminApiBuilder {
    let policy = Policy::builder().base_path(base_path).build().unwrap();
    AdminApi::builder(issuer.clone(), AdminToken::new(TOKEN).unwrap())
        .explain_decisions_of(Verifier::new(issuer.cache().clone(), policy))
}

/// The console in a browser that is signed in.
struct Console {
    router: Router,
    cookie: String,
}

impl Console {
    async fn of(router: Router) -> Self {
        let form =
            Request::post("/console/sign-in").header("content-type", "application/x-www-form-urlencoded");
        let answer = send(&router, form, format!("token={TOKEN}")).await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { router, cookie }
    }

    async fn get(&self, path: &str) -> Answer {
        send(&self.router, Request::get(path).header("cookie", &self.cookie), String::new()).await
    }

    /// What is told of a token.
    async fn explained(&self, token: &str) -> String {
        let page = self.get("/console/explain").await.text;
        let (_, rest) = page.split_once("name=\"session\" value=\"").unwrap();
        let session = rest.split('"').next().unwrap();
        let fields = [
            ("session", session),
            ("token", token),
            ("method", "GET"),
            ("path", "/v1/x"),
            ("origin", ""),
            ("host", "localhost"),
        ];
        let form = Request::post("/console/explain")
            .header("cookie", &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer =
            send(&self.router, form, Serializer::new(String::new()).extend_pairs(fields).finish()).await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        self.get(answer.headers["location"].to_str().unwrap()).await.text
    }
}

fn document() -> Value {
    json!({
        "name": "berlin",
        "version": "1.2.3",
        "status": "ready",
        "configuration": {
            "basePath": "/ascalon-web-api",
            "apiUrl": EDGE,
            "maxRevocationDelaySeconds": 30,
            "store": "sqlite",
        },
        "consoleUrl": "https://console.edge.example/console",
        "added": "by a later version",
    })
}

fn answered(name: &str, document: &Value) -> Edge {
    let url = format!("http://{name}.example:8081");
    Edge::answered(name, url, StatusCode::OK, document.to_string().as_bytes())
}

/// The page, where these are configured.
async fn page_of(edges: Vec<Edge>) -> String {
    let router = admin(&issuer(CLOUD).await, "/v1").edges(move || std::future::ready(edges.clone())).build();
    let page = Console::of(router).await.get("/console/edge").await;
    assert_eq!(page.status, 200);
    page.text
}

#[tokio::test]
async fn a_deployment_says_what_it_is_and_nothing_secret() {
    let own =
        Deployment::new("9.8.7").name("berlin").store("sqlite").console_url("https://c.example/console");
    let router = admin(&issuer(EDGE).await, "/ascalon-web-api").deployment(own).build();
    let answer = send(&router, Request::get("/deployment"), String::new()).await;
    assert_eq!((answer.status, &answer.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert_eq!(
        serde_json::from_str::<Value>(&answer.text).unwrap(),
        json!({
            "name": "berlin",
            "version": "9.8.7",
            "status": "ready",
            "configuration": {
                "basePath": "/ascalon-web-api",
                "apiUrl": EDGE,
                "maxRevocationDelaySeconds": 30.0,
                "store": "sqlite",
            },
            "consoleUrl": "https://c.example/console",
        })
    );

    // A name nobody gave is that of the API's host; what nobody said is not there.
    let router = admin(&issuer(EDGE).await, "/").build();
    let answer = send(&router, Request::get("/deployment"), String::new()).await;
    let said: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(
        (&said["name"], &said["configuration"]["basePath"]),
        (&json!("edge.example:9443"), &json!("/"))
    );
    assert_eq!((said.get("consoleUrl"), said["configuration"].get("store")), (None, None));
    let elsewhere = Request::get("/deployment").header("host", "evil.test");
    assert_eq!(send(&router, elsewhere, String::new()).await.status, 400);
}

#[tokio::test]
async fn a_deployment_that_is_not_ready_says_why() {
    // Nothing can be proved on a runtime that has ended.
    let ended = tokio::runtime::Runtime::new().unwrap();
    let handle = ended.handle().clone();
    ended.shutdown_background();
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).runtime(handle).build().unwrap();
    let router = admin(&Issuer::new(cache, EDGE).unwrap(), "/v1").build();
    let answer = send(&router, Request::get("/deployment"), String::new()).await;
    let said: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!((answer.status, &said["status"]), (200, &json!("not_ready")));
    let detail = said["detail"].as_str().unwrap();
    assert!(detail.contains("no proof of freshness"), "{}", answer.text);

    assert!(said["notReadySince"].is_u64(), "{}", answer.text);

    // And that is what is shown of it elsewhere.
    let page = page_of(vec![answered("berlin", &said)]).await;
    assert!(
        page.contains("class=\"edge failed\"") && page.contains("Not ready. It says: There is no proof"),
        "{page}"
    );
}

#[tokio::test]
async fn the_page_is_there_where_edges_are_configured() {
    let console = Console::of(admin(&issuer(CLOUD).await, "/v1").build()).await;
    assert_eq!(console.get("/console/edge").await.status, 404);
    assert!(!console.get("/console/contexts").await.text.contains("/console/edge"));

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let edges = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(vec![answered("berlin", &document())])
    };
    let router = admin(&issuer(CLOUD).await, "/v1").edges(edges).build();
    let signed_out = send(&router, Request::get("/console/edge"), String::new()).await;
    assert_eq!((signed_out.status, asked.load(Ordering::Relaxed)), (303, 0), "nobody else has them asked");
    let console = Console::of(router).await;
    assert!(console.get("/console/contexts").await.text.contains("<a href=\"/console/edge\">Edge</a>"));
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let page = console.get("/console/edge").await;
    assert!(page.text.contains("aria-current=\"page\">Edge</a>"));
    assert_eq!(page.headers["cache-control"], "no-store");
    console.get("/console/edge").await;
    assert_eq!(asked.load(Ordering::Relaxed), 2, "each time anew");
}

#[tokio::test]
async fn each_edge_is_shown_with_its_status_and_configuration() {
    let down = Edge::silent("down", "http://192.0.2.1:8081", "Nobody is there; check <it>.");
    let page = page_of(vec![answered("paris", &document()), down]).await;
    for shown in [
        "<bdi>paris</bdi>",
        "<dt>Calls itself</dt><dd><bdi>berlin</bdi>",
        "<bdi>Ready.</bdi>",
        "<bdi>1.2.3</bdi>",
        "<bdi>/ascalon-web-api</bdi>",
        "<bdi>https://edge.example:9443/ascalon-web-api</bdi>",
        "<bdi>30 s</bdi>",
        "<bdi>sqlite</bdi>",
        "<bdi>http://paris.example:8081</bdi>",
        "<a href=\"https://console.edge.example/console\" rel=\"noopener noreferrer\">",
        "<bdi>No status. Nobody is there; check &#60;it&#62;.</bdi>",
        "<a href=\"http://192.0.2.1:8081/console/\" rel=\"noopener noreferrer\">",
        "This deployment: <bdi>api.voicegain.ai</bdi>",
        "<bdi>/v1</bdi>",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(page.matches("class=\"edge failed\"").count(), 1, "{page}");
    assert_eq!(page.matches("<script").count(), 1, "the console's own");
}

#[tokio::test]
async fn what_is_no_status_document_is_said_in_words() {
    let with = |change: fn(&mut Value)| {
        let mut document = document();
        change(&mut document);
        document.to_string()
    };
    for (status, body, words) in [
        (200, "<html>hello</html>".to_owned(), "not with the status document"),
        (200, String::new(), "not with the status document"),
        (200, "[".repeat(10_000), "not with the status document"),
        (200, with(|it| it["status"] = json!("splendid")), "not with the status document"),
        (200, with(|it| it["name"] = json!(7)), "not with the status document"),
        (200, with(|it| it["configuration"] = Value::Null), "not with the status document"),
        (200, document().to_string() + &" ".repeat(Edge::MAX_BYTES), "more than a status document"),
        (302, document().to_string(), "a redirect, which is not followed"),
        (400, document().to_string(), "--admin-host"),
        (404, document().to_string(), "that of its admin port"),
        (503, document().to_string(), "It answers 503 and no status document"),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let page = page_of(vec![Edge::answered("x", "http://x.example", status, body.as_bytes())]).await;
        assert!(page.contains("class=\"edge failed\"") && page.contains(words), "{words}: {page}");
        assert!(!page.contains("hello") && !page.contains("1.2.3"), "nothing of it is shown: {page}");
    }
}

#[tokio::test]
async fn what_an_edge_says_is_short_text_and_no_link() {
    let mut said = document();
    said["name"] = json!("<script>alert(1)</script>");
    said["version"] = json!("\u{202e}\u{0}\n1");
    said["configuration"]["store"] = json!("x".repeat(10_000));
    said["configuration"]["maxRevocationDelaySeconds"] = json!(1e300);
    said["configuration"]["apiUrl"] = json!("\" onmouseover=\"alert(1)");
    let page = page_of(vec![answered("evil", &said)]).await;
    assert!(!page.contains("<script>") && page.contains("&#60;script&#62;"), "{page}");
    assert!(
        !page.contains("\" onmouseover") && !page.contains('\u{202e}') && !page.contains('\u{0}'),
        "{page}"
    );
    assert!(!page.contains(&"x".repeat(210)) && page.contains(&"x".repeat(200)), "{page}");
    assert!(page.contains("no time that can be") && page.len() < 10_000, "{}", page.len());

    for url in [
        "javascript:alert(1)",
        "javascript://evil.test/%0aalert(1)",
        "ftp://evil.test/",
        "data:text/html,x",
        "//evil.test",
        "/console",
        "https://user@evil.test/",
        "https://\u{e4}.test",
        "https://evil.test/\u{202e}",
        "",
    ] {
        said["consoleUrl"] = json!(url);
        let page = page_of(vec![answered("evil", &said)]).await;
        assert!(page.contains("<a href=\"http://evil.example:8081/console/\""), "{url}: {page}");
        assert!(!page.contains("evil.test"), "{url}: {page}");
    }
    said["consoleUrl"] = json!(format!("https://evil.test/{}", "x".repeat(300)));
    assert!(!page_of(vec![answered("evil", &said)]).await.contains("evil.test"));
}

#[tokio::test]
async fn v5_a_token_of_an_edge_is_refused_and_explained_to_the_operator() {
    let edge = issuer(EDGE).await;
    let new = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "n");
    let token = edge.create(new).await.unwrap().jwt.to_string();

    let edges = || {
        let down = Edge::silent("down", "http://192.0.2.1:8081", "Nobody is there.");
        std::future::ready(vec![down, answered("berlin", &document())])
    };
    let console = Console::of(admin(&issuer(CLOUD).await, "/v1").edges(edges).build()).await;
    let told = console.explained(&token).await;
    for words in [
        "Refused: 401",
        "none of this id",
        "Not verified",
        "the API https://edge.example:9443/ascalon-web-api, and this deployment&#39;s is https://api.voicegain.ai/v1.",
        "That is the API of Edge berlin, whose gateway takes the token if it is in force there.",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains(&token));

    // Where no Edge is configured, its API is told all the same.
    let console = Console::of(admin(&issuer(CLOUD).await, "/v1").build()).await;
    let told = console.explained(&token).await;
    assert!(told.contains("the API https://edge.example:9443") && !told.contains("Edge "), "{told}");
}
