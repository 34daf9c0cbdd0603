//! What is said to somebody who typed something else than there is: the argument
//! parser's findings in the voice of every other error.

use super::flags::{self, Command};
use crate::config::nearest::nearest;
use crate::logging::Quoted;

/// One line: what is wrong with these words, and what to do.
pub fn told(finding: &str, words: &[&str]) -> String {
    let program = flags::program();
    let command = reached(&program, words);
    let typed = command.typed();
    let help = format!("{typed} --help lists what there is");
    let finding = finding.trim();
    let mut lines = finding.lines();
    let first = lines.next().unwrap_or_default();
    let below: Vec<&str> = lines.map(str::trim).filter(|word| *word != "help").collect();
    if let Some(odd) = first.strip_prefix("Unrecognized argument: ") {
        let known = command.commands.iter().map(Command::name);
        let known = known.chain(command.options.iter().map(|flag| flag.long));
        let meant = match nearest(odd, known) {
            Some(meant) => format!("did you mean {meant}?"),
            None => help,
        };
        format!("{} is nothing that {typed} knows; {meant}", Quoted(odd))
    } else if let Some(option) = between(first, "No value provided for option '", "'") {
        format!("{option} needs a value; {help}")
    } else if let Some((name, value, why)) = unfit(first) {
        let why = if why.contains("; ") { why.to_owned() } else { format!("{why}; {help}") };
        format!("{name} cannot be {}: {why}", Quoted(value))
    } else if first.starts_with("One of the following subcommands") {
        format!("{typed} needs one of {}; {help}", below.join(", "))
    } else if first.starts_with("Required ") {
        format!("{typed} needs {}; {help}", below.join(", "))
    } else {
        format!("{}; {help}", finding.replace('\n', " "))
    }
}

/// The command these words lead to.
fn reached<'a>(program: &'a Command, words: &[&str]) -> &'a Command {
    words.iter().fold(program, |command, word| {
        command.commands.iter().find(|below| below.name() == *word).unwrap_or(command)
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split_once(after).map(|(inside, _)| inside)
}

/// Which option or argument, which value, and why it is not taken.
fn unfit(text: &str) -> Option<(&str, &str, &str)> {
    let rest = text
        .strip_prefix("Error parsing option '")
        .or_else(|| text.strip_prefix("Error parsing positional argument '"))?;
    let (name, rest) = rest.split_once("' with value '")?;
    let (value, why) = rest.rsplit_once("': ")?;
    Some((name, value, why))
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::super::Amurg;
    use super::*;

    #[test]
    fn every_kind_of_mistake_is_told_with_what_to_do() {
        for (words, expected) in [
            (&["statu"][..], "statu is nothing that amurg-runtime knows; did you mean status?"),
            (
                &["check", "--conect"],
                "--conect is nothing that amurg-runtime check knows; did you mean --connect?",
            ),
            (
                &["check", "zebra\u{1b}"],
                "\"zebra\\u{1b}\" is nothing that amurg-runtime check knows; \
                 amurg-runtime check --help lists what there is",
            ),
            (&["status", "--wait"], "--wait needs a value; amurg-runtime status --help lists"),
            (&["status", "--wait", "5x"], "--wait cannot be 5x: it is not a duration; write a"),
            (
                &["run", "--log-format", "xml"],
                "--log-format cannot be xml: it is text, json or journald; amurg-runtime run",
            ),
            (
                &["run", "--log-level", "loud"],
                "--log-level cannot be loud: it is error, warn, info, debug or trace; amurg-",
            ),
            (
                &["completions", "csh"],
                "shell cannot be csh: it is bash, zsh, fish or powershell; amurg-runtime",
            ),
            (&["control"], "amurg-runtime control needs one of reload, drain, log-level, close;"),
            (&["control", "close"], "amurg-runtime control close needs session; amurg-runtime"),
            (&["status", "--config", "a", "--config", "b"], "--config cannot be b: "),
        ] {
            let early = Amurg::from_args(&[flags::PROGRAM], words).err().expect("a mistake");
            let told = told(&early.output, words);
            assert!(told.starts_with(expected), "{told:?} instead of {expected:?}");
            assert!(told.contains("; ") && !told.contains('\n'), "{told}");
        }
    }
}
