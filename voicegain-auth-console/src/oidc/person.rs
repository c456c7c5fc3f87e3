use std::fmt;

use super::AllowRule;

/// How much of a name is shown, in characters: all of what a provider may call somebody, so that no two have one name.
const SHOWN: usize = 260;

/// Whom the provider has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// What the provider calls the person, for ever.
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    /// Whether the provider says that the address is the person's. Where it says nothing, anybody can have typed it.
    pub(crate) is_email_verified: bool,
    pub(crate) groups: Vec<String>,
}

impl Person {
    pub(crate) fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.is_email_verified)
    }

    /// Whether one of these rules lets the person in.
    pub(crate) fn is_allowed(&self, rules: &[AllowRule]) -> bool {
        rules.iter().any(|rule| rule.admits(self))
    }

    /// The rule that names nobody but this person, as it is shown.
    pub(crate) fn own_rule(&self) -> String {
        shown(&AllowRule::Subject(self.subject.clone()).to_string(), SHOWN)
    }
}

/// The verified e-mail address, or what the provider calls the person. Others could have chosen the rest.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verified_email() {
            Some(email) => f.write_str(&shown(email, SHOWN)),
            None => f.write_str(&self.own_rule()),
        }
    }
}

/// Text of somebody else's on a page or in the log: on one line, left to right, and no more than so many characters.
pub(crate) fn shown(text: &str, most: usize) -> String {
    let is_marker = |letter: char| {
        letter.is_control()
            || matches!(
                letter,
                '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            )
    };
    let mut letters = text.chars().map(|letter| if is_marker(letter) { '\u{fffd}' } else { letter });
    let mut shown: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_one_name_that_nobody_else_can_choose() {
        let person = Person {
            subject: "248\n\u{202e}".to_owned(),
            email: Some("ann@example.com".to_owned()),
            is_email_verified: true,
            groups: Vec::new(),
        };
        assert_eq!(person.to_string(), "ann@example.com");
        let unverified = Person { is_email_verified: false, ..person.clone() };
        assert_eq!(unverified.to_string(), "sub:248\u{fffd}\u{fffd}");
        let long = Person { subject: "x".repeat(1_000), email: None, ..person };
        assert_eq!(long.to_string().chars().count(), SHOWN + 1);
    }
}
