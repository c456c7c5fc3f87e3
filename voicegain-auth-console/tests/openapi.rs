//! The document that the admin API serves of itself, held against the router. What it says of answers in particular is
//! held against a running gateway by `tests/python/schema.py`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy takes only what is marked as a test for one"
)]

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken};
use voicegain_auth_core::{Issuer, MemoryStore, SecretCache};

const TOKEN: &str = "the-admin-token-of-these-tests";
const ID: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";
/// 32 bytes.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

async fn router() -> Router {
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
    assert!(cache.ready().await);
    let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
    AdminApi::builder(issuer, AdminToken::new(TOKEN).unwrap()).build()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

fn request(method: &str, path: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.header("authorization", format!("Bearer {TOKEN}"))
}

async fn call(router: &Router, method: &str, path: &str, body: &str) -> Answer {
    send(router, request(method, path).body(Body::from(body.to_owned())).unwrap()).await
}

/// As it is served, without a token.
async fn document(router: &Router) -> Value {
    let request = Request::get("/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let served = send(router, request).await;
    assert_eq!((served.status, &served.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    serde_json::from_str(&served.text).unwrap()
}

/// The methods of each path, and what each may be answered with.
type Operations = BTreeMap<String, BTreeMap<String, BTreeSet<u16>>>;

fn operations(document: &Value) -> Operations {
    let mut operations = Operations::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if method != "parameters" {
                let responses = operation["responses"].as_object().unwrap();
                let statuses = responses.keys().map(|status| status.parse().unwrap()).collect();
                operations.entry(path.clone()).or_default().insert(method.to_uppercase(), statuses);
            }
        }
    }
    operations
}

/// A path whose parameters have values.
fn filled(path: &str) -> String {
    let segment = |segment: &str| if segment.starts_with('{') { ID.to_owned() } else { segment.to_owned() };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A path without the names of its parameters.
fn nameless(path: &str) -> String {
    filled(path).replace(ID, "{}")
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().map(|reference| reference.strip_prefix('#').unwrap());
    target.map_or(value, |target| document.pointer(target).unwrap_or_else(|| panic!("no {target}")))
}

#[tokio::test]
async fn what_the_document_names_is_there() {
    let router = router().await;
    let operations = operations(&document(&router).await);
    assert_eq!(operations.len(), 11, "the control");
    for (path, methods) in &operations {
        for (method, statuses) in methods {
            let answer = call(&router, method, &filled(path), "").await;
            assert!(statuses.contains(&answer.status), "{method} {path}: {}", answer.status);
            assert!(!answer.text.contains("There is nothing at this path"), "{method} {path}");
        }
        let allow = call(&router, "TRACE", &filled(path), "").await.headers["allow"].clone();
        let allowed: BTreeSet<_> =
            allow.to_str().unwrap().split(',').map(|method| method.trim().to_owned()).collect();
        let mut documented: BTreeSet<_> = methods.keys().cloned().collect();
        if documented.contains("GET") {
            documented.insert("HEAD".to_owned());
        }
        assert_eq!(allowed, documented, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_document_where_there_is_one_and_nowhere_else() {
    let router = router().await;
    for (path, methods) in &operations(&document(&router).await) {
        for (method, documented) in methods {
            let path = filled(path);
            let no_token = Request::builder().method(&**method).uri(&path).header("host", "localhost");
            let requests = [
                (401, no_token.body(Body::empty())),
                (413, request(method, &path).body(Body::from(" ".repeat(64 * 1024 + 1)))),
            ];
            for (refusal, request) in requests {
                let status = send(&router, request.unwrap()).await.status;
                assert_eq!(status == refusal, documented.contains(&refusal), "{method} {path} {refusal}");
            }
            let elsewhere = request(method, &path).header("host", "evil.test").body(Body::empty()).unwrap();
            let status = send(&router, elsewhere).await.status;
            assert!(status == 400 && documented.contains(&400), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_route_is_in_the_document() {
    let operations = operations(&document(&router().await).await);
    let documented: BTreeSet<_> = operations.keys().map(|path| nameless(path)).collect();

    // A router does not tell its routes, so its source does.
    let source = include_str!("../src/router.rs");
    let (_, source) = source.split_once("let api = Router::new()").unwrap();
    let (api, source) = source.split_once("Router::new()").unwrap();
    let (rest, _) = source.split_once("with_state").unwrap();
    let named = |text: &str, prefix: &str| -> Vec<String> {
        let routes = text.split(".route(\"").skip(1);
        routes.map(|route| nameless(&format!("{prefix}{}", route.split('"').next().unwrap()))).collect()
    };
    let mut routes: BTreeSet<_> = named(api, "/api").into_iter().chain(named(rest, "")).collect();
    assert!(routes.remove("/") && routes.remove("/console/"), "the pages of the console are no API");
    assert_eq!(routes, documented);

    // As does what people read.
    let readme = include_str!("../README.md");
    for (path, methods) in &operations {
        for method in methods.keys() {
            let listed = |end| readme.contains(&format!("| `{method} {path}{end}"));
            assert!(listed("`") || listed("?"), "{method} {path} is not in the README");
        }
    }
}

#[tokio::test]
async fn the_document_is_of_this_version() {
    let document = document(&router().await).await;
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[tokio::test]
async fn examples_of_refusals_are_what_is_answered() {
    let router = router().await;
    let document = document(&router).await;
    let import =
        json!({"accountId": "a", "contextId": "c", "name": "n", "secret": SECRET, "id": ID}).to_string();
    let list = "/api/web-configs";
    let one = format!("{list}/{ID}");
    let mut answers = Vec::new();
    for (method, path, body) in [
        ("GET", &*one, ""),
        ("POST", list, r#"{"accountId":"a","contextId":"c"}"#),
        ("POST", list, &*import),
        ("POST", list, &*import),
        ("DELETE", &*one, ""),
        ("POST", list, &*import),
        ("POST", "/api/master-keys/reseal", ""),
        ("POST", list, &*" ".repeat(64 * 1024 + 1)),
    ] {
        answers.push(call(&router, method, path, body).await);
    }
    for (host, credentials) in [("evil.test", None), ("localhost", None), ("localhost", Some("Bearer wrong"))]
    {
        let mut request = Request::get(list).header("host", host);
        if let Some(credentials) = credentials {
            request = request.header("authorization", credentials);
        }
        answers.push(send(&router, request.body(Body::empty()).unwrap()).await);
    }
    let answered: BTreeSet<_> = answers.iter().map(|answer| (answer.status, answer.text.clone())).collect();

    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters");
        for (status, response) in methods.flat_map(|(_, method)| method["responses"].as_object().unwrap()) {
            let status: u16 = status.parse().unwrap();
            if status < 400 {
                continue;
            }
            let content = &resolved(&document, response)["content"]["application/json"];
            for (name, example) in content["examples"].as_object().unwrap() {
                let body = &example["value"];
                let error = body["error"].as_object().unwrap();
                assert_eq!(error.len(), 2, "{path} {name}");
                if status == 503 {
                    // No request makes a store fail.
                    assert_eq!(error["reason"], "temporarily_unavailable", "{path} {name}");
                    continue;
                }
                let same = |(other, text): &(u16, String)| {
                    *other == status && serde_json::from_str::<Value>(text).is_ok_and(|text| text == *body)
                };
                assert!(answered.iter().any(same), "{path} {status} {name}: {body}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the control: {seen}");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_everything_is_used() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(members) => members.iter().for_each(|member| references(member, found)),
            _ => {}
        }
    }
    let document = document(&router().await).await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    for (kind, components) in document["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            let reference = format!("#/components/{kind}/{name}");
            assert!(found.iter().any(|other| other.starts_with(&reference)), "{reference} is not used");
        }
    }
}
