//! From text to a JSON tree that knows where each value stands.
//!
//! Strict JSON only. Where a file merely breaks the strict rules (a comment, a
//! comma too many), that is told and the tree is made all the same, so that the
//! other problems are found in the same go.

use jsonc_parser::ast::Value;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::IgnoredAny;

use super::problem::{Findings, Place};

/// Deeper nesting than this is refused before any recursion: a configuration needs
/// six levels, and these fit on the smallest stack of this program.
const DEEPEST: usize = 16;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
};

const LENIENT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: true,
    allow_trailing_commas: true,
    allow_missing_commas: true,
    ..STRICT
};

/// Parses the text, telling what is wrong with it. `None`: no tree can be made of it.
pub fn parse<'s>(text: &'s str, findings: &mut Findings<'_>) -> Option<Value<'s>> {
    if let Some(offset) = too_deep(text) {
        let place = Place { path: String::new(), offset };
        let message = format!("is nested deeper than {DEEPEST} levels");
        findings.error(&place, message, "a configuration is an object of a few levels");
        return None;
    }
    let error = match tree(text, &STRICT) {
        Ok(value) => {
            return match (value, beyond_strict(text)) {
                (Some(value), None) => Some(value),
                (Some(value), Some((offset, message))) => {
                    let place = Place { path: String::new(), offset };
                    findings.error(&place, message, "the file has to be plain JSON");
                    Some(value)
                }
                (None, _) => {
                    let hint = "`amurg-runtime init` writes a configuration";
                    findings.error(&Place::default(), "is empty", hint);
                    None
                }
            };
        }
        Err(error) => error,
    };
    let place = Place { path: String::new(), offset: error.range().start };
    let (message, hint) = explain(error.kind());
    findings.error(&place, message, hint);
    tree(text, &LENIENT).ok().flatten()
}

fn tree<'s>(text: &'s str, options: &ParseOptions) -> Result<Option<Value<'s>>, ParseError> {
    Ok(parse_to_ast(text, &CollectOptions::default(), options)?.value)
}

/// What the parser lets pass although JSON does not (control characters in
/// strings, exotic white space): its byte offset and what it is.
fn beyond_strict(text: &str) -> Option<(usize, String)> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let mut offset = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    Some((offset, format!("is not JSON: {message}")))
}

/// Offset of the first bracket that opens one level too many. Brackets in strings
/// and comments do not count.
fn too_deep(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(&inside) = bytes.get(at) {
                    match inside {
                        b'"' => break,
                        b'\\' => at += 2,
                        _ => at += 1,
                    }
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|b| *b == b'\n').unwrap_or(bytes.len() - at);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at += text.get(at + 2..)?.find("*/").map_or(bytes.len() - at, |end| end + 3);
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return Some(at);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A parser's error in words, and what to do. Never quotes the text.
fn explain(kind: &ParseErrorKind) -> (String, &'static str) {
    let hint = match kind {
        ParseErrorKind::CommentsNotAllowed => "JSON has no comments; remove it",
        ParseErrorKind::TrailingCommasNotAllowed => "remove the comma after the last entry",
        ParseErrorKind::ExpectedComma => "put a comma between the two entries",
        ParseErrorKind::SingleQuotedStringsNotAllowed => "strings stand in double quotes",
        ParseErrorKind::ExpectedStringObjectProperty => "keys stand in double quotes",
        ParseErrorKind::UnexpectedWord | ParseErrorKind::UnexpectedToken => {
            "strings stand in double quotes; the only bare words are true, false and null"
        }
        ParseErrorKind::UnexpectedCloseBrace
        | ParseErrorKind::UnexpectedCloseBracket
        | ParseErrorKind::UnexpectedComma
        | ParseErrorKind::ExpectedObjectValue => "put a value before it",
        ParseErrorKind::UnexpectedColon
        | ParseErrorKind::UnexpectedTokenInObject
        | ParseErrorKind::ExpectedColonAfterObjectKey => "entries are written \"key\": value",
        ParseErrorKind::UnterminatedObject => "a \"}\" is missing",
        ParseErrorKind::UnterminatedArray => "a \"]\" is missing",
        ParseErrorKind::MultipleRootJsonValues => {
            "the file has to hold one object and nothing else"
        }
        ParseErrorKind::String(_) => "a backslash in a string is written \\\\, a quote \\\"",
        _ => "the file has to be plain JSON",
    };
    let message = match kind {
        // The only message that repeats a part of the text.
        ParseErrorKind::String(_) => "a string that is not closed, or a wrong escape".to_owned(),
        kind => {
            let mut message = kind.to_string();
            message[..1].make_ascii_lowercase();
            message
        }
    };
    (format!("is not JSON: {message}"), hint)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::problem::{Problems, Source};
    use super::*;

    fn parsed(text: &str) -> (bool, Problems) {
        let source = Source::new("c".into(), Zeroizing::new(text.to_owned()));
        let mut findings = Findings::new(&source);
        let made = parse(source.text(), &mut findings).is_some();
        (made, findings.into_problems())
    }

    #[test]
    fn plain_json_is_taken_without_a_word() {
        for text in ["{}", "{\"a\": [1, -2.5e3, true, null, \"\\u00e4/[[\"]}", " \t\r\n[]\n"] {
            assert_eq!(parsed(text), (true, Problems::default()), "{text}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_told_and_still_read() {
        for (text, hint) in [
            ("{\"a\": 1,}", "remove the comma"),
            ("{\"a\": 1 // why\n}", "no comments"),
            ("{/* why [[ */\"a\": 1}", "no comments"),
            ("{\"a\": 1 \"b\": 2}", "put a comma"),
            ("{a: 1}", "keys stand in double quotes"),
            ("{\"a\": \"\t\"}", "plain JSON"),
        ] {
            let (made, problems) = parsed(text);
            assert!(made, "{text}: {problems}");
            assert!(problems.to_string().contains(hint), "{text}: {problems}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_position() {
        for (text, position, words) in [
            ("", "c:1:1", "is empty"),
            ("{", "c:1:1", "\"}\" is missing"),
            ("{\"a\": \"x}", "c:1:7", "not closed"),
            ("{\"a\": yes}", "c:1:7", "double quotes"),
            ("{\"a\": 'x'}", "c:1:7", "double quotes"),
            ("{}\n{}", "c:2:1", "one object"),
            ("{\"a\": \"\\q\"}", "c:1:8", "backslash"),
        ] {
            let (made, problems) = parsed(text);
            let shown = problems.to_string();
            assert!(
                !made && shown.starts_with(position) && shown.contains(words),
                "{text}: {shown}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_costs_stack() {
        let levels = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parsed(&levels(DEEPEST)).0);
        for text in [
            levels(DEEPEST + 1),
            levels(1_000_000),
            "{\"a\":".repeat(100_000),
            format!("// \"\n{}", levels(1_000_000)),
            format!("/* \" */{}", levels(1_000_000)),
        ] {
            let (made, problems) = parsed(&text);
            assert!(!made && problems.to_string().contains("nested deeper"), "{problems}");
        }
        assert!(parsed(&format!("[\"{}\"]", "[".repeat(1000))).0);
    }
}
