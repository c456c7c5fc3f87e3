//! The log, on the standard error stream.

use std::io::{self, IsTerminal as _};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Starts the log. `RUST_LOG` says how much it tells, `info` by default.
///
/// Whatever it says, other crates' debugging output stays out: it may hold a request's headers, and so a token.
pub fn init() {
    init_as(LogFormat::Text);
}

/// Likewise, with lines of this format.
pub fn init_as(format: LogFormat) {
    init_at("info", format);
}

/// Likewise, for what is over at once: `warn` by default.
pub(crate) fn init_quiet() {
    init_at("warn", LogFormat::Text);
}

fn init_at(default: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // Where nobody reads the log any more there is nobody to tell about it either: that would panic.
    let lines =
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        // The only spans are those of requests that have a trace.
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    // A second call, as in a test, changes nothing.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(FilterFn::new(is_harmless)).with_filter(filter))
        .try_init();
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("voicegain_") || *metadata.level() <= Level::INFO
}
