//! What was asked of the store, counted.

/// What a cache has asked of its store since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreWork {
    /// Look-ups that found a web config.
    pub found: u64,
    /// Look-ups of one that does not live.
    pub absent: u64,
    /// Look-ups that failed.
    pub failed: u64,
    /// Proofs of freshness.
    pub proved: u64,
    /// Attempts at one that failed.
    pub unproved: u64,
}
