//! The list of fields in words, for people: what each takes, what holds without
//! it, and the tables of the README.

use std::fmt::Write as _;

use super::fields::{Fallback, Field, Kind, Object};

/// What a field takes, in a few words of Markdown.
pub fn type_of(kind: Kind) -> String {
    let words = match kind {
        Kind::Choice(choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            return choices.join(" ");
        }
        Kind::Anything => "anything",
        Kind::Text | Kind::Secret | Kind::Name | Kind::Literal => "string",
        Kind::Literals | Kind::Texts => "list of strings",
        Kind::Path => "path",
        Kind::Paths => "list of paths",
        Kind::Map => "object of strings",
        Kind::Flag => "`true` or `false`",
        Kind::Integer(..) => "whole number",
        Kind::Integers(..) => "list of whole numbers",
        Kind::Duration(..) => "duration",
        Kind::Object(_) => "object",
        Kind::Objects(_) => "list of objects",
    };
    words.to_owned()
}

/// What holds when a field is not there, in a few words of Markdown.
pub fn default_of(field: &Field) -> String {
    match field.fallback {
        Fallback::Required => "required".into(),
        Fallback::Value("{}") => "that of its fields".into(),
        Fallback::Absent => "none".into(),
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Computed(words) => words.into(),
    }
}

/// What an object is called in a word: the last key of its path, `file` for the
/// whole file.
pub fn name_of(object: &Object) -> &'static str {
    match object.path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]") {
        "" => "file",
        key => key,
    }
}

/// A table of an object's fields in Markdown: a line each, ending in a newline.
pub fn markdown_table(object: &Object) -> String {
    let mut table = String::from("| field | takes | default | about |\n|---|---|---|---|\n");
    for field in object.fields {
        let (takes, default) = (type_of(field.kind), default_of(field));
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{}` | {takes} | {default} | {} |", field.name, field.doc);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::fields::OBJECTS;
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_readme_holds_every_table_as_it_is() {
        for object in OBJECTS {
            let table = markdown_table(object);
            let begin = format!("<!-- fields:{} -->\n", name_of(object));
            let written = README
                .split_once(&begin)
                .and_then(|(_, rest)| rest.split_once("<!-- end -->"))
                .map(|(table, _)| table);
            assert_eq!(
                written,
                Some(table.as_str()),
                "README.md has to hold:\n\n{begin}{table}<!-- end -->\n"
            );
        }
    }

    #[test]
    fn nothing_in_a_row_breaks_its_table() {
        for object in OBJECTS {
            for row in markdown_table(object).lines() {
                assert_eq!(row.matches('|').count(), 5, "{row}");
            }
        }
    }
}
