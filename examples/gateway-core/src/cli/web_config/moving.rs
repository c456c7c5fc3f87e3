//! Moves all web configs from one store to another, secrets and generations included, by way of a file.

mod document;
mod export;
mod import;
mod new_file;
mod record;

use std::path::PathBuf;

pub(super) use export::export;
pub(super) use import::import;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Export {
    /// The file to write, which must not be there yet; without it, the standard output if that is no terminal
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The key that secrets are sealed under in the file, as in a master key file: KEY-ID:BASE64-OF-32-BYTES
    #[arg(long, value_name = "FILE", conflicts_with = "plain_export")]
    key_file: Option<PathBuf>,
    /// Leave secrets in the file as they are: whoever can read it can sign tokens
    #[arg(long)]
    plain_export: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Import {
    /// The file that `export` has written; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key file that the export was given
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Check the file, and compare it with what lives in the store, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Pass over those that live in the store already, if they are the same there: to go on after an interruption
    #[arg(long)]
    skip_existing: bool,
    /// Restore those too that were deleted in the store, if the file has a later generation of them
    #[arg(long)]
    revive: bool,
}

/// A number that people read.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many web configs.
fn counted(number: usize) -> String {
    format!("{} web config{}", thousands(number), if number == 1 { "" } else { "s" })
}

/// The first few of them, each on a line of its own.
fn listed(lines: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: String = lines.iter().take(SHOWN).map(|line| format!("\n  {line}")).collect();
    if let Some(more) = lines.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text += &format!("\n  and {} more", thousands(more));
    }
    text
}

#[cfg(test)]
mod tests;
