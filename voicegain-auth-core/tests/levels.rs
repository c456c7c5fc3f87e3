//! The direction of imports inside the crate, held: a room imports from its own level's leaves or from lower levels, never
//! from higher ones, and no two rooms import each other. A new room must be given its level here.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and its level, as ARCHITECTURE.md draws them.
const LEVELS: &[(&str, u8)] = &[
    // Values.
    ("clock", 0),
    ("day", 0),
    ("ids", 0),
    ("request_id", 0),
    ("secret", 0),
    ("origin", 0),
    ("subject", 0),
    ("head", 0),
    ("base64url", 0),
    ("constant_time", 0),
    ("json", 0),
    // The token.
    ("claims", 1),
    ("mac", 1),
    ("jws", 1),
    ("long_lived", 1),
    ("second_opinion", 1),
    // Records.
    ("audit", 2),
    ("store", 2),
    ("web_config", 2),
    ("config_error", 2),
    ("policy", 2),
    ("record", 2),
    ("freshness", 2),
    ("cache", 2),
    ("credentials", 2),
    // Acts.
    ("rejection", 3),
    ("verifier", 3),
    ("issuer", 3),
    // What only the fuzz targets and the timing test see.
    ("fuzzing", 3),
    ("fuzzing_timing", 3),
];

/// Inside a level, rooms may import each other in one direction only. The two exceptions are types that mention each
/// other: a store's records carry its revisions.
const PAIRS: &[(&str, &str)] = &[("store", "web_config"), ("web_config", "store")];

/// The one import that points up: the cache takes an `Identity` to tell when its token ends.
const UPWARDS: &[(&str, &str)] = &[("cache", "verifier")];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms named after `crate::` in a text, without comments and test modules' files.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .take_while(|line| *line != "mod tests {" && *line != "pub(crate) mod testing {")
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut rooms = BTreeSet::new();
    for piece in code.split("crate::").skip(1) {
        let name: String = piece.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rooms.insert(name);
    }
    rooms
}

fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&source).unwrap();
        if relative.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing")
            || relative == Path::new("lib.rs")
        {
            continue;
        }
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        edges.entry(room).or_default().extend(imports(&fs::read_to_string(&file).unwrap()));
    }
    edges
}

#[test]
fn imports_point_down() {
    let levels: BTreeMap<_, _> = LEVELS.iter().copied().collect();
    let edges = edges();
    assert!(edges.len() > 15, "the rooms were not found");
    let mut problems = Vec::new();
    for (room, imports) in &edges {
        let Some(level) = levels.get(room.as_str()) else {
            problems.push(format!("`{room}` has no level"));
            continue;
        };
        for import in imports.iter().filter(|import| *import != room) {
            let pair = (room.as_str(), import.as_str());
            match levels.get(import.as_str()) {
                None => problems.push(format!("`{room}` imports `crate::{import}`, which is no room")),
                Some(other) if other > level && !UPWARDS.contains(&pair) => {
                    problems.push(format!("`{room}` (level {level}) imports `{import}` (level {other})"));
                }
                Some(_) => {
                    let mutual = edges.get(import).is_some_and(|back| back.contains(room));
                    let allowed = PAIRS.contains(&pair)
                        || UPWARDS.contains(&pair)
                        || UPWARDS.contains(&(pair.1, pair.0));
                    if mutual && !allowed {
                        problems.push(format!("`{room}` and `{import}` import each other"));
                    }
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn only_one_room_touches_the_crypto_crates() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let room = file.strip_prefix(&source).unwrap().iter().next().unwrap().to_str().unwrap();
        if !matches!(room, "mac.rs" | "jws" | "second_opinion.rs") {
            for name in ["hmac::", "sha2::", "jsonwebtoken::"] {
                assert!(!text.contains(name), "{} names {name}", file.display());
            }
        }
    }
}
