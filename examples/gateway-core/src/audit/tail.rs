//! Where a file of entries ends.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use super::line::{BEGINNING, Last};

/// How much is read at first, from the end, in bytes.
const WINDOW: u64 = 64 * 1024;

/// The end of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last entry that is whole.
    pub(super) last: Option<Last>,
    /// What stands behind it.
    pub(super) torn: Vec<u8>,
    /// Whether the next line can begin at the end.
    pub(super) ends_line: bool,
}

impl Tail {
    pub(super) fn of(mut file: &File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut window = WINDOW;
        loop {
            let start = length.saturating_sub(window);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(length - start).read_to_end(&mut bytes)?;
            if let Some(tail) = Self::within(&bytes, start == 0) {
                return Ok(tail);
            }
            window *= 4;
        }
    }

    /// The same of what a file ends with, or of all of it; `None` if there is no whole entry in what it ends with.
    fn within(bytes: &[u8], is_all: bool) -> Option<Self> {
        let ends_line = bytes.last().is_none_or(|byte| *byte == b'\n');
        let mut end = bytes.len();
        loop {
            let line = bytes.get(..end)?;
            let begins = line.iter().rposition(|byte| *byte == b'\n');
            if begins.is_none() && !is_all {
                // It may begin further in front.
                return None;
            }
            let begins_at = begins.map_or(0, |at| at + 1);
            if let Some(last) = Last::of(line.get(begins_at..)?) {
                let torn = bytes.get(end + 1..).unwrap_or_default().to_vec();
                return Some(Self { last: Some(last), torn, ends_line });
            }
            match begins {
                Some(at) => end = at,
                None => return Some(Self { last: None, torn: bytes.to_vec(), ends_line }),
            }
        }
    }

    /// Whether this may be an audit log: there is an entry, or nothing, or the first one was never written to its end.
    pub(super) fn is_ours(&self) -> bool {
        self.last.is_some() || self.torn.starts_with(BEGINNING) || BEGINNING.starts_with(&self.torn)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::audit::file::tests::line_of;

    fn tail(bytes: &[u8]) -> Tail {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Tail::of(&file).unwrap()
    }

    #[test]
    fn the_last_whole_entry_is_found_whatever_follows() {
        let (one, two) = (line_of(1, "a"), line_of(2, &"x".repeat(100_000)));
        let last = |line: &str| Last::of(line.as_bytes()).unwrap();
        for (text, expected, torn, ends_line) in [
            (String::new(), None, String::new(), true),
            (format!("{one}\n"), Some(last(&one)), String::new(), true),
            (one.clone(), Some(last(&one)), String::new(), false),
            // Longer than what is read at first.
            (format!("{one}\n{two}\n"), Some(last(&two)), String::new(), true),
            (format!("{one}\n{}", &two[..90_001]), Some(last(&one)), two[..90_001].to_owned(), false),
            (format!("{one}\n{{\"seq\":2\n{{"), Some(last(&one)), "{\"seq\":2\n{".to_owned(), false),
            (format!("{one}\n\n\n"), Some(last(&one)), "\n\n".to_owned(), true),
            ("{\"se".to_owned(), None, "{\"se".to_owned(), false),
        ] {
            let found = tail(text.as_bytes());
            assert!(found.is_ours());
            assert_eq!(
                found,
                Tail { last: expected, torn: torn.into_bytes(), ends_line },
                "{} bytes",
                text.len()
            );
        }
    }

    #[test]
    fn what_is_no_audit_log_is_known_for_none() {
        for bytes in [&b"root:x:0:0\n"[..], b"{\"sequence\":1}\n", b"\n", b"\xff\xfe"] {
            assert!(!tail(bytes).is_ours(), "{bytes:?}");
        }
    }
}
