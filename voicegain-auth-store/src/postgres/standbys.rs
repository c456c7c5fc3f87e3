//! Whether a server that was replaced could go on vouching for itself (rule C4).

/// How many of the named standbys a commit waits for, of how many; `None` if it waits for none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) waits_for: usize,
    /// `None`: of whichever there are.
    pub(super) of: Option<usize>,
}

impl Waits {
    /// Reads the server's `synchronous_standby_names`: `FIRST n (a, b)`, `ANY n (a, b)`, `n (a, b)`, or `a, b`, which is
    /// `FIRST 1`.
    pub(super) fn parse(setting: &str) -> Option<Self> {
        let setting = setting.trim();
        if setting.is_empty() {
            return None;
        }
        let (count, names) = match setting.strip_suffix(')').and_then(|rest| rest.split_once('(')) {
            Some((count, names)) => (count.split_whitespace().last()?.parse().ok()?, names),
            None => (1, setting),
        };
        let names = split(names);
        let of = if names.contains(&"*") { None } else { Some(names.len()) };
        Some(Self { waits_for: count, of })
    }

    /// Whether one of the named could be promoted without what a commit here has waited for.
    pub(super) fn leaves_some_out(self) -> bool {
        self.of.is_none_or(|of| self.waits_for < of)
    }
}

/// The names in a list; those in double quotes may have commas in them.
fn split(names: &str) -> Vec<&str> {
    let mut quoted = false;
    names
        .split(move |character| {
            quoted ^= character == '"';
            character == ',' && !quoted
        })
        .map(str::trim)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c4_every_form_of_the_setting_is_understood() {
        let waits = |waits_for, of| Some(Waits { waits_for, of });
        for (setting, expected, leaves_out) in [
            ("", None, false),
            ("  ", None, false),
            ("s1", waits(1, Some(1)), false),
            ("s1, s2", waits(1, Some(2)), true),
            ("FIRST 1 (s1)", waits(1, Some(1)), false),
            ("FIRST 1 (s1, s2)", waits(1, Some(2)), true),
            ("first 2 (s1,s2)", waits(2, Some(2)), false),
            ("ANY 1 (s1, s2)", waits(1, Some(2)), true),
            ("any 2 ( s1 , s2 )", waits(2, Some(2)), false),
            ("2 (s1, s2, s3)", waits(2, Some(3)), true),
            (r#"FIRST 1 ("a, b")"#, waits(1, Some(1)), false),
            ("*", waits(1, None), true),
            ("FIRST 3 (*)", waits(3, None), true),
        ] {
            let found = Waits::parse(setting);
            assert_eq!(found, expected, "{setting}");
            assert_eq!(found.is_some_and(Waits::leaves_some_out), leaves_out, "{setting}");
        }
    }
}
