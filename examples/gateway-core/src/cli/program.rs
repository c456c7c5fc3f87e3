//! What clap is told: the flags, what can be done besides serving, and the help.

use clap::builder::Resettable;
use clap::{ArgAction, Args as _, Command, value_parser};

use super::config_file::ConfigFile;
use super::{Args, audit, completion, explain, web_config};

/// A gateway's program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Whether it can do nothing else.
    pub(super) only_serves: bool,
}

/// The flags that do something for a job which does not serve. `check` looks at all of them.
pub(super) const USED: [(&str, &[&str]); 3] = [
    ("web-config", &["config", "store", "master-key-file", "plain-secrets", "api-url", "audit-log"]),
    ("audit", &["config", "audit-log"]),
    (
        "explain",
        &[
            "config",
            "store",
            "master-key-file",
            "plain-secrets",
            "api-url",
            "base-path",
            "token-sources",
            "max-revocation-delay",
            "leeway",
            "edge",
        ],
    ),
];

const DURATIONS: &str = "Durations are written as 500ms, 30s, 5m or 1h; a bare number is seconds.";

impl Program {
    /// The whole command line, with the config file's values for defaults.
    pub(super) fn command<Own: clap::Args>(&self, file: &ConfigFile) -> Command {
        let command = Self::flags::<Own>(Command::new(self.name).version(self.version), file, None);
        // The description comes last: that of a struct of flags would take its place.
        let command = command
            .about("Puts Voicegain's tokens in front of an API: accepts, refuses, mints, and revokes")
            .long_about(None)
            .after_help(format!("{DURATIONS} --help says more of each flag, and has examples."));
        if self.only_serves {
            return command;
        }
        let after = self.examples();
        let check = Self::flags::<Own>(Command::new("check"), file, None)
            .about("Reads the settings as serving would, and says what it would do")
            .long_about(None)
            .after_help(CHECKED);
        let [web_config, explain, audit] = ["web-config", "explain", "audit"].map(|job| {
            move |command| {
                let used = USED.iter().find(|(name, _)| *name == job).map(|(_, used)| *used);
                Self::flags::<Own>(command, file, used)
            }
        });
        command
            .after_long_help(after)
            .args_conflicts_with_subcommands(true)
            .subcommand(check)
            .subcommand(web_config::command(web_config))
            .subcommand(explain::command(self.name, explain))
            .subcommand(audit::command(audit))
            .subcommand(completion::command(self.name))
    }

    /// Adds the flags. Those that are not used do not show.
    pub(super) fn flags<Own: clap::Args>(
        command: Command,
        file: &ConfigFile,
        used: Option<&[&str]>,
    ) -> Command {
        let command = Own::augment_args(Args::augment_args(command));
        command.about(None).long_about(None).mut_args(|mut arg| {
            let Some(name) = arg.get_long().map(str::to_owned) else { return arg };
            if matches!(arg.get_action(), ArgAction::SetTrue) {
                // So that a flag can switch off what the config file switches on.
                arg = arg
                    .action(ArgAction::Set)
                    .value_parser(value_parser!(bool))
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .default_value("false")
                    .hide_default_value(true)
                    .value_name("true|false")
                    .hide_possible_values(true);
            }
            if let Some(values) = file.values(&name) {
                // What the environment says has been taken out of the file, so that it says nothing here.
                arg = arg.env(Resettable::Reset).default_values(values.iter().cloned());
            }
            let is_used = used.is_none_or(|used| used.contains(&&*name));
            arg.hide(!is_used)
        })
    }

    fn examples(&self) -> String {
        let name = self.name;
        format!(
            "{DURATIONS} RUST_LOG says how much is logged, as in RUST_LOG=debug. SIGHUP has the master key file and the \
             files of TLS read again.\n\n\
             Examples:\n  \
             # Try it: an echo behind it, a SQLite file, a new key file and admin token\n  \
             {name}\n\n  \
             # In front of an API, with settings in a file; look at them first\n  \
             {name} check --config gateway.toml\n  \
             {name} --config gateway.toml --upstream http://127.0.0.1:9000\n\n  \
             # A web config without a browser, and what was wrong with a token\n  \
             {name} web-config create --account ACCOUNT --context CONTEXT --name NAME >token\n  \
             {name} explain --path /v1/data <token"
        )
    }
}

const CHECKED: &str = "Opens no port, connects to no server, and neither makes nor changes a file. Ends with 0 if serving \
                       would begin as far as that can tell, otherwise with 1.";
