//! What can be typed: every command with its options and arguments, read off the
//! argument parser's own types, so that there is no second list that could drift.
//!
//! The man page and the completions are made from it. What a value is follows
//! from its name in the usage line: `file` and `directory` are paths, `a|b|c`
//! is one of these words, anything else is the user's own text.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

use super::Amurg;

/// The program's name, in usage lines and file names.
pub const PROGRAM: &str = "amurg-runtime";

/// A command that can be typed, or the program itself.
#[derive(Debug)]
pub struct Command {
    /// Its words after the program's name: `check`, `control log-level`; empty for the program.
    pub words: Vec<&'static str>,
    /// What it does, in sentences.
    pub about: &'static str,
    /// What else there is to know.
    pub notes: &'static [&'static str],
    /// Its options, without `--help`.
    pub options: Vec<Flag>,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
    /// Its own commands.
    pub commands: Vec<Command>,
}

/// An option of a command.
#[derive(Debug)]
pub struct Flag {
    /// With its dashes: `--config`.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<char>,
    /// `None`: a switch.
    pub value: Option<Value>,
    /// Whether it may be given several times.
    pub repeats: bool,
    /// What it is for.
    pub about: &'static str,
}

/// An argument of a command.
#[derive(Debug)]
pub struct Argument {
    /// What it takes.
    pub value: Value,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it is for.
    pub about: &'static str,
}

/// What an option or argument takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name in the usage line.
    pub name: &'static str,
    /// What it is.
    pub kind: ValueKind,
}

/// What may be typed for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// The path of a file.
    File,
    /// The path of a directory.
    Directory,
    /// One of the words of its name.
    Choice,
    /// Anything.
    Text,
}

impl Value {
    fn named(name: &'static str) -> Self {
        let kind = match name {
            "file" => ValueKind::File,
            "directory" => ValueKind::Directory,
            _ if name.contains('|') => ValueKind::Choice,
            _ => ValueKind::Text,
        };
        Self { name, kind }
    }

    /// The words of a choice; none of anything else.
    pub fn choices(&self) -> impl Iterator<Item = &'static str> + use<> {
        let is_choice = self.kind == ValueKind::Choice;
        self.name.split('|').filter(move |_| is_choice)
    }
}

impl Command {
    /// The last of its words, by which its parent knows it.
    pub fn name(&self) -> &'static str {
        self.words.last().copied().unwrap_or(PROGRAM)
    }

    /// As it is typed: the program's name and its words.
    pub fn typed(&self) -> String {
        [PROGRAM].iter().chain(&self.words).copied().collect::<Vec<_>>().join(" ")
    }

    /// The first sentence of what it does, without its full stop.
    pub fn summary(&self) -> &'static str {
        let end = self.about.find(". ").or_else(|| self.about.find(".\n"));
        end.map_or(self.about, |end| &self.about[..end]).trim_end_matches('.')
    }

    /// This command and every one below it, in order.
    pub fn all(&self) -> Vec<&Command> {
        let below = self.commands.iter().flat_map(Command::all);
        std::iter::once(self).chain(below).collect()
    }
}

/// The program with everything that can be typed after its name.
pub fn program() -> Command {
    command(Amurg::get_args_info(), Vec::new())
}

fn command(info: CommandInfoWithArgs, words: Vec<&'static str>) -> Command {
    let below = info.commands.into_iter().map(|sub| {
        let words = words.iter().copied().chain([sub.name]).collect();
        command(sub.command, words)
    });
    let commands = below.collect();
    let shown = |flag: &&FlagInfo<'static>| !flag.hidden && flag.long != "--help";
    Command {
        words,
        about: info.description,
        notes: info.notes,
        options: info.flags.iter().filter(shown).map(option).collect(),
        arguments: info.positionals.iter().map(argument).collect(),
        commands,
    }
}

fn option(flag: &FlagInfo<'static>) -> Flag {
    Flag {
        long: flag.long,
        short: flag.short,
        value: match flag.kind {
            FlagInfoKind::Switch => None,
            FlagInfoKind::Option { arg_name } => Some(Value::named(arg_name)),
        },
        repeats: flag.optionality == Optionality::Repeating,
        about: flag.description,
    }
}

fn argument(positional: &PositionalInfo<'static>) -> Argument {
    Argument {
        value: Value::named(positional.name),
        optional: positional.optionality != Optionality::Required,
        about: positional.description,
    }
}

#[cfg(test)]
mod tests {
    use argh::FromArgs;

    use super::*;

    /// What the parser itself prints about a command.
    fn help(command: &Command) -> String {
        let words: Vec<&str> = command.words.iter().copied().chain(["--help"]).collect();
        let printed = Amurg::from_args(&[PROGRAM], &words).err().expect("an early exit");
        assert!(printed.status.is_ok());
        printed.output
    }

    #[test]
    fn it_tells_what_the_parser_tells() {
        for command in program().all() {
            let help = help(command);
            let listed = help.lines().filter_map(|line| {
                let line = line.strip_prefix("  ").filter(|line| line.starts_with('-'))?;
                line.split([' ', ',']).find(|word| word.starts_with("--") && *word != "--help")
            });
            let options: Vec<&str> = command.options.iter().map(|flag| flag.long).collect();
            assert_eq!(listed.collect::<Vec<_>>(), options, "{help}");
            for below in &command.commands {
                assert!(help.contains(&format!("\n  {}", below.name())), "{help}");
            }
            for argument in &command.arguments {
                assert!(help.contains(&format!("<{}>", argument.value.name)), "{help}");
            }
        }
    }

    /// The README's table of commands: all of them, with options that there are.
    #[test]
    fn the_readme_knows_every_command_and_no_other_option() {
        let readme = include_str!("../../README.md");
        let (_, table) = readme.split_once("| command | does | exit code |\n").expect("a table");
        let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let program = program();
        for command in &program.commands {
            let about = |row: &&&str| {
                let cell = row.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
                cell.split(['`', ' ']).any(|word| word == command.name())
            };
            let row = rows.iter().find(about);
            let row = row.unwrap_or_else(|| panic!("{} is not in the README", command.name()));
            let options: Vec<&str> = command
                .all()
                .iter()
                .flat_map(|below| below.options.iter().map(|flag| flag.long))
                .collect();
            for word in row.split(['`', ' ', ',', ';']).filter(|word| word.starts_with("--")) {
                let is_rule = word.bytes().all(|byte| byte == b'-');
                assert!(is_rule || options.contains(&word), "{word}: {row}");
            }
        }
    }

    #[test]
    fn every_choice_and_path_is_known_as_one() {
        let program = program();
        let kinds = |name: &str| {
            let all = program.all();
            let values: Vec<Value> = all
                .iter()
                .flat_map(|command| command.options.iter().filter(|flag| flag.long == name))
                .filter_map(|flag| flag.value)
                .collect();
            assert!(!values.is_empty(), "{name}");
            values
        };
        assert!(kinds("--config").iter().all(|value| value.kind == ValueKind::File));
        assert!(kinds("--work-dir").iter().all(|value| value.kind == ValueKind::Directory));
        assert!(
            kinds("--log-level").iter().all(|value| value.choices().any(|word| word == "debug"))
        );
        assert!(kinds("--wait").iter().all(|value| value.choices().count() == 0));
    }

    #[test]
    fn every_command_says_what_it_does_in_a_line() {
        for command in program().all() {
            let summary = command.summary();
            assert!((5..100).contains(&summary.len()) && !summary.ends_with('.'), "{summary}");
        }
    }
}
