//! Whoever changes something by the admin API or the console is written down, by the name they have.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "clippy takes only what is marked as a test for one"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use form_urlencoded::Serializer;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken, LoggedChange, Resealed};
use voicegain_auth_core::audit::{ActorKind, AuditEntry, AuditLog, Stage};
use voicegain_auth_core::store::{BoxError, ListQuery};
use voicegain_auth_core::{Issuer, MemoryStore, RequestId, SecretCache};

const TOKEN: &str = "the-admin-token-of-these-tests";
const REQUEST: &str = "0123456789abcdef0123456789abcdef";
/// 32 bytes.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

#[derive(Clone, Default)]
struct Log(Arc<(Mutex<Vec<AuditEntry>>, AtomicBool)>);

impl AuditLog for Log {
    fn write(&self, entry: &AuditEntry) -> Result<(), BoxError> {
        if self.0.1.load(Ordering::SeqCst) {
            return Err("no space left".into());
        }
        self.0.0.lock().unwrap().push(entry.clone());
        Ok(())
    }
}

struct World {
    router: Router,
    issuer: Issuer,
    log: Log,
    cookie: String,
    /// Everything that was answered, to look for tokens in.
    answers: Mutex<Vec<String>>,
}

impl World {
    async fn new() -> Self {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        assert!(cache.ready().await);
        let log = Log::default();
        let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap().audited(log.clone());
        let router = AdminApi::builder(issuer.clone(), AdminToken::new(TOKEN).unwrap())
            .reseal(|| async { Ok(Resealed { resealed: 3, ..Resealed::default() }) })
            .build();
        let mut world = Self { router, issuer, log, cookie: String::new(), answers: Mutex::default() };
        let (_, cookie) = world.form("/console/sign-in", &[("token", TOKEN)]).await;
        world.cookie = cookie;
        world
    }

    async fn send(&self, request: http::request::Builder, body: String) -> (StatusCode, String, String) {
        let mut request = request.header("host", "localhost:8081").body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>("192.0.2.7:1234".parse().unwrap()));
        request.extensions_mut().insert(REQUEST.parse::<RequestId>().unwrap());
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        self.answers.lock().unwrap().push(text.clone());
        let cookie = parts.headers.get("set-cookie").map(|cookie| cookie.to_str().unwrap().to_owned());
        let cookie = cookie.unwrap_or_default().split(';').next().unwrap().to_owned();
        (parts.status, text, cookie)
    }

    /// By the admin API.
    async fn call(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text, _) = self.send(request, body).await;
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// By the console; also the cookie.
    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let request = Request::builder().method("POST").uri(path).header("cookie", &self.cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let (status, _, cookie) = self.send(request, body).await;
        (status, cookie)
    }

    /// By a form of a page of the console.
    async fn fill(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> StatusCode {
        let request = Request::builder().uri(page).header("cookie", &self.cookie);
        let (_, text, _) = self.send(request, String::new()).await;
        let field = |name: &str| {
            let mark = format!("name=\"{name}\" value=\"");
            text.split_once(&mark).map(|(_, rest)| rest.split('"').next().unwrap().to_owned())
        };
        let own = ["session", "once"].map(|name| (name, field(name).unwrap_or_default()));
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        self.form(action, &own.chain(fields.iter().copied()).collect::<Vec<_>>()).await.0
    }

    fn take(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut *self.log.0.0.lock().unwrap())
    }

    /// Two entries for each of these, all of them by that name.
    #[track_caller]
    fn told(&self, kind: ActorKind, name: &str, acts: &[&str]) -> Vec<AuditEntry> {
        let entries = self.take();
        let told: Vec<_> = entries.chunks(2).map(|pair| pair[0].deed.act.as_str()).collect();
        assert_eq!(told, acts);
        for pair in entries.chunks(2) {
            assert_eq!(pair[0].stage, Stage::Begun);
            assert!(matches!(pair[1].stage, Stage::Done(_)) && pair[0].id == pair[1].id, "{pair:?}");
            for entry in pair {
                let actor = &entry.actor;
                assert_eq!((actor.kind, actor.name.as_str()), (kind, name));
                assert_eq!(actor.client, Some([192, 0, 2, 7].into()));
                assert_eq!(actor.request.unwrap().to_string(), REQUEST);
            }
        }
        entries
    }

    async fn list(&self) -> Vec<voicegain_auth_core::WebConfig> {
        self.issuer.list(ListQuery { limit: 99, ..ListQuery::default() }).await.unwrap()
    }

    /// No token that was answered, no part of one, and no secret stands in an entry.
    fn nothing_shows(&self, entries: &[AuditEntry]) {
        let told = format!("{entries:?}");
        let answers = self.answers.lock().unwrap().join(" ");
        let tokens: Vec<_> = answers
            .split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            .filter(|word| word.starts_with("eyJ"))
            .collect();
        assert!(tokens.len() >= 2, "tokens were answered: {answers}");
        for part in tokens.iter().flat_map(|token| token.split('.')).chain([TOKEN, SECRET]) {
            assert!(!told.contains(part), "{part}: {told}");
        }
    }
}

const NEW: [(&str, &str); 4] =
    [("account", "acc"), ("context", "ctx"), ("name", "n"), ("origins", "https://a.example")];

#[tokio::test]
async fn every_change_by_the_admin_api_is_by_the_admin_token() {
    let world = World::new().await;
    let new = json!({"accountId": "acc", "contextId": "ctx", "name": "n", "secret": SECRET});
    let (_, created) = world.call("POST", "/api/web-configs", &new).await;
    let path = format!("/api/web-configs/{}", created["id"].as_str().unwrap());
    world.call("POST", &format!("{path}/regenerate"), &Value::Null).await;
    world.call("PATCH", &path, &json!({"name": "m"})).await;
    world.call("GET", &path, &Value::Null).await;
    world.call("DELETE", &path, &Value::Null).await;
    world.call("POST", "/api/contexts/acc/ctx/end", &Value::Null).await;
    world.call("POST", "/api/accounts/acc/end", &Value::Null).await;
    world.call("POST", "/api/master-keys/reseal", &Value::Null).await;
    let acts = ["create", "regenerate", "update", "delete", "end", "end", "reseal"];
    let entries = world.told(ActorKind::AdminToken, "admin token", &acts);
    world.nothing_shows(&entries);
    let Stage::Done(effect) = &entries[13].stage else { unreachable!() };
    assert_eq!(effect.web_configs, Some(3), "so many were sealed anew");
}

#[tokio::test]
async fn every_change_by_the_console_is_by_who_is_signed_in() {
    let world = World::new().await;
    assert_eq!(world.fill("/console/contexts", "/console/web-configs", &NEW).await, 200);
    let id = world.list().await[0].id;
    let page = format!("/console/web-configs/{id}");
    let at = |what: &str| format!("{page}/{what}");
    let had = [("had_name", "n"), ("had_origins", "https://a.example")];
    let now = [("name", "m"), ("origins", "b.example")];
    assert_eq!(world.fill(&page, &at("settings"), &[had, now].concat()).await, 303);
    let aud = [("aud", "b.example"), ("seconds", "60"), ("api", "/data")];
    assert_eq!(world.fill(&at("mint"), &at("mint"), &aud).await, 200);
    assert_eq!(world.fill(&at("regenerate"), &at("regenerate"), &[]).await, 200);
    assert_eq!(world.fill(&at("delete"), &at("delete"), &[]).await, 303);
    let entries =
        world.told(ActorKind::Console, "admin token", &["create", "update", "mint", "regenerate", "delete"]);
    world.nothing_shows(&entries);
    assert!(entries.iter().all(|entry| entry.deed.web_config == Some(id)));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let world = World::new().await;
    assert_eq!(world.fill("/console/contexts", "/console/web-configs", &NEW).await, 200);
    let before = world.list().await;
    let id = before[0].id;
    world.log.0.1.store(true, Ordering::SeqCst);
    let path = format!("/api/web-configs/{id}");
    let new = json!({"accountId": "acc", "contextId": "ctx", "name": "n"});
    for (method, path, body) in [
        ("POST", "/api/web-configs", new),
        ("POST", &format!("{path}/regenerate"), Value::Null),
        ("PATCH", &path, json!({"name": "m"})),
        ("DELETE", &path, Value::Null),
        ("POST", "/api/contexts/acc/ctx/end", Value::Null),
        ("POST", "/api/master-keys/reseal", Value::Null),
    ] {
        let (status, answer) = world.call(method, path, &body).await;
        assert_eq!(status, 503, "{method} {path}: {answer}");
        assert_eq!(answer["error"]["reason"], "temporarily_unavailable");
        let detail = answer["error"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("The audit log cannot be written, so nothing was changed"), "{detail}");
    }
    let page = format!("/console/web-configs/{id}");
    for what in ["regenerate", "delete"] {
        let at = format!("{page}/{what}");
        assert_eq!(world.fill(&at, &at, &[]).await, 503, "{what}");
    }
    let at = format!("{page}/mint");
    assert_eq!(world.fill(&at, &at, &[("aud", "b.example"), ("seconds", "60")]).await, 503);
    let (mint, _) = (world.answers.lock().unwrap().pop().unwrap(), ());
    assert!(mint.contains("The audit log cannot be written") && !mint.contains("eyJ"), "{mint}");
    assert_eq!(world.list().await, before, "the store is as it was");
}

#[tokio::test]
async fn the_console_shows_changes_the_latest_first() {
    let mut world = World::new().await;
    let text = |world: &World, path: &str| {
        let request = Request::builder().uri(path).header("cookie", &world.cookie);
        let world =
            (world.router.clone(), request.header("host", "localhost:8081").body(Body::empty()).unwrap());
        async {
            let response = world.0.oneshot(world.1).await.unwrap();
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
            (status, String::from_utf8(body).unwrap())
        }
    };
    let (status, _) = text(&world, "/console/changes").await;
    assert_eq!(status, 404, "there is no log");
    assert!(!text(&world, "/console/contexts").await.1.contains("/console/changes"));

    world.router = AdminApi::builder(world.issuer.clone(), AdminToken::new(TOKEN).unwrap())
        .changes(|before, most| async move {
            let end = before.unwrap_or(61);
            if end == 0 {
                return Err("a path".to_owned());
            }
            let first = end.saturating_sub(u64::try_from(most).unwrap()).max(1);
            let told = |number: u64| LoggedChange {
                number,
                time: "2000-02-28T23:59:59.007Z".to_owned(),
                who: format!("somebody <{number}>"),
                what: "update".to_owned(),
                outcome: "done".to_owned(),
            };
            Ok((first..end).map(told).collect())
        })
        .build();
    world.cookie = world.form("/console/sign-in", &[("token", TOKEN)]).await.1;
    let (status, page) = text(&world, "/console/changes").await;
    assert_eq!(status, 200, "{page}");
    let order: Vec<_> =
        page.split("somebody &#60;").skip(1).map(|rest| rest.split('&').next().unwrap()).collect();
    assert_eq!((order.len(), order[0], order[49]), (50, "60", "11"), "{page}");
    assert!(page.contains("href=\"/console/changes?before=11\">Older changes"), "{page}");
    let (_, page) = text(&world, "/console/changes?before=11").await;
    assert_eq!(page.matches("somebody").count(), 10);
    assert!(!page.contains("Older changes"), "{page}");
    let (_, page) = text(&world, "/console/changes?before=1").await;
    assert!(page.contains("There are no older changes"), "{page}");
    let (status, page) = text(&world, "/console/changes?before=0").await;
    assert!(status == 503 && page.contains("cannot be read") && !page.contains("a path"), "{page}");
    assert_eq!(text(&world, "/console/changes?before=x").await.0, 404);
}
