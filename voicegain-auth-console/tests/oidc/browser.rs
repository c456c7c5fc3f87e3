//! A console, and a browser that goes to a provider and back.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt as _;
use voicegain_auth_console::{AdminApi, AdminToken, OidcConfig};
use voicegain_auth_core::{Issuer, MemoryStore, SecretCache};

use super::provider::{CLIENT, Provider, SECRET};

pub(crate) const HOST: &str = "gateway.example";
pub(crate) const REDIRECT: &str = "https://gateway.example/console/oidc/callback";
pub(crate) const ADMIN_TOKEN: &str = "the-admin-token-of-these-tests";

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    /// The value of the first field of this name.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

pub(crate) struct Browser {
    router: Router,
    provider: Provider,
    cookies: BTreeMap<String, String>,
}

pub(crate) fn config(provider: &Provider, rules: &[&str]) -> OidcConfig {
    let rules = rules.iter().map(|rule| rule.parse().unwrap());
    OidcConfig::new(&provider.issuer, CLIENT, REDIRECT, rules).unwrap()
}

impl Browser {
    /// At a console that lets in whom these rules allow.
    pub(crate) async fn new(provider: &Provider, rules: &[&str]) -> Self {
        Self::with(provider, config(provider, rules).client_secret(SECRET)).await
    }

    pub(crate) async fn with(provider: &Provider, config: OidcConfig) -> Self {
        let cache = SecretCache::builder(MemoryStore::new().unwrap()).build().unwrap();
        assert!(cache.ready().await);
        let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
        let router = AdminApi::builder(issuer, AdminToken::new(ADMIN_TOKEN).unwrap()).oidc(config).build();
        Self { router, provider: provider.clone(), cookies: BTreeMap::new() }
    }

    /// Another one at the same console.
    pub(crate) fn another(&self) -> Self {
        Self { router: self.router.clone(), provider: self.provider.clone(), cookies: BTreeMap::new() }
    }

    /// Takes over the other's cookies, as a thief would.
    pub(crate) fn adopt(&mut self, other: &Self) {
        self.cookies.clone_from(&other.cookies);
    }

    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.cookies.keys().map(String::as_str).collect()
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: String, site: &str) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST)
            .header("origin", format!("https://{HOST}"))
            .header("sec-fetch-site", site)
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            assert!(cookie.ends_with("; Secure") || cookie.contains("; Max-Age=0"), "{cookie}");
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        let page = Page { status: parts.status, headers: parts.headers, text };
        assert_eq!(page.headers["cache-control"], "no-store");
        let behaviour = self.provider.behaviour();
        let secrets = behaviour.secrets.iter().map(String::as_str).chain([SECRET, ADMIN_TOKEN]);
        for secret in secrets {
            let shown = format!("{:?} {}", page.headers, page.text);
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        page
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, String::new(), "same-origin").await
    }

    /// Goes to the provider and has it sign somebody in, and answers the path that leads back.
    pub(crate) async fn callback(&mut self) -> String {
        let begun = self.get("/console/oidc/begin?next=/console/contexts?account=a").await;
        format!("/console/oidc/callback?{}", self.provider.authorize(begun.location()))
    }

    /// Comes back from there, as from another site, and answers where that leads.
    pub(crate) async fn come_back(&mut self, path: &str) -> String {
        let answer = self.send("GET", path, String::new(), "cross-site").await;
        assert_eq!(answer.headers["referrer-policy"], "no-referrer");
        assert_eq!(answer.text, "", "no content by the side of a code");
        answer.location().to_owned()
    }

    /// Signs in, and answers the page that this leads to.
    pub(crate) async fn sign_in(&mut self) -> Page {
        let path = self.callback().await;
        let to = self.come_back(&path).await;
        self.get(&to).await
    }

    /// Tries to sign in, which must not be, and answers what is said.
    pub(crate) async fn refused(&mut self) -> String {
        let page = self.sign_in().await;
        self.is_refused(page)
    }

    pub(crate) fn is_refused(&self, page: Page) -> String {
        assert!(page.status.is_client_error() || page.status.is_server_error(), "{}", page.text);
        assert_eq!(self.cookies(), [] as [&str; 0], "there is no session");
        page.text
    }
}
