//! `man`: the man page, made from the commands as they are parsed, the fields of
//! the configuration and the exit codes.

mod roff;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use argh::{ArgsInfo, FromArgs};

use self::roff::Page;
use super::exit;
use super::flags::{self, Command, Flag, PROGRAM};
use crate::config::describe::{default_of, type_of};
use crate::config::fields::{Field, OBJECTS, Object};

/// Print the man page.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "man", note = "Read it with `amurg-runtime man | man -l -`.")]
pub struct Man {}

/// Where a configuration is looked for, and what else is read or written.
const FILES: [(&str, &str); 4] = [
    ("`./config.json`", "The configuration, when it is in the current directory."),
    ("`~/.config/amurg/config.json`", "A user's, beneath `$XDG_CONFIG_HOME` where that is set."),
    ("`/etc/amurg/config.json`", "The system's."),
    (
        "`~/.local/state/amurg`",
        "Lock, journal, refreshed token and uploads: `$STATE_DIRECTORY`, `$XDG_STATE_HOME/amurg` \
         or this, or what `runtime.state_dir` says.",
    ),
];

const VARIABLES: [(&str, &str); 7] = [
    ("`AMURG_CONFIG`", "Configuration file, where none is named."),
    ("`AMURG_TOKEN`", "Token for `init`, and for a configuration that says `${AMURG_TOKEN}`."),
    ("`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`", "Proxies for the hub and for HTTP agents."),
    ("`CREDENTIALS_DIRECTORY`", "Where systemd puts `hub.token_credential`."),
    ("`STATE_DIRECTORY`, `RUNTIME_DIRECTORY`", "Directories that systemd made."),
    ("`NO_COLOR`", "Output without colours and progress without redrawing, when not empty."),
    (
        "`AMURG_SESSION_ID`, `AMURG_USER_ID`, `AMURG_ENDPOINT_ID`, `AMURG_MESSAGE_ID`, `AMURG_FILES`",
        "Set for the agents: whom they work for, the job's message, its uploaded files.",
    ),
];

const SIGNALS: [(&str, &str); 2] = [
    (
        "`SIGTERM`, `SIGINT`",
        "End the sessions, deliver what is pending, stop; a second one stops at once.",
    ),
    ("`SIGHUP`", "Read configuration and token again; a bad file is told and changes nothing."),
];

/// Prints it.
pub fn run(_arguments: &Man) -> u8 {
    super::print(&page());
    exit::OK
}

fn page() -> String {
    let program = flags::program();
    let version = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
    let mut page = Page::new(PROGRAM, &version, "Amurg Runtime");
    page.section("Name");
    page.paragraph(&format!("{PROGRAM} - connects the agents of this machine to an Amurg Hub"));
    page.section("Synopsis");
    for command in program.all().into_iter().filter(|command| command.commands.is_empty()) {
        page.paragraph(&usage(command));
    }
    page.section("Description");
    page.paragraph(
        "A small gateway between agents (shells, scripts, HTTP services, adapters) and an Amurg \
         Hub. It dials out over one WebSocket, keeps the agents' sessions and forwards messages \
         verbatim both ways. Without a command it runs.",
    );
    page.section("Commands");
    for command in program.all().into_iter().skip(1) {
        commands(&mut page, command);
    }
    configuration(&mut page);
    for (heading, entries) in
        [("Files", &FILES[..]), ("Environment", &VARIABLES), ("Signals", &SIGNALS)]
    {
        page.section(heading);
        for (term, about) in entries {
            page.entry(term, about);
        }
    }
    page.section("Exit status");
    for (code, meaning) in exit::MEANINGS {
        page.entry(&format!("`{code}`"), meaning);
    }
    page.section("Examples");
    page.paragraph("Write a configuration by answering questions, look at it, run:");
    page.example(&["amurg-runtime init", "amurg-runtime check", "amurg-runtime run"]);
    page.paragraph("The same without a terminal, the token from a pipe:");
    page.example(&[
        "pass amurg | amurg-runtime init --yes --token-stdin \\",
        "    --hub-url wss://hub.example --agent bash --agent tests='make test'",
    ]);
    page.paragraph("A prompt in the terminal, without a hub:");
    page.example(&["amurg-runtime try"]);
    page.finish()
}

/// A command as it is typed, with all it takes.
fn usage(command: &Command) -> String {
    let mut usage = format!("`{}`", command.typed());
    // Writing to a string cannot fail.
    for flag in &command.options {
        let value = flag.value.map_or_else(String::new, |value| format!(" <{}>", value.name));
        let more = if flag.repeats { " ..." } else { "" };
        let _ = write!(usage, " [`{}`{value}]{more}", flag.long);
    }
    for argument in &command.arguments {
        let (open, close) = if argument.optional { ("[", "]") } else { ("", "") };
        let _ = write!(usage, " {open}<{}>{close}", argument.value.name);
    }
    usage
}

fn commands(page: &mut Page, command: &Command) {
    page.subsection(&command.words.join(" "));
    page.paragraph(command.about);
    for note in command.notes {
        page.paragraph(note);
    }
    for argument in &command.arguments {
        page.entry(&format!("<{}>", argument.value.name), argument.about);
    }
    for flag in &command.options {
        page.entry(&spelled(flag), flag.about);
    }
}

/// An option with its letter and its value.
fn spelled(flag: &Flag) -> String {
    let short = flag.short.map_or_else(String::new, |short| format!("`-{short}`, "));
    let value = flag.value.map_or_else(String::new, |value| format!(" <{}>", value.name));
    format!("{short}`{}`{value}", flag.long)
}

fn configuration(page: &mut Page) {
    page.section("Configuration");
    page.paragraph(
        "One JSON file. Durations are strings such as `30s`, `1h30m` or `500ms`, or a number of \
         seconds. Strings may hold `${NAME}` or `${NAME:-default}` from the environment, except \
         in `command` and `args`; `$${` is a literal `${`.",
    );
    for object in OBJECTS {
        if object.path.is_empty() {
            page.subsection("The file");
        } else {
            page.subsection(object.path);
        }
        page.paragraph(object.doc);
        object.fields.iter().for_each(|field| page.entry(&term(object, field), &about(field)));
    }
}

fn term(object: &Object, field: &Field) -> String {
    let dot = if object.path.is_empty() { "" } else { "." };
    format!("`{}{dot}{}` ({})", object.path, field.name, type_of(field.kind))
}

fn about(field: &Field) -> String {
    format!("{} Default: {}.", field.doc, default_of(field))
}
