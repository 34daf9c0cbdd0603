//! `completions`: what a shell needs to complete the commands, made from the
//! commands as they are parsed.
//!
//! Each shell has a file that knows its language; none knows the commands.

mod bash;
mod fish;
mod powershell;
#[cfg(test)]
mod tests;
mod zsh;

use argh::{ArgsInfo, FromArgs};

use super::exit;
use super::flags::{self, Command};

/// Print the completions of a shell.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "completions",
    note = "bash: into `~/.local/share/bash-completion/completions/amurg-runtime`.",
    note = "zsh: as `_amurg-runtime` into a directory of `$fpath`.",
    note = "fish: into `~/.config/fish/completions/amurg-runtime.fish`.",
    note = "powershell: into the file `$PROFILE` names."
)]
pub struct Completions {
    /// the shell that reads them
    #[argh(positional, arg_name = "bash|zsh|fish|powershell", from_str_fn(shell))]
    shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Power,
}

fn shell(name: &str) -> Result<Shell, String> {
    match name {
        "bash" => Ok(Shell::Bash),
        "zsh" => Ok(Shell::Zsh),
        "fish" => Ok(Shell::Fish),
        "powershell" => Ok(Shell::Power),
        _ => Err("it is bash, zsh, fish or powershell".into()),
    }
}

/// Prints them.
pub fn run(arguments: &Completions) -> u8 {
    super::print(&script(arguments.shell, &flags::program()));
    exit::OK
}

fn script(shell: Shell, program: &Command) -> String {
    match shell {
        Shell::Bash => bash::script(program),
        Shell::Zsh => zsh::script(program),
        Shell::Fish => fish::script(program),
        Shell::Power => powershell::script(program),
    }
}
