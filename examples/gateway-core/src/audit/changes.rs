//! What the entries say, one change after the other.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use voicegain_auth_console::LoggedChange;

use super::line::{Fields, Line, Who};

/// A change: its beginning, and its end if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) begun: Line,
    pub(crate) end: Option<Line>,
}

/// In words for people. They hold what others wrote, as it was written.
impl Change {
    /// As in `console "operator" at 192.0.2.1`.
    pub(crate) fn who(&self) -> String {
        let Who { kind, name, client, .. } = &self.begun.who;
        let mut text = kind.clone();
        if !name.is_empty() {
            text += &format!(" \u{201c}{name}\u{201d}");
        }
        if let Some(client) = client {
            text += &format!(" at {client}");
        }
        text
    }

    /// As in `update ID (account acc, context ctx): name “n”`.
    pub(crate) fn what(&self) -> String {
        let Line { act, web_config, account, context, given, .. } = &self.begun;
        let mut text = act.clone();
        if let Some(id) = web_config {
            text += &format!(" {id}");
        }
        let whose = [("account", account), ("context", context)];
        let whose = whose.iter().filter_map(|(what, id)| id.as_ref().map(|id| format!("{what} {id}")));
        let whose = whose.collect::<Vec<_>>().join(", ");
        if !whose.is_empty() {
            text += &format!(" ({whose})");
        }
        let given = given.as_ref().map(given_to).unwrap_or_default().join("; ");
        if given.is_empty() { text } else { format!("{text}: {given}") }
    }

    /// As in `done: generation 2, revision 7`.
    pub(crate) fn outcome(&self) -> String {
        let Some(Line { stage, generation, revision, web_configs, why, .. }) = &self.end else {
            return "no end is written down".to_owned();
        };
        let numbers =
            [("generation", generation), ("web configs or secrets:", web_configs), ("revision", revision)];
        let numbers =
            numbers.iter().filter_map(|(what, number)| number.map(|number| format!("{what} {number}")));
        let said = numbers.chain(why.clone()).collect::<Vec<_>>().join(", ");
        if said.is_empty() { stage.clone() } else { format!("{stage}: {said}") }
    }
}

fn given_to(fields: &Fields) -> Vec<String> {
    let Fields { name, allowed_origins, secret, revived, aud, exp_in_sec, api } = fields;
    let said = [
        name.as_ref().map(|name| format!("name \u{201c}{name}\u{201d}")),
        allowed_origins.as_ref().map(|origins| match origins.as_slice() {
            [] => "no allowed origins".to_owned(),
            origins => format!("allowed origins {}", origins.join(" ")),
        }),
        secret.as_ref().map(|how| format!("{how} secret")),
        revived.filter(|revived| *revived).map(|_| "revived".to_owned()),
        aud.as_ref().map(|aud| format!("aud {aud}")),
        exp_in_sec.map(|seconds| format!("for {seconds} s")),
        api.as_ref().map(|path| format!("api {path}")),
    ];
    said.into_iter().flatten().collect()
}

/// The changes of these files, the oldest first: the last of those that began before the entry with this number, so many at
/// most. What is no entry is passed over.
pub(crate) fn read<P: AsRef<Path>>(
    files: impl IntoIterator<Item = P>,
    before: Option<u64>,
    most: usize,
) -> io::Result<Vec<Change>> {
    let mut changes = Changes { most, ..Changes::default() };
    for file in files {
        let mut lines = BufReader::new(File::open(file)?);
        let mut bytes = Vec::new();
        while lines.read_until(b'\n', &mut bytes)? > 0 {
            if let Some(line) = Line::read(bytes.strip_suffix(b"\n").unwrap_or(&bytes)) {
                changes.take(line, before);
            }
            bytes.clear();
        }
    }
    Ok(changes.found.into())
}

/// The same of one file, for the console.
pub(crate) async fn latest(
    file: PathBuf,
    before: Option<u64>,
    most: usize,
) -> Result<Vec<LoggedChange>, String> {
    let of = |change: Change| LoggedChange {
        number: change.begun.seq,
        who: change.who(),
        what: change.what(),
        outcome: change.outcome(),
        time: change.begun.time,
    };
    let name = file.display().to_string();
    // Files block.
    let read = tokio::task::spawn_blocking(move || read([file], before, most)).await;
    let changes = read.map_err(|error| error.to_string())?.map_err(|error| format!("{name}: {error}"))?;
    Ok(changes.into_iter().map(of).collect())
}

#[derive(Default)]
struct Changes {
    found: VecDeque<Change>,
    /// How many are gone from the front.
    gone: usize,
    /// At which place, counted from the first of all, a change stands that has no end yet.
    open: HashMap<String, usize>,
    most: usize,
}

impl Changes {
    fn take(&mut self, line: Line, before: Option<u64>) {
        if line.stage == "begun" {
            if before.is_some_and(|before| line.seq >= before) {
                return;
            }
            self.open.insert(line.id.clone(), self.gone + self.found.len());
            self.found.push_back(Change { begun: line, end: None });
            if self.found.len() > self.most {
                self.gone += 1;
                let gone = self.found.pop_front();
                gone.and_then(|gone| self.open.remove(&gone.begun.id));
            }
        } else if let Some(at) = self.open.remove(&line.id)
            && let Some(change) = self.found.get_mut(at - self.gone)
        {
            change.end = Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::audit::file::tests::{end_of, line_of};

    #[test]
    fn beginnings_and_ends_come_together() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // Two at once, one that was cut short, and rubbish.
        let lines = [
            line_of(1, "a"),
            line_of(2, "b"),
            end_of(3, "b"),
            "{".to_owned(),
            end_of(4, "a"),
            line_of(5, "c"),
        ];
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        let seen = |before, most| {
            let changes = read([file.path()], before, most).unwrap();
            let seen =
                changes.iter().map(|change| (change.begun.seq, change.end.as_ref().map(|end| end.seq)));
            seen.collect::<Vec<_>>()
        };
        assert_eq!(seen(None, 9), [(1, Some(4)), (2, Some(3)), (5, None)]);
        assert_eq!(seen(None, 2), [(2, Some(3)), (5, None)]);
        assert_eq!(seen(Some(5), 1), [(2, Some(3))]);
        assert_eq!(seen(Some(2), 9), [(1, Some(4))]);
        assert_eq!(seen(Some(1), 9), []);
    }
}
