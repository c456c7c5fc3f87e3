use tower_layer::Layer;
use voicegain_auth_core::Verifier;

use crate::body::Json;
use crate::service::AuthService;

/// Lets through only the requests that the rules allow. See the [crate's documentation](crate).
///
/// Cloning is cheap, and one layer can be used in any number of places.
#[derive(Debug, Clone)]
pub struct AuthLayer<R = Json> {
    pub(crate) verifier: Verifier,
    pub(crate) rejection_body: R,
    pub(crate) outermost: bool,
}

impl AuthLayer {
    /// A layer that decides with this verifier, and answers refusals with the API's JSON body.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, rejection_body: Json, outermost: false }
    }
}

impl<R> AuthLayer<R> {
    /// Replaces the body of refusals: by [`Grpc`](crate::Grpc), or by one of the application's own
    /// ([`rejection_body_fn`](crate::rejection_body_fn)). Status and headers stay as they are.
    #[must_use]
    pub fn rejection_body<R2>(self, rejection_body: R2) -> AuthLayer<R2> {
        AuthLayer { verifier: self.verifier, rejection_body, outermost: self.outermost }
    }

    /// Promises that nothing in front of this layer changes the URI of requests, so that its path is the one
    /// the client sent (rule P1).
    ///
    /// A token that is limited to an API path is good only where that path is known. Behind an axum `Router`
    /// it is, by itself (with the feature `axum`). Anywhere else a router in front may have stripped a prefix
    /// without a trace, so that **without this promise, tokens limited to an API path are refused there**.
    /// Other tokens are not affected.
    #[must_use]
    pub fn outermost(mut self) -> Self {
        self.outermost = true;
        self
    }

    /// The verifier it decides with.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

impl<S, R: Clone> Layer<S> for AuthLayer<R> {
    type Service = AuthService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService::new(inner, self.clone())
    }
}
