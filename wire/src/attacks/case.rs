//! Cases that are a few bytes on one connection over HTTP/1.1.

use crate::raw::{self, Talk};
use crate::strict::Request;
use crate::subject::Tokens;
use crate::upstream::{self, Arrived, Seen};

use super::{Attack, Family, Outcome, Stage, left_behind};

/// What may, or must, come of a case.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// Nothing reaches the upstream.
    Refused,
    /// The head of this may reach it, and a beginning of its body, but no end.
    Begun(Passed),
    /// These requests reach it, and nothing else.
    Passed(Vec<Passed>),
    /// It is refused, or these reach it in this order, or the first of them.
    Either(Vec<Passed>),
    /// These may reach it, but what it answers is no answer.
    Failed(Vec<Passed>),
}

/// A request that was decided about.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) body: Vec<u8>,
}

impl Passed {
    pub(super) fn new(method: &str, target: &str, body: impl AsRef<[u8]>) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), body: body.as_ref().to_vec() }
    }

    /// Whether what has come may still become it.
    pub(super) fn is_begun_by(&self, request: &Request) -> bool {
        (&*request.head.method, &*request.head.target) == (&*self.method, &*self.target)
            && self.body.starts_with(&request.body)
    }
}

/// A case. In its pieces, `{auth}` stands for the header line with the attacker's token, and `{token}` for the token.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) expect: Expect,
    /// Whether the connection must be closed behind the first answer, as RFC 9112 says of what is ambiguous.
    pub(super) closes: bool,
    /// What must go through the tunnel that opens.
    pub(super) tunnels: Option<&'static str>,
}

/// The path of most cases.
pub(super) const TARGET: &str = "/v1/case";
/// A request that no decision would let pass.
pub(super) const SMUGGLED: &str =
    "GET /v1/smuggled HTTP/1.1\r\nHost: gw.example\r\nX-Voicegain-Account-Id: evil\r\n\r\n";

/// Once.
pub(super) fn get() -> Vec<Passed> {
    vec![Passed::new("GET", TARGET, "")]
}

/// Once, with this body.
pub(super) fn post(body: impl AsRef<[u8]>) -> Vec<Passed> {
    vec![Passed::new("POST", TARGET, body)]
}

/// A body of one chunk, with the end behind it.
pub(super) fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

impl Case {
    pub(super) fn new(name: impl Into<String>, bytes: impl AsRef<[u8]>, expect: Expect) -> Self {
        let pieces = vec![bytes.as_ref().to_vec()];
        Self { name: name.into(), pieces, expect, closes: false, tunnels: None }
    }

    /// A `GET` with a token and these header lines.
    pub(super) fn get(name: &str, lines: impl AsRef<[u8]>, expect: Expect) -> Self {
        let mut bytes = format!("GET {TARGET} HTTP/1.1\r\nHost: gw.example\r\n{{auth}}").into_bytes();
        bytes.extend_from_slice(lines.as_ref());
        bytes.extend_from_slice(b"\r\n");
        Self::new(name, bytes, expect)
    }

    /// A `POST` with a token, these header lines, and these bytes behind its head.
    pub(super) fn post(name: impl Into<String>, lines: &str, rest: impl AsRef<[u8]>, expect: Expect) -> Self {
        let head = format!("POST {TARGET} HTTP/1.1\r\nHost: gw.example\r\n{{auth}}{lines}\r\n");
        Self::new(name, [head.as_bytes(), rest.as_ref()].concat(), expect)
    }

    pub(super) fn then(mut self, piece: impl AsRef<[u8]>) -> Self {
        self.pieces.push(piece.as_ref().to_vec());
        self
    }

    pub(super) fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    pub(super) fn tunnels(self, bytes: &'static str) -> Self {
        Self { tunnels: Some(bytes), ..self }
    }

    pub(super) fn into_attack(self) -> Attack {
        self.into_attack_of(Family::Smuggling)
    }

    pub(super) fn into_attack_of(self, family: Family) -> Attack {
        let name = self.name.clone();
        Attack::new(name, family, move |stage| {
            let case = self.clone();
            Box::pin(async move { case.run(stage).await })
        })
    }

    async fn run(&self, stage: Stage<'_>) -> Outcome {
        let tokens = &stage.subject.tokens;
        let pieces: Vec<Vec<u8>> = self.pieces.iter().map(|piece| filled(piece, tokens)).collect();
        let sure = if let Expect::Passed(passed) = &self.expect { passed.len() } else { 0 };
        let talk = raw::talk(stage.subject.addr, &pieces, sure).await;
        // What is still on its way belongs to this case; that it ends is looked at behind every attack.
        let _ = left_behind(stage).await;
        let seen = stage.seen().await;
        let mut findings = seen.problems.clone();
        findings.extend(self.check(&talk, &seen));
        Outcome {
            sent: self.sent(tokens),
            client: talk.describe(),
            upstream: describe(&seen),
            findings,
            ..Outcome::default()
        }
    }

    /// For people: without the start that most have.
    fn sent(&self, tokens: &Tokens) -> String {
        let usual = format!(" {TARGET} HTTP/1.1\r\nHost: gw.example\r\n{{auth}}");
        let mut shown = Vec::new();
        for piece in &self.pieces {
            let piece = replaced(piece, tokens.long.as_bytes(), b"{token}");
            let text = piece.escape_ascii().to_string();
            let text = text.replace(&usual.as_bytes().escape_ascii().to_string(), " … ");
            let cut: String = text.chars().take(240).collect();
            let more = text.len() - cut.len();
            shown.push(if more > 0 { format!("{cut}… ({more} more)") } else { cut });
        }
        shown.join(" ⏸ ")
    }

    fn check(&self, talk: &Talk, seen: &Seen) -> Vec<String> {
        let mut findings = Vec::new();
        let (allowed, all) = match &self.expect {
            Expect::Refused | Expect::Begun(_) => (&[][..], false),
            Expect::Passed(passed) => (&passed[..], true),
            Expect::Either(passed) | Expect::Failed(passed) => (&passed[..], false),
        };
        let arrived: Vec<_> = seen.arrived.iter().map(|arrived| &arrived.request).collect();
        let mut left: Vec<&Passed> = allowed.iter().collect();
        // An answer that comes before its body lets the next request overtake it.
        let in_order = !allowed.iter().any(|passed| upstream::is_early(&passed.target));
        for request in &arrived {
            let same = |passed: &Passed| {
                (&*request.head.method, &*request.head.target, &request.body)
                    == (&passed.method, &passed.target, &passed.body)
            };
            match left.iter().position(|passed| same(passed)) {
                Some(at) if in_order => drop(left.drain(..=at)),
                Some(at) => drop(left.remove(at)),
                None => findings.push(format!("a request that was not decided about: {}", shown(request))),
            }
        }
        let may_begin =
            if let Expect::Begun(passed) = &self.expect { std::slice::from_ref(passed) } else { allowed };
        for begun in
            seen.begun.iter().filter(|begun| !may_begin.iter().any(|it| it.is_begun_by(&begun.request)))
        {
            findings.push(format!(
                "the beginning of a request that was not decided about: {}",
                shown(&begun.request)
            ));
        }
        if all && arrived.len() < allowed.len() {
            findings.push(format!("{} of {} requests arrived", arrived.len(), allowed.len()));
        }
        let good: Vec<_> = talk.answers.iter().filter(|it| matches!(it.status, 101 | 200)).collect();
        let none = matches!(self.expect, Expect::Failed(_)) && !good.is_empty();
        // An answer may come early.
        if none || good.len() > arrived.len() + seen.begun.len() || (all && good.len() < allowed.len()) {
            findings.push(format!("{} answers of success for {} requests", good.len(), arrived.len()));
        }
        if let Some(tunnel) = good.iter().find(|it| it.status == 101)
            && !seen.tunnelled.starts_with(&tunnel.body)
        {
            findings.push("a tunnel that gives back other bytes".to_owned());
        }
        if let Some(bytes) = self.tunnels
            && (seen.tunnelled != bytes.as_bytes() || good.iter().all(|it| it.body != bytes.as_bytes()))
        {
            findings.push(format!("a tunnel through which `{}` came", seen.tunnelled.escape_ascii()));
        }
        for (answer, request) in good.iter().zip(&arrived).filter(|(answer, _)| answer.status == 200) {
            let is_to = |request: &&Request| answer.body == upstream::body_of_answer(request);
            if !is_to(request) && (in_order || !arrived.iter().any(is_to)) {
                findings.push("the answer to another request".to_owned());
            }
        }
        // 501 and 505 say that a coding or a version is not known.
        let faulty = |status: u16| status >= 500 && !matches!(status, 501 | 505);
        if let Some(answer) = talk.answers.iter().find(|it| faulty(it.status))
            && !matches!(self.expect, Expect::Failed(_))
        {
            findings.push(format!("{}, as if it were the gateway's fault", answer.status));
        }
        if let Some(rubbish) = &talk.rubbish {
            findings.push(format!("no HTTP came back: {rubbish}"));
        }
        if self.closes && (!talk.closed || talk.answers.len() > 1) {
            let what = "the connection stays open behind an ambiguous request (RFC 9112, section 6.1)";
            findings.push(what.to_owned());
        }
        findings
    }
}

/// For people: how many requests, and their request lines.
pub(super) fn describe(seen: &Seen) -> String {
    if seen.total == 0 && seen.begun.is_empty() {
        return "nothing".to_owned();
    }
    let line = |arrived: &Arrived| {
        let head = &arrived.request.head;
        format!("{} {} +{}", head.method, head.target, arrived.request.body.len())
    };
    let whole = seen.arrived.iter().map(line);
    let begun = seen.begun.iter().map(|begun| line(begun) + ", cut off");
    let lines = whole.chain(begun).take(3);
    let all = seen.total + seen.begun.len() as u64;
    let more = if all > 3 { format!("; {all} in all") } else { String::new() };
    lines.collect::<Vec<_>>().join("; ") + &more
}

/// For people: its head and the start of its body.
pub(super) fn shown(request: &Request) -> String {
    let Request { raw_head, body, .. } = request;
    let start = body[..body.len().min(100)].escape_ascii();
    format!("`{}` and {} bytes, `{start}`", raw_head.escape_ascii(), body.len())
}

fn filled(piece: &[u8], tokens: &Tokens) -> Vec<u8> {
    let piece = replaced(piece, b"{auth}", format!("Authorization: Bearer {}\r\n", tokens.long).as_bytes());
    replaced(&piece, b"{token}", tokens.long.as_bytes())
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}
