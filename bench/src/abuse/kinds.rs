use std::error::Error;

use voicegain_auth_core::{Policy, Reason, TokenSources, Verifier, WebConfigId};

use super::Kind;
use crate::ask::{Ask, filled, padded, payload_bytes, token};
use crate::sizes::crowded;
use crate::tokens::{self, ORIGIN, PATH, SECRET, Tokens, sign, sign_with_header};

/// The longest token that is looked at.
const LONGEST: usize = 8_192;

/// What the kinds are made from.
struct Maker<'a> {
    verifier: &'a Verifier,
    /// What a good short-lived token says.
    members: String,
    kinds: Vec<Kind>,
}

/// All kinds, in the order of the steps that refuse them.
pub(crate) fn all(tokens: &Tokens) -> Result<Vec<Kind>, Box<dyn Error>> {
    let mut maker = Maker { verifier: &tokens.hot, members: tokens.short_lived_members(), kinds: Vec::new() };
    maker.credentials(with_query(&tokens.hot)?);
    maker.form();
    maker.json();
    maker.signature()?;
    maker.claims(tokens.hot_id);
    maker.origin();
    maker.path(tokens);
    Ok(maker.kinds)
}

/// The same, and tokens may stand in the query.
fn with_query(verifier: &Verifier) -> Result<Verifier, Box<dyn Error>> {
    let mut sources = TokenSources::default();
    sources.query = true;
    let policy = Policy::builder().token_sources(sources).build()?;
    Ok(Verifier::new(verifier.cache().clone(), policy))
}

impl Maker<'_> {
    fn add(&mut self, name: &'static str, reason: Reason, bad: Ask, good: Ask) {
        self.kinds.push(Kind { name, verifier: self.verifier.clone(), bad, good, reason, waits: false });
    }

    /// A bad token, against a good one of the same length.
    fn bad_token(&mut self, name: &'static str, reason: Reason, bad: &str) {
        let good = Ask::with(&self.good(bad.len()));
        self.add(name, reason, Ask::with(bad), good);
    }

    fn malformed(&mut self, name: &'static str, bad: &str) {
        self.bad_token(name, Reason::InvalidToken, bad);
    }

    /// One that cannot be refused without a proof.
    fn waiting(&mut self, name: &'static str, bad: &str) {
        self.malformed(name, bad);
        if let Some(kind) = self.kinds.last_mut() {
            kind.waits = true;
        }
    }

    /// A good token of this length.
    fn good(&self, size: usize) -> String {
        padded(&self.members, size.min(LONGEST))
    }

    /// Members in the longest token, the last of them a string with this in it.
    fn longest(members: &str, fill: impl Fn(usize) -> String) -> String {
        filled(members, payload_bytes(LONGEST) - 2, fill)
    }

    fn credentials(&mut self, with_query: Verifier) {
        let good = self.good(0);
        let bearer = format!("Bearer {good}");
        let twice = Ask::with(&good).authorization(bearer.as_str());
        self.add("two Authorization headers", Reason::InvalidRequest, twice, Ask::with(&good));
        let basic = Ask::new().authorization(format!("Basic {good}")).origin(ORIGIN);
        self.add("another scheme", Reason::MissingToken, basic, Ask::with(&good));
        let none = Ask::new().origin(ORIGIN);
        self.add("no token", Reason::MissingToken, none, Ask::with(&good));

        let own = std::mem::take(&mut self.kinds);
        let query = |query: String| Ask::new().origin(ORIGIN).query(query);
        let once = |size: usize| query(filled_query(&format!("access_token={good}"), size));
        let twice = format!("access_token={good}&access_token={good}");
        self.add("query, token twice", Reason::InvalidRequest, query(twice.clone()), once(twice.len()));
        let both = Ask::with(&good).query(format!("access_token={good}"));
        self.add("query and header", Reason::InvalidRequest, both, once(0));
        let crowded = format!("{}{twice}", "a&".repeat(2_000));
        self.add(
            "query, token twice, behind 2,000 others",
            Reason::InvalidRequest,
            query(crowded.clone()),
            once(crowded.len()),
        );
        let escaped = format!("access_token={}&access_token", "%61".repeat(2_000));
        self.add(
            "query, token twice, 2,000 escapes",
            Reason::InvalidRequest,
            query(escaped.clone()),
            once(escaped.len()),
        );
        for kind in &mut self.kinds {
            kind.verifier = with_query.clone();
        }
        self.kinds.splice(0..0, own);
    }

    fn form(&mut self) {
        self.malformed("too long, 8,193 bytes", &padded(&self.members, LONGEST + 1));
        self.malformed("two parts, 8,192 bytes", &"A".repeat(4_096).repeat(2).replacen("AA", "A.", 1));
        self.malformed("nothing but dots, 8,192 bytes", &".".repeat(LONGEST));
        for (size, names) in [
            (0, ["base64, bad at the start", "base64, bad at the end", "base64, trailing bits"]),
            (
                LONGEST,
                [
                    "base64, bad at the start, 8,192 bytes",
                    "base64, bad at the end, 8,192 bytes",
                    "base64, trailing bits, 8,192 bytes",
                ],
            ),
        ] {
            let good = self.good(size);
            let payload = good.find('.').map_or(0, |dot| dot + 1);
            let end = good.rfind('.').unwrap_or_default();
            self.malformed(names[0], &with_char(&good, payload, '!'));
            self.malformed(names[1], &with_char(&good, end - 1, '!'));
            // The last character of a signature has two bits that are not used.
            let last = good.len() - 1;
            self.malformed(names[2], &with_char(&good, last, next_char(good.as_bytes()[last])));
        }
        let mut header = r#""typ":"JWT""#.to_owned();
        header = crowded(&header, 6_000);
        let payload = format!("{{{}}}", self.members);
        self.malformed(
            "a header of 800 members without `alg`",
            &sign_with_header(&format!("{{{header}}}"), SECRET.as_bytes(), &payload),
        );
    }

    fn json(&mut self) {
        let plain = |room: usize| "a".repeat(room);
        let open = |members: &str| sign(SECRET.as_bytes(), &format!("{{{members}"));
        self.malformed("JSON, no end", &open(&self.members));
        self.malformed("JSON, no end, 8,192 bytes", &open(&Self::longest(&self.members, plain)));

        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        // With the object around it that is one too deep.
        self.malformed("nested 65 deep", &token(&format!(r#"{},"x":{}"#, self.members, nested(64))));
        let deep: Vec<String> = (0..40).map(|at| format!(r#""{at:02}":{}"#, nested(63))).collect();
        self.malformed("nested 64 deep, 40 times, no `sub`", &token(&Self::longest(&deep.join(","), plain)));

        let twice = format!(r#"{},"sub":"x""#, self.members);
        self.malformed("a member twice", &token(&twice));
        let long = Self::longest("", |room| "a".repeat(room - r#","x":0"#.len()));
        self.malformed("a member twice, 8,192 bytes", &token(&format!(r#"{long},"x":0"#)));
        let many = crowded("", payload_bytes(LONGEST) - 2);
        self.malformed("800 small members, no `sub`", &token(&many));
        let many = crowded(r#""x":0"#, payload_bytes(LONGEST) - 2);
        self.malformed("800 small members, one twice", &token(&many));

        for (name, escape) in [
            ("escapes, \\n, no `sub`", r"\n"),
            ("escapes, \\u0061, no `sub`", r"\u0061"),
            ("escapes, surrogate pairs, no `sub`", r"\ud83d\ude00"),
        ] {
            let escapes = Self::longest("", |room| {
                let repeated = escape.repeat(room / escape.len());
                format!("{repeated}{}", "a".repeat(room - repeated.len()))
            });
            self.malformed(name, &token(&escapes));
        }
        let aud = format!(r#""aud":[{}]"#, vec![r#""""#; 1_900].join(","));
        self.malformed("`aud` of 1,900 empty strings, no `sub`", &token(&Self::longest(&aud, plain)));
    }

    fn signature(&mut self) -> Result<(), Box<dyn Error>> {
        let stranger = WebConfigId::generate()?;
        let long_lived = sign(SECRET.as_bytes(), &tokens::long_lived_payload(stranger));
        let forged = |good: String| {
            let at = good.rfind('.').map_or(0, |dot| dot + 1);
            let other = if good[at..].starts_with('A') { 'B' } else { 'A' };
            with_char(&good, at, other)
        };
        self.waiting("forged", &forged(self.good(0)));
        self.waiting("forged, 8,192 bytes", &forged(self.good(LONGEST)));
        self.waiting(
            "forged, 800 small members",
            &forged(token(&crowded(&self.members, payload_bytes(LONGEST) - 2))),
        );
        self.waiting("unknown web config", &token(&tokens::short_lived_members(stranger)));
        self.waiting("unknown web config, long-lived", &long_lived);
        let members = tokens::short_lived_members(stranger);
        self.waiting("unknown web config, 8,192 bytes", &padded(&members, LONGEST));
        Ok(())
    }

    /// Well signed: whoever sends these has had a good token, or the secret.
    fn claims(&mut self, id: WebConfigId) {
        let expired = format!(r#""aud":"{ORIGIN}","sub":"{id}","exp":1700000000"#);
        self.bad_token("expired", Reason::TokenExpired, &token(&expired));
        self.bad_token("expired, 8,192 bytes", Reason::TokenExpired, &padded(&expired, LONGEST));
        let later = format!(r#"{},"nbf":9999999999"#, self.members);
        self.malformed("not yet valid", &token(&later));
        let rest = self.members.split_once(',').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        for (name, audience, times) in [
            ("`aud` of 1,900 empty strings, well signed", "", 1_900),
            ("`aud` of 900 wildcards, well signed", "*.b", 900),
            ("`aud` of 800 international names, well signed", "\u{e4}.b", 800),
        ] {
            let audiences = vec![format!("\"{audience}\""); times].join(",");
            let members = format!(r#"{rest},"aud":[{audiences}]"#);
            let bad = token(&Self::longest(&members, |room| "a".repeat(room)));
            self.bad_token(name, Reason::OriginNotAllowed, &bad);
        }
    }

    fn origin(&mut self) {
        let good = self.good(0);
        let ask = Ask::with(&good);
        let mut refused = |name, bad: Ask| self.add(name, Reason::OriginNotAllowed, bad, ask.clone());
        refused("two Origin headers", ask.clone().origin(ORIGIN));
        refused("Origin, a list", ask.clone().only_from(format!("{ORIGIN}, {ORIGIN}")));
        refused("Origin, with a path", ask.clone().only_from(format!("{ORIGIN}/x")));
        refused("Origin, of another site", ask.clone().only_from("https://app.example.org"));
        refused("Origin, in Punycode", ask.clone().only_from("https://xn--bcher-kva.example"));

        // From any page, so that a long Origin is let in.
        let (_, rest) = self.members.split_once(',').unwrap_or_default();
        let any = Ask::with(&token(&format!(r#""aud":"*",{rest}"#)));
        let labels = |label: &str| {
            let labels = label.repeat(LONGEST / label.len());
            format!("https://{labels}example")
        };
        let plain = |origin: &str| format!("https://{}", "a".repeat(origin.len() - 8));
        // Of another site, though each is an origin. One in Punycode is so after IDNA only.
        for (name, origin) in [
            ("Origin, 8,192 bytes of another site", labels("aaaaaaa.")),
            ("Origin, 8,192 bytes of another site in Punycode", labels("xn--bcher-kva.")),
        ] {
            let good = any.clone().only_from(plain(&origin));
            self.add(name, Reason::OriginNotAllowed, ask.clone().only_from(origin), good);
        }
        // No origins. Who asks by a preflight needs no token.
        for (name, of_a_preflight, origin) in [
            (
                "Origin, 8,192 bytes, the last bad",
                "preflight, 8,192 bytes of Origin, the last bad",
                labels("aaaaaaa.") + "%",
            ),
            (
                "Origin, 8,192 bytes of bad Punycode",
                "preflight, 8,192 bytes of bad Punycode",
                labels("xn--bcher-kva.") + ".xn--a",
            ),
            (
                "Origin, one label of 2,000 in Punycode",
                "preflight, one label of 2,000 in Punycode",
                format!("https://xn--{}", "9".repeat(1_990)),
            ),
        ] {
            let good = any.clone().only_from(plain(&origin));
            self.add(name, Reason::OriginNotAllowed, any.clone().only_from(&*origin), good);
            let good = Ask::preflight(plain(&origin));
            self.add(of_a_preflight, Reason::OriginNotAllowed, Ask::preflight(&*origin), good);
        }
    }

    fn path(&mut self, tokens: &Tokens) {
        let ask = |path: &str| Ask::with(&tokens.api_limited[0].token).path(path);
        let scope = Reason::InsufficientScope;
        self.add("another api path", scope, ask("/v1/other/transcribe"), ask(PATH));
        let end = |path: &str, end: &str| format!("{path}{end}");
        let escapes = "/v1/asr/%61".to_owned() + &"%61".repeat(2_700);
        self.add("api path, 2,700 escapes, the last bad", scope, ask(&end(&escapes, "%")), ask(&escapes));
        let segments = "/v1/asr".to_owned() + &"/a".repeat(4_000);
        self.add(
            "api path, 4,000 segments, the last bad",
            scope,
            ask(&end(&segments, "/..")),
            ask(&segments),
        );
    }
}

/// A query of this length that begins with this, if it is no longer than that.
fn filled_query(query: &str, size: usize) -> String {
    match size.checked_sub(query.len() + "&x=".len()) {
        Some(room) => format!("{query}&x={}", "a".repeat(room)),
        None => query.to_owned(),
    }
}

fn with_char(text: &str, at: usize, with: char) -> String {
    let mut text = text.to_owned();
    text.replace_range(at..=at, with.encode_utf8(&mut [0; 4]));
    text
}

/// The character whose six bits are one more.
fn next_char(of: u8) -> char {
    match of {
        b'Z' => 'a',
        b'z' => '0',
        b'9' => '-',
        other => char::from(other + 1),
    }
}
