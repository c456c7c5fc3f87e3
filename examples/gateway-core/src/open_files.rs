//! How many files a process may have open, connections among them, and for how many connections that is enough.

/// What is kept for all but the main port's connections and the upstream's: the admin port, the store, and what a runtime
/// needs.
const RESERVE: usize = 256;
/// How many of these the admin port may have: strangers who reach it must not keep the other one from its own.
const ADMIN: usize = 128;

/// Raises the limit as far as the system lets this process.
pub fn raise_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current == maximum {
            return;
        }
        // Some systems say that there is no limit, and have one.
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
    }
}

/// How many connections the main port may have open at a time. Each may have a request under way, which takes a connection
/// to the upstream.
#[must_use]
pub fn max_connections() -> usize {
    limit().map_or(usize::MAX, enough_for)
}

/// How many connections the admin port may have open at a time.
#[must_use]
pub fn max_admin_connections() -> usize {
    limit().map_or(ADMIN, |limit| ADMIN.min(limit / 4).max(1))
}

fn enough_for(limit: usize) -> usize {
    let reserve = RESERVE.min(limit / 2);
    ((limit - reserve) / 2).max(1)
}

/// How many files may be open, if that is limited.
fn limit() -> Option<usize> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};

        getrlimit(Resource::Nofile).current.and_then(|limit| limit.try_into().ok())
    }
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_room_for_one_to_the_upstream_and_something_is_left() {
        for limit in [1, 2, 10, 64, 127, 128, 256, 1_024, 65_536, 1 << 20, usize::MAX] {
            let cap = enough_for(limit);
            assert!(
                cap >= 1 && (limit < 4 || 2 * cap <= limit - limit.min(2 * RESERVE) / 2),
                "{limit}: {cap}"
            );
        }
        assert_eq!([256, 1_024, 1 << 19].map(enough_for), [64, 384, 262_016]);
    }

    #[cfg(unix)]
    #[test]
    fn the_limit_is_raised_to_the_most_there_may_be() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let lower = Rlimit { current: maximum.map(|most| most - 1), maximum };
        setrlimit(Resource::Nofile, lower).unwrap();
        assert_eq!(getrlimit(Resource::Nofile), lower);
        raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
        assert_eq!(max_connections(), maximum.map_or(usize::MAX, |most| enough_for(most as usize)));
    }
}
