//! WebSockets whose token comes as a subprotocol, as a browser has to send it.

mod common;

use std::net::SocketAddr;

use common::{World, ask, world};
use conformance::stack::Variant;
use futures_util::{SinkExt as _, StreamExt as _};
use poem::EndpointExt as _;
use poem::listener::{Acceptor as _, Listener as _};
use salvo::prelude::*;
use stacks_conformance::serve;
use tower_layer::Layer as _;
use voicegain_auth_core::Caller;
use voicegain_auth_tower::AuthLayer;

/// What every server here answers to a text.
fn said(caller: Option<&Caller>, text: &str) -> String {
    match caller {
        Some(Caller::Identified(identity)) => format!("{} says {text}", identity.account_id()),
        other => format!("{other:?} says {text}"),
    }
}

/// Opens one with a good token and says hello, and tries three times without one.
async fn judge(world: &World, addr: SocketAddr) {
    let open = async |protocols: &str| {
        let protocols = format!("Sec-WebSocket-Protocol: {protocols}");
        let lines = [
            "GET /v1/ws HTTP/1.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            &protocols,
        ];
        // The text `hello`, masked with zeros.
        ask(addr, &lines, b"", b"\x81\x85\0\0\0\0hello").await
    };
    let answer = open(&format!("bearer.{}, chat, talk", world.token)).await;
    assert_eq!(answer.status, 101, "{}", answer.describe());
    assert_eq!(answer.one("sec-websocket-accept").unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.one("sec-websocket-protocol").unwrap(), "chat", "the first that is no token");
    assert_eq!(&answer.body[2..], b"acc-1 says hello");

    for (protocols, status, reason) in [
        ("chat".to_owned(), 401, "missing_token"),
        ("bearer.x, chat".to_owned(), 401, "invalid_token"),
        (format!("bearer.{}", world.token), 400, "invalid_request"),
    ] {
        let answer = open(&protocols).await;
        assert_eq!(answer.status, status, "{reason}");
        assert!(String::from_utf8_lossy(&answer.body).contains(reason), "{}", answer.describe());
        assert!(answer.one("sec-websocket-protocol").is_none());
    }
}

#[tokio::test]
async fn warp() {
    use warp::Filter as _;

    let world = world(Variant::Sources).await;
    let ws = warp::path!("v1" / "ws").and(warp::ws()).and(warp::ext::get()).map(
        |ws: warp::ws::Ws, caller: Caller| {
            ws.on_upgrade(async move |mut socket| {
                while let Some(Ok(message)) = socket.next().await {
                    let Ok(text) = message.to_str() else { continue };
                    let _ = socket.send(warp::ws::Message::text(said(Some(&caller), text))).await;
                }
            })
        },
    );
    let auth = AuthLayer::new(world.verifier.clone()).outermost();
    let running = serve(auth.layer(warp::service(ws)), world.issuer.clone()).await.unwrap();
    judge(&world, running.addr).await;
}

#[handler]
async fn salvo_ws(request: &mut Request, response: &mut Response) -> Result<(), StatusError> {
    let caller = request.extensions().get::<Caller>().cloned();
    WebSocketUpgrade::new()
        .upgrade(request, response, async move |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                let Ok(text) = message.as_str() else { continue };
                let _ = socket.send(salvo::websocket::Message::text(said(caller.as_ref(), text))).await;
            }
        })
        .await
}

#[tokio::test]
async fn salvo() {
    let world = world(Variant::Sources).await;
    let auth = AuthLayer::new(world.verifier.clone()).outermost();
    let service = Service::new(Router::with_path("v1/ws").goal(salvo_ws)).hoop(auth.compat());
    let acceptor = TcpListener::new("127.0.0.1:0").bind().await;
    let addr = acceptor.local_addr().unwrap();
    let server = tokio::spawn(Server::new(acceptor).serve(service));
    judge(&world, addr).await;
    server.abort();
}

#[poem::handler]
fn poem_ws(
    ws: poem::web::websocket::WebSocket,
    poem::web::Data(caller): poem::web::Data<&Caller>,
) -> impl poem::IntoResponse + use<> {
    let caller = caller.clone();
    ws.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.next().await {
            let poem::web::websocket::Message::Text(text) = message else { continue };
            let answer = poem::web::websocket::Message::text(said(Some(&caller), &text));
            let _ = socket.send(answer).await;
        }
    })
}

async fn poem_server(app: impl poem::Endpoint + 'static) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let acceptor = poem::listener::TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let addr = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let server =
        tokio::spawn(async move { poem::Server::new_with_acceptor(acceptor).run(app).await.unwrap() });
    (addr, server)
}

#[tokio::test]
async fn poem() {
    let world = world(Variant::Sources).await;
    let auth = poem_app::Auth(AuthLayer::new(world.verifier.clone()));
    let (addr, server) = poem_server(poem::Route::new().at("/v1/ws", poem_ws).with(auth)).await;
    judge(&world, addr).await;
    server.abort();
}

/// Rule P1: what a router has left of a path is not what the client sent.
#[tokio::test]
async fn poem_tells_its_client_s_path_from_what_is_left_of_it() {
    #[poem::handler]
    fn hello() -> &'static str {
        "hello"
    }

    let world = world(Variant::Default).await;
    let auth = poem_app::Auth(AuthLayer::new(world.verifier.clone()));
    // Below `/v1/v1`, `/v1/hello` is what is left of the path.
    let nested = poem::Route::new().nest("/v1", poem::Route::new().at("/v1/hello", hello).with(auth.clone()));
    let (inside, one) = poem_server(nested).await;
    let (around, two) = poem_server(poem::Route::new().at("/v1/hello", hello).with(auth)).await;
    let limited = format!("Authorization: Bearer {}", world.limited("/hello"));
    let unlimited = format!("Authorization: Bearer {}", world.token);
    for (addr, path, authorization, status) in [
        (around, "/v1/hello", &limited, 200),
        (inside, "/v1/v1/hello", &limited, 403),
        (inside, "/v1/v1/hello", &unlimited, 200),
    ] {
        let answer = ask(addr, &[&format!("GET {path} HTTP/1.1"), authorization], b"", b"").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.describe());
    }
    one.abort();
    two.abort();
}

#[rocket::get("/v1/ws")]
fn rocket_ws(ws: ::rocket_ws::WebSocket, caller: rocket_app::Caller) -> ::rocket_ws::Channel<'static> {
    ws.channel(move |mut socket| {
        Box::pin(async move {
            while let Some(message) = socket.next().await {
                if let ::rocket_ws::Message::Text(text) = message? {
                    socket.send(said(Some(&caller.0), &text).into()).await?;
                }
            }
            Ok(())
        })
    })
}

async fn rocket_server(world: &World, routes: Vec<::rocket::Route>) -> SocketAddr {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::sync::Mutex::new(Some(sender));
    let started = ::rocket::fairing::AdHoc::on_liftoff("started", move |rocket| {
        let addr = SocketAddr::new(rocket.config().address, rocket.config().port);
        sender.lock().unwrap().take().unwrap().send(addr).unwrap();
        Box::pin(async {})
    });
    let config = ::rocket::Config { port: 0, ..::rocket::Config::default() };
    let auth = rocket_app::Auth(world.verifier.clone());
    let app = ::rocket::custom(config).attach(auth).attach(started).mount("/", routes);
    // It ends with the test's runtime.
    tokio::spawn(app.launch());
    receiver.await.unwrap()
}

#[tokio::test]
async fn rocket() {
    let world = world(Variant::Sources).await;
    let addr = rocket_server(&world, ::rocket::routes![rocket_ws]).await;
    judge(&world, addr).await;
}

#[rocket::get("/v1/cookie")]
fn rocket_cookie(jar: &::rocket::http::CookieJar<'_>) -> String {
    format!("{}", jar.get("vg").is_some())
}

/// Known, and said in the example: Rocket has read the cookies before any fairing.
#[tokio::test]
async fn rocket_keeps_a_cookie_s_token_in_its_jar() {
    let world = world(Variant::Sources).await;
    let addr = rocket_server(&world, ::rocket::routes![rocket_cookie]).await;
    let cookie = format!("Cookie: vg={}", world.token);
    let lines = ["GET /v1/cookie HTTP/1.1", cookie.as_str(), "Sec-Fetch-Site: same-origin"];
    let answer = ask(addr, &lines, b"", b"").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"true".as_slice()));
}
