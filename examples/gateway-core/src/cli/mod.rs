//! The command line, the same for both gateways: flags, the config file, and what can be done besides serving.

mod args;
mod audit;
mod check;
mod completion;
mod config_file;
mod explain;
mod job;
mod parse;
mod program;
mod terminal;
mod values;
mod web_config;

pub use args::{Args, OidcArgs};
pub use job::{Job, Start};

/// What serving with these words would be given.
#[cfg(test)]
pub(crate) fn serving(words: &[&str]) -> Args {
    parse::tests::serving(words)
}
