//! Calls of a gRPC client.

use conformance::stack::Variant;
use tonic::{Code, Status};

use crate::common::world;
use crate::{client, serve, start, text, texts, with};

#[tokio::test]
async fn calls_of_all_four_kinds_are_let_in() {
    let running = start().await;
    let token = Some(running.world.token.as_str());
    let mut client = client(running.addr).await;
    let answer = client.hello(with(text("hi"), token)).await.unwrap().into_inner();
    assert_eq!(answer.text, "acc-1 says hi");
    let answer = client.collect(with(texts(), token)).await.unwrap().into_inner();
    assert_eq!(answer.text, "acc-1 says a b");
    let mut answers = client.count(with(text(""), token)).await.unwrap().into_inner();
    for number in 1..=3 {
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("acc-1 {number}"));
    }
    assert_eq!(answers.message().await.unwrap(), None);
    let mut answers = client.chat(with(texts(), token)).await.unwrap().into_inner();
    for letter in ["a", "b"] {
        assert_eq!(answers.message().await.unwrap().unwrap().text, format!("acc-1 says {letter}"));
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn calls_of_all_four_kinds_are_refused_before_anything_is_answered() {
    let running = start().await;
    let limited = running.world.limited("/elsewhere");
    let mut client = client(running.addr).await;
    let is = |status: Status, code: Code, reason: &str| {
        assert_eq!(status.code(), code, "{status}");
        // In the metadata of a status it can be only if there was no answer but that: the refusal is trailers only.
        assert_eq!(status.metadata().get("voicegain-reason").unwrap(), reason);
        assert!(status.message().contains("token"), "{status}");
    };
    for (token, code, reason) in [
        (None, Code::Unauthenticated, "missing_token"),
        (Some("x"), Code::Unauthenticated, "invalid_token"),
        (Some(limited.as_str()), Code::PermissionDenied, "insufficient_scope"),
    ] {
        is(client.hello(with(text("hi"), token)).await.unwrap_err(), code, reason);
        is(client.collect(with(texts(), token)).await.unwrap_err(), code, reason);
        is(client.count(with(text(""), token)).await.unwrap_err(), code, reason);
        is(client.chat(with(texts(), token)).await.unwrap_err(), code, reason);
    }
}

#[tokio::test]
async fn a_token_limited_to_a_service_is_good_for_it() {
    let mut world = world(Variant::Default).await;
    let policy = voicegain_auth_core::Policy::builder().base_path("/").build().unwrap();
    world.verifier = voicegain_auth_core::Verifier::new(world.verifier.cache().clone(), policy);
    let (good, other) = (world.limited("/example.Talk"), world.limited("/example.Tal"));
    let running = serve(world);
    let mut client = client(running.addr).await;
    assert_eq!(client.hello(with(text("hi"), Some(&good))).await.unwrap().into_inner().text, "acc-1 says hi");
    let status = client.hello(with(text("hi"), Some(&other))).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}
