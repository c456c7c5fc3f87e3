//! The command line, the same for both gateways: flags, the config file, and what can be done besides serving.

mod args;
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
#[cfg(test)]
pub(crate) use parse::tests::serving;
