//! The Public Suffix List, as far as wildcards are concerned (rule M4).

/// Whether strangers can register domains directly below this one, by the rules listed in the Public Suffix
/// List: it is a public suffix itself, or a wildcard rule makes its children public suffixes. `domain` is
/// ASCII, in any letter case, without a trailing dot.
pub(super) fn is_shared(domain: &str) -> bool {
    let domain = domain.to_ascii_lowercase();
    // No rule is ever listed for a label like this, so only a wildcard can make it a suffix.
    is_listed_suffix(&domain) || is_listed_suffix(&format!("-.{domain}"))
}

fn is_listed_suffix(domain: &str) -> bool {
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == domain)
}
