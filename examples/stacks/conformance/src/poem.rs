//! poem, with the middleware of its example around everything.

use ::poem::listener::{Acceptor as _, Listener as _, TcpListener};
use ::poem::{Body, EndpointExt as _, Request, Response, ResponseParts, Server, endpoint};
use conformance::stacks::in_process;
use conformance::stacks::library::LibraryStack;
use poem_app::Auth;
use voicegain_auth_tower::AuthLayer;

use crate::answer::answer;

/// poem, with `Auth` of its example.
pub fn poem() -> LibraryStack {
    LibraryStack::new("poem", true, |variant| async move {
        let (verifier, issuer) = in_process::verifier(variant)?;
        let app = endpoint::make(handler).with(Auth(AuthLayer::new(verifier)));
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await;
        let acceptor = acceptor.map_err(|error| error.to_string())?;
        let addr = acceptor.local_addr().into_iter().find_map(|addr| addr.as_socket_addr().copied());
        let addr = addr.ok_or("poem does not say where it listens")?;
        let server = tokio::spawn(async move {
            let _ = Server::new_with_acceptor(acceptor).run(app).await;
        });
        Ok(in_process::running(addr, issuer, server))
    })
}

async fn handler(mut request: Request) -> ::poem::Result<Response> {
    let length = request.take_body().into_bytes().await?.len();
    let caller = request.extensions().get();
    let (head, body) =
        answer(caller, request.method(), request.uri(), request.headers(), length).into_parts();
    let parts = ResponseParts {
        status: head.status,
        version: head.version,
        headers: head.headers,
        extensions: head.extensions,
    };
    Ok(Response::from_parts(parts, Body::from_bytes(body)))
}
