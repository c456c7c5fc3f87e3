//! What every request must be that reaches the upstream, whatever was sent: the identity that the gateway set, once, and
//! nothing that only the client's hop may carry.

use crate::strict::{Field, Framing, Request};

/// Whose requests these are.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Who pays.
    pub account: String,
    /// The workspace.
    pub context: String,
    /// The web config.
    pub web_config: String,
}

/// Judges requests one by one.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The upstream's own `host:port`.
    pub authority: String,
    /// What the API is below.
    pub base: String,
    /// Whose the good client's requests are.
    pub good: Owner,
    /// Whose the attacker's requests are.
    pub attacker: Owner,
    /// None of these may be in a head or behind a body.
    pub tokens: Vec<String>,
}

/// What the paths of the good client begin with, below the base path.
pub const GOOD: &str = "/good/";

/// What a smuggled request asks for: it carries no token, so it must never arrive.
pub const SMUGGLED: &str = "smuggled";

/// The fields of one hop, `Connection`, `Upgrade`, `TE` and `Transfer-Encoding` aside, which are looked at closely.
const ONE_HOP: [&str; 6] =
    ["expect", "http2-settings", "keep-alive", "proxy-authorization", "proxy-connection", "forwarded"];

/// By these some servers believe in another target, or another client, than the request's own.
const INSTEAD: [&str; 8] = [
    "x-real-ip",
    "x-envoy-original-path",
    "x-original-host",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-uri",
    "x-rewrite-url",
];

/// What a server that folds `_` and `.` into `-` could find a second time, with another value.
const FOLDED: [&str; 8] = [
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
];

impl Judge {
    /// Whether it is one of the good client's.
    pub fn is_good(&self, request: &Request) -> bool {
        let path = request.head.target.strip_prefix(&*self.base);
        path.is_some_and(|path| path.starts_with(GOOD))
    }

    /// What is wrong with it.
    pub fn problems(&self, request: &Request) -> Vec<String> {
        let mut problems = self.of_head(request);
        problems.extend(self.of_trailers(request));
        problems
    }

    /// What is wrong with its head, which counts before any of its body has come.
    pub fn of_head(&self, request: &Request) -> Vec<String> {
        let mut problems = Vec::new();
        let head = &request.head;
        if head.target.contains(SMUGGLED) {
            problems.push("a request without a token".to_owned());
        }
        let path = decoded(head.target.split('?').next().unwrap_or_default().as_bytes());
        let below = path.strip_prefix(self.base.as_bytes());
        if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
            problems.push(format!("a target outside {}", self.base));
        }
        if matches!(&*head.method, "CONNECT" | "TRACE") {
            problems.push(format!("the method {}", head.method));
        }
        if head.all("host").any(|host| host != self.authority.as_bytes()) {
            problems.push("a Host that is not the upstream's".to_owned());
        }
        for (name, value) in [
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-proto", Some("http")),
            ("x-forwarded-host", None),
        ] {
            let fields: Vec<_> = head.fields.iter().filter(|field| folded(&field.name) == name).collect();
            match &fields[..] {
                [field] if value.is_none_or(|value| field.value == value.as_bytes()) => {}
                [_] => problems.push(format!("{name} with a client's value")),
                _ => problems.push(format!("{name} {} times", fields.len())),
            }
        }
        let instead = head.fields.iter().filter(|field| INSTEAD.contains(&&*folded(&field.name)));
        problems.extend(instead.map(|field| format!("{} from a client", field.name)));
        problems.extend(other_spellings(&head.fields));
        self.identity(request, &mut problems);
        self.one_hop(request, &mut problems);
        if self.has_token(&request.raw_head) {
            problems.push("a token".to_owned());
        }
        problems
    }

    /// What is wrong with what stands behind its body.
    pub fn of_trailers(&self, request: &Request) -> Vec<String> {
        let ours = request.trailers.iter().filter(|field| is_ours(field));
        let mut problems: Vec<String> =
            ours.map(|field| format!("{} from a client, in the trailers", field.name)).collect();
        problems.extend(other_spellings(&request.trailers));
        if request.trailers.iter().any(|field| self.has_token(&field.value)) {
            problems.push("a token in the trailers".to_owned());
        }
        problems
    }

    fn has_token(&self, text: &[u8]) -> bool {
        self.tokens.iter().any(|token| contains(text, token.as_bytes()))
    }

    fn identity(&self, request: &Request, problems: &mut Vec<String>) {
        let owner = if self.is_good(request) { &self.good } else { &self.attacker };
        let values = |name: &'static str| -> Vec<&[u8]> { request.head.all(name).collect() };
        for (name, expected) in [
            ("x-voicegain-account-id", &owner.account),
            ("x-voicegain-context-id", &owner.context),
            ("x-voicegain-web-config-id", &owner.web_config),
        ] {
            if request.head.all(name).ne([expected.as_bytes()]) {
                problems.push(format!("{name} is not once {expected}"));
            }
        }
        let kind = values("x-voicegain-token-kind");
        let expires = values("x-voicegain-token-expires");
        let fits = match (&kind[..], &expires[..]) {
            ([b"long-lived"], []) => true,
            ([b"short-lived"], [seconds]) => seconds.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !fits {
            problems.push("the kind of token and its end do not fit".to_owned());
        }
        if !matches!(values("x-voicegain-api-path")[..], [] | [b"/data-prep"]) {
            problems.push("another API path".to_owned());
        }
        let known = [
            "x-voicegain-account-id",
            "x-voicegain-context-id",
            "x-voicegain-web-config-id",
            "x-voicegain-token-kind",
            "x-voicegain-token-expires",
            "x-voicegain-api-path",
        ];
        let ours = request.head.fields.iter().filter(|field| is_ours(field));
        for field in ours.filter(|field| !known.contains(&&*field.name)) {
            problems.push(format!("{} from a client", field.name));
        }
    }

    fn one_hop(&self, request: &Request, problems: &mut Vec<String>) {
        let head = &request.head;
        for name in ONE_HOP {
            if head.all(name).next().is_some() {
                problems.push(format!("{name}, which is for the client's hop"));
            }
        }
        let options = head.all("connection").flat_map(|value| value.split(|byte| *byte == b','));
        for option in options.map(|option| option.trim_ascii().to_ascii_lowercase()) {
            if !matches!(&*option, b"close" | b"keep-alive" | b"te" | b"upgrade") {
                problems.push(format!("Connection names {}", option.escape_ascii()));
            }
        }
        let upgrades: Vec<&[u8]> = head.all("upgrade").collect();
        if !matches!(upgrades[..], [] | [b"websocket"]) {
            problems.push("Upgrade to something else".to_owned());
        }
        if upgrades.is_empty() == head.lists("connection", "upgrade") {
            problems.push("Upgrade without its Connection, or the other way round".to_owned());
        }
        if !upgrades.is_empty() && !is_handshake(request) {
            problems.push("Upgrade in what is no handshake (rule V10)".to_owned());
        }
        if head.all("te").any(|value| value != b"trailers") {
            problems.push("TE is not trailers".to_owned());
        }
    }
}

/// Whether it asks for a WebSocket as RFC 6455 section 4.2.1 has it: a GET without a body, version 13, a key of 16 bytes.
fn is_handshake(request: &Request) -> bool {
    let head = &request.head;
    let mut keys = head.all("sec-websocket-key");
    let key = keys.next().and_then(|key| key.strip_suffix(b"==")).unwrap_or_default();
    head.method == "GET"
        && request.framing == Framing::None
        && head.all("sec-websocket-version").eq([b"13"])
        && keys.next().is_none()
        && key.len() == 22
        && key.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
}

/// Whether only the gateway may set it.
fn is_ours(field: &Field) -> bool {
    folded(&field.name).starts_with("x-voicegain-")
}

/// As servers fold names that make environment variables of them.
fn folded(name: &str) -> String {
    name.replace(['_', '.'], "-")
}

fn other_spellings(fields: &[Field]) -> impl Iterator<Item = String> {
    let other = |field: &&Field| {
        let folded = folded(&field.name);
        folded != field.name && FOLDED.contains(&&*folded)
    };
    fields.iter().filter(other).map(|field| format!("{}, which some take for another", field.name))
}

/// Without percent-encoding.
pub(crate) fn decoded(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let digits =
            tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

pub(crate) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict;

    fn judge() -> Judge {
        let owner = |name: &str| Owner {
            account: format!("acct-{name}"),
            context: format!("ctx-{name}"),
            web_config: name.to_owned(),
        };
        Judge {
            authority: "127.0.0.1:9".to_owned(),
            base: "/v1".to_owned(),
            good: owner("good"),
            attacker: owner("bad"),
            tokens: vec!["a.b.c".to_owned()],
        }
    }

    fn problems(from: &str, to: &str) -> Vec<String> {
        let plain = "GET /v1/x HTTP/1.1\r\nhost: 127.0.0.1:9\r\nx-forwarded-for: 127.0.0.1\r\nx-forwarded-host: gw\r\n\
                     x-forwarded-proto: http\r\nx-voicegain-account-id: acct-bad\r\nx-voicegain-context-id: ctx-bad\r\n\
                     x-voicegain-web-config-id: bad\r\nx-voicegain-token-kind: long-lived\r\n\r\n";
        let text = plain.replacen(from, to, 1);
        assert!(from.is_empty() || text != plain, "{from}");
        judge().problems(&strict::request(text.as_bytes()).unwrap().unwrap().0)
    }

    #[test]
    fn a_request_as_it_should_be() {
        assert_eq!(problems("", ""), [""; 0]);
        let short = "short-lived\r\nx-voicegain-token-expires: 1\r\nx-voicegain-api-path: /data-prep";
        assert_eq!(problems("long-lived", short), [""; 0]);
    }

    #[test]
    fn a_handshake_and_what_is_none() {
        let asked = "\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: \
                     dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(problems("\r\n\r\n", asked), [""; 0]);
        for (from, to) in [
            ("-version: 13", "-version: 8"),
            ("dGhl", "dG"),
            ("sec-websocket-key: ", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-key: "),
            ("sec-websocket-key", "x-key"),
            ("connection: upgrade", "content-length: 0\r\nconnection: upgrade"),
        ] {
            let other = asked.replacen(from, to, 1);
            assert_ne!(other, asked);
            assert!(!problems("\r\n\r\n", &other).is_empty(), "{from}");
        }
    }

    #[test]
    fn each_fault_is_seen() {
        for (from, to) in [
            ("/v1/x", "/v1/smuggled"),
            ("/v1/x", "/v10"),
            ("GET", "TRACE"),
            ("host: 127.0.0.1:9", "host: gw.example"),
            ("acct-bad", "acct-good"),
            ("/v1/x", "/v1/good/1"),
            ("acct-bad", "acct-bad\r\nx-voicegain-account-id: acct-bad"),
            ("x-voicegain-account-id: acct-bad\r\n", ""),
            ("long-lived", "long-lived\r\nx_voicegain_account_id: x"),
            ("long-lived", "long-lived\r\nx-voicegain-new: x"),
            ("long-lived", "short-lived"),
            ("long-lived", "long-lived\r\nx-voicegain-api-path: /x"),
            ("\r\n\r\n", "\r\nconnection: x-voicegain-account-id\r\n\r\n"),
            ("\r\n\r\n", "\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"),
            ("\r\n\r\n", "\r\nupgrade: websocket\r\n\r\n"),
            ("\r\n\r\n", "\r\nkeep-alive: 5\r\n\r\n"),
            ("\r\n\r\n", "\r\nte: gzip\r\n\r\n"),
            ("\r\n\r\n", "\r\nauthorization: Bearer a.b.c\r\n\r\n"),
            ("\r\n\r\n", "\r\nx_forwarded_for: 1.1.1.1\r\n\r\n"),
            ("for: 127.0.0.1", "for: 1.1.1.1, 127.0.0.1"),
            ("proto: http", "proto: https"),
            ("\r\n\r\n", "\r\nx_original.url: /v1/other\r\n\r\n"),
            ("\r\n\r\n", "\r\ncontent_length: 5\r\n\r\n"),
            ("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n0\r\ncontent_length: 5\r\n\r\n"),
            ("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-voicegain-account-id: x\r\n\r\n"),
        ] {
            assert!(!problems(from, to).is_empty(), "{from:?} {to:?}");
        }
    }
}
