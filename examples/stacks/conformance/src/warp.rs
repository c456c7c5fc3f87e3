//! warp, with the layer around its filters' service.

use ::warp::Filter;
use ::warp::http::{HeaderMap, Method, Uri};
use ::warp::hyper::body::Bytes;
use ::warp::path::FullPath;
use ::warp::reply::Response;
use conformance::stacks::in_process;
use conformance::stacks::library::LibraryStack;
use tower_layer::Layer as _;
use voicegain_auth_core::Caller;
use voicegain_auth_tower::AuthLayer;

use crate::answer::answer;
use crate::hyper::serve;

/// warp, with `AuthLayer`.
pub fn warp() -> LibraryStack {
    LibraryStack::new("warp", true, |variant| async move {
        let (verifier, issuer) = in_process::verifier(variant)?;
        let auth = AuthLayer::new(verifier).outermost();
        // A query that is not there is a rejection to warp.
        let query = ::warp::query::raw().map(Some).or(::warp::any().map(|| None)).unify();
        let echo = ::warp::ext::get()
            .and(::warp::method())
            .and(::warp::path::full())
            .and(query)
            .and(::warp::header::headers_cloned())
            .and(::warp::body::bytes())
            .map(handler);
        serve(auth.layer(::warp::service(echo)), issuer).await
    })
}

fn handler(
    caller: Caller,
    method: Method,
    path: FullPath,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = query.map_or_else(|| path.as_str().to_owned(), |query| format!("{}?{query}", path.as_str()));
    let uri = Uri::try_from(target).unwrap_or_default();
    answer(Some(&caller), &method, &uri, &headers, body.len()).map(Into::into)
}
