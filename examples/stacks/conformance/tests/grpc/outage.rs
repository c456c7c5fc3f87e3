//! What clients are told while it cannot be known whether their tokens are good (rules V6, C8).

use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::Code;
use voicegain_auth_core::{Issuer, MemoryStore, Policy, SecretCache, Verifier};

use crate::common::over;
use crate::page::{FORMS, assert_readable, call};
use crate::revoked::{assert_ended, chat, next};
use crate::{client, serve, text, with};

/// Where the cache has its feed. Without it the cache hears nothing of its store, as when that is away.
struct Feed(Option<Runtime>);

impl Feed {
    fn end(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end();
    }
}

#[tokio::test]
async fn calls_under_way_end_and_whoever_calls_is_told_when_to_try_again() {
    let mut feed = Feed(Some(Runtime::new().unwrap()));
    let cache = SecretCache::builder(MemoryStore::new().unwrap())
        .max_revocation_delay(Duration::from_secs(2))
        .wait_limit(Duration::from_millis(100))
        .runtime(feed.0.as_ref().unwrap().handle().clone())
        .build()
        .unwrap();
    let issuer = Issuer::new(cache.clone(), conformance::fixture::API_URL).unwrap();
    let world = over(Verifier::new(cache.clone(), Policy::default()), issuer).await;
    let running = serve(world);
    let token = running.world.token.clone();
    let (_sender, mut answers) = chat(running.addr, &token).await;

    feed.end();
    assert_ended(&next(&mut answers).await.unwrap_err());
    while cache.status().ready {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = client(running.addr).await.hello(with(text("hi"), Some(&token))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.metadata().get("voicegain-reason").unwrap(), "temporarily_unavailable");
    assert!(status.metadata().get("retry-after").unwrap().to_str().unwrap().parse::<u64>().unwrap() > 0);

    let authorization = format!("Authorization: Bearer {token}");
    for (form, method) in FORMS.into_iter().flat_map(|form| [(form, "Hello"), (form, "Count")]) {
        let answer = call(running.addr, form, method, &authorization).await;
        assert_eq!(answer.status, 200);
        assert!(answer.one("content-type").unwrap().starts_with(form), "{}", answer.describe());
        assert_eq!(answer.one("grpc-status").unwrap(), "14");
        assert_eq!(answer.one("voicegain-reason").unwrap(), "temporarily_unavailable");
        assert!(answer.one("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        assert!(answer.one("grpc-message").is_some());
        assert_readable(&answer);
        assert!(answer.body.is_empty(), "{:?}", answer.body);
    }
}
