//! Web configs without a browser, on the store itself. Gateways that run on it hear of every change as of any other.

mod change;
mod list;
mod moving;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Args as _, Command, FromArgMatches as _};
use voicegain_auth_core::audit::{Actor, ActorKind};
use voicegain_auth_core::{AccountId, ContextId, IssueError, Issuer, StoreError, WebConfigId};

use super::Args;
use super::job::fail;
use crate::setup::{self, SetupError};
use crate::store::{self, Opened, chain};

/// What is done to web configs.
#[derive(Debug)]
pub(super) enum Act {
    Create(Create),
    List(List),
    Show(Show),
    Regenerate(Change),
    Delete(Change),
    Export(moving::Export),
    Import(moving::Import),
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Who pays: 1 to 128 visible ASCII characters
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// The workspace: 1 to 128 visible ASCII characters
    #[arg(long, value_name = "ID")]
    context: ContextId,
    /// A name for people
    #[arg(long, value_name = "NAME")]
    name: String,
    /// An origin whose pages may use the long-lived token; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    allowed_origin: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those of this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only those of this context
    #[arg(long, value_name = "ID")]
    context: Option<ContextId>,
    /// As JSON, a list of what the admin API shows of each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The web config's id
    #[arg(value_name = "ID")]
    id: WebConfigId,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Change {
    /// The web config's id
    #[arg(value_name = "ID")]
    id: WebConfigId,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn command(flags: impl Fn(Command) -> Command) -> Command {
    const TOKEN: &str = "The token alone is written to the standard output. It cannot be read again.";
    let act = |name: &'static str, about: &'static str, after: &'static str, own: fn(Command) -> Command| {
        own(flags(Command::new(name))).about(about).long_about(None).after_help(after)
    };
    Command::new("web-config")
        .about("Creates, lists and ends web configs, on the store itself")
        .after_help(
            "It may be done while gateways run on the store: they hear of it as of every other change.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(act(
            "create",
            "Makes a web config, and prints its long-lived token",
            TOKEN,
            Create::augment_args,
        ))
        .subcommand(act("list", "Lists web configs", "Their secrets are not among it.", List::augment_args))
        .subcommand(act("show", "Shows a web config", "Its secret is not among it.", Show::augment_args))
        .subcommand(act(
            "regenerate",
            "Replaces a web config's secret, which ends its tokens, and prints the new long-lived token",
            TOKEN,
            Change::augment_args,
        ))
        .subcommand(act(
            "delete",
            "Deletes a web config for good, which ends its tokens",
            "Without a terminal to ask at, --yes is needed.",
            Change::augment_args,
        ))
        .subcommand(act(
            "export",
            "Writes all web configs with their secrets into a file, for another store to import",
            "Those that were deleted are not among it. Nothing is changed.",
            moving::Export::augment_args,
        ))
        .subcommand(act(
            "import",
            "Restores the web configs of an export, so that their tokens are good here too",
            "The whole file is checked before anything is changed. Tokens are then good in both deployments, until they are \
             ended in each.",
            moving::Import::augment_args,
        ))
}

impl Act {
    fn changes(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Show(_))
    }

    pub(super) fn of(name: &str, matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(match name {
            "create" => Self::Create(Create::from_arg_matches(matches)?),
            "list" => Self::List(List::from_arg_matches(matches)?),
            "show" => Self::Show(Show::from_arg_matches(matches)?),
            "regenerate" => Self::Regenerate(Change::from_arg_matches(matches)?),
            "delete" => Self::Delete(Change::from_arg_matches(matches)?),
            "export" => Self::Export(moving::Export::from_arg_matches(matches)?),
            "import" => Self::Import(moving::Import::from_arg_matches(matches)?),
            other => unreachable!("{other} is no subcommand"),
        })
    }
}

pub(super) async fn run(args: &Args, act: &Act) -> ExitCode {
    match done(args, act).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(args, &problem, 1),
    }
}

async fn done(args: &Args, act: &Act) -> Result<(), String> {
    // Whether it can be written down is asked first: a new store would be made in vain.
    let log = if act.changes() { setup::audit_log(args) } else { Ok(None) };
    let log = log.map_err(|error| error.placed(args).to_string())?;
    // What it is done with; some acts look at files before they open the store.
    let issuer = async move |may_make: bool| {
        let issuer = opened(args, may_make).await?.acting_as(actor());
        Ok::<_, String>(match log {
            Some(log) => issuer.audited(log),
            None => issuer,
        })
    };
    match act {
        Act::Create(create) => change::create(&issuer(true).await?, create).await,
        Act::List(query) => list::list(&issuer(false).await?, query).await,
        Act::Show(Show { id, json }) => list::show(&issuer(false).await?, *id, *json).await,
        Act::Regenerate(change) => change::regenerate(&issuer(false).await?, change).await,
        Act::Delete(change) => change::delete(&issuer(false).await?, change).await,
        Act::Export(export) => moving::export(args, export, issuer).await,
        Act::Import(import) => moving::import(args, import, issuer).await,
    }
}

/// Whoever has started this program: the user that it runs as, and for whom, if `sudo` says so.
fn actor() -> Actor {
    #[cfg(unix)]
    let name = {
        let user = rustix::process::getuid().as_raw();
        let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok());
        sudo.map_or(format!("uid {user}"), |uid| format!("uid {user}, by sudo from uid {uid}"))
    };
    #[cfg(not(unix))]
    let name = String::new();
    Actor::new(ActorKind::CommandLine, name)
}

/// The store that the flags name, and what changes web configs there. Only if it may is a new SQLite file made.
pub(super) async fn opened(args: &Args, may_make: bool) -> Result<Issuer, String> {
    if args.store == "memory:" {
        return Err("--store memory: forgets everything at once; name a store that gateways use".to_owned());
    }
    if let Some(file) = sqlite_file(args).filter(|file| !may_make && !file.exists()) {
        let file = file.display();
        return Err(format!(
            "--store sqlite://{file}: there is no such file; name the one that gateways use"
        ));
    }
    // That is for who serves, whatever the config file says.
    let args = &Args { seal_existing: false, ..args.clone() };
    let placed = |error: SetupError| error.placed(args).to_string();
    let Opened { cache, key_file, .. } = store::open(args).await.map_err(|problem| placed(problem.into()))?;
    if let Some(key_file) = key_file.filter(|key_file| key_file.is_new()) {
        eprintln!(
            "master key made in {}: keep a copy of it, without it the secrets cannot be read",
            key_file.path().display()
        );
    }
    setup::issuer(cache, args).map_err(placed)
}

/// The file of a SQLite store.
pub(super) fn sqlite_file(args: &Args) -> Option<PathBuf> {
    let file = args.store.strip_prefix("sqlite://").filter(|file| !file.is_empty())?;
    Some(Path::new(file).to_owned())
}

/// What is wrong, for who has asked for a change.
fn problem(error: &IssueError) -> String {
    match error {
        IssueError::Invalid { field: "allowedOrigins", problem } => format!("--allowed-origin: {problem}"),
        IssueError::Invalid { field, problem } => format!("--{field}: {problem}"),
        IssueError::Store(StoreError::NotFound) => {
            "there is no such web config; `list` shows which there are".to_owned()
        }
        IssueError::Store(StoreError::OutcomeUnknown(_)) => {
            format!(
                "outcome unknown: look at the generation with `show` or `list`, and do it again ({})",
                chain(error)
            )
        }
        error => chain(error),
    }
}
