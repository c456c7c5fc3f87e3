//! An actix-web application with the middleware around all of it.

use super::echo;
use super::in_process::{IssuerAdmin, verifier};
use super::library::LibraryStack;
use super::log;
use crate::stack::{BoxFuture, Guard, Running, Variant};
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use std::net::TcpListener;
use std::thread;
use voicegain_auth_actix::{Auth, Caller};
use voicegain_auth_core as core;

/// actix-web, with `Auth` from `voicegain-auth-actix`, on two workers.
pub fn actix() -> LibraryStack {
    LibraryStack::new("actix", true, start)
}

async fn start(variant: Variant) -> Result<Running, String> {
    let (verifier, issuer) = verifier(variant)?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // actix brings its own runtime; the cache stays on the one that is current here.
    thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || App::new().wrap(Auth::new(verifier.clone())).default_service(web::to(handler));
            let server = match HttpServer::new(app).workers(2).disable_signals().listen_auto_h2c(listener) {
                Ok(server) => server.run(),
                Err(error) => return drop(sender.send(Err(error.to_string()))),
            };
            let _ = sender.send(Ok(server.handle()));
            let _ = server.await;
        });
    });
    let handle = receiver.await.map_err(|_| "the server's thread ended".to_owned())??;
    Ok(Running {
        addr,
        admin: Box::new(IssuerAdmin(issuer)),
        admin_port: None,
        upstream: None,
        guard: Box::new(Server(handle)),
    })
}

async fn handler(caller: Caller, request: HttpRequest, body: web::Payload) -> HttpResponse {
    if matches!(*caller, core::Caller::Preflight) {
        return HttpResponse::NoContent().insert_header(("x-caller", "preflight")).finish();
    }
    // To actix, what follows an upgrade is a body without an end.
    let body = if request.head().upgrade() { Ok(web::Bytes::new()) } else { body.to_bytes().await };
    let Ok(body) = body else { return HttpResponse::BadRequest().finish() };
    let uri = request.uri();
    let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let method = request.method().as_str();
    let answer = echo::answer(&caller, method, uri.path(), uri.query(), headers, body.len());
    HttpResponse::Ok().content_type("application/json").body(answer)
}

struct Server(ServerHandle);

impl Guard for Server {
    fn stop(self: Box<Self>) -> BoxFuture<'static, Vec<u8>> {
        let stopping = self.0.stop(false);
        Box::pin(async move {
            stopping.await;
            log::take()
        })
    }
}
