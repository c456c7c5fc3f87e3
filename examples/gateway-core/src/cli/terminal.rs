//! What people see and type.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// Text that people wrote, without what would change how the rest is shown.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Marks that turn the direction of what follows, and separators that end a line.
        let steers = matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        );
        if character.is_control() || steers {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Rows below their heads, each column as wide as its widest; the last one is not filled up.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|text| text.chars().count());
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = text.chars().count().max(*width);
        }
    }
    let line = |texts: [&str; N]| {
        let cells = texts.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let below = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head)).chain(below).collect()
}

/// How long ago, in the largest unit that fits.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Asks somebody at a terminal; `None` if nobody is there.
pub(super) fn confirmed(question: &str) -> io::Result<Option<bool>> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(None);
    }
    eprint!("{question} Type yes to go on: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(answer.trim() == "yes"))
}

/// The longest text that may hold a token: more than the longest token has.
const MAX_TOKEN_TEXT: u64 = 64 * 1024;

/// Reads a token from the standard input: all of it, or a line that does not show if somebody types it.
pub(super) fn token() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        eprint!("Paste the token, which does not show, and press Enter: ");
        let _hidden = Hidden::new()?;
        io::BufRead::read_line(&mut input, &mut text)?;
        eprintln!();
    } else {
        input.take(MAX_TOKEN_TEXT).read_to_string(&mut text)?;
    }
    let token = text.trim();
    // Who copies a header copies its scheme too.
    let scheme = token.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let token = scheme.and_then(|scheme| token.get(scheme.len()..)).unwrap_or(token);
    Ok(Zeroizing::new(token.trim().to_owned()))
}

/// While it is there, the terminal does not show what is typed.
struct Hidden {
    #[cfg(unix)]
    before: rustix::termios::Termios,
}

impl Hidden {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self { before })
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // There is nothing else to be done about it.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Says every few seconds how far something has come.
pub(super) struct Progress {
    what: &'static str,
    said: Instant,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, said: Instant::now() }
    }

    pub(super) fn at(&mut self, count: usize) {
        if self.said.elapsed() >= Duration::from_secs(2) {
            self.said = Instant::now();
            let _ = writeln!(io::stderr(), "{count} {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(plain("B\u{fc}ro 'x' \"y\""), "B\u{fc}ro 'x' \"y\"");
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c\u{2028}"), "a\\u{1b}[2Jb\\u{202e}c\\u{2028}");
    }

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [["1".to_owned(), "\u{fc}\u{fc}\u{fc}".to_owned(), String::new()]];
        assert_eq!(table(["ID", "N", "LAST"], &rows), "ID  N    LAST\n1   \u{fc}\u{fc}\u{fc}\n");
    }

    #[test]
    fn ages() {
        for (seconds, text) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_799, "47 h"), (172_800, "2 d")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
