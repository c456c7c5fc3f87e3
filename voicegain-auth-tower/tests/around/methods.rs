//! Requests of other methods than GET.

use axum::Router;
use axum::routing::get;
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::World;
use crate::{account, all_sources, request, send, serve};

#[tokio::test]
async fn a_fallback_for_other_methods_is_covered_by_layer() {
    let world = World::new().await;
    let app = Router::new()
        .route("/v1/x", get(account))
        .method_not_allowed_fallback(async || (StatusCode::IM_A_TEAPOT, "fallback"))
        .layer(world.layer());
    let put = |headers| {
        let mut request = request("/v1/x", headers);
        *request.method_mut() = Method::PUT;
        request
    };
    let bearer = format!("Bearer {}", world.long_lived().await);
    assert_eq!(send(&app, put(&[])).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(send(&app, put(&[("authorization", &bearer)])).await.status(), StatusCode::IM_A_TEAPOT);
}

/// Over a real connection: that an answer to HEAD has no body is the matter of axum and of hyper.
#[tokio::test]
async fn a_head_is_decided_about_and_answered_as_its_get_would_be_but_for_the_body() {
    let world = World::new().await;
    let token = world.long_lived().await;
    let address = serve(Router::new().route("/v1/x", get(account)).layer(all_sources(&world))).await;
    let ask = async |method: &str, query: &str, field: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} /v1/x{query} HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\n{field}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let fields =
            head.to_lowercase().lines().filter(|it| !it.starts_with("date: ")).map(str::to_owned).collect();
        (fields, body.to_owned())
    };
    for (query, field, status, said) in [
        (
            "",
            "Accept: */*",
            401,
            &["cache-control: no-store", "vary: origin", "content-type: application/json"][..],
        ),
        ("", &*format!("Authorization: Bearer {token}"), 200, &["content-length: 5"]),
        (&*format!("?access_token={token}"), "Sec-Fetch-Site: none", 200, &["cache-control: private"]),
    ] {
        let (head, nothing): (Vec<String>, _) = ask("HEAD", query, field).await;
        let (get, body): (Vec<String>, _) = ask("GET", query, field).await;
        assert!(get[0].starts_with(&format!("http/1.1 {status} ")) && !body.is_empty(), "{get:?}");
        assert_eq!((&head, nothing.as_str()), (&get, ""));
        for line in said {
            assert!(head.iter().any(|it| it == line), "{line}: {head:?}");
        }
        assert_eq!(
            head.iter().any(|it| it.starts_with("www-authenticate: bearer")),
            status == 401,
            "{head:?}"
        );
    }
}
