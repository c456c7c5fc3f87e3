//! What it means that etcd did not do as it was asked.

use std::error::Error as _;
use std::iter;

use etcd_client::Error;
use tonic::{Code, ConnectError, Status};
use voicegain_auth_core::store::BoxError;

use super::error::Cause;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advice {
    /// Asking again brings nothing.
    Final,
    /// Ask the same member again.
    Repeat,
    /// Ask another member, over a new connection and after a new login.
    Switch,
}

/// An error, judged.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) cause: Cause,
    pub(super) advice: Advice,
    /// Whether the request may have been, or may yet be, carried out.
    pub(super) may_happen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody knows whether the request was carried out.
    Broken,
    /// The member cannot do it just now, and has not tried.
    NotNow,
    Refused,
    NoSpace,
    TooLarge,
    Compacted,
    Rejected,
}

impl Trouble {
    /// Nothing has been sent: the connection could not be made.
    pub(super) fn connecting(endpoint: &str, error: Error) -> Self {
        Self { may_happen: false, ..Self::judge(endpoint, error) }
    }

    pub(super) fn judge(endpoint: &str, source: Error) -> Self {
        let (kind, advice) = match &source {
            Error::GRpcStatus(status) => of_status(status),
            Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
                (Kind::Rejected, Advice::Final)
            }
            _ => (Kind::Broken, Advice::Switch),
        };
        let source = in_full(source);
        let cause = match kind {
            Kind::Broken | Kind::NotNow => Cause::Unreachable { endpoint: endpoint.to_owned(), source },
            Kind::Refused => Cause::Refused { source },
            Kind::NoSpace => Cause::NoSpace { source },
            Kind::TooLarge => Cause::TooLarge { source },
            Kind::Compacted => Cause::Compacted { source },
            Kind::Rejected => Cause::Rejected { source },
        };
        // A change that uses the quota up is made all the same, and then answered as if it had been refused.
        Self { cause, advice, may_happen: matches!(kind, Kind::Broken | Kind::NoSpace) }
    }
}

/// The client's errors do not name their causes, and a status shows them as they look from inside.
fn in_full(error: Error) -> BoxError {
    let Error::GRpcStatus(status) = error else { return error.into() };
    let mut text = status.message().to_owned();
    for cause in iter::successors(status.source(), |error| (*error).source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.into()
}

/// etcd tells its errors by text. What it did not refuse by one of these may have been carried out.
fn of_status(status: &Status) -> (Kind, Advice) {
    let says = |text: &str| status.message().contains(text);
    match status.code() {
        _ if never_connected(status) => (Kind::NotNow, Advice::Switch),
        // Said before a request is looked at, since every one of ours requires a leader.
        _ if says("etcdserver: no leader") => (Kind::NotNow, Advice::Switch),
        _ if says("etcdserver: too many requests") => (Kind::NotNow, Advice::Repeat),
        _ if says("etcdserver: leader changed") => (Kind::Broken, Advice::Repeat),
        _ if says("database space exceeded") => (Kind::NoSpace, Advice::Final),
        _ if says("request is too large") || says("received message larger than max") => {
            (Kind::TooLarge, Advice::Final)
        }
        _ if says("mvcc: required revision") => (Kind::Compacted, Advice::Final),
        // The member has forgotten the login, or users and roles have been changed since.
        Code::Unauthenticated => (Kind::Refused, Advice::Switch),
        _ if says("revision of auth store is old") => (Kind::Refused, Advice::Switch),
        Code::PermissionDenied => (Kind::Refused, Advice::Final),
        Code::InvalidArgument | Code::FailedPrecondition if says("authentication") || says("user name") => {
            (Kind::Refused, Advice::Final)
        }
        Code::InvalidArgument | Code::Unimplemented => (Kind::Rejected, Advice::Final),
        _ => (Kind::Broken, Advice::Switch),
    }
}

/// Whether the request was not even sent.
fn never_connected(status: &Status) -> bool {
    iter::successors(status.source(), |error| (*error).source()).any(|error| error.is::<ConnectError>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(code: Code, message: &str) -> Trouble {
        Trouble::judge("here", Error::GRpcStatus(Status::new(code, message)))
    }

    #[test]
    fn m1_only_what_etcd_refused_by_name_has_not_happened() {
        let refused = [
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::ResourceExhausted, "etcdserver: too many requests"),
            (Code::Unauthenticated, "etcdserver: invalid auth token"),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
            (Code::PermissionDenied, "etcdserver: permission denied"),
            (Code::InvalidArgument, "etcdserver: request is too large"),
            (Code::ResourceExhausted, "grpc: received message larger than max (3000000 vs. 2097152)"),
            (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
            (Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
        ];
        for (code, message) in refused {
            assert!(!judge(code, message).may_happen, "{message}");
        }
        let unknown = [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::Unavailable, "error reading a body from connection"),
            (Code::Unknown, "transport error"),
            (Code::Cancelled, "context canceled"),
            (Code::DeadlineExceeded, "context deadline exceeded"),
            (Code::Internal, "h2 protocol error"),
        ];
        for (code, message) in unknown {
            let trouble = judge(code, message);
            assert!(trouble.may_happen && trouble.advice == Advice::Switch, "{message}");
            let error = Error::GRpcStatus(Status::new(code, message));
            assert!(!Trouble::connecting("here", error).may_happen, "nothing was sent");
        }
    }

    #[test]
    fn a_login_that_does_not_count_any_more_is_made_anew() {
        for (code, message) in [
            (Code::Unauthenticated, "etcdserver: invalid auth token"),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        ] {
            assert_eq!(judge(code, message).advice, Advice::Switch, "{message}");
        }
        for message in [
            "etcdserver: authentication failed, invalid user ID or password",
            "etcdserver: user name is empty",
        ] {
            let trouble = judge(Code::InvalidArgument, message);
            assert!(
                matches!(trouble.cause, Cause::Refused { .. }) && trouble.advice == Advice::Final,
                "{message}"
            );
        }
    }

    #[test]
    fn m1_a_change_that_used_up_the_quota_may_have_been_made() {
        let trouble = judge(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(trouble.may_happen && trouble.advice == Advice::Final);
        assert!(trouble.cause.to_string().contains("etcdctl alarm disarm"), "{}", trouble.cause);
    }
}
