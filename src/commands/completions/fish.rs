//! For fish: a line for each thing that can be typed, and when.

use std::fmt::Write as _;

use super::super::flags::{Command, PROGRAM, ValueKind};

/// The script.
pub fn script(program: &Command) -> String {
    let mut script = format!("# fish completion for {PROGRAM}\ncomplete -c {PROGRAM} -f\n");
    for command in program.all() {
        let when = condition(program, command);
        let mut line = |rest: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(script, "complete -c {PROGRAM} -n {} {rest}", quoted(&when));
        };
        for below in &command.commands {
            line(&format!("-a {} -d {}", below.name(), quoted(below.summary())));
        }
        for choice in command.arguments.iter().flat_map(|argument| argument.value.choices()) {
            line(&format!("-a {choice}"));
        }
        for flag in &command.options {
            let mut rest = format!("-l {}", flag.long.trim_start_matches('-'));
            if let Some(short) = flag.short {
                let _ = write!(rest, " -s {short}");
            }
            let takes = flag.value.map(|value| match value.kind {
                ValueKind::File => " -r -F".to_owned(),
                ValueKind::Directory => " -x -a '(__fish_complete_directories)'".to_owned(),
                ValueKind::Choice => {
                    format!(" -x -a {}", quoted(&value.choices().collect::<Vec<_>>().join(" ")))
                }
                ValueKind::Text => " -x".to_owned(),
            });
            rest.push_str(&takes.unwrap_or_default());
            line(&format!("{rest} -d {}", quoted(flag.about)));
        }
    }
    script
}

/// When the words of `command`, and none of the commands below it, stand there.
fn condition(program: &Command, command: &Command) -> String {
    let names =
        |commands: &[Command]| commands.iter().map(Command::name).collect::<Vec<_>>().join(" ");
    let mut parts: Vec<String> =
        command.words.iter().map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
    if !command.commands.is_empty() {
        parts.push(format!("not __fish_seen_subcommand_from {}", names(&command.commands)));
    }
    debug_assert!(!parts.is_empty() || program.commands.is_empty());
    parts.join("; and ")
}

fn quoted(text: &str) -> String {
    let text = text.replace('\n', " ").replace('`', "").replace('\\', "\\\\").replace('\'', "\\'");
    format!("'{text}'")
}
