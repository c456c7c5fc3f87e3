//! What can be done besides serving.

use std::process::ExitCode;

use clap::{ArgMatches, Command, FromArgMatches as _};
use clap_complete::Shell;

use super::config_file::Setting;
use super::{Args, audit, check, completion, explain, web_config};
use crate::logging;

/// What a command line asks for.
#[derive(Debug)]
pub enum Start<Own> {
    /// To serve, with the shared flags and the program's own.
    Serve(Args, Own),
    /// Something else.
    Do(Job),
}

/// Something else than to serve.
#[derive(Debug)]
pub struct Job(Kind);

#[derive(Debug)]
enum Kind {
    Check(Args, Vec<check::Shown>),
    Explain(Args, explain::Asked),
    WebConfig(Args, web_config::Act),
    Audit(Args, audit::Asked),
    Completion(Shell, Box<Command>),
}

impl Job {
    pub(super) fn completion(leaf: &ArgMatches, command: Command) -> Result<Self, clap::Error> {
        let shell = leaf.get_one::<Shell>("shell").copied();
        let shell = shell.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument))?;
        Ok(Self(Kind::Completion(shell, Box::new(command))))
    }

    /// The job that the subcommand with these names stands for; the settings again if there is none.
    pub(super) fn of(
        path: &[&str],
        leaf: &ArgMatches,
        settings: &[Setting],
        args: Args,
    ) -> Result<Result<Self, Args>, clap::Error> {
        Ok(Ok(Self(match path {
            ["check"] => {
                let shown = settings.iter().map(|setting| check::Shown::of(setting, leaf, &args.places));
                let shown = shown.collect();
                Kind::Check(args, shown)
            }
            ["explain"] => Kind::Explain(args, explain::Asked::from_arg_matches(leaf)?),
            ["web-config", act] => Kind::WebConfig(args, web_config::Act::of(act, leaf)?),
            ["audit", what] => Kind::Audit(args, audit::Asked::of(what, leaf)?),
            _ => return Ok(Err(args)),
        })))
    }

    /// Does it, and says how the process should end.
    pub async fn run(self) -> ExitCode {
        logging::init_quiet();
        match self.0 {
            Kind::Check(args, shown) => check::run(&args, &shown),
            Kind::Explain(args, asked) => explain::run(&args, &asked).await,
            Kind::WebConfig(args, act) => web_config::run(&args, &act).await,
            Kind::Audit(args, asked) => audit::run(&args, &asked),
            Kind::Completion(shell, command) => {
                // Nobody has to read all of it.
                let _ = completion::print(shell, *command);
                ExitCode::SUCCESS
            }
        }
    }
}

/// Says what is wrong, and how the process should end.
pub(super) fn fail(args: &Args, problem: &str, code: u8) -> ExitCode {
    eprintln!("{}: {problem}", args.program);
    ExitCode::from(code)
}
