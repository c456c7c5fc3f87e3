//! By what name a request is found again.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a request: what its answer, the log, and the list of refusals call it. No secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// A new id, unlike any other of this process, and of other processes as far as chance can tell.
    #[must_use]
    pub fn new() -> Self {
        // The standard library's hasher is seeded by the system, anew for each process.
        static PROCESS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = PROCESS.each_ref().map(|state| u128::from(state.hash_one(number)));
        Self(high << 64 | low)
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

/// 32 hexadecimal digits in lower case, as the ids of traces are written.
impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// This is no request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 32 hexadecimal digits")]
pub struct InvalidRequestId;

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_one);
        number.map(Self).ok_or(InvalidRequestId)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let ids: HashSet<_> = (0..10_000).map(|_| RequestId::new()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let id = RequestId::new();
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (32, Ok(id)));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        let ones = |count| "1".repeat(count);
        for bad in ["", "0", &ones(31), &ones(33), &format!("+{}", ones(31)), &"g".repeat(32)] {
            assert_eq!(bad.parse::<RequestId>(), Err(InvalidRequestId), "{bad}");
        }
    }
}
