//! Who is signed in. A cookie holds a random number and nothing else; all that it stands for is kept here, and ends here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::operator::Operator;

/// How long a session lasts without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long it lasts at most.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// How many there may be; the one that was idle longest makes room.
const SESSIONS: usize = 1_000;
/// How many forms of a session may be open; the oldest makes room.
const FORMS: usize = 200;
/// How many pages are kept for it to be shown.
const PAGES: usize = 3;

/// Of the cookie's value: whoever can read this process's memory finds no cookie that is good.
type Key = [u8; 32];

/// All who are signed in.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Key, Session>>);

struct Session {
    operator: Operator,
    begun: Instant,
    seen: Instant,
    /// Stands in every form of this session, so that no other site can make one.
    secret: Arc<str>,
    /// Forms that have not been sent yet and may be sent once.
    forms: VecDeque<String>,
    /// Pages that a form has led to, each by a name of its own.
    pages: VecDeque<(String, Arc<str>)>,
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.seen) < IDLE && now.saturating_duration_since(self.begun) < LIFE
    }
}

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct SignedIn {
    key: Key,
    operator: Operator,
    secret: Arc<str>,
}

impl SignedIn {
    /// Who that is.
    pub(crate) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// What the person is called.
    pub(super) fn who(&self) -> &str {
        self.operator.name()
    }

    /// What every form of this session carries.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// Whether a form is one of this session's.
    pub(super) fn is_own(&self, secret: &str) -> bool {
        self.secret.as_bytes().ct_eq(secret.as_bytes()).into()
    }
}

impl Sessions {
    fn sessions(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session, and answers the cookie's value.
    pub(super) fn begin(&self, operator: Operator, now: Instant) -> Result<String, getrandom::Error> {
        let (cookie, secret) = (random()?, random()?.into());
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.lives(now));
        if sessions.len() >= SESSIONS {
            let idlest = sessions.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
            idlest.and_then(|key| sessions.remove(&key));
        }
        let session = Session {
            operator,
            begun: now,
            seen: now,
            secret,
            forms: VecDeque::new(),
            pages: VecDeque::new(),
        };
        sessions.insert(key(&cookie), session);
        Ok(cookie)
    }

    /// Whose cookie that is.
    pub(super) fn find(&self, cookie: &str, now: Instant) -> Option<SignedIn> {
        let key = key(cookie);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&key).filter(|session| session.lives(now))?;
        session.seen = now;
        Some(SignedIn { key, operator: session.operator.clone(), secret: session.secret.clone() })
    }

    /// A mark for a form that may be sent once.
    pub(super) fn form(&self, signed_in: &SignedIn) -> Result<String, getrandom::Error> {
        let mark = random()?;
        if let Some(session) = self.sessions().get_mut(&signed_in.key) {
            session.forms.push_back(mark.clone());
            if session.forms.len() > FORMS {
                session.forms.pop_front();
            }
        }
        Ok(mark)
    }

    /// Whether a form with this mark has not been sent before. Now it has.
    pub(super) fn send(&self, signed_in: &SignedIn, mark: &str) -> bool {
        let mut sessions = self.sessions();
        let Some(session) = sessions.get_mut(&signed_in.key) else { return false };
        let found = session.forms.iter().position(|open| open == mark);
        found.and_then(|at| session.forms.remove(at)).is_some()
    }

    /// Keeps a page that is to be shown at a place of its own, and answers the name it is kept by. Browsers keep what was sent
    /// along with a page that answers a form, on their disk too; to a page that the answer leads to they keep nothing.
    pub(super) fn keep(&self, signed_in: &SignedIn, page: String) -> Result<String, getrandom::Error> {
        let name = random()?;
        if let Some(session) = self.sessions().get_mut(&signed_in.key) {
            session.pages.push_back((name.clone(), page.into()));
            if session.pages.len() > PAGES {
                session.pages.pop_front();
            }
        }
        Ok(name)
    }

    /// The page that is kept by this name.
    pub(super) fn kept(&self, signed_in: &SignedIn, name: &str) -> Option<Arc<str>> {
        let sessions = self.sessions();
        let pages = &sessions.get(&signed_in.key)?.pages;
        pages.iter().find(|(have, _)| have == name).map(|(_, page)| page.clone())
    }

    /// Ends a session: its cookie is good for nothing from now on.
    pub(super) fn end(&self, signed_in: &SignedIn) {
        self.sessions().remove(&signed_in.key);
    }
}

fn key(cookie: &str) -> Key {
    Sha256::digest(cookie.as_bytes()).into()
}

pub(super) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed_in(sessions: &Sessions, now: Instant) -> (String, SignedIn) {
        let cookie = sessions.begin(Operator::AdminToken, now).unwrap();
        let signed_in = sessions.find(&cookie, now).unwrap();
        (cookie, signed_in)
    }

    #[test]
    fn a_session_ends_by_idleness_by_age_and_by_signing_out() {
        let (sessions, begun) = (Sessions::default(), Instant::now());
        let (cookie, _) = signed_in(&sessions, begun);
        assert!(sessions.find("another", begun).is_none());
        assert!(sessions.find(&cookie, begun + IDLE).is_none());

        let mut now = begun;
        let (cookie, _) = signed_in(&sessions, begun);
        while now + IDLE / 2 < begun + LIFE {
            now += IDLE / 2;
            assert_eq!(sessions.find(&cookie, now).unwrap().operator(), &Operator::AdminToken);
        }
        assert!(sessions.find(&cookie, begun + LIFE).is_none());

        let (cookie, signed_in) = signed_in(&sessions, begun);
        sessions.end(&signed_in);
        assert!(sessions.find(&cookie, begun).is_none());
        assert!(!sessions.send(&signed_in, &sessions.form(&signed_in).unwrap()));
    }

    #[test]
    fn a_form_is_sent_once_and_in_its_own_session() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let ((_, one), (_, other)) = (signed_in(&sessions, now), signed_in(&sessions, now));
        let mark = sessions.form(&one).unwrap();
        assert!(!sessions.send(&other, &mark));
        assert!(sessions.send(&one, &mark));
        assert!(!sessions.send(&one, &mark));
        assert!(one.is_own(one.secret()) && !one.is_own(other.secret()) && !one.is_own(""));
        let first = sessions.form(&one).unwrap();
        for _ in 0..FORMS {
            sessions.form(&one).unwrap();
        }
        assert!(!sessions.send(&one, &first), "the oldest made room");
    }

    #[test]
    fn a_page_is_kept_for_its_own_session_and_not_for_ever() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let ((_, one), (_, other)) = (signed_in(&sessions, now), signed_in(&sessions, now));
        let name = sessions.keep(&one, "a page".to_owned()).unwrap();
        assert_eq!(sessions.kept(&one, &name).as_deref(), Some("a page"));
        assert!(sessions.kept(&other, &name).is_none() && sessions.kept(&one, "").is_none());
        for _ in 0..PAGES {
            sessions.keep(&one, String::new()).unwrap();
        }
        assert!(sessions.kept(&one, &name).is_none(), "the oldest made room");
    }

    #[test]
    fn there_is_room_for_so_many() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (first, _) = signed_in(&sessions, now);
        let later = now + Duration::from_secs(1);
        let (second, _) = signed_in(&sessions, later);
        for _ in 2..=SESSIONS {
            sessions.begin(Operator::AdminToken, later).unwrap();
        }
        assert!(sessions.find(&first, later).is_none());
        assert!(sessions.find(&second, later).is_some());
    }
}
