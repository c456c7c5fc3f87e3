//! What serving would do, as far as can be told without doing any of it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::Args;
use super::config_file::{Places, Setting};
use super::terminal::{plain, table};
use crate::setup::{self, SetupError};
use crate::store;

/// A setting, as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    name: String,
    value: String,
    from: String,
}

impl Shown {
    pub(super) fn of(setting: &Setting, matches: &ArgMatches, places: &Places) -> Self {
        let name = setting.name.clone();
        let values = matches
            .get_raw(&setting.id)
            .map(|values| values.map(|value| plain(&value.to_string_lossy())).collect::<Vec<_>>().join(", "));
        let value = match values.filter(|values| !values.is_empty()) {
            None => "-".to_owned(),
            Some(url) if name == "store" => store::shown(&url),
            Some(url) if ["upstream", "edge", "console-url", "otlp-endpoint"].contains(&&*name) => {
                without_user(url)
            }
            Some(_) if setting.is_secret => "(not shown)".to_owned(),
            Some(values) => values,
        };
        let from = match (places.of(&name), matches.value_source(&setting.id)) {
            (Some(place), _) => place.to_owned(),
            (_, Some(ValueSource::CommandLine)) => "flag".to_owned(),
            (_, Some(ValueSource::EnvVariable)) => "environment".to_owned(),
            _ if value == "-" => String::new(),
            _ => "default".to_owned(),
        };
        Self { name, value, from }
    }
}

/// A URL without a name and a password, which these have to be.
fn without_user(url: String) -> String {
    if url.contains('@') { "(not shown)".to_owned() } else { url }
}

/// Has to be called on a runtime.
pub(super) fn run(args: &Args, shown: &[Shown]) -> ExitCode {
    let mut problems = setup::problems(args);
    let rows = shown.iter().map(|Shown { name, value, from }| [name.clone(), value.clone(), from.clone()]);
    let mut text = table(["SETTING", "VALUE", "FROM"], &rows.collect::<Vec<_>>());
    text.push('\n');
    match store::look(args) {
        Ok(found) => found.into_iter().for_each(|found| text += &format!("{found}\n")),
        Err(problem) => problems.push(SetupError::from(problem).placed(args)),
    }
    setup::certificates(args).into_iter().for_each(|certificate| text += &format!("{certificate}\n"));
    text += &admin_token(args);
    text.push_str("not looked at: whether the ports are free, and whether the upstream answers\n");
    text.push_str(if problems.is_empty() { "\nit would serve\n" } else { "\nit would not serve\n" });
    // Nobody has to read all of it.
    let _ = io::stdout().write_all(text.as_bytes());
    for problem in &problems {
        eprintln!("{}: {problem}", args.program);
    }
    ExitCode::from(u8::from(!problems.is_empty()))
}

fn admin_token(args: &Args) -> String {
    let from = match (&args.admin_token_file, &args.admin_token) {
        (Some(file), _) => format!("comes from {}", file.display()),
        (None, Some(_)) => "is given".to_owned(),
        (None, None) => "would be made anew at every start, and shown once".to_owned(),
    };
    format!("admin token: {from}\n")
}
