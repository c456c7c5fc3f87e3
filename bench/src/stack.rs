//! What the stacks have in common: a door that a request goes through, and the check that it holds.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::sample::{Contender, Role};
use crate::tokens::{Case, Sent};

/// A service under test. `R` is a prepared request of the stack's own type.
pub(crate) struct Door<R> {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Builds a fresh request, sends it, and answers the status.
    pub(crate) send: Box<dyn FnMut(&R) -> u16>,
}

impl<R> Door<R> {
    pub(crate) fn new(name: &'static str, role: Role, send: impl FnMut(&R) -> u16 + 'static) -> Self {
        Self { name, role, send: Box::new(send) }
    }
}

/// Makes contenders of a case's doors, each with the requests that are meant for it, once every door has been
/// seen to do what it claims.
pub(crate) fn contenders<'a, R: 'a>(
    case: &Case<'_>,
    expired: &Sent,
    doors: Vec<Door<R>>,
    prepare: impl Fn(&Sent) -> R,
) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    for mut door in doors {
        let tokens = if door.role == Role::Peer { case.peers } else { case.ours };
        // A door that verifies nothing lets everything in.
        let refusing = door.role.verifies() && !case.accepted;
        let expected = if refusing { 401 } else { 200 };
        if tokens.is_empty() || (!case.accepted && !door.role.verifies()) {
            continue;
        }
        check(case, expired, &mut door, tokens, expected, &prepare);

        let requests: Vec<R> = tokens.iter().map(&prepare).collect();
        let Door { name, role, mut send } = door;
        let mut next = 0;
        contenders.push(Contender::new(name, role, move || {
            let status = send(&requests[next]);
            assert_eq!(black_box(status), expected, "{name}");
            next = if next + 1 == requests.len() { 0 } else { next + 1 };
        }));
    }
    contenders
}

/// Whoever claims to verify must accept the good and refuse the forged and the expired, or its figures mean
/// nothing.
fn check<R>(
    case: &Case<'_>,
    expired: &Sent,
    door: &mut Door<R>,
    tokens: &[Sent],
    expected: u16,
    prepare: &impl Fn(&Sent) -> R,
) {
    let name = door.name;
    for sent in tokens {
        let status = (door.send)(&prepare(sent));
        assert_eq!(status, expected, "{name} answers a token of the case {} with {status}", case.name);
    }
    let lenient = if door.role.verifies() { 401 } else { 200 };
    let status = (door.send)(&prepare(&tokens[0].forged()));
    assert_eq!(status, lenient, "{name} answers a forged token with {status} in the case {}", case.name);
    if case.expires {
        let status = (door.send)(&prepare(expired));
        assert_eq!(
            status, lenient,
            "{name} answers an expired token with {status} in the case {}",
            case.name
        );
    }
}

/// Runs a future to its end on this thread. Where nothing has to be waited for, that is one poll and no
/// executor.
pub(crate) fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => futures_executor::block_on(future),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::tokens::Tokens;

    /// Contenders of one door, which answers by this, in the case of the short-lived token.
    fn with_door(role: Role, answer: impl Fn(&Tokens, &str) -> u16 + 'static) {
        let tokens = Rc::new(Tokens::make().expect("tokens"));
        let of_door = Rc::clone(&tokens);
        let door = Door::new("a door", role, move |token: &String| answer(&of_door, token));
        let [_, short_lived, ..] = tokens.accepted();
        let made = contenders(&short_lived, &tokens.expired[0], vec![door], |sent| sent.token.clone());
        assert_eq!(made.len(), 1);
    }

    fn is_good(tokens: &Tokens, token: &str) -> bool {
        token == tokens.short_lived[0].token
    }

    #[test]
    fn a_door_that_does_what_it_claims_is_measured() {
        with_door(Role::Peer, |tokens, token| if is_good(tokens, token) { 200 } else { 401 });
        with_door(Role::Bare, |_, _| 200);
    }

    #[test]
    #[should_panic(expected = "answers a forged token with 200")]
    fn a_door_that_lets_forged_tokens_in_stops_the_bench() {
        with_door(Role::Peer, |_, _| 200);
    }

    #[test]
    #[should_panic(expected = "answers an expired token with 200")]
    fn a_door_that_lets_expired_tokens_in_stops_the_bench() {
        with_door(Role::Peer, |tokens, token| {
            let is_expired = token == tokens.expired[0].token;
            if is_good(tokens, token) || is_expired { 200 } else { 401 }
        });
    }

    #[test]
    #[should_panic(expected = "answers a token of the case short-lived with 401")]
    fn a_door_that_refuses_good_tokens_stops_the_bench() {
        with_door(Role::Ours, |_, _| 401);
    }

    #[test]
    fn what_has_to_be_waited_for_is_waited_for() {
        let mut polls = 0;
        let twice = std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls == 1 { Poll::Pending } else { Poll::Ready("done") }
        });
        assert_eq!(drive(twice), "done");
        assert_eq!(polls, 2);
    }
}
