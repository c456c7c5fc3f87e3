//! What a web config's `allowedOrigins` cost a long-lived token that comes from a page.

use std::error::Error;
use std::hint::black_box;

use voicegain_auth_core::{CreateRequest, Issuer, MemoryStore, Policy, Reason, Verifier};

use crate::ask::Ask;
use crate::core_stack::verify;
use crate::sample::{Contender, Role};
use crate::tokens::{self, API_URL, Tokens};

/// As many patterns as a web config may have.
const MOST: usize = Issuer::MAX_ALLOWED_ORIGINS;

/// One contender for each kind of pattern and each number of them.
pub(crate) fn contenders(tokens: &Tokens) -> Result<Vec<Contender<'static>>, Box<dyn Error>> {
    let exact = |number: usize| format!("https://app-{number:04}.customer.example.com");
    let wildcard = |number: usize| format!("*.app-{number:04}.customer.example.com");
    let below = |number: usize| format!("https://w.app-{number:04}.customer.example.com");
    let patterns = |count: usize, pattern: &dyn Fn(usize) -> String| (0..count).map(pattern).collect();
    let without = Ask::new();
    let from = |origin: String| Ask::new().origin(origin);

    let cases: [(&str, Vec<String>, Ask, bool); 9] = [
        ("no `Origin`", Vec::new(), without, true),
        ("the `Origin` is the API's own", Vec::new(), from(format!("https://{}", tokens::HOST)), true),
        ("1 origin, it matches", patterns(1, &exact), from(exact(0)), true),
        ("1 wildcard, it matches", patterns(1, &wildcard), from(below(0)), true),
        ("1,000 origins, the last matches", patterns(MOST, &exact), from(exact(MOST - 1)), true),
        ("1,000 wildcards, the last matches", patterns(MOST, &wildcard), from(below(MOST - 1)), true),
        ("1 origin, none matches: refused", patterns(1, &exact), from(exact(MOST)), false),
        ("1,000 origins, none matches: refused", patterns(MOST, &exact), from(exact(MOST)), false),
        ("1,000 wildcards, none matches: refused", patterns(MOST, &wildcard), from(below(MOST)), false),
    ];
    cases
        .into_iter()
        .map(|(name, patterns, ask, is_let_in)| contender(tokens, name, patterns, ask, is_let_in))
        .collect()
}

fn contender(
    tokens: &Tokens,
    name: &'static str,
    patterns: Vec<String>,
    ask: Ask,
    is_let_in: bool,
) -> Result<Contender<'static>, Box<dyn Error>> {
    let _entered = tokens.runtime.enter();
    let cache = tokens::builder(MemoryStore::new()?).build()?;
    let issuer = Issuer::new(cache.clone(), API_URL)?;
    let mut request = CreateRequest::new("account".parse()?, "context".parse()?, name);
    request.allowed_origins = patterns;
    let issued = tokens.runtime.block_on(issuer.create(request))?;
    let verifier = Verifier::new(cache, Policy::default());
    let ask = ask.authorization(format!("Bearer {}", issued.jwt));
    // Has it loaded.
    let _ = verify(&verifier, &ask);
    let expected = if is_let_in { Ok(()) } else { Err(Reason::OriginNotAllowed) };
    Ok(Contender::new(name, Role::Ours, move || {
        let decision = black_box(verify(&verifier, &ask));
        assert_eq!(decision.map(drop).map_err(|rejection| rejection.reason()), expected, "{name}");
    }))
}
