//! The server: which layer goes where.

use tonic::codegen::http::HeaderName;
use tonic::transport::Server;
use tonic_web::GrpcWebLayer;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tower_layer::{Identity, Stack};
use voicegain_auth_core::Verifier;
use voicegain_auth_tower::{AuthLayer, Grpc};

use crate::EndRevoked;

/// The layers of [`server`], from the innermost.
type Layers = Stack<EndRevoked, Stack<AuthLayer<Grpc>, Stack<GrpcWebLayer, Stack<CorsLayer, Identity>>>>;

/// A server for gRPC clients and for browsers, whose callers `verifier` knows. Each request comes through the layers in the
/// order they stand here:
///
/// 1. CORS answers a browser's preflights, which carry no token, and lets a page read whatever answer follows, a refusal
///    too. gRPC's status is in the headers of a refusal, so that they must be exposed.
/// 2. gRPC-Web becomes gRPC, and on the way back gRPC becomes gRPC-Web, a refusal too.
/// 3. The token is judged, and a refusal is gRPC's.
/// 4. A call that is under way ends when its token is revoked.
///
/// With the second and third the other way round everybody is let in or refused all the same, but a refusal says
/// `application/grpc`, which a browser's gRPC-Web client may take for no answer at all.
#[must_use]
pub fn server(verifier: Verifier) -> Server<Layers> {
    let exposed =
        ["grpc-status", "grpc-message", "voicegain-reason", "retry-after"].map(HeaderName::from_static);
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        // Whatever is asked for: `*` would not cover `Authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed);
    let end_revoked = EndRevoked(verifier.cache().clone());
    Server::builder()
        .accept_http1(true)
        .layer(cors)
        .layer(GrpcWebLayer::new())
        .layer(AuthLayer::new(verifier).rejection_body(Grpc).outermost())
        .layer(end_revoked)
}
