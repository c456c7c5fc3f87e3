//! The admin API from outside, without a socket.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy takes only what is marked as a test for one"
)]

mod head;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken, Resealed};
use voicegain_auth_core::{
    Day, Issuer, MemoryStore, Policy, Reason, Rejection, SecretCache, StoreError, Verifier,
};

use self::head::Head;

const TOKEN: &str = "the-admin-token-of-these-tests";
const LIST: &str = "/api/web-configs";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }

    fn text_of(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.text)).to_owned()
    }

    /// Status, reason and detail, after the shape has been checked.
    fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no refusal: {}", self.text));
        assert_eq!((body.as_object().unwrap().len(), error.len()), (1, 2), "{}", self.text);
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (self.status.as_u16(), text("reason"), text("detail"))
    }
}

struct Api {
    router: Router,
    issuer: Issuer,
}

impl Api {
    async fn new() -> Self {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        assert!(cache.ready().await);
        let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
        let token = AdminToken::new(TOKEN).unwrap();
        let router = AdminApi::builder(issuer.clone(), token)
            .listen_address("192.0.2.1:8081".parse().unwrap())
            .allow_host("admin.example")
            .build();
        Self { router, issuer }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        assert_eq!(parts.headers["cache-control"], "no-store", "nothing here may be cached");
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:8081")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        self.send(request).await
    }

    async fn create(&self, account: &str, context: &str) -> Answer {
        let body = json!({"accountId": account, "contextId": context, "name": "n"});
        let answer = self.call("POST", LIST, &body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer
    }

    async fn import(&self, body: Value) -> Answer {
        let mut all = json!({"accountId": "a", "contextId": "c", "name": "n"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.call("POST", LIST, &all.to_string()).await
    }
}

/// 32 bytes.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const ID: &str = "bd14fd94-0c3c-4c9a-82ee-ccf0dbef6729";

#[tokio::test]
async fn what_is_read_tells_the_day_of_the_last_use() {
    let api = Api::new().await;
    let created = api.create("acc", "ctx").await;
    let (id, unused) = (created.text_of("id"), api.create("acc", "ctx").await.text_of("id"));
    let verifier = Verifier::new(api.issuer.cache().clone(), Policy::default());
    let today = || Day::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).to_string();
    let before = today();
    verifier
        .authorize(&Head {
            authorization: Some(format!("Bearer {}", created.text_of("jwt"))),
            ..Head::default()
        })
        .await
        .unwrap();
    api.issuer.cache().write_uses().await.unwrap();
    let days = [before, today()];
    let read = api.call("GET", &format!("{LIST}/{id}"), "").await;
    assert!(days.contains(&read.text_of("lastUsed")), "{}", read.text);
    let list = api.call("GET", LIST, "").await.json();
    for record in list["webConfigs"].as_array().unwrap() {
        let expected = if record["id"] == id { read.json()["lastUsed"].clone() } else { Value::Null };
        assert!(record["id"] == id || record["id"] == unused);
        assert_eq!(record["lastUsed"], expected);
    }
    // What changes it says what was changed.
    let patched = api.call("PATCH", &format!("{LIST}/{id}"), r#"{"name":"new"}"#).await.json();
    assert!(patched.get("lastUsed").is_none());
}

#[tokio::test]
async fn a_web_config_from_its_creation_to_its_end() {
    let api = Api::new().await;
    let body =
        json!({"accountId": "acc", "contextId": "ctx", "name": "é", "allowedOrigins": ["https://a.example"]});
    let created = api.call("POST", LIST, &body.to_string()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.headers["content-type"], "application/json");
    let (id, jwt) = (created.text_of("id"), created.text_of("jwt"));
    assert_eq!(jwt.split('.').count(), 3);
    let mut record = created.json();
    record.as_object_mut().unwrap().remove("jwt");
    let created_at = record["createdAt"].as_u64().unwrap();
    assert_eq!(
        record,
        json!({
            "id": id, "accountId": "acc", "contextId": "ctx", "name": "é", "allowedOrigins": ["https://a.example"],
            "generation": 1, "createdAt": created_at, "secretCreatedAt": created_at,
        }),
        "an own secret needs no note"
    );

    let path = format!("{LIST}/{id}");
    let mut read = record.clone();
    read["lastUsed"] = Value::Null;
    assert_eq!(api.call("GET", &path, "").await.json(), read);
    assert_eq!(
        api.call("GET", &path.to_uppercase().replace("/API/WEB-CONFIGS", LIST), "").await.json(),
        read
    );
    assert_eq!(api.call("GET", LIST, "").await.json(), json!({"webConfigs": [read], "next": null}));

    let patched = api.call("PATCH", &path, r#"{"name":"new"}"#).await;
    assert_eq!(patched.status, 200);
    record["name"] = "new".into();
    assert_eq!(patched.json(), record, "what a patch does not name stays");
    let patched = api.call("PATCH", &path, r#"{"allowedOrigins":[]}"#).await;
    record["allowedOrigins"] = json!([]);
    assert_eq!(patched.json(), record);

    let other = api.create("acc", "ctx").await.text_of("id");
    api.create("acc", "elsewhere").await;
    let regenerated = api.call("POST", &format!("{path}/regenerate"), "").await;
    assert_eq!(regenerated.status, 200);
    assert_eq!(regenerated.json()["generation"], 2);
    assert_ne!(regenerated.text_of("jwt"), jwt);
    let others = regenerated.json()["others"].as_array().unwrap().clone();
    assert_eq!(others.iter().map(|other| other["id"].clone()).collect::<Vec<_>>(), [json!(other)]);

    let deleted = api.call("DELETE", &path, "").await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    for (method, path) in [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/regenerate")),
    ] {
        assert_eq!(api.call(method, &path, "").await.refusal().0, 404, "{method} after the end");
    }
}

#[tokio::test]
async fn w7_imports_and_what_becomes_of_their_ids() {
    let api = Api::new().await;
    let imported = api.import(json!({"secret": SECRET, "id": ID})).await;
    assert_eq!(imported.status, 201, "{}", imported.text);
    assert_eq!(imported.text_of("id"), ID);
    assert!(imported.text_of("note").contains("regenerated there too"));
    assert!(!imported.text.contains(SECRET));

    let (status, reason, _) = api.import(json!({"secret": SECRET, "id": ID})).await.refusal();
    assert_eq!((status, reason.as_str()), (409, "already_exists"));
    let (status, reason, _) = api.import(json!({"secret": SECRET, "id": ID, "revive": true})).await.refusal();
    assert_eq!((status, reason.as_str()), (409, "already_exists"), "revive is for what was deleted");

    assert_eq!(api.call("DELETE", &format!("{LIST}/{ID}"), "").await.status, 204);
    let (status, reason, detail) = api.import(json!({"secret": SECRET, "id": ID})).await.refusal();
    assert_eq!((status, reason.as_str()), (409, "deleted"));
    assert!(detail.contains("revive"), "{detail}");
    let revived = api.import(json!({"secret": SECRET, "id": ID, "revive": true})).await;
    assert_eq!((revived.status.as_u16(), &revived.json()["generation"]), (201, &json!(2)));
    assert_eq!(revived.text_of("jwt"), imported.text_of("jwt"), "W2: the same secret, the same token");
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let api = Api::new().await;
    let id = api.create("a", "c").await.text_of("id");
    let whole = r#""accountId":"a","contextId":"c","name":"n""#;
    let create = |extra: &str| ("POST", LIST.to_owned(), format!("{{{whole},{extra}}}"));
    let change = |body: &str| ("PATCH", format!("{LIST}/{id}"), body.to_owned());
    let get = |query: &str| ("GET", format!("{LIST}?{query}"), String::new());
    let post = |body: &str| ("POST", LIST.to_owned(), body.to_owned());
    let short = "A".repeat(42);
    for (field, (method, path, body)) in [
        ("colour", create(r#""colour":1"#)),
        ("Secret", create(r#""Secret":"x""#)),
        ("name", create(r#""name":"n""#)),
        ("name", create(r#""n\u0061me":"n""#)),
        ("accountId", post(r#"{"contextId":"c","name":"n"}"#)),
        ("contextId", post(r#"{"accountId":"a","name":"n"}"#)),
        ("name", post(r#"{"accountId":"a","contextId":"c"}"#)),
        ("accountId", post("")),
        ("accountId", post(r#"{"accountId":null,"contextId":"c","name":"n"}"#)),
        ("accountId", post(r#"{"accountId":1,"contextId":"c","name":"n"}"#)),
        ("accountId", post(r#"{"accountId":"a b","contextId":"c","name":"n"}"#)),
        ("contextId", post(r#"{"accountId":"a","contextId":"","name":"n"}"#)),
        ("name", post(r#"{"accountId":"a","contextId":"c","name":""}"#)),
        ("name", post(r#"{"accountId":"a","contextId":"c","name":"a\nb"}"#)),
        ("allowedOrigins", create(r#""allowedOrigins":"https://a.example""#)),
        ("allowedOrigins", create(r#""allowedOrigins":[1]"#)),
        ("allowedOrigins", create(r#""allowedOrigins":null"#)),
        ("allowedOrigins", create(r#""allowedOrigins":["https://*"]"#)),
        ("allowedOrigins", create(r#""allowedOrigins":["*.co.uk"]"#)),
        ("secret", create(r#""secret":7"#)),
        ("secret", create(&format!(r#""secret":"{SECRET}=""#))),
        ("secret", create(&format!(r#""secret":"{SECRET}\n""#))),
        ("secret", create(&format!(r#""secret":"{short}""#))),
        ("secret", create(&format!(r#""secret":"{}""#, "A".repeat(343)))),
        ("secret", create(r#""secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9""#)),
        ("secret", create(r#""secret":"++++++++++++++++++++++++++++++++++++++++++++""#)),
        ("id", create(&format!(r#""id":"{ID}""#))),
        ("id", create(&format!(r#""secret":"{SECRET}","id":"{{{ID}}}""#))),
        ("revive", create(r#""revive":"true""#)),
        ("revive", create(r#""revive":true"#)),
        ("generation", change(r#"{"generation":7}"#)),
        ("secret", change(&format!(r#"{{"secret":"{SECRET}"}}"#))),
        ("name", change(r#"{"name":null}"#)),
        ("allowedOrigins", change(r#"{"allowedOrigins":{}}"#)),
        ("x", ("POST", format!("{LIST}/{id}/regenerate"), r#"{"x":1}"#.to_owned())),
        ("x", ("DELETE", format!("{LIST}/{id}"), r#"{"x":1}"#.to_owned())),
        ("x", ("POST", "/api/accounts/a/end".to_owned(), r#"{"x":1}"#.to_owned())),
        ("x", ("POST", "/api/contexts/a/c/end?x=1".to_owned(), String::new())),
        ("accountId", ("POST", "/api/accounts/a%20b/end".to_owned(), String::new())),
        ("accountId", ("POST", "/api/accounts/%ff/end".to_owned(), String::new())),
        ("accountId", ("POST", format!("/api/accounts/{}/end", "a".repeat(129)), String::new())),
        ("accountId", ("POST", "/api/contexts/%C3%A9/c/end".to_owned(), String::new())),
        ("contextId", ("POST", "/api/contexts/a/%0A/end".to_owned(), String::new())),
        ("contextId", ("POST", "/api/contexts/a/%ff/end".to_owned(), String::new())),
        ("x", ("POST", "/api/master-keys/reseal?x=1".to_owned(), String::new())),
        ("x", ("GET", format!("{LIST}/{id}?x=1"), String::new())),
        ("limit", get("limit=0")),
        ("limit", get("limit=1001")),
        ("limit", get("limit=%2B5")),
        ("limit", get("limit=")),
        ("limit", get("limit=5&limit=5")),
        ("after", get("after=x")),
        ("accountId", get("accountId=")),
        ("contextId", get("contextId=a%20b")),
        ("account", get("account=a")),
    ] {
        let answer = api.call(method, &path, &body).await;
        let (status, reason, detail) = answer.refusal();
        assert_eq!((status, reason.as_str()), (400, "invalid_parameter"), "{method} {path} {body}");
        assert!(detail.contains(&format!("`{field}`")), "{method} {path} {body}: {detail}");
    }
    for body in ["[]", "\"x\"", "null", "{", "{}x", "{\"name\":\"\\ud800\"}", "\u{feff}{}", "nonsense"] {
        let (status, reason, _) = api.call("POST", LIST, body).await.refusal();
        assert_eq!((status, reason.as_str()), (400, "invalid_parameter"), "{body}");
    }
    let page = api.call("GET", LIST, "").await.json();
    assert_eq!(page["webConfigs"].as_array().unwrap().len(), 1, "nothing was changed by any of it");
    assert_eq!(page["webConfigs"][0]["generation"], 1);
}

#[tokio::test]
async fn w7_secrets_of_32_and_256_bytes_are_taken() {
    let api = Api::new().await;
    for secret in [SECRET.to_owned(), "A".repeat(342)] {
        assert_eq!(api.import(json!({ "secret": secret })).await.status, 201);
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_by_account_and_context() {
    let api = Api::new().await;
    let mut all = Vec::new();
    for index in 0..5 {
        all.push(
            api.create(if index < 3 { "a" } else { "b" }, if index == 0 { "c" } else { "d" })
                .await
                .text_of("id"),
        );
    }
    let ids = |page: &Value| -> Vec<String> {
        let configs = page["webConfigs"].as_array().unwrap();
        configs.iter().map(|config| config["id"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut query) = (Vec::new(), "limit=2".to_owned());
    let mut sizes = Vec::new();
    loop {
        let page = api.call("GET", &format!("{LIST}?{query}"), "").await.json();
        seen.extend(ids(&page));
        sizes.push(ids(&page).len());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&after={next}");
    }
    assert_eq!(sizes, [2, 2, 1]);
    seen.sort();
    all.sort();
    assert_eq!(seen, all);
    assert_eq!(
        api.call("GET", &format!("{LIST}?limit=5"), "").await.json()["next"],
        Value::Null,
        "no empty last page"
    );

    for (query, count) in
        [("accountId=a", 3), ("accountId=a&contextId=d", 2), ("contextId=c", 1), ("accountId=x", 0)]
    {
        assert_eq!(
            ids(&api.call("GET", &format!("{LIST}?{query}"), "").await.json()).len(),
            count,
            "{query}"
        );
    }
}

#[tokio::test]
async fn nothing_but_the_probes_works_without_the_admin_token() {
    let api = Api::new().await;
    let created = api.create("a", "c").await;
    let id = created.text_of("id");
    for (method, path) in [
        ("GET", LIST.to_owned()),
        ("POST", LIST.to_owned()),
        ("GET", format!("{LIST}/{id}")),
        ("PATCH", format!("{LIST}/{id}")),
        ("DELETE", format!("{LIST}/{id}")),
        ("POST", format!("{LIST}/{id}/regenerate")),
        ("POST", "/api/accounts/a/end".to_owned()),
        ("POST", "/api/contexts/a/c/end".to_owned()),
        ("POST", "/api/master-keys/reseal".to_owned()),
        ("GET", "/api/nothing".to_owned()),
        ("PUT", LIST.to_owned()),
    ] {
        let jwt = format!("Bearer {}", created.text_of("jwt"));
        for (credentials, reason) in [
            (&[] as &[&str], "missing_token"),
            (&["Bearer "], "missing_token"),
            (&["Basic dGhlOmFkbWlu"], "missing_token"),
            (&[TOKEN], "missing_token"),
            (&[&format!("Bearer {TOKEN}"), &format!("Bearer {TOKEN}")], "missing_token"),
            (&["Bearer wrong"], "invalid_token"),
            (&[&format!("Bearer {TOKEN}x")], "invalid_token"),
            (&[&jwt], "invalid_token"),
        ] {
            let mut request = Request::builder().method(method).uri(&path).header("host", "localhost");
            for value in credentials {
                request = request.header("authorization", *value);
            }
            let answer = api.send(request.body(Body::empty()).unwrap()).await;
            let (status, got, _) = answer.refusal();
            assert_eq!((status, got.as_str()), (401, reason), "{method} {path}");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="));
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/deployment"] {
        let request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(api.send(request).await.status, 200, "{path}");
    }
    assert_eq!(api.call("GET", &format!("{LIST}/{id}"), "").await.json()["generation"], 1);
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_every_path() {
    let api = Api::new().await;
    let get = |path: &str, host: &str| {
        let request =
            Request::get(path).header("host", host).header("authorization", format!("Bearer {TOKEN}"));
        request.body(Body::empty()).unwrap()
    };
    for path in [LIST, "/healthz", "/readyz", "/metrics", "/deployment", "/", "/api/nothing"] {
        for host in ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test:8081", ""] {
            let (status, reason, _) = api.send(get(path, host)).await.refusal();
            assert_eq!((status, reason.as_str()), (400, "invalid_request"), "{host} {path}");
        }
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(api.send(request).await.status, 400, "no Host at {path}");
    }
    for host in
        ["localhost:8081", "127.0.0.1", "[::1]:8081", "192.0.2.1:8081", "admin.example", "ADMIN.example:1"]
    {
        for path in [LIST, "/healthz", "/readyz", "/metrics", "/deployment"] {
            assert_eq!(api.send(get(path, host)).await.status, 200, "{host} {path}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let api = Api::new().await;
    for path in ["/x", "/api", "/api/web-config", "/api/web-configs/", "/api/web-configs/x/y", "/favicon.ico"]
    {
        assert_eq!(api.call("GET", path, "").await.refusal().0, 404, "{path}");
    }
    for id in ["x", "bd14fd940c3c4c9a82eeccf0dbef6729", "%ff", "..%2f", ID] {
        assert_eq!(api.call("GET", &format!("{LIST}/{id}"), "").await.refusal().0, 404, "{id}");
    }
    for (method, path, allowed) in [
        ("PUT", LIST.to_owned(), ["GET", "POST"].as_slice()),
        ("POST", format!("{LIST}/{ID}"), &["GET", "PATCH", "DELETE"]),
        ("GET", format!("{LIST}/{ID}/regenerate"), &["POST"]),
        ("POST", "/healthz".to_owned(), &["GET"]),
        ("DELETE", "/readyz".to_owned(), &["GET"]),
        ("POST", "/metrics".to_owned(), &["GET"]),
        ("GET", "/api/accounts/a/end".to_owned(), &["POST"]),
        ("DELETE", "/api/contexts/a/c/end".to_owned(), &["POST"]),
        ("GET", "/api/master-keys/reseal".to_owned(), &["POST"]),
    ] {
        let answer = api.call(method, &path, "").await;
        let (status, reason, _) = answer.refusal();
        assert_eq!((status, reason.as_str()), (405, "method_not_allowed"), "{method} {path}");
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(allowed.iter().all(|method| allow.contains(method)), "{method} {path}: {allow}");
    }
}

#[tokio::test]
async fn bodies_over_64_kib_are_refused() {
    let api = Api::new().await;
    let mut body = json!({"accountId": "a", "contextId": "c", "name": "n"}).to_string();
    body.extend(std::iter::repeat_n(' ', 64 * 1024 - body.len()));
    assert_eq!(api.call("POST", LIST, &body).await.status, 201, "exactly 64 KiB");
    body.push(' ');
    let (status, reason, _) = api.call("POST", LIST, &body).await.refusal();
    assert_eq!((status, reason.as_str()), (413, "request_too_large"));
    let request = Request::builder()
        .method(Method::POST)
        .uri(LIST)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-length", "18446744073709551615")
        .body(Body::empty())
        .unwrap();
    assert_eq!(api.send(request).await.refusal().0, 413, "announced");
}

#[tokio::test]
async fn m1_no_read_returns_a_secret_or_a_token() {
    let api = Api::new().await;
    let imported =
        api.import(json!({"secret": SECRET, "id": ID, "allowedOrigins": ["https://a.example"]})).await;
    let regenerated = api.call("POST", &format!("{LIST}/{ID}/regenerate"), "{}").await;
    let jwts = [imported.text_of("jwt"), regenerated.text_of("jwt")];
    for (method, path, body) in [
        ("GET", LIST.to_owned(), ""),
        ("GET", format!("{LIST}/{ID}"), ""),
        ("PATCH", format!("{LIST}/{ID}"), "{}"),
        ("POST", LIST.to_owned(), "{}"),
        ("GET", "/readyz".to_owned(), ""),
        ("GET", "/metrics".to_owned(), ""),
        ("GET", "/deployment".to_owned(), ""),
        ("POST", "/api/accounts/a/end".to_owned(), ""),
    ] {
        let answer = api.call(method, &path, body).await;
        assert!(!answer.text.contains(SECRET), "{method} {path}");
        for jwt in &jwts {
            let signature = jwt.rsplit('.').next().unwrap();
            assert!(!answer.text.contains(signature), "{method} {path}");
        }
    }
}

/// The web configs that still live, by their names in the list.
async fn living(api: &Api) -> Vec<String> {
    let page = api.call("GET", LIST, "").await.json();
    let configs = page["webConfigs"].as_array().unwrap().iter();
    let place = |config: &Value| {
        format!("{}/{}", config["accountId"].as_str().unwrap(), config["contextId"].as_str().unwrap())
    };
    let mut living: Vec<_> = configs.map(place).collect();
    living.sort();
    living
}

#[tokio::test]
async fn m1_a_context_or_an_account_ends_as_a_whole() {
    let api = Api::new().await;
    for (account, context) in
        [("a", "c"), ("a", "c"), ("a", "d"), ("a", "c/x"), ("b", "c"), ("b", "d"), ("a2", "c")]
    {
        api.create(account, context).await;
    }
    let ended = api.call("POST", "/api/contexts/a/c/end", "").await;
    assert_eq!((ended.status.as_u16(), ended.json()), (200, json!({"ended": 2})));
    assert_eq!(ended.headers["content-type"], "application/json");
    assert_eq!(living(&api).await, ["a/c/x", "a/d", "a2/c", "b/c", "b/d"]);
    let again = api.call("POST", "/api/contexts/a/c/end", "{}").await;
    assert_eq!((again.status.as_u16(), again.json()), (200, json!({"ended": 0})), "nothing lives there");
    assert_eq!(
        api.call("POST", "/api/contexts/a/c%2Fx/end", "").await.json(),
        json!({"ended": 1}),
        "decoded"
    );
    assert_eq!(api.call("POST", "/api/accounts/b/end", "").await.json(), json!({"ended": 2}));
    assert_eq!(api.call("POST", "/api/accounts/nobody/end", "").await.json(), json!({"ended": 0}));
    assert_eq!(living(&api).await, ["a/d", "a2/c"]);

    // What is created there later lives, and what has ended stays so unless it is revived.
    api.create("a", "c").await;
    assert_eq!(living(&api).await, ["a/c", "a/d", "a2/c"]);
    for path in ["/api/accounts//end", "/api/contexts/a//end"] {
        assert_eq!(api.call("POST", path, "").await.refusal().0, 400, "{path}");
    }
    for path in
        ["/api/accounts/end", "/api/contexts/a/end", "/api/accounts/a/c/end", "/api/contexts/a/c/d/end"]
    {
        assert_eq!(api.call("POST", path, "").await.refusal().0, 404, "{path}");
    }
    assert_eq!(living(&api).await.len(), 3, "and nothing has ended by them");
}

#[tokio::test]
async fn m1_what_has_ended_is_as_if_deleted() {
    let api = Api::new().await;
    assert_eq!(api.import(json!({"secret": SECRET, "id": ID})).await.status, 201);
    assert_eq!(api.call("POST", "/api/accounts/a/end", "").await.json(), json!({"ended": 1}));
    let path = format!("{LIST}/{ID}");
    for (method, path) in [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", path + "/regenerate"),
    ] {
        assert_eq!(api.call(method, &path, "").await.refusal().0, 404, "{method} after the end");
    }
    let (status, reason, _) = api.import(json!({"secret": SECRET, "id": ID})).await.refusal();
    assert_eq!((status, reason.as_str()), (409, "deleted"));
    let revived = api.import(json!({"secret": SECRET, "id": ID, "revive": true})).await;
    assert_eq!((revived.status.as_u16(), &revived.json()["generation"]), (201, &json!(2)));
}

/// A router whose store seals anew what this says.
async fn resealing(resealed: impl Fn() -> Result<Resealed, StoreError> + Send + Sync + 'static) -> Api {
    let api = Api::new().await;
    let builder = AdminApi::builder(api.issuer.clone(), AdminToken::new(TOKEN).unwrap());
    let router = builder.reseal(move || std::future::ready(resealed())).build();
    Api { router, ..api }
}

#[tokio::test]
async fn secrets_are_sealed_anew_if_the_store_seals() {
    let reseal = "/api/master-keys/reseal";
    let all = || {
        let [retired, known] = ["old", "new"].map(|key_id| vec![key_id.to_owned()]);
        Ok(Resealed { resealed: 7, skipped: 0, retired, known })
    };
    let sealed = resealing(all).await.call("POST", reseal, "").await;
    let answer = json!({"resealed": 7, "skipped": 0, "retired": ["old"], "known": ["new"]});
    assert_eq!((sealed.status.as_u16(), sealed.json()), (200, answer));
    let some = || Ok(Resealed { resealed: 7, skipped: 1, ..Resealed::default() });
    let sealed = resealing(some).await.call("POST", reseal, "").await;
    let answer = json!({"resealed": 7, "skipped": 1, "retired": [], "known": []});
    assert_eq!((sealed.status.as_u16(), sealed.json()), (200, answer));
    let failed =
        resealing(|| Err(StoreError::unavailable("a password"))).await.call("POST", reseal, "{}").await;
    let (status, reason, detail) = failed.refusal();
    assert_eq!((status, reason.as_str()), (503, "temporarily_unavailable"));
    assert!(detail.contains("ask again") && !detail.contains("password"), "{detail}");
    let (status, reason, detail) = Api::new().await.call("POST", reseal, "").await.refusal();
    assert_eq!((status, reason.as_str()), (409, "not_sealed"));
    assert!(detail.contains("does not seal"), "{detail}");
}

/// Names with their labels, and values, after the format has been checked: each sample belongs to the family that was
/// announced last, and no family is announced twice.
fn samples(text: &str) -> Vec<(String, f64)> {
    assert!(text.ends_with('\n'));
    let (mut samples, mut families) = (Vec::new(), Vec::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (family, help) = line.strip_prefix("# HELP voicegain_auth_").unwrap().split_once(' ').unwrap();
        assert!(help.ends_with('.'), "{line}");
        let kind = if family.ends_with("_total") { "counter" } else { "gauge" };
        assert_eq!(lines.next().unwrap(), format!("# TYPE voicegain_auth_{family} {kind}"));
        assert!(!families.contains(&family), "{line}");
        families.push(family);
        let mut count = 0;
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (name, value) = sample.strip_prefix("voicegain_auth_").unwrap().rsplit_once(' ').unwrap();
            assert_eq!(name.split('{').next().unwrap(), family);
            samples.push((name.to_owned(), value.parse().unwrap()));
            count += 1;
        }
        assert!(count > 0, "{family} has no sample");
    }
    samples
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let api = Api::new().await;
    api.create("secret-account", "secret-context").await;
    let answer = api.call("GET", "/metrics", "").await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(!answer.text.contains("secret-"), "{}", answer.text);
    let samples = samples(&answer.text);
    let names: Vec<_> = samples.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ready",
            "proof_age_seconds",
            "max_revocation_delay_seconds",
            "living_web_configs",
            "cached_web_configs",
            "log_revision",
            "lookups_total{result=\"found\"}",
            "lookups_total{result=\"absent\"}",
            "lookups_total{result=\"failed\"}",
            "proofs_total{result=\"proved\"}",
            "proofs_total{result=\"failed\"}",
        ],
        "without a verifier nothing is decided here"
    );
    let value = |name: &str| samples.iter().find(|(other, _)| other == name).unwrap().1;
    assert_eq!((value("ready"), value("max_revocation_delay_seconds")), (1.0, 30.0));
    assert!((0.0..=30.0).contains(&value("proof_age_seconds")), "{}", answer.text);
    assert_eq!(value("living_web_configs"), 1.0, "{}", answer.text);
    assert!(value("log_revision") >= 1.0, "{}", answer.text);
}

#[tokio::test]
async fn v5_metrics_tell_what_was_decided_and_why() {
    let api = Api::new().await;
    let jwt = api.create("acc", "ctx").await.json()["jwt"].as_str().unwrap().to_owned();
    let verifier = Verifier::new(api.issuer.cache().clone(), Policy::default());
    for token in [&*jwt, "x", "x"] {
        let _ = verifier.authorize(&Head { authorization: Some(format!("Bearer {token}")), id: None }).await;
    }
    verifier.count_refusal(None, &Rejection::new(Reason::UpstreamTimeout, "late"));
    let router = AdminApi::builder(api.issuer.clone(), AdminToken::new(TOKEN).unwrap())
        .explain_decisions_of(verifier)
        .metrics(|| {
            "# HELP voicegain_auth_more More.\n# TYPE voicegain_auth_more gauge\nvoicegain_auth_more 7\n"
                .to_owned()
        })
        .build();
    let text = Api { router, ..api }.call("GET", "/metrics", "").await.text;
    let samples = samples(&text);
    let value = |name: &str| {
        samples.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("{name}: {text}")).1
    };
    assert_eq!((value("accepted_total"), value("more")), (1.0, 7.0));
    assert_eq!(value(r#"refused_by_cause_total{reason="invalid_token",cause="malformed token"}"#), 2.0);
    assert_eq!(value(r#"refused_total{reason="invalid_token"}"#), 2.0);
    assert_eq!(value(r#"refused_total{reason="upstream_timeout"}"#), 1.0);
    let unseen = r#"refused_total{reason="token_expired"}"#;
    assert_eq!(value(unseen), 0.0, "an increase from nothing is seen only if there was a nothing");
    assert!(!text.contains(&jwt));
}

/// Over a cache on a runtime that has ended: its feed never reads anything.
fn without_a_feed() -> Router {
    let ended = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = ended.handle().clone();
    ended.shutdown_background();
    let cache = SecretCache::builder(MemoryStore::new().unwrap()).runtime(handle).build().unwrap();
    let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
    AdminApi::builder(issuer, AdminToken::new(TOKEN).unwrap()).build()
}

#[tokio::test]
async fn v6_readiness_says_since_when_and_why_nothing_can_be_decided() {
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let before = now();
    let api = Api { router: without_a_feed(), ..Api::new().await };
    let answer = api.call("GET", "/readyz", "").await;
    let body = answer.json();
    assert_eq!(answer.status, 503);
    assert_eq!(body["error"]["reason"], "temporarily_unavailable");
    let since = body["notReadySince"].as_u64().unwrap();
    assert!((before..=now()).contains(&since), "{since}");
    let detail = body["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("could not be read yet") && detail.contains(" since 20"), "{detail}");
    assert!(detail.ends_with("Z; see the log."), "{detail}");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(api.call("GET", "/healthz", "").await.status, 200);

    let metrics = api.call("GET", "/metrics", "").await;
    let samples = samples(&metrics.text);
    assert_eq!(samples[0], ("ready".to_owned(), 0.0));
    assert_eq!(samples[1], ("proof_age_seconds".to_owned(), f64::INFINITY), "an alert on its age goes off");

    assert!(api.issuer.cache().status().ready, "the control");
    let ready = Api::new().await.call("GET", "/readyz", "").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["status"]), (200, &json!("ready")));
    assert!(ready.json()["proofAgeSeconds"].as_f64().unwrap() >= 0.0);
}
