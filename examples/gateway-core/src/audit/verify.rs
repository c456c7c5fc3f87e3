//! Whether anything was changed, taken out or put in behind the writers' back.

use std::collections::HashMap;

use super::line::{Last, Line, NOTHING, Torn, hash};

/// How many faults are told of; the rest is counted.
const TOLD: usize = 20;

/// Looks at the lines of one or more files, the oldest first.
#[derive(Default)]
pub(crate) struct Verification {
    file: String,
    number: u64,
    /// The entry before, and where it stands.
    last: Option<(Last, Place)>,
    /// Since the entry before: what is no entry, and where it begins.
    rest: Vec<u8>,
    rest_at: Option<Place>,
    /// Of two lines that do not fit each other: the first one. Which one was changed the next line tells.
    suspect: Option<Place>,
    begun: HashMap<String, Line>,
    anchor: Option<String>,
    found: Verified,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    pub(crate) entries: u64,
    /// The number of the first entry, and the hash of the one before it.
    pub(crate) first: Option<(u64, String)>,
    pub(crate) last: Option<Last>,
    /// Where it is not as it was written, each in a sentence.
    pub(crate) faults: Vec<String>,
    /// How many there are besides.
    pub(crate) more_faults: u64,
    /// Changes without an end, in the order of their beginnings.
    pub(crate) unfinished: Vec<Line>,
    /// Whether it ends in the middle of an entry.
    pub(crate) is_cut_off: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    number: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.number)
    }
}

impl Verification {
    /// Whether an entry with this hash is there is looked at too.
    pub(crate) fn new(anchor: Option<&str>) -> Self {
        Self { anchor: anchor.map(str::to_owned), ..Self::default() }
    }

    /// The lines that follow are those of this file.
    pub(crate) fn file(&mut self, name: &str) {
        (self.file, self.number) = (name.to_owned(), 0);
    }

    /// The next line, with the end that it has.
    pub(crate) fn line(&mut self, bytes: &[u8]) {
        self.number += 1;
        let place = Place { file: self.file.clone(), number: self.number };
        let content = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        match Line::read(content) {
            Some(line) => self.entry(line, content, place),
            None => {
                self.rest.extend(bytes);
                self.rest_at.get_or_insert(place);
            }
        }
    }

    fn entry(&mut self, line: Line, content: &[u8], place: Place) {
        let rest = Torn::of(&std::mem::take(&mut self.rest));
        let rest_at = self.rest_at.take();
        if rest != line.torn {
            match rest_at {
                Some(at) => self.fault(
                    &at,
                    "this is no entry, and the next one does not say so: it was changed or put in",
                ),
                None => {
                    self.fault(&place, "what it says was cut off before it is not there: it was taken out")
                }
            }
        }
        let last = self.last.as_ref().map(|(last, at)| (last.clone(), at.clone()));
        let this = Last { seq: line.seq, hash: hash(content) };
        let mut follows = true;
        match last {
            None => {
                self.found.first = Some((line.seq, line.prev.clone()));
                if line.seq == 1 && line.prev != NOTHING {
                    self.fault(
                        &place,
                        "it says that it is the first entry and yet names one before it: it was changed",
                    );
                }
            }
            Some((last, at)) if line.seq == last.seq + 1 => self.link(&line, &last, at),
            Some((last, _)) if line.seq > last.seq + 1 => {
                let missing = match (last.seq + 1, line.seq - 1) {
                    (one, other) if one == other => format!("entry {one} is missing"),
                    (first, other) => format!("entries {first} to {other} are missing"),
                };
                self.settle_suspect(None);
                self.fault(&place, &format!("{missing} before it"));
            }
            Some((last, _)) => {
                let problem =
                    format!("entry {} stands behind entry {}: it was moved or put in", line.seq, last.seq);
                self.fault(&place, &problem);
                follows = false;
            }
        }
        self.found.entries += 1;
        if self.anchor.as_ref().is_some_and(|anchor| *anchor == this.hash || *anchor == line.prev) {
            self.anchor = None;
        }
        if line.stage == "begun" {
            self.begun.insert(line.id.clone(), line);
        } else {
            self.begun.remove(&line.id);
        }
        if follows {
            self.last = Some((this, place));
        }
    }

    /// Whether an entry names the hash of the one before it.
    fn link(&mut self, line: &Line, last: &Last, at: Place) {
        if line.prev == last.hash {
            // So that one is as it was, and whatever did not fit it was changed.
            return self.settle_suspect(None);
        }
        match self.suspect.take() {
            // That one fits neither of its neighbours.
            Some(_) => self.fault(&at, CHANGED),
            None => self.suspect = Some(at),
        }
    }

    fn settle_suspect(&mut self, at: Option<&Place>) {
        if let Some(suspect) = self.suspect.take() {
            match at {
                None => self.fault(&suspect, CHANGED),
                Some(at) => self.fault(&suspect, &format!("this entry or the next one, {at}, was changed")),
            }
        }
    }

    fn fault(&mut self, place: &Place, problem: &str) {
        if self.found.faults.len() < TOLD {
            self.found.faults.push(format!("{place}: {problem}"));
        } else {
            self.found.more_faults += 1;
        }
    }

    /// What was found in all of it.
    pub(crate) fn finish(mut self) -> Verified {
        let last = self.last.take();
        if let Some((_, place)) = &last {
            self.settle_suspect(Some(place));
        }
        if let Some(at) = self.rest_at.take() {
            // What is cut off has no end. What has one was written to it.
            if self.rest.ends_with(b"\n") {
                self.fault(&at, "this is no entry: it was changed or put in");
            } else {
                self.found.is_cut_off = true;
            }
        }
        if let Some(anchor) = &self.anchor {
            let problem = format!("no entry has the hash {anchor}: it was changed or taken out");
            self.found.faults.push(problem);
        }
        let Self { begun, mut found, .. } = self;
        found.last = last.map(|(last, _)| last);
        found.unfinished = begun.into_values().collect();
        found.unfinished.sort_by_key(|line| line.seq);
        found
    }
}

const CHANGED: &str = "this entry is not as it was when the next one was written: it was changed";

#[cfg(test)]
mod tests;
