//! The tokens that all contenders are given, and the caches they are good for.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::runtime::Runtime;
use voicegain_auth_core::{
    ChangeFeed, CreateRequest, Issuer, MemoryStore, NewWebConfig, Policy, Secret, SecretCache,
    SecretCacheBuilder, SecretStore, Verifier, WebConfigId,
};

use crate::core_stack::Head;
use crate::cpu;

/// Where requests go. It is below the API path that the api-limited token is good for.
pub(crate) const PATH: &str = "/v1/asr/transcribe";
pub(crate) const HOST: &str = "api.voicegain.ai";
pub(crate) const API_URL: &str = "https://api.voicegain.ai/v1";
/// The page that short-lived tokens are for, and that sends them.
pub(crate) const ORIGIN: &str = "https://app.example.com";
/// The one secret that the peers know. jwt-authorizer takes text only.
pub(crate) const SECRET: &str = "a secret that was made for measuring, and for nothing else";

/// How many web configs rotate.
pub(crate) const MANY: usize = 10_000;

/// What a client sends, in no framework's types.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) origin: Option<&'static str>,
}

impl Sent {
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// The same with another signature.
    pub(crate) fn forged(&self) -> Self {
        let mut token = self.token.clone();
        let signature = token.rfind('.').expect("three parts") + 1;
        let other = if token[signature..].starts_with('A') { "B" } else { "A" };
        token.replace_range(signature..=signature, other);
        Self { token, ..self.clone() }
    }
}

/// One row of cases: what is sent, and what must come of it.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Whose tokens those in `ours` are.
    pub(crate) verifier: &'a Verifier,
    pub(crate) ours: &'a [Sent],
    /// The same for the peers, who know one secret.
    pub(crate) peers: &'a [Sent],
    /// Whether the tokens expire, which some peers must be told.
    pub(crate) expires: bool,
    pub(crate) accepted: bool,
}

/// Everything that the cases need, alive.
pub(crate) struct Tokens {
    /// One web config, of the secret that the peers know.
    pub(crate) hot: Verifier,
    pub(crate) hot_id: WebConfigId,
    /// [`MANY`] web configs, each with a secret of its own.
    pub(crate) many: Verifier,
    pub(crate) long_lived: [Sent; 1],
    pub(crate) short_lived: [Sent; 1],
    pub(crate) api_limited: [Sent; 1],
    pub(crate) forged: [Sent; 1],
    pub(crate) expired: [Sent; 1],
    /// Well signed, of a web config that does not exist.
    pub(crate) unknown: [Sent; 1],
    pub(crate) rotating: Vec<Sent>,
    /// The secrets of `rotating`.
    pub(crate) secrets: Vec<Secret>,
    /// As many, all signed with the one secret.
    pub(crate) rotating_of_one_secret: Vec<Sent>,
    /// Carries the feeds of the caches, on a thread of its own.
    pub(crate) runtime: Runtime,
}

impl Tokens {
    pub(crate) fn make() -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(cpu::keep_off_the_measuring_core)
            .enable_time()
            .build()?;
        let entered = runtime.enter();

        let cache = builder(MemoryStore::new()?).build()?;
        let hot = Verifier::new(cache.clone(), Policy::default());
        let issuer = Issuer::new(cache, API_URL)?;
        let mut request = CreateRequest::new("account".parse()?, "context".parse()?, "hot");
        request.secret = Some(Secret::from_bytes(SECRET.as_bytes())?);
        let issued = runtime.block_on(issuer.create(request))?;
        let id = issued.config.id;
        let long_lived = Sent { token: issued.jwt, origin: None };
        assert_eq!(long_lived.token, sign(SECRET.as_bytes(), &long_lived_payload(id)));

        let admitted = runtime.block_on(hot.authorize(&Head::of(&long_lived)))?;
        let identity = admitted.caller().identity().ok_or("the long-lived token is nobody's")?;
        let mint = |query: &str| issuer.mint(identity, Some(query));
        let from_page = |token| Sent { token, origin: Some(ORIGIN) };
        let short_lived = from_page(mint(&format!("aud={ORIGIN}&expInSec=3600"))?);
        let api_limited = from_page(mint(&format!("aud={ORIGIN}&expInSec=3600&api=/asr"))?);

        let hour_ago = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3600;
        let expired = format!(r#"{{"aud":"{ORIGIN}","sub":"{id}","exp":{hour_ago}}}"#);
        let stranger = WebConfigId::generate()?;

        let store = MemoryStore::new()?;
        let (mut rotating, mut secrets, mut rotating_of_one_secret) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..MANY {
            let (id, secret) = (WebConfigId::generate()?, Secret::generate()?);
            let payload = long_lived_payload(id);
            rotating.push(Sent { token: sign(secret.expose(), &payload), origin: None });
            rotating_of_one_secret.push(Sent { token: sign(SECRET.as_bytes(), &payload), origin: None });
            secrets.push(secret.clone());
            let new = NewWebConfig {
                id,
                account_id: "account".parse()?,
                context_id: "context".parse()?,
                name: "one of many".into(),
                allowed_origins: Vec::new(),
                secret,
                revive: false,
            };
            runtime.block_on(store.create(new))?;
        }
        let many = builder(store).preload(true).build()?;
        runtime.block_on(many.ready());

        drop(entered);
        Ok(Self {
            forged: [long_lived.forged()],
            expired: [from_page(sign(SECRET.as_bytes(), &expired))],
            unknown: [Sent { token: sign(SECRET.as_bytes(), &long_lived_payload(stranger)), origin: None }],
            long_lived: [long_lived],
            short_lived: [short_lived],
            api_limited: [api_limited],
            rotating,
            secrets,
            rotating_of_one_secret,
            hot,
            hot_id: id,
            many: Verifier::new(many, Policy::default()),
            runtime,
        })
    }

    /// What a short-lived token of the hot web config says, as it is minted, without the braces.
    pub(crate) fn short_lived_members(&self) -> String {
        short_lived_members(self.hot_id)
    }

    /// A cache with a feed of its own over one web config, and its token.
    pub(crate) fn another(&self) -> Result<(Verifier, Sent), Box<dyn Error>> {
        let _entered = self.runtime.enter();
        let cache = builder(MemoryStore::new()?).build()?;
        let issuer = Issuer::new(cache.clone(), API_URL)?;
        let request = CreateRequest::new("account".parse()?, "context".parse()?, "another");
        let issued = self.runtime.block_on(issuer.create(request))?;
        Ok((Verifier::new(cache, Policy::default()), Sent { token: issued.jwt, origin: None }))
    }

    /// The cases whose requests are let in.
    pub(crate) fn accepted(&self) -> [Case<'_>; 4] {
        let case = |name, title, tokens, expires| Case {
            name,
            title,
            verifier: &self.hot,
            ours: tokens,
            peers: tokens,
            expires,
            accepted: true,
        };
        [
            case("long-lived", "one long-lived token", &self.long_lived, false),
            case("short-lived", "one short-lived token, with `Origin`", &self.short_lived, true),
            case("api-limited", "one token limited to an API path, with `Origin`", &self.api_limited, true),
            Case {
                name: "rotating",
                title: "10,000 long-lived tokens in turn",
                verifier: &self.many,
                ours: &self.rotating,
                peers: &self.rotating_of_one_secret,
                expires: false,
                accepted: true,
            },
        ]
    }

    /// The cases whose requests are refused.
    pub(crate) fn refused(&self) -> [Case<'_>; 3] {
        let case = |name, title, tokens, peers, expires| Case {
            name,
            title,
            verifier: &self.hot,
            ours: tokens,
            peers,
            expires,
            accepted: false,
        };
        [
            case("forged", "wrong signature", &self.forged, &self.forged[..], false),
            case("expired", "expired", &self.expired, &self.expired[..], true),
            // The peers know one secret and no web configs: to them it is a good token.
            case("unknown", "unknown web config", &self.unknown, &[], false),
        ]
    }
}

/// A cache that lets nothing but the feed decide how fresh it is.
pub(crate) fn builder(store: impl SecretStore + ChangeFeed) -> SecretCacheBuilder {
    SecretCache::builder(store).max_revocation_delay(Duration::from_secs(3600))
}

pub(crate) fn long_lived_payload(id: WebConfigId) -> String {
    format!(r#"{{"aud":"{API_URL}","sub":"{id}"}}"#)
}

/// What a short-lived token says that the page may use for an hour, as it is minted, without the braces.
pub(crate) fn short_lived_members(id: WebConfigId) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!(r#""aud":"{ORIGIN}","sub":"{id}","exp":{}"#, now + 3_600)
}

/// A compact JWS with HS256.
pub(crate) fn sign(secret: &[u8], payload: &str) -> String {
    sign_with_header(r#"{"alg":"HS256","typ":"JWT"}"#, secret, payload)
}

/// The same with another header.
pub(crate) fn sign_with_header(header: &str, secret: &[u8], payload: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    let signing_input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    let mac = mac.chain_update(&signing_input).finalize().into_bytes();
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(mac))
}
