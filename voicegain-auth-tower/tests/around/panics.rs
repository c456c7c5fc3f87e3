//! Handlers that panic, caught on either side.

use axum::Router;
use axum::routing::get;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower_http::catch_panic::CatchPanicLayer;
use voicegain_auth_tower::Identity;

use crate::common::World;
use crate::{account, all_sources, read_until, serve};

/// A caught panic comes through the layer if it was caught inside: only there is the answer to a token in the
/// query private.
#[tokio::test]
async fn v8_a_panic_in_a_handler_leaves_nothing_behind_for_the_next_request() {
    let world = World::new().await;
    let token = &world.long_lived().await;
    let panics = async |_: Identity| -> &'static str { panic!("as a handler might") };
    let routes = || Router::new().route("/v1/panics", get(panics)).route("/v1/x", get(account));
    let (auth, catch) = (|| all_sources(&world), CatchPanicLayer::new);
    for (inside, app) in
        [(false, routes().layer(auth()).layer(catch())), (true, routes().layer(catch()).layer(auth()))]
    {
        let address = serve(app).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        for (path, token, status, end) in [
            ("/v1/panics", Some(token), 500, "panicked"),
            ("/v1/x", None, 401, "}}"),
            ("/v1/x", Some(token), 200, "acc-1"),
            ("/v1/panics", None, 401, "}}"),
            ("/v1/panics", Some(token), 500, "panicked"),
        ] {
            let query = token.map(|token| format!("?access_token={token}")).unwrap_or_default();
            let request =
                format!("GET {path}{query} HTTP/1.1\r\nHost: own.test\r\nSec-Fetch-Site: none\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = read_until(&mut stream, end).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{path}, caught inside: {inside}: {answer}"
            );
            let private = answer.contains("cache-control: private");
            assert_eq!(
                private,
                status == 200 || status == 500 && inside,
                "caught inside: {inside}: {answer}"
            );
        }
    }
}
