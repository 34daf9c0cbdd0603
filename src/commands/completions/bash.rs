//! For bash, also the old one of macOS: no `mapfile`, no helpers of the
//! bash-completion package.

use std::fmt::Write as _;

use super::super::flags::{Command, Flag, PROGRAM, ValueKind};

/// The script.
pub fn script(program: &Command) -> String {
    let mut paths = String::new();
    let mut values = String::new();
    let mut words = String::new();
    // Writing to a string cannot fail.
    for command in program.all() {
        let typed = command.words.join(" ");
        if let Some((name, parents)) = command.words.split_last() {
            let _ = writeln!(
                paths,
                "            \"{}:{name}\") command=\"{typed}\" ;;",
                parents.join(" ")
            );
        }
        for flag in options(program, command) {
            let _ = write!(values, "{}", value(&typed, flag));
        }
        let mut offered: Vec<String> =
            command.commands.iter().map(|below| below.name().to_owned()).collect();
        offered.extend(
            command
                .arguments
                .iter()
                .flat_map(|argument| argument.value.choices())
                .map(str::to_owned),
        );
        offered.extend(options(program, command).map(|flag| flag.long.to_owned()));
        let _ = writeln!(words, "        \"{typed}\") words=\"{}\" ;;", offered.join(" "));
    }
    format!(
        r#"# bash completion for {PROGRAM}
_amurg_runtime() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local command="" words="" index
    # --option=value arrives as three words.
    if [ "$word" = "=" ]; then word=""; fi
    if [ "$previous" = "=" ]; then previous=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "$command:${{COMP_WORDS[index]}}" in
{paths}        esac
    done
    COMPREPLY=()
    # Without an offer bash completes files.
    case "$command:$previous" in
{values}    esac
    case "$command" in
{words}    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _amurg_runtime {PROGRAM}
"#
    )
}

/// A command's options; the program's own are those of `run`, its default.
fn options<'a>(program: &'a Command, command: &'a Command) -> impl Iterator<Item = &'a Flag> {
    let default = program.commands.iter().find(|below| below.name() == "run");
    let source = if command.words.is_empty() { default.unwrap_or(command) } else { command };
    source.options.iter()
}

/// The case of an option that takes a value.
fn value(typed: &str, flag: &Flag) -> String {
    let Some(value) = flag.value else { return String::new() };
    let short = flag.short.map_or_else(String::new, |short| format!("|\"{typed}:-{short}\""));
    let offer = match value.kind {
        ValueKind::Choice => {
            let choices: Vec<&str> = value.choices().collect();
            format!("COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return", choices.join(" "))
        }
        ValueKind::File | ValueKind::Directory | ValueKind::Text => "return".into(),
    };
    format!("        \"{typed}:{}\"{short}) {offer} ;;\n", flag.long)
}
