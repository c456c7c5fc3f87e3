//! No room of more than 300 lines without a reason in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::run::{Outcome, root};

const MAX_LINES: usize = 300;
/// Under this heading of ARCHITECTURE.md stands a table of rooms and reasons.
const HEADING: &str = "## Rooms over 300 lines";

pub fn check() -> Outcome {
    let mut long = BTreeMap::new();
    collect(&root(), Path::new(""), &mut long)?;
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).map_err(|error| error.to_string())?;
    let wrong = differences(&long, &reasons(&text));
    if wrong.is_empty() {
        println!("{} of them, each with its reason", long.len());
        return Ok(());
    }
    Err(format!("ARCHITECTURE.md, {HEADING:?}:\n{}", wrong.join("\n")))
}

/// Every file of Rust in a folder `src` that is too long, tests aside: they are as long as what they hold makes them.
fn collect(folder: &Path, name: &Path, long: &mut BTreeMap<String, usize>) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, file) = (entry.path(), entry.file_name());
        let Some(file) = file.to_str() else { continue };
        let name = name.join(file);
        if path.is_dir() {
            if !file.starts_with('.') && !["target", "tests", "end_to_end"].contains(&file) {
                collect(&path, &name, long)?;
            }
        } else if file.ends_with(".rs") && !file.ends_with("tests.rs") {
            let lines = length(&fs::read_to_string(&path).map_err(failed)?);
            if lines > MAX_LINES {
                long.insert(name.display().to_string(), lines);
            }
        }
    }
    Ok(())
}

/// How many lines there are before the tests that stand in the same file, if any do.
fn length(text: &str) -> usize {
    let tests = |(first, second): (&str, &str)| first == "#[cfg(test)]" && second.starts_with("mod tests {");
    let lines: Vec<_> = text.lines().collect();
    let pairs = lines.iter().copied().zip(lines.iter().copied().skip(1));
    pairs.map(tests).position(|found| found).unwrap_or(lines.len())
}

/// The rooms that have a reason.
fn reasons(text: &str) -> BTreeSet<String> {
    let table = text.lines().skip_while(|line| *line != HEADING).skip(1);
    let rows = table.take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once("` |"))
        .filter(|(_, reason)| !reason.trim_matches(['|', ' ']).is_empty())
        .map(|(room, _)| room.to_owned())
        .collect()
}

fn differences(long: &BTreeMap<String, usize>, reasons: &BTreeSet<String>) -> Vec<String> {
    let missing = long.iter().filter(|(room, _)| !reasons.contains(*room)).map(|(room, lines)| {
        format!("{room} has {lines} lines: take it apart, or say in the table why it stays whole")
    });
    let stale = reasons.iter().filter(|room| !long.contains_key(*room));
    missing.chain(stale.map(|room| format!("{room} is not so long, or gone: take it out"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_in_the_file_do_not_count() {
        assert_eq!(length("a\nb\n"), 2);
        assert_eq!(length("a\nb\n\n#[cfg(test)]\nmod tests {\n    c\n}\n"), 3);
        assert_eq!(length("#[cfg(test)]\nmod tests;\na\n"), 3);
    }

    #[test]
    fn rooms_and_reasons_are_held_against_each_other() {
        let text = format!(
            "| `x.rs` | above |\n{HEADING}\n\n| room | why |\n| --- | --- |\n| `a.rs` | one machine |\n| `b.rs` | |\n\n## Next\n| `c.rs` | below |\n"
        );
        let reasons = reasons(&text);
        assert_eq!(reasons, BTreeSet::from(["a.rs".to_owned()]));
        let long = |room: &str| BTreeMap::from([(room.to_owned(), 301)]);
        assert_eq!(differences(&long("a.rs"), &reasons), Vec::<String>::new());
        assert_eq!(differences(&long("b.rs"), &reasons).len(), 2);
    }
}
