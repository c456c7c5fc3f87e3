//! Scripts by which a shell completes the command line.

use std::io::{self, Write as _};

use clap::{Arg, Command, value_parser};
use clap_complete::Shell;

pub(super) fn command(program: &str) -> Command {
    let shell = Arg::new("shell").required(true).value_name("SHELL").value_parser(value_parser!(Shell));
    Command::new("completion")
        .about("Prints a script that completes this command line in a shell")
        .arg(shell.help("Which shell"))
        .after_help(format!("Bash reads it by `source <({program} completion bash)`."))
}

/// Writes the script to the standard output.
pub(super) fn print(shell: Shell, mut command: Command) -> io::Result<()> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let mut script = String::from_utf8(script).map_err(io::Error::other)?;
    if shell == Shell::Bash {
        // It spells a program's name with a hyphen in two ways, and so finds none of its subcommands
        // (https://github.com/clap-rs/clap/issues/6421).
        script = script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    }
    io::stdout().write_all(script.as_bytes())
}
