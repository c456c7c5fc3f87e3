//! A provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

pub(crate) const CLIENT: &str = "console-of-these-tests";
pub(crate) const SECRET: &str = "secret of these tests";

/// A key that ID tokens are signed with.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: Option<&'static str>,
    key: SigningKey,
}

impl Key {
    pub(crate) fn new(id: Option<&'static str>) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).unwrap();
        Self { id, key: SigningKey::from_slice(&bytes).unwrap() }
    }

    fn public(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let [x, y] = [point.x().unwrap(), point.y().unwrap()].map(|half| URL_SAFE_NO_PAD.encode(half));
        let mut key = json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y });
        if let Some(id) = self.id {
            key["kid"] = id.into();
        }
        key
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let mut header = json!({ "alg": "ES256" });
        if let Some(id) = self.id {
            header["kid"] = id.into();
        }
        let signed = unsigned(&header, claims);
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

/// The part of a token that is signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What it does; tests change it.
pub(crate) struct Behaviour {
    /// What it says of itself.
    pub(crate) metadata: Value,
    /// The keys that it shows.
    pub(crate) keys: Vec<Key>,
    /// The claims besides those that are always there, and instead of them.
    pub(crate) claims: Value,
    /// How a token is made of claims.
    pub(crate) sign: Box<dyn Fn(&Value) -> String + Send>,
    /// What it answers instead of tokens.
    pub(crate) answer: Option<(StatusCode, String)>,
    /// How often it was asked for its keys.
    pub(crate) asked: usize,
    /// Of each code the nonce and the challenge.
    codes: HashMap<String, (String, String)>,
    /// What it has handed out and the console must not show.
    pub(crate) secrets: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Provider {
    pub(crate) async fn new() -> Self {
        let (provider, listener) = Self::silent().await;
        provider.serve(listener);
        provider
    }

    /// One that does not serve yet, but has an address.
    pub(crate) async fn silent() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new(Some("first"));
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        });
        let behaviour = Behaviour {
            metadata,
            keys: vec![key.clone()],
            claims: json!({}),
            sign: Box::new(move |claims| key.sign(claims)),
            answer: None,
            asked: 0,
            codes: HashMap::new(),
            secrets: Vec::new(),
        };
        (Self { issuer, behaviour: Arc::new(Mutex::new(behaviour)) }, listener)
    }

    pub(crate) fn serve(&self, listener: TcpListener) {
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    }

    pub(crate) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    /// Signs somebody in who has come to this URL, and answers what is behind the callback's `?`.
    pub(crate) fn authorize(&self, url: &str) -> String {
        let query = url.strip_prefix(&format!("{}/authorize?", self.issuer)).unwrap();
        let asked: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut behaviour = self.behaviour();
        let code = format!("code&{} of {}", behaviour.codes.len(), self.issuer);
        let (nonce, challenge) = (asked["nonce"].clone(), asked["code_challenge"].clone());
        behaviour.codes.insert(code.clone(), (nonce, challenge));
        behaviour.secrets.push(code.clone());
        let pairs = [("code", code.as_str()), ("state", &asked["state"]), ("iss", &self.issuer)];
        Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

async fn metadata(State(provider): State<Provider>) -> Json<Value> {
    Json(provider.behaviour().metadata.clone())
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    let mut behaviour = provider.behaviour();
    behaviour.asked += 1;
    Json(json!({ "keys": behaviour.keys.iter().map(Key::public).collect::<Vec<_>>() }))
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut behaviour = provider.behaviour();
    if let Some((status, text)) = behaviour.answer.clone() {
        return (status, [(header::CONTENT_TYPE, "application/json")], text).into_response();
    }
    // The form of RFC 6749 section 2.3.1.
    let basic = STANDARD.encode(format!("{CLIENT}:{}", SECRET.replace(' ', "+")));
    let in_header = headers.get("authorization").is_some_and(|value| *value == *format!("Basic {basic}"));
    let in_body = form.get("client_secret").is_some_and(|secret| secret == SECRET);
    let methods = &behaviour.metadata["token_endpoint_auth_methods_supported"];
    let is_client = match methods.get(0).and_then(Value::as_str) {
        Some("none") => form["client_id"] == CLIENT && !in_header && !in_body,
        Some("client_secret_post") => form["client_id"] == CLIENT && !in_header && in_body,
        _ => in_header && !in_body,
    };
    assert!(is_client, "the client has shown who it is as it should");
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["redirect_uri"], super::browser::REDIRECT);
    let Some((nonce, challenge)) = behaviour.codes.remove(&form["code"]) else {
        let text = json!({ "error": "invalid_grant", "error_description": form["code"] }).to_string();
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])), challenge, "PKCE");
    let mut claims = json!({
        "iss": provider.issuer, "aud": CLIENT, "sub": "248289761001",
        "iat": now(), "exp": now() + 300, "nonce": nonce,
    });
    for (name, value) in behaviour.claims.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let token = (behaviour.sign)(&claims);
    let access_token = "access-token-of-these-tests";
    behaviour.secrets.extend([token.clone(), access_token.to_owned()]);
    Json(json!({ "access_token": access_token, "token_type": "Bearer", "id_token": token })).into_response()
}
