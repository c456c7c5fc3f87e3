//! Proof by simulation that the promise about revocation (rules C1 to C8) is kept.
//!
//! - [`history`] is what happened, as seen from outside, and [`checker`] says whether it may have. Both know nothing of how
//!   it came about, and serve runs on real servers as well.
//! - [`world`] is the first level: the very freshness machine of core in a modelled process, in virtual time, many thousands
//!   of schedules a second.
//! - [`real`] is the second: core's cache, feed client and verifier themselves, on a model store under tokio's paused clock.
//! - [`interleavings`] goes through all orders of events of a small world, instead of some of a large one.

pub mod checker;
pub mod history;
pub mod interleavings;
pub mod real;
pub mod world;

/// The source of core's freshness machine, compiled here once more: it is private to core, and should not become public for
/// the sake of this crate. Its imports name core's own modules, which the small modules below stand in for. `build.rs` takes
/// out what cannot be included: its unit tests, which belong to core, and the form of its docs.
#[allow(dead_code, reason = "what core uses of it is not what is used here")]
mod freshness {
    include!(concat!(env!("OUT_DIR"), "/freshness.rs"));
}

mod clock {
    pub(crate) use voicegain_auth_core::clock::Reading;
}

mod ids {
    pub(crate) use voicegain_auth_core::{AccountId, ContextId, WebConfigId};
}

mod store {
    pub(crate) use voicegain_auth_core::store::{EntryId, Living, LivingPage, LogPosition, Revision, Scope};
    use voicegain_auth_core::{AccountId, ContextId, Generation, WebConfigId};

    /// Core's, which the machine could not match on outside of core: it is `#[non_exhaustive]` there. That the two have the
    /// same cases is seen to by the second level, which turns each of these into one of core's.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum Change {
        Put { id: WebConfigId, generation: Generation, account_id: AccountId, context_id: ContextId },
        Deleted { id: WebConfigId, generation: Generation },
        Ended(Scope),
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct LogEntry {
        pub(crate) position: LogPosition,
        pub(crate) change: Change,
    }
}

mod web_config {
    pub(crate) use voicegain_auth_core::Generation;
}
