use super::*;
use crate::head::testing::TestHead;
use crate::testing::World;
use crate::web_config::Generation;
use crate::{ChangeFeed as _, Policy, SecretStore as _};

fn moved(stored: &StoredWebConfig) -> RestoredWebConfig {
    stored.clone().into()
}

#[tokio::test]
async fn w7_what_was_restored_keeps_its_tokens_and_goes_on_counting() {
    let (from, to) = (World::new().await, World::new().await);
    let issued = from.create().await;
    let id = issued.config.id;
    let token = from.issuer.regenerate(id).await.unwrap().jwt;
    let inventory = from.issuer.inventory().await.unwrap();
    assert_eq!(inventory.stored.len(), 1);
    let restored = to.issuer.restore(moved(&inventory.stored[0])).await.unwrap();
    assert_eq!((restored.id, restored.generation.get()), (id, 2));

    let verifier = to.verifier(Policy::default());
    let status = async |jwt: &str| {
        let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(jwt)).await;
        admitted.map_or_else(|refusal| refusal.status(), |_| 200)
    };
    // At once, since the process that restored it has heard of it.
    assert_eq!((status(&token).await, status(&issued.jwt).await), (200, 401));
    let newer = to.issuer.regenerate(id).await.unwrap();
    assert_eq!(newer.config.generation.get(), 3);
    assert_eq!((status(&newer.jwt).await, status(&token).await), (200, 401));
    // The other deployment hears nothing of that.
    let stored = from.store.load(id).await.unwrap().value.unwrap();
    assert_eq!(stored.config.generation.get(), 2);

    let again = to.issuer.restore(moved(&stored)).await;
    assert!(matches!(again, Err(IssueError::Store(StoreError::AlreadyExists))), "{again:?}");
    to.issuer.delete(id).await.unwrap();
    for generation in [2, 3] {
        let generation = Generation::new(generation);
        let back = RestoredWebConfig { generation, revive: true, ..moved(&stored) };
        let passed = to.issuer.restore(back).await;
        assert!(matches!(passed, Err(IssueError::Store(StoreError::GenerationPassed))), "{passed:?}");
    }
}

#[tokio::test]
async fn what_create_refuses_is_not_restored() {
    let world = World::new().await;
    world.create().await;
    let inventory = world.issuer.inventory().await.unwrap();
    let good = moved(&inventory.stored[0]);
    Issuer::check_restored(&good).unwrap();
    let generation = |number| RestoredWebConfig { generation: Generation::new(number), ..good.clone() };
    let bad = [
        ("name", RestoredWebConfig { name: String::new(), ..good.clone() }),
        ("name", RestoredWebConfig { name: "a\nb".to_owned(), ..good.clone() }),
        ("allowedOrigins", RestoredWebConfig { allowed_origins: vec!["*.com".to_owned()], ..good.clone() }),
        ("generation", generation(0)),
        ("generation", generation((1 << 52) + 1)),
        ("createdAt", RestoredWebConfig { created_at: MAX_TIME + 1, ..good.clone() }),
        ("secretCreatedAt", RestoredWebConfig { secret_created_at: u64::MAX, ..good.clone() }),
    ];
    for (expected, bad) in bad {
        let id = WebConfigId::generate().unwrap();
        let refused = world.issuer.restore(RestoredWebConfig { id, ..bad }).await;
        assert!(
            matches!(refused, Err(IssueError::Invalid { field, .. }) if field == expected),
            "{refused:?}"
        );
        assert!(world.store.load(id).await.unwrap().value.is_none());
    }
    for good in [
        generation(MAX_GENERATION),
        RestoredWebConfig { created_at: 0, secret_created_at: MAX_TIME, ..good.clone() },
    ] {
        Issuer::check_restored(&good).unwrap();
    }
}

#[tokio::test]
async fn an_inventory_of_a_store_at_rest_is_whole() {
    let world = World::new().await;
    let inventory = world.issuer.inventory().await.unwrap();
    assert!(inventory.stored.is_empty() && inventory.unreadable.is_empty() && inventory.head.is_some());
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.create().await.config.id);
    }
    let gone = world.create().await.config.id;
    world.issuer.delete(gone).await.unwrap();
    ids.sort();
    // Two at a time, so that there are pages.
    world.controls.page.store(2, std::sync::atomic::Ordering::SeqCst);
    let inventory = world.issuer.inventory().await.unwrap();
    assert_eq!(inventory.stored.iter().map(|stored| stored.config.id).collect::<Vec<_>>(), ids);
    assert!(inventory.unreadable.is_empty());
    assert_eq!(inventory.head.unwrap(), world.store.living(None, 1).await.unwrap().head);
    assert!(!format!("{inventory:?}").contains("Secret(["), "no secret is shown");
}

#[tokio::test]
async fn an_inventory_notices_what_cannot_be_read_and_what_changes() {
    let world = World::new().await;
    let [kept, hidden] = [world.create().await.config.id, world.create().await.config.id];
    world.controls.left_out.lock().unwrap().push(hidden);
    let inventory = world.issuer.inventory().await.unwrap();
    assert_eq!(inventory.stored.iter().map(|stored| stored.config.id).collect::<Vec<_>>(), [kept]);
    assert_eq!(inventory.unreadable, [hidden]);
    world.controls.left_out.lock().unwrap().clear();

    // A change after the pages were loaded, and before it was asked what lives.
    *world.controls.regenerated_by_load_page.lock().unwrap() = Some(kept);
    let inventory = world.issuer.inventory().await.unwrap();
    assert!(inventory.head.is_none(), "the store changed");
    assert!(world.issuer.inventory().await.unwrap().head.is_some());
}
