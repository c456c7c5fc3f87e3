use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response, map_response_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, CACHE_CONTROL, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use voicegain_auth_core::{Explanation, Issuer, StoreError, Verifier};

use crate::admin_token::AdminToken;
use crate::deployment::{Deployment, deployment};
use crate::edges::{self, AskEdges, Edge};
use crate::host::Hosts;
#[cfg(feature = "oidc")]
use crate::oidc::OidcConfig;
use crate::pages::{Beside, Console, Explains, LoggedChange, ReadChanges, base};
use crate::refusal::{Refusal, StoreFailure};
use crate::reseal::{Reseal, Resealed};
use crate::{document, handlers, probes};

/// The admin API.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdminApi;

impl AdminApi {
    /// Begins to set up the API over an issuer, whose store it reads and changes, and the token that opens it.
    pub fn builder(issuer: Issuer, admin_token: AdminToken) -> AdminApiBuilder {
        let deployment = Arc::new(Deployment::new(env!("CARGO_PKG_VERSION")));
        let served =
            Served { issuer, reseal: None, explain: |_| None, verifier: None, metrics: None, deployment };
        AdminApiBuilder {
            served,
            admin_token,
            hosts: Hosts::default(),
            https: false,
            verifier: None,
            explain_request: None,
            changes: None,
            edges: None,
            #[cfg(feature = "oidc")]
            oidc: None,
        }
    }
}

/// Sets up the admin API.
#[must_use = "a builder does nothing until it is built"]
pub struct AdminApiBuilder {
    served: Served,
    admin_token: AdminToken,
    hosts: Hosts,
    https: bool,
    verifier: Option<Verifier>,
    explain_request: Option<ExplainRequest>,
    changes: Option<ReadChanges>,
    edges: Option<AskEdges>,
    #[cfg(feature = "oidc")]
    oidc: Option<OidcConfig>,
}

/// Says what would be decided about a request.
pub(crate) type ExplainRequest = Arc<dyn Fn(Parts) -> BoxFuture<Explanation> + Send + Sync>;
/// Further metrics.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the handlers work with.
#[derive(Clone)]
struct Served {
    issuer: Issuer,
    reseal: Option<Reseal>,
    explain: fn(&StoreError) -> Option<&'static str>,
    verifier: Option<Verifier>,
    metrics: Option<Metrics>,
    deployment: Arc<Deployment>,
}

impl FromRef<Served> for Arc<Deployment> {
    fn from_ref(served: &Served) -> Self {
        Arc::clone(&served.deployment)
    }
}

impl FromRef<Served> for Option<Verifier> {
    fn from_ref(served: &Served) -> Self {
        served.verifier.clone()
    }
}

impl FromRef<Served> for Option<Metrics> {
    fn from_ref(served: &Served) -> Self {
        served.metrics.clone()
    }
}

impl FromRef<Served> for Issuer {
    fn from_ref(served: &Served) -> Self {
        served.issuer.clone()
    }
}

impl FromRef<Served> for Option<Reseal> {
    fn from_ref(served: &Served) -> Self {
        served.reseal.clone()
    }
}

impl AdminApiBuilder {
    /// Answers to this address as `Host` too, the one the port listens on.
    pub fn listen_address(mut self, address: SocketAddr) -> Self {
        self.hosts.allow_address(address.ip());
        self
    }

    /// Answers to this name as `Host` too, with any port. By default only `localhost`, `127.0.0.1` and `[::1]` are.
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.allow(host);
        self
    }

    /// What `POST /api/master-keys/reseal` does: seals every secret of the store anew under the first master key and, if
    /// none had to be skipped, has the store forget the keys that are not in use any more. Without it the store counts
    /// as one that does not seal, and the answer is 409.
    pub fn reseal<F, R>(mut self, reseal: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Resealed, StoreError>> + Send + 'static,
    {
        self.served.reseal = Some(Reseal::new(reseal));
        self
    }

    /// What to tell an operator whose request failed because of the store, where this knows more than that the store does
    /// not answer. It must not hold a secret; what the store says is in the log in any case.
    pub fn explain_failures(mut self, explain: fn(&StoreError) -> Option<&'static str>) -> Self {
        self.served.explain = explain;
        self
    }

    /// The verifier that decides about requests, so that the console can explain what it decides and list the refusals it
    /// [keeps](Verifier::keeping_refusals), and `/metrics` tells what it has decided.
    pub fn explain_decisions_of(mut self, verifier: Verifier) -> Self {
        self.verifier = Some(verifier.clone());
        self.served.verifier = Some(verifier);
        self
    }

    /// How requests are explained where more than the verifier decides about them, as in a gateway. It is given what an
    /// operator asks about; the token among it must not be kept.
    pub fn explain_requests<F, R>(mut self, explain: F) -> Self
    where
        F: Fn(Parts) -> R + Send + Sync + 'static,
        R: Future<Output = Explanation> + Send + 'static,
    {
        self.explain_request = Some(Arc::new(move |head| Box::pin(explain(head))));
        self
    }

    /// Has the console show what has been changed, as an [audit log](voicegain_auth_core::audit) tells of it. `read` answers so
    /// many changes at most, the oldest first: the last of those before the number it is given, or of all. What it says if
    /// it cannot be read goes to the log.
    pub fn changes<F, R>(mut self, read: F) -> Self
    where
        F: Fn(Option<u64>, usize) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<LoggedChange>, String>> + Send + 'static,
    {
        self.changes = Some(ReadChanges::new(read));
        self
    }

    /// What `/metrics` tells besides, in Prometheus' text format.
    pub fn metrics(mut self, metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.served.metrics = Some(Arc::new(metrics));
        self
    }

    /// What `/deployment` tells besides what the issuer and the verifier know. Without it that is
    /// a name and a version.
    pub fn deployment(mut self, deployment: Deployment) -> Self {
        self.served.deployment = Arc::new(deployment);
        self
    }

    /// What asks the Edges that an operator has configured for their status documents, each time the console's page of them is
    /// looked at, and where a token is explained that may be of one. It should ask all of them at once and have a time limit,
    /// read no more than [`Edge::MAX_BYTES`] of an answer, follow no redirect, send no credentials, and give back every Edge.
    pub fn edges<F, R>(mut self, ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Edge>> + Send + 'static,
    {
        self.edges = Some(edges::asking(ask));
        self
    }

    /// Browsers reach the console by HTTPS alone, so that its cookie may say that it is for nothing else.
    pub fn https(mut self) -> Self {
        self.https = true;
        self
    }

    /// People sign in to the console by OpenID Connect too, beside the admin token. The admin API goes on to take that alone.
    #[cfg(feature = "oidc")]
    pub fn oidc(mut self, config: OidcConfig) -> Self {
        self.hosts.allow(&config.authority());
        self.oidc = Some(config);
        self
    }

    /// Builds the router. Serve it as it is, or merge it into another one that serves on the same port.
    pub fn build(self) -> Router {
        let Served { issuer, explain, deployment: own, .. } = self.served.clone();
        let explains = self.verifier.map(|verifier| Explains { verifier, request: self.explain_request });
        let beside = self.edges.map(|ask| Beside { own, ask });
        let console = Console::new(
            issuer,
            explains,
            beside,
            self.admin_token.clone(),
            explain,
            self.https,
            self.changes,
        );
        #[cfg(feature = "oidc")]
        let console = console.with_oidc(self.oidc);
        let api = Router::new()
            .route("/web-configs", get(handlers::list).post(handlers::create))
            .route("/web-configs/{id}", get(handlers::get).patch(handlers::update).delete(handlers::delete))
            .route("/web-configs/{id}/regenerate", post(handlers::regenerate))
            .route("/accounts/{account}/end", post(handlers::end_account))
            .route("/contexts/{account}/{context}/end", post(handlers::end_context))
            .route("/master-keys/reseal", post(handlers::reseal))
            .fallback(no_such_path)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(map_response_with_state(self.served.clone(), explain_failure))
            .layer(from_fn_with_state(Arc::new(self.admin_token), check_token));
        Router::new()
            .route("/healthz", get(probes::health))
            .route("/readyz", get(probes::readiness))
            .route("/metrics", get(probes::metrics))
            .route("/deployment", get(deployment))
            .route("/openapi.json", get(document::openapi))
            .fallback(no_such_path)
            .method_not_allowed_fallback(method_not_allowed)
            .route("/", get(to_console))
            .route("/console/", get(to_first_page))
            .nest("/api", api)
            .nest("/console", console.router())
            .layer(from_fn_with_state(Arc::new(self.hosts), check_host))
            .layer(map_response(keep_out_of_caches))
            .with_state(self.served)
    }
}

impl fmt::Debug for AdminApiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminApiBuilder").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

async fn to_console(request: Request) -> Redirect {
    Redirect::to(&format!("{}/console/contexts", base(request.extensions())))
}

async fn to_first_page() -> Redirect {
    Redirect::to("contexts")
}

async fn no_such_path() -> Refusal {
    Refusal::no_such_path()
}

async fn method_not_allowed() -> Refusal {
    Refusal::method_not_allowed()
}

async fn check_host(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if hosts.admit(&request) { next.run(request).await } else { Refusal::foreign_host().into_response() }
}

async fn check_token(State(token): State<Arc<AdminToken>>, request: Request, next: Next) -> Response {
    match bearer(request.headers()) {
        None => Refusal::missing_token().into_response(),
        Some(candidate) if token.is(candidate) => next.run(request).await,
        Some(_) => {
            tracing::warn!("a wrong admin token was sent");
            Refusal::invalid_token().into_response()
        }
    }
}

/// The token of the one `Authorization` header, if its scheme is Bearer.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

async fn explain_failure(State(served): State<Served>, response: Response) -> Response {
    let failure = response.extensions().get::<StoreFailure>();
    match failure.and_then(|StoreFailure(error)| (served.explain)(error)) {
        Some(detail) => Refusal::unavailable(detail).into_response(),
        None => response,
    }
}

async fn keep_out_of_caches(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    use super::*;

    /// What is answered where the store failed like this.
    async fn detail(error: fn() -> StoreError) -> String {
        let store = voicegain_auth_core::MemoryStore::new().unwrap();
        let cache = voicegain_auth_core::SecretCache::builder(store).build().unwrap();
        let issuer = Issuer::new(cache, "https://api.voicegain.ai/v1").unwrap();
        let explain = |error: &StoreError| error.chain().contains("keys").then_some("The keys do not fit.");
        let deployment = Arc::new(Deployment::new(env!("CARGO_PKG_VERSION")));
        let served = Served { issuer, reseal: None, explain, verifier: None, metrics: None, deployment };
        let router: Router = Router::new()
            .route("/", get(move || async move { Refusal::from(error()) }))
            .layer(map_response_with_state(served, explain_failure));
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_failure_that_is_known_is_explained_and_others_are_not() {
        let said = detail(|| StoreError::unavailable("the keys")).await;
        assert!(said.contains("The keys do not fit.") && !said.contains("does not answer"), "{said}");
        let said = detail(|| StoreError::unavailable("a password")).await;
        assert!(said.contains("The store does not answer") && !said.contains("password"), "{said}");
        let said = detail(|| StoreError::outcome_unknown("the keys")).await;
        assert!(said.contains("Outcome unknown"), "M1: {said}");
    }
}
