//! Spellings of arguments: everything becomes the one the argument parser knows.
//!
//! `-config PATH`, as service files of Amurg write it, `--config=PATH` and
//! `-c PATH` all become `--config PATH`, which may also stand before the command.
//! What follows `--`, and free text after its option, is left alone.

/// Options whose value is the user's own text and may look like an option.
const FREE_TEXT: [&str; 2] = ["--message", "--token"];

/// Brings arguments (without the program's name) into the parser's spelling.
pub fn normalise(arguments: Vec<String>) -> Vec<String> {
    let mut normal = Vec::with_capacity(arguments.len() + 1);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            normal.push(argument);
            break;
        }
        let (name, value) = split(&argument);
        let is_free_text = FREE_TEXT.contains(&name) && value.is_none();
        normal.push(name.to_owned());
        normal.extend(value.map(str::to_owned));
        if is_free_text {
            normal.extend(arguments.next());
        }
    }
    normal.extend(arguments);
    let command_is_third = normal.get(2).is_some_and(|word| !word.starts_with('-'));
    if normal.first().is_some_and(|word| word == "--config") && command_is_third {
        normal[..3].rotate_right(1);
    }
    normal
}

/// An argument's name in the parser's spelling, and the value joined to it by `=`.
fn split(argument: &str) -> (&str, Option<&str>) {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    match name {
        "-config" | "-c" => ("--config", value),
        name if name.len() > 2 && name.starts_with("--") => (name, value),
        _ => (argument, None),
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn every_spelling_becomes_the_one_the_parser_knows() {
        for (given, normal) in [
            (&["-config", "x"][..], &["--config", "x"][..]),
            (&["--config", "x"], &["--config", "x"]),
            (&["--config=x"], &["--config", "x"]),
            (&["-config=x"], &["--config", "x"]),
            (&["-c", "x"], &["--config", "x"]),
            (&["-c=x"], &["--config", "x"]),
            (&["check", "--config=a=b", "--json"], &["check", "--config", "a=b", "--json"]),
            (&["status", "--wait=30s"], &["status", "--wait", "30s"]),
            (&["-c", "x", "check", "--json"], &["check", "--config", "x", "--json"]),
            (&["-c", "x", "--json"], &["--config", "x", "--json"]),
            (&["--config="], &["--config", ""]),
            (&["a=b", "-x=y", "-", "--=x"], &["a=b", "-x=y", "-", "--=x"]),
            (&["--", "--config=x", "-c"], &["--", "--config=x", "-c"]),
            (&["try", "--message", "--a=b"], &["try", "--message", "--a=b"]),
            (
                &["try", "--message=--a=b", "-c", "x"],
                &["try", "--message", "--a=b", "--config", "x"],
            ),
            (&["try", "--message", "--", "-c=x"], &["try", "--message", "--", "--config", "x"]),
            (&["--message"], &["--message"]),
            (&[], &[]),
        ] {
            let given = given.iter().map(|argument| (*argument).to_owned()).collect();
            assert_eq!(normalise(given), normal);
        }
    }
}
