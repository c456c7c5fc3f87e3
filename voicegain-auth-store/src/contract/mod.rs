//! The tests that every store must pass.
//!
//! Implement [`Fixture`] for a store, and let [`store_contract!`](crate::store_contract) make one test of
//! each case:
//!
//! ```
//! use voicegain_auth_core::MemoryStore;
//! use voicegain_auth_store::contract::Fixture;
//!
//! struct Memory(MemoryStore);
//!
//! impl Fixture for Memory {
//!     type Store = MemoryStore;
//!
//!     async fn new(log_capacity: u32) -> Self {
//!         let capacity = usize::try_from(log_capacity).unwrap();
//!         Self(MemoryStore::with_log_capacity(capacity).unwrap())
//!     }
//!
//!     async fn open(&self) -> MemoryStore {
//!         self.0.clone()
//!     }
//! }
//!
//! mod memory {
//!     voicegain_auth_store::store_contract!(super::Memory);
//! }
//! # fn main() {}
//! ```
//!
//! A store that seals its secrets is to pass them twice, once as a plain one, and those of
//! [`sealed_store_contract!`](crate::sealed_store_contract) besides.
//!
//! The tests need tokio's features `macros` and `rt-multi-thread`.

// This is test code, even though it is compiled into the library for others to use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc
)]

mod changes;
mod concurrency;
mod ends;
mod feed;
mod fixture;
mod reads;
mod restore;
#[cfg(feature = "_sealing")]
mod sealed;
mod uses;

pub use changes::*;
pub use concurrency::*;
pub use ends::*;
pub use feed::*;
pub use fixture::Fixture;
pub use reads::*;
pub use restore::*;
#[cfg(feature = "_sealing")]
pub use sealed::*;
pub use uses::*;

/// Makes one test of each case of the contract, for one [`Fixture`].
#[macro_export]
macro_rules! store_contract {
    ($fixture:ty) => {
        $crate::store_contract! { @tests $fixture:
            w7_create_begins_at_generation_1,
            w7_create_refuses_an_id_that_lives,
            w7_a_deleted_id_comes_back_only_by_revive,
            w7_a_revived_generation_goes_on,
            w7_secrets_of_any_allowed_length_come_back,
            m1_regenerate_replaces_the_secret_and_counts,
            m1_regenerate_names_the_others_of_the_context,
            m1_a_late_regenerate_brings_nothing_back,
            update_changes_what_the_patch_names,
            update_needs_a_web_config_that_lives,
            delete_answers_its_revision_and_happens_once,
            a_change_that_is_refused_leaves_no_trace,
            text_is_kept_as_it_is,
            load_answers_the_heads_revision,
            list_filters_and_pages,
            living_pages_with_the_head,
            c7_pages_lead_past_what_has_ended,
            c3_load_page_answers_secrets_with_the_head,
            nothing_shows_a_secret,
            c3_another_handle_sees_what_was_acknowledged,
            c4_an_empty_store_has_a_head,
            c4_the_log_says_what_happened,
            c4_the_log_pages,
            c4_an_entry_under_another_id_is_gone,
            c4_what_was_compacted_is_gone,
            c4_a_proof_answers_as_the_log_does,
            c1_the_end_of_a_context_ends_what_lives_there,
            c1_the_end_of_an_account_ends_all_of_its_contexts,
            c1_what_is_created_after_an_end_lives,
            m1_nothing_changes_what_has_ended,
            w7_an_ended_id_comes_back_only_by_revive,
            w7_an_end_keeps_what_is_remembered_of_the_deleted,
            an_end_counts_what_it_ends,
            c4_an_end_is_one_log_entry,
            changed_resolves_when_behind,
            changed_wakes_for_this_handle,
            changed_wakes_for_another_handle,
            changed_can_be_dropped,
            m1_concurrent_regenerates_all_count,
            w7_of_concurrent_creates_one_succeeds,
            c3_revisions_become_visible_in_order,
            c3_snapshots_are_whole,
            w7_what_is_restored_is_as_it_was,
            w7_restore_refuses_an_id_that_lives,
            c3_a_restored_generation_never_goes_back,
            c3_a_restored_generation_never_goes_back_behind_an_end,
            c3_another_handle_sees_what_was_restored,
            w7_of_concurrent_restores_one_succeeds,
            the_last_use_is_the_latest,
            c4_a_use_is_no_change,
            what_ends_is_not_used_any_more,
            uses_come_from_many_at_once,
        }
    };
    (@tests $fixture:ty: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::contract::$case::<$fixture>().await;
            }
        )+
    };
}
