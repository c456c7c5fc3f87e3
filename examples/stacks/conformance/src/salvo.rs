//! salvo, with the layer as a hoop of its service.

use ::salvo::http::ResBody;
use ::salvo::prelude::*;
use conformance::stacks::in_process;
use conformance::stacks::library::LibraryStack;
use voicegain_auth_tower::AuthLayer;

use crate::answer::answer;

/// salvo, with `AuthLayer` by `TowerLayerCompat`.
pub fn salvo() -> LibraryStack {
    LibraryStack::new("salvo", true, |variant| async move {
        let (verifier, issuer) = in_process::verifier(variant)?;
        let auth = AuthLayer::new(verifier).outermost();
        let service = Service::new(Router::with_path("{**rest}").goal(handler)).hoop(auth.compat());
        let acceptor = TcpListener::new("127.0.0.1:0").try_bind().await.map_err(|error| error.to_string())?;
        let addr = acceptor.local_addr().map_err(|error| error.to_string())?;
        let server = tokio::spawn(Server::new(acceptor).serve(service));
        Ok(in_process::running(addr, issuer, server))
    })
}

#[handler]
async fn handler(request: &mut Request, response: &mut Response) {
    let Ok(length) = request.payload().await.map(|body| body.len()) else {
        response.status_code(StatusCode::BAD_REQUEST);
        return;
    };
    let caller = request.extensions().get();
    let answer = answer(caller, request.method(), request.uri(), request.headers(), length);
    response.merge_hyper(answer.map(ResBody::from));
}
