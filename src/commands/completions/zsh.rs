//! For zsh: a function for each command, in the language of `_arguments`.

use std::fmt::Write as _;

use super::super::flags::{Argument, Command, Flag, PROGRAM, Value, ValueKind};

/// The script.
pub fn script(program: &Command) -> String {
    let mut script = format!("#compdef {PROGRAM}\n# zsh completion for {PROGRAM}\n");
    for command in program.all() {
        // Writing to a string cannot fail.
        let _ = write!(script, "\n{}() {{\n{}}}\n", function(command), body(command));
    }
    let _ = write!(
        script,
        "\nif [ \"$funcstack[1]\" = \"_{PROGRAM}\" ]; then\n    {main} \"$@\"\nelse\n    compdef {main} {PROGRAM}\nfi\n",
        main = function(program)
    );
    script
}

fn function(command: &Command) -> String {
    let words = [PROGRAM].into_iter().chain(command.words.iter().copied());
    format!("_{}", words.collect::<Vec<_>>().join("_").replace('-', "_"))
}

fn body(command: &Command) -> String {
    let mut specs: Vec<String> = command.options.iter().map(option).collect();
    if command.commands.is_empty() {
        specs.extend(command.arguments.iter().map(argument));
        return arguments("", &specs);
    }
    specs.extend(["'1: :->command'".to_owned(), "'*:: :->rest'".to_owned()]);
    let mut body = String::from("    local state line\n    local -a commands\n");
    body.push_str(&arguments("-C ", &specs));
    body.push_str("    case $state in\n    command)\n        commands=(\n");
    for below in &command.commands {
        let entry = format!("{}:{}", below.name(), below.summary());
        let _ = writeln!(body, "            {}", quoted(&entry));
    }
    body.push_str("        )\n        _describe command commands\n        ;;\n    rest)\n");
    body.push_str("        case $line[1] in\n");
    for below in &command.commands {
        let _ = writeln!(body, "        {}) {} ;;", below.name(), function(below));
    }
    body.push_str("        esac\n        ;;\n    esac\n");
    body
}

fn arguments(flags: &str, specs: &[String]) -> String {
    if specs.is_empty() {
        return "    _message 'nothing more'\n".to_owned();
    }
    format!("    _arguments {flags}\\\n        {}\n", specs.join(" \\\n        "))
}

fn option(flag: &Flag) -> String {
    let value = flag.value.map_or_else(String::new, |value| format!(":{}", action(value)));
    let about = format!("[{}]{value}", described(flag.about));
    let star = if flag.repeats { "*" } else { "" };
    match flag.short {
        // Either spelling shuts the other one out.
        Some(short) => format!(
            "{}{{-{short},{}}}{}",
            quoted(&format!("(-{short} {})", flag.long)),
            flag.long,
            quoted(&about)
        ),
        None => quoted(&format!("{star}{}{about}", flag.long)),
    }
}

fn argument(argument: &Argument) -> String {
    let colons = if argument.optional { "::" } else { ":" };
    quoted(&format!("{colons}{}", action(argument.value)))
}

/// What is asked for, and how it is completed.
fn action(value: Value) -> String {
    match value.kind {
        ValueKind::File => "file:_files".into(),
        ValueKind::Directory => "directory:_files -/".into(),
        ValueKind::Choice => {
            format!("word:({})", value.choices().collect::<Vec<_>>().join(" "))
        }
        ValueKind::Text => format!("{}: ", described(value.name)),
    }
}

/// Without what means something to `_arguments`.
fn described(text: &str) -> String {
    let mut described = String::with_capacity(text.len());
    for c in text.replace('\n', " ").replace('`', "").chars() {
        if matches!(c, '[' | ']' | ':' | '\\') {
            described.push('\\');
        }
        described.push(c);
    }
    described
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
