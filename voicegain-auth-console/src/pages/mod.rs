//! The console: what an operator sees in a browser. Pages are made here, work without a script, and load nothing from elsewhere.

mod assets;
mod attempts;
mod changes;
mod contexts;
mod edge;
mod explain;
mod form;
mod guard;
mod meaning;
mod minting;
#[cfg(feature = "oidc")]
mod oidc;
mod operator;
mod problem;
mod sessions;
mod sign_in;
mod times;
mod visitor;
mod web_configs;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use voicegain_auth_core::{IssueError, Issuer, StoreError, Verifier};

use self::attempts::Attempts;
pub use self::changes::LoggedChange;
pub(crate) use self::changes::ReadChanges;
use self::problem::Problem;
use self::sessions::Sessions;
pub(crate) use self::visitor::base;
use crate::admin_token::AdminToken;
use crate::deployment::Deployment;
use crate::edges::AskEdges;
#[cfg(feature = "oidc")]
use crate::oidc::OidcConfig;
use crate::router::ExplainRequest;

/// What decides about requests.
pub(crate) struct Explains {
    pub(crate) verifier: Verifier,
    /// How requests are explained where more than the verifier decides.
    pub(crate) request: Option<ExplainRequest>,
}

/// This deployment, and what asks those beside it.
pub(crate) struct Beside {
    pub(crate) own: Arc<Deployment>,
    pub(crate) ask: AskEdges,
}

/// What the pages work with.
pub(crate) struct Console {
    issuer: Issuer,
    /// What decides about requests, if it is here.
    explains: Option<Explains>,
    /// The Edges, if there are some.
    beside: Option<Beside>,
    token: AdminToken,
    explain: fn(&StoreError) -> Option<&'static str>,
    /// Whether browsers come by HTTPS, so that the cookie may say so.
    https: bool,
    /// What has been changed, if that is written down.
    changes: Option<ReadChanges>,
    sessions: Sessions,
    attempts: Attempts,
    #[cfg(feature = "oidc")]
    oidc: Option<oidc::SignIn>,
}

impl Console {
    pub(crate) fn new(
        issuer: Issuer,
        explains: Option<Explains>,
        beside: Option<Beside>,
        token: AdminToken,
        explain: fn(&StoreError) -> Option<&'static str>,
        https: bool,
        changes: Option<ReadChanges>,
    ) -> Self {
        Self {
            issuer,
            explains,
            beside,
            token,
            explain,
            https,
            changes,
            sessions: Sessions::default(),
            attempts: Attempts::default(),
            #[cfg(feature = "oidc")]
            oidc: None,
        }
    }

    /// Has people signed in by a provider too.
    #[cfg(feature = "oidc")]
    pub(crate) fn with_oidc(self, config: Option<OidcConfig>) -> Self {
        Self { oidc: config.map(oidc::SignIn::new), ..self }
    }

    /// What the provider is called that signs people in, if there is one.
    fn provider(&self) -> Option<&str> {
        #[cfg(feature = "oidc")]
        return self.oidc.as_ref().map(oidc::SignIn::name);
        #[cfg(not(feature = "oidc"))]
        None
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn problem(&self, error: IssueError) -> Problem {
        Problem::explained(error, self.explain)
    }

    /// The pages, to be nested somewhere.
    pub(crate) fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let router = Router::new();
        #[cfg(feature = "oidc")]
        let router = router.merge(oidc::router());
        router
            .route("/", get(visitor::to_first_page))
            .route("/contexts", get(contexts::list))
            .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
            .route("/sign-out", post(sign_in::sign_out))
            .route("/contexts/{account}/{context}", get(web_configs::list))
            .route("/web-configs", post(web_configs::create))
            .route("/web-configs/{id}", get(web_configs::page))
            .route("/web-configs/{id}/settings", post(web_configs::change))
            .route(
                "/web-configs/{id}/regenerate",
                get(web_configs::ask_regenerate).post(web_configs::regenerate),
            )
            .route("/web-configs/{id}/delete", get(web_configs::ask_delete).post(web_configs::delete))
            .route("/web-configs/{id}/mint", get(minting::page).post(minting::mint))
            .route("/explain", get(explain::page).post(explain::explain))
            .route("/changes", get(changes::list))
            .route("/edge", get(edge::page))
            .route("/origins", post(web_configs::origins))
            .route("/console.css", get(assets::style))
            .route("/console.js", get(assets::script))
            .route("/icon.svg", get(assets::icon))
            .fallback(async || Problem::no_such_page())
            .method_not_allowed_fallback(async || Problem::method_not_allowed())
            .layer(from_fn(guard::finish))
            .with_state(Arc::new(self))
    }
}
