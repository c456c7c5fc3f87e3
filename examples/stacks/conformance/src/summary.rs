//! The table for people: what was run, how the layer is added there, and how it went.

use std::collections::BTreeMap;
use std::fmt::Write;

use conformance::report::StackReport;
use serde::Deserialize;

use crate::marks::Known;

/// How a stack came out.
#[derive(Debug)]
pub struct Row {
    /// The crate, as `Cargo.lock` has it.
    pub package: &'static str,
    /// How the layer is added, in a few words.
    pub how: &'static str,
    /// What came of it, the marked cases taken out.
    pub report: StackReport,
    /// What became of its failures that are known.
    pub known: Known,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// The rows in Markdown, with the versions out of the text of a `Cargo.lock`.
///
/// # Errors
/// If it is none, or lacks one of the crates.
pub fn markdown(rows: &[Row], lock: &str) -> Result<String, String> {
    let lock: Lock = toml::from_str(lock).map_err(|error| format!("Cargo.lock: {error}"))?;
    let versions: BTreeMap<_, _> =
        lock.package.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    let mut text =
        "| stack | version | how it is added | passed | marked | accepted unseen | failed | seconds |\n"
            .to_owned();
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for Row { package, how, report, known } in rows {
        let version = versions.get(package).ok_or_else(|| format!("Cargo.lock has no {package}"))?;
        let count = report.count();
        let (passed, failed, seconds) = (count.passed, count.failed, report.seconds);
        let Known { marked, unseen, .. } = known;
        let _ = writeln!(
            text,
            "| {package} | {version} | {how} | {passed} | {marked} | {unseen} | {failed} | {seconds:.1} |"
        );
    }
    Ok(text)
}
