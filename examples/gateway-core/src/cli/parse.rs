//! From words to [`Args`]: flags come first, then the environment, then the config file, then the defaults.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches as _};
use zeroize::Zeroizing;

use super::config_file::{ConfigFile, ConfigFileError, Setting, settings};
use super::program::{Program, USED};
use super::{Args, Job, Start};

/// Holds the lines of a key file.
const MASTER_KEYS: &str = "VOICEGAIN_MASTER_KEYS";

/// Why a command line cannot be followed.
#[derive(Debug)]
pub(super) enum Wrong {
    Words(clap::Error),
    /// Also the name of the job that needs the file.
    File(ConfigFileError, String),
}

impl From<clap::Error> for Wrong {
    fn from(error: clap::Error) -> Self {
        Self::Words(error)
    }
}

impl Args {
    /// Reads the command line of a program that only serves. Does not return if it is wrong, or asks for help.
    #[must_use]
    pub fn parse(name: &'static str, version: &'static str) -> Self {
        match start_or_exit::<()>(&Program { name, version, only_serves: true }) {
            Start::Serve(args, ()) => args,
            Start::Do(job) => unreachable!("{job:?}"),
        }
    }
}

impl<Own: clap::Args> Start<Own> {
    /// Reads the command line of the program with this name and flags of its own. Does not return if it is wrong, or asks
    /// for help.
    #[must_use]
    pub fn parse(name: &'static str, version: &'static str) -> Self {
        start_or_exit(&Program { name, version, only_serves: false })
    }
}

fn start_or_exit<Own: clap::Args>(program: &Program) -> Start<Own> {
    let words: Vec<_> = std::env::args_os().collect();
    match read(program, &words, std::env::var_os(MASTER_KEYS)) {
        Ok(start) => start,
        Err(Wrong::Words(error)) => error.format(&mut program.command::<Own>(&ConfigFile::default())).exit(),
        Err(Wrong::File(error, job)) => {
            eprintln!("{}: {error}", program.name);
            // That the file cannot be used is what a check was asked about.
            std::process::exit(if job == "check" { 1 } else { 2 })
        }
    }
}

pub(super) fn read<Own: clap::Args>(
    program: &Program,
    words: &[OsString],
    master_keys: Option<OsString>,
) -> Result<Start<Own>, Wrong> {
    let master_keys = text_of(master_keys)?;
    let mut command = program.command::<Own>(&ConfigFile::default());
    let mut matches = command.try_get_matches_from_mut(words)?;
    let (path, leaf) = innermost(&matches);
    if path == ["completion"] {
        return Ok(Start::Do(Job::completion(leaf, command)?));
    }
    let settings = settings(&Program::flags::<Own>(Command::new(""), &ConfigFile::default(), None));
    refuse_useless(&path, leaf, &settings)?;
    let mut file = ConfigFile::default();
    if let Some(named) = leaf.get_one::<std::path::PathBuf>("config") {
        let job = path.join(" ");
        file = ConfigFile::read(named, &settings).map_err(|error| Wrong::File(error, job))?;
        file.yield_to(&given(leaf, &settings), master_keys.is_some());
        matches = program.command::<Own>(&file).try_get_matches_from(words)?;
    }
    let (path, leaf) = innermost(&matches);
    let mut args = from_matches(leaf, master_keys)?;
    (args.program, args.places) = (program.name, file.places());
    match Job::of(&path, leaf, &settings, args)? {
        Ok(job) => Ok(Start::Do(job)),
        Err(args) => Ok(Start::Serve(args, Own::from_arg_matches(leaf)?)),
    }
}

fn text_of(master_keys: Option<OsString>) -> Result<Option<Zeroizing<String>>, clap::Error> {
    match master_keys.map(OsString::into_string).transpose() {
        Ok(keys) => Ok(keys.map(Zeroizing::new).filter(|keys| !keys.is_empty())),
        Err(_) => {
            let what = format!("the environment variable {MASTER_KEYS} is no text");
            Err(clap::Error::raw(ErrorKind::InvalidUtf8, what))
        }
    }
}

/// The subcommand, by its names from the outermost on, and what was given to it.
fn innermost(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut path, mut leaf) = (Vec::new(), matches);
    while let Some((name, below)) = leaf.subcommand() {
        path.push(name);
        leaf = below;
    }
    (path, leaf)
}

/// Refuses flags that do nothing for this job; that the environment and the config file hold them is usual.
fn refuse_useless(path: &[&str], leaf: &ArgMatches, settings: &[Setting]) -> Result<(), clap::Error> {
    let Some((_, used)) = USED.iter().find(|(job, _)| path.first() == Some(job)) else { return Ok(()) };
    let useless = settings.iter().find(|setting| {
        leaf.value_source(&setting.id) == Some(ValueSource::CommandLine) && !used.contains(&&*setting.name)
    });
    useless.map_or(Ok(()), |setting| {
        let text = format!("--{} does nothing for `{}`; leave it out", setting.name, path.join(" "));
        Err(clap::Error::raw(ErrorKind::UnknownArgument, text))
    })
}

/// What a flag or the environment says, and whether it switches something on.
fn given<'a>(leaf: &ArgMatches, settings: &'a [Setting]) -> Vec<(&'a str, bool)> {
    let given = settings.iter().filter_map(|setting| {
        let first = leaf.get_raw(&setting.id).and_then(|mut values| values.next());
        match leaf.value_source(&setting.id)? {
            ValueSource::CommandLine => {}
            ValueSource::EnvVariable if !is_unset(leaf, &setting.id) => {}
            _ => return None,
        }
        Some((&*setting.name, first.is_none_or(|value| value != "false")))
    });
    given.collect()
}

/// An empty variable is how one is unset in many places.
fn is_unset(leaf: &ArgMatches, id: &str) -> bool {
    id == "admin_token"
        && leaf.value_source(id) == Some(ValueSource::EnvVariable)
        && leaf.get_raw(id).is_some_and(|mut values| values.all(|value| value.is_empty()))
}

fn from_matches(matches: &ArgMatches, master_keys: Option<Zeroizing<String>>) -> Result<Args, clap::Error> {
    let mut args = Args::from_arg_matches(matches)?;
    args.master_keys = master_keys;
    if is_unset(matches, "admin_token") {
        args.admin_token = None;
    }
    let conflict = |which: &str| Err(clap::Error::raw(ErrorKind::ArgumentConflict, which));
    if args.upstream_http2 && args.upstream.is_none() {
        return conflict(
            "--upstream-http2: there is no upstream that could speak HTTP/2; name one with --upstream",
        );
    }
    if args.admin_token.is_some() && args.admin_token_file.is_some() {
        return conflict(
            "there are two admin tokens: leave out --admin-token (or the environment variable VOICEGAIN_ADMIN_TOKEN), or \
             --admin-token-file (or VOICEGAIN_ADMIN_TOKEN_FILE)",
        );
    }
    let in_file = args.master_key_file.is_some();
    if in_file && args.master_keys.is_some() {
        return conflict(
            "there are two sets of master keys: leave out --master-key-file (or the environment variable \
             VOICEGAIN_MASTER_KEY_FILE), or VOICEGAIN_MASTER_KEYS",
        );
    }
    if args.plain_secrets && (in_file || args.master_keys.is_some()) {
        return conflict(
            "secrets are plain or sealed: leave out --plain-secrets, or the master keys (--master-key-file and the \
             environment variables VOICEGAIN_MASTER_KEY_FILE and VOICEGAIN_MASTER_KEYS)",
        );
    }
    if args.plain_secrets && args.seal_existing {
        return conflict("secrets are plain or sealed: leave out --plain-secrets, or --seal-existing");
    }
    Ok(args)
}

#[cfg(test)]
pub(crate) mod tests;
