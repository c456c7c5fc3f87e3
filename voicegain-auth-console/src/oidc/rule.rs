use std::fmt;
use std::str::FromStr;

use super::Person;

/// Whom an operator lets sign in: `sub:ID`, `email:ADDRESS`, `domain:NAME` or `group:NAME`.
///
/// An e-mail address counts only where the provider says that it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowRule {
    /// The person that the provider calls this, in the claim `sub`.
    Subject(String),
    /// Whoever has this verified e-mail address, in upper or lower case.
    Email(String),
    /// Whoever has a verified e-mail address of exactly this domain, not of one below it.
    Domain(String),
    /// Whoever is in this group, as the claim `groups` names it.
    Group(String),
}

/// The text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write whom to allow as sub:ID, email:ADDRESS, domain:NAME (as in domain:example.com) or group:NAME")]
#[non_exhaustive]
pub struct InvalidAllowRule;

impl FromStr for AllowRule {
    type Err = InvalidAllowRule;

    fn from_str(text: &str) -> Result<Self, InvalidAllowRule> {
        let (kind, value) = text.split_once(':').ok_or(InvalidAllowRule)?;
        let is_address = value.rsplit_once('@').is_some_and(|(name, domain)| {
            !name.is_empty() && is_domain(domain) && !name.contains(char::is_whitespace)
        });
        match kind {
            _ if value.is_empty() || value.trim() != value => Err(InvalidAllowRule),
            "sub" => Ok(Self::Subject(value.to_owned())),
            "email" if is_address => Ok(Self::Email(value.to_owned())),
            "domain" if is_domain(value) => Ok(Self::Domain(value.to_owned())),
            "group" => Ok(Self::Group(value.to_owned())),
            _ => Err(InvalidAllowRule),
        }
    }
}

/// A name as it stands behind the `@`: neither a pattern nor an address.
fn is_domain(text: &str) -> bool {
    text.split('.').all(|label| !label.is_empty())
        && text.chars().all(|letter| letter.is_alphanumeric() || ".-_".contains(letter))
}

impl AllowRule {
    /// Whether it lets this person in.
    pub(super) fn admits(&self, person: &Person) -> bool {
        let email = person.verified_email();
        match self {
            Self::Subject(subject) => person.subject == *subject,
            Self::Email(address) => email.is_some_and(|email| email.eq_ignore_ascii_case(address)),
            Self::Domain(domain) => email
                .and_then(|email| email.rsplit_once('@'))
                .is_some_and(|(_, have)| have.eq_ignore_ascii_case(domain)),
            Self::Group(group) => person.groups.contains(group),
        }
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, value) = match self {
            Self::Subject(value) => ("sub", value),
            Self::Email(value) => ("email", value),
            Self::Domain(value) => ("domain", value),
            Self::Group(value) => ("group", value),
        };
        write!(f, "{kind}:{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_written() {
        for good in ["sub:a b", "sub:a:b", "email:a@b.example", "domain:b.example", "group:/ops", "group:a@b"]
        {
            assert_eq!(good.parse::<AllowRule>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "sub",
            "sub:",
            "sub: a",
            "email:",
            "email:b.example",
            "email:@b.example",
            "email:a@",
            "domain:*.example",
            "domain:.example",
            "domain:a@b.example",
            "Domain:b.example",
            "anyone:",
            "a@b.example",
        ] {
            assert_eq!(bad.parse::<AllowRule>().unwrap_err(), InvalidAllowRule, "{bad}");
        }
    }

    #[test]
    fn a_rule_admits_whom_it_names_and_nobody_else() {
        let person = Person {
            subject: "248".to_owned(),
            email: Some("Ann@Example.com".to_owned()),
            is_email_verified: true,
            groups: vec!["ops".to_owned()],
        };
        let unverified = Person { is_email_verified: false, ..person.clone() };
        let nameless = Person { email: None, ..person.clone() };
        for (rule, admitted) in [
            ("sub:248", [true, true, true]),
            ("sub:2", [false; 3]),
            ("sub:Ann@Example.com", [false; 3]),
            ("email:ann@example.com", [true, false, false]),
            ("email:nn@example.com", [false; 3]),
            ("domain:EXAMPLE.com", [true, false, false]),
            ("domain:ample.com", [false; 3]),
            ("domain:com", [false; 3]),
            ("group:ops", [true, true, true]),
            ("group:Ops", [false; 3]),
            ("group:op", [false; 3]),
        ] {
            let rule: AllowRule = rule.parse().unwrap();
            let have = [&person, &unverified, &nameless].map(|person| rule.admits(person));
            assert_eq!(have, admitted, "{rule}");
        }
        let below = Person { email: Some("ann@sub.example.com".to_owned()), ..person.clone() };
        assert!(!AllowRule::Domain("example.com".to_owned()).admits(&below));
        let quoted = Person { email: Some("\"ann@example.com\"@evil.test".to_owned()), ..person };
        assert!(!AllowRule::Domain("example.com".to_owned()).admits(&quoted));
    }
}
