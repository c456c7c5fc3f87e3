use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::private_file::Exposure;

/// Why a config file cannot be used. None of it shows the value of a setting that may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigFileError {
    #[error("--config {}: {source}", .path.display())]
    Unread { path: PathBuf, source: io::Error },
    #[error("--config {}: it holds an admin token or a store's password, but {exposure}", .path.display())]
    Exposed { path: PathBuf, exposure: Exposure },
    /// Everything that is wrong in it, one a line.
    #[error("{}", .0.join("\n"))]
    Wrong(Vec<String>),
}

impl ConfigFileError {
    pub(super) fn wrong(mut problems: Vec<(Place, String)>) -> Self {
        problems.sort_by_key(|(place, _)| (place.line, place.column));
        Self::Wrong(problems.into_iter().map(|(place, problem)| format!("{place}: {problem}")).collect())
    }
}

/// A place in a file, counted from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    line: usize,
    column: usize,
}

impl Place {
    pub(super) fn of(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        Self { path: path.to_owned(), line: before.matches('\n').count() + 1, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_in_characters() {
        let text = "a = 1\n\u{fc}\u{fc} = 2\n";
        let place = |offset| Place::of(Path::new("f"), text, offset).to_string();
        assert_eq!([0, 4, 6].map(place), ["f:1:1", "f:1:5", "f:2:1"]);
        assert_eq!(place(text.find('2').unwrap()), "f:2:6");
        assert_eq!(place(text.len()), "f:3:1");
    }
}
