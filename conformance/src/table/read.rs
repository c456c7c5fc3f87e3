//! From the files of `cases/` to cases.

use super::{Case, Step};
use crate::stack::{Kind, Variant};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::{Table, Value};

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Table>,
}

/// Members of a case that are not a step's.
#[derive(Debug, Deserialize)]
struct Head {
    id: String,
    rules: Vec<String>,
    title: String,
    #[serde(default)]
    variants: Vec<Variant>,
    stacks: Option<Kind>,
    #[serde(default)]
    not_for: BTreeMap<String, String>,
    #[serde(default)]
    steps: Vec<Step>,
}

const HEAD: [&str; 7] = ["id", "rules", "title", "variants", "stacks", "not_for", "steps"];

/// The cases that come with this crate.
///
/// # Errors
/// As [`load`].
pub fn built_in() -> Result<Vec<Case>, String> {
    load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases")))
}

/// All cases of the `.toml` files in a folder, in the order of the files' names.
///
/// # Errors
/// A file that cannot be read or understood, or an id that occurs twice, as a sentence.
pub fn load(folder: &Path) -> Result<Vec<Case>, String> {
    let entries = std::fs::read_dir(folder).map_err(|err| format!("{}: {err}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|err| format!("{}: {err}", file.display()))?;
        cases.extend(parse(&text).map_err(|err| format!("{}: {err}", file.display()))?);
    }
    let mut ids = BTreeSet::new();
    match cases.iter().find(|case| !ids.insert(case.id.clone())) {
        Some(case) => Err(format!("two cases are called {}", case.id)),
        None => Ok(cases),
    }
}

/// The cases of one file.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn parse(text: &str) -> Result<Vec<Case>, String> {
    let file: File = toml::from_str(text).map_err(|err| err.to_string())?;
    let mut cases = Vec::new();
    for mut table in file.case {
        let id = table.get("id").and_then(Value::as_str).unwrap_or("(no id)").to_owned();
        let wrong = |err: String| format!("case {id}: {err}");
        match table.remove("rows") {
            None => cases.push(case(table).map_err(wrong)?),
            Some(Value::Array(rows)) => {
                for row in rows {
                    let Value::Table(row) = row else { return Err(wrong("a row is a table".to_owned())) };
                    let name = row.get("id").and_then(Value::as_str).unwrap_or("(no id)").to_owned();
                    let table = apply(table.clone(), &row);
                    cases.push(case(table).map_err(|err| wrong(format!("row {name}: {err}")))?);
                }
            }
            Some(_) => return Err(wrong("rows is a list".to_owned())),
        }
    }
    Ok(cases)
}

/// The case that a row makes.
fn apply(mut table: Table, row: &Table) -> Table {
    let id = table.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let steps = table.contains_key("steps");
    for (key, value) in row {
        let known = HEAD.contains(&key.as_str()) || STEP.contains(&key.as_str());
        if known && (!steps || HEAD.contains(&key.as_str())) {
            table.insert(key.clone(), value.clone());
        }
    }
    if let Some(name) = row.get("id").and_then(Value::as_str) {
        table.insert("id".to_owned(), Value::String(format!("{id}/{name}")));
    }
    let mut value = Value::Table(table);
    substitute(&mut value, row);
    match value {
        Value::Table(table) => table,
        _ => unreachable!("a table stays a table"),
    }
}

/// The members of [`Step`], which a row may replace.
const STEP: [&str; 20] = [
    "admin",
    "token",
    "tokens",
    "bearer",
    "bare",
    "admin_port",
    "http",
    "method",
    "target",
    "host",
    "no_host",
    "origin",
    "websocket",
    "headers",
    "body",
    "raw_body",
    "raw",
    "after",
    "times",
    "expect",
];

fn substitute(value: &mut Value, row: &Table) {
    match value {
        Value::String(text) => {
            // `${token}` is the token that is sent, never its recipe.
            let row = row.iter().filter(|(name, _)| *name != "token").collect::<BTreeMap<_, _>>();
            let whole = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            if let Some(replacement) = whole.and_then(|name| row.get(&name.to_owned())) {
                *value = (*replacement).clone();
                return;
            }
            for (name, replacement) in row {
                if let Value::String(replacement) = replacement {
                    *text = text.replace(&format!("${{{name}}}"), replacement);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, row)),
        Value::Table(table) => table.iter_mut().for_each(|(_, item)| substitute(item, row)),
        _ => {}
    }
}

fn case(mut table: Table) -> Result<Case, String> {
    let mut head = Table::new();
    for key in HEAD {
        if let Some(value) = table.remove(key) {
            head.insert(key.to_owned(), value);
        }
    }
    let mut head: Head = head.try_into().map_err(|err: toml::de::Error| err.message().to_owned())?;
    if head.steps.is_empty() {
        if !table.contains_key("expect") {
            return Err("no expectation".to_owned());
        }
        head.steps = vec![table.try_into().map_err(|err: toml::de::Error| err.message().to_owned())?];
    } else if let Some(key) = table.keys().next() {
        return Err(format!("{key:?} belongs into a step"));
    }
    if head.variants.is_empty() {
        head.variants = vec![Variant::Default];
    }
    Ok(Case {
        id: head.id,
        rules: head.rules,
        title: head.title,
        variants: head.variants,
        stacks: head.stacks,
        not_for: head.not_for,
        steps: head.steps,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn a_case_of_one_step() {
        let cases = parse(
            r#"
            [[case]]
            id = "x"
            rules = ["V1"]
            title = "t"
            token = { aud = "a" }
            expect = "missing_token"
            "#,
        )
        .unwrap();
        assert_eq!(cases[0].variants, [Variant::Default]);
        assert_eq!(cases[0].steps[0].expect.layer.is, Outcome::Reason("missing_token".to_owned()));
        assert_eq!(cases[0].steps[0].token.as_ref().unwrap().aud.as_deref(), Some("a"));
    }

    #[test]
    fn rows_replace_and_stand_in() {
        let cases = parse(
            r#"
            [[case]]
            id = "x"
            rules = ["O3"]
            title = "${word} here"
            token = { short = "${aud}" }
            headers = ["A: ${word}"]
            rows = [
              { id = "one", word = "w", aud = "*", origin = "null", expect = "accept" },
              { id = "two", word = "v", aud = "b", token = "alpha@2", expect = { layer = "accept", gateway = "invalid_token" } },
            ]
            "#,
        )
        .unwrap();
        assert_eq!(cases[0].id, "x/one");
        assert_eq!(cases[0].title, "w here");
        assert_eq!(cases[0].steps[0].token.as_ref().unwrap().short.as_deref(), Some("*"));
        assert_eq!(cases[0].steps[0].origin.as_deref(), Some("null"));
        assert_eq!(cases[1].steps[0].headers, ["A: v"]);
        assert_eq!(cases[1].steps[0].token.as_ref().unwrap().generation, Some(2));
        assert_eq!(cases[1].steps[0].expect.gateway.is, Outcome::Reason("invalid_token".to_owned()));
        assert_eq!(cases[1].steps[0].expect.layer.is, Outcome::Accept);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let case = |more: &str| {
            parse(&format!("[[case]]\nid='x'\nrules=['V1']\ntitle='t'\n{more}")).unwrap_err().to_string()
        };
        assert!(case("expect='nonsense'").contains("nonsense"));
        assert!(case("expect='accept'\ntokn='alpha'").contains("tokn"));
        assert!(case("").contains("no expectation"));
        assert!(case("expect='accept'\nvariants=['odd']").contains("odd"));
        assert!(case("expect='accept'\ntoken={audd='x'}").contains("audd"));
    }
}
