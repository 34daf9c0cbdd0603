//! Single values: strings, names, paths, choices, numbers, durations; and what is
//! said of a value of the wrong type.

use std::time::Duration;

use jsonc_parser::ast;

use crate::config::checked::{PathValue, Text, Value};
use crate::config::fields::{Fallback, Field, Kind};
use crate::config::problem::Place;
use crate::config::{duration, expand, foreign, nearest, paths};
use crate::json;

use super::Reader;

/// Longest [`Kind::Name`], in bytes; the protocol's own bound.
const LONGEST_NAME: usize = 256;

impl Reader<'_, '_> {
    pub(super) fn literal(&mut self, text: &str, place: &Place) -> Option<Text> {
        if text.contains('\0') {
            self.findings.error(place, "holds a NUL character", "remove the \\u0000");
            return None;
        }
        Some(Text::literal(text, place.clone()))
    }

    pub(super) fn expanded(&mut self, text: &str, place: &Place) -> Option<Text> {
        match expand::expand(text, self.environment) {
            Ok(expanded) if expanded.value.contains('\0') => self.literal("\0", place),
            Ok(expanded) => Some(Text::expanded(text, expanded, place.clone())),
            Err(error) => {
                self.findings.error(place, error.message(), error.hint());
                None
            }
        }
    }

    pub(super) fn name(&mut self, text: &Text, field: &Field) -> bool {
        let value = text.value.as_str();
        let (message, hint) = if value.is_empty() && matches!(field.fallback, Fallback::Required) {
            ("is empty".to_owned(), field.doc)
        } else if value.len() > LONGEST_NAME {
            (format!("is longer than {LONGEST_NAME} bytes"), "shorten it")
        } else if value.chars().any(char::is_control) {
            ("holds a control character".to_owned(), "a name is one line of plain text")
        } else {
            return true;
        };
        self.findings.error(&text.place, message, hint);
        false
    }

    pub(super) fn path(&mut self, text: &str, place: &Place) -> Option<PathValue> {
        let text = self.expanded(text, place)?;
        match paths::absolute(&text.value, self.environment) {
            Ok(path) => Some(PathValue { path, text }),
            Err(error) => {
                let (message, hint) = error.explain();
                self.findings.error(place, message, hint);
                None
            }
        }
    }

    pub(super) fn choice(
        &mut self,
        field: &Field,
        choices: &[&'static str],
        text: Text,
    ) -> Option<Text> {
        if choices.contains(&text.value.as_str()) {
            return Some(text);
        }
        if let Some(ours) = foreign::substitute(field.name, &text.value) {
            let message = format!("{} belongs to other Amurg runtimes", text.shown());
            self.findings.warning(&text.place, message, format!("{ours:?} is used instead"));
            return Some(Text::literal(ours, text.place));
        }
        let all = choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(", ");
        let hint = match nearest::nearest(&text.value, choices.iter().copied()) {
            Some(near) => format!("did you mean {near:?}? Possible are {all}"),
            None => format!("possible are {all}"),
        };
        let message = format!("{} is not a known {}", text.shown(), field.name);
        self.findings.error(&text.place, message, hint);
        None
    }

    pub(super) fn integer(
        &mut self,
        literal: &str,
        low: u64,
        high: u64,
        place: &Place,
    ) -> Option<u64> {
        let number = whole_number(literal);
        if let Some(number) = number
            && (low..=high).contains(&number)
        {
            return Some(number);
        }
        let message = match number {
            None if literal.starts_with('-') => format!("{literal} is negative"),
            None => format!("{literal} is not a whole number in range"),
            Some(_) => format!("{literal} is out of range"),
        };
        self.findings.error(place, message, format!("give a whole number from {low} to {high}"));
        None
    }

    pub(super) fn duration(
        &mut self,
        kind: Kind,
        duration: Duration,
        place: &Place,
    ) -> Option<Value> {
        let Kind::Duration(low, high) = kind else { return None };
        if (low..=high).contains(&duration) {
            return Some(Value::Duration(duration));
        }
        let message = format!("{} is out of range", duration::show(duration));
        let hint =
            format!("give a duration from {} to {}", duration::show(low), duration::show(high));
        self.findings.error(place, message, hint);
        None
    }

    /// Tells a value of the wrong type. The value itself is not shown.
    pub(super) fn wrong_type<T>(
        &mut self,
        kind: Kind,
        value: &ast::Value<'_>,
        place: &Place,
    ) -> Option<T> {
        let found = match value {
            ast::Value::StringLit(_) => "a string",
            ast::Value::NumberLit(_) => "a number",
            ast::Value::BooleanLit(_) => "true or false",
            ast::Value::Object(_) => "an object",
            ast::Value::Array(_) => "a list",
            ast::Value::NullKeyword(_) => "null",
        };
        let (wanted, hint) = match kind {
            Kind::Flag => ("true or false", "write true or false, without quotes"),
            Kind::Integer(..) => ("a number", "write a whole number, without quotes"),
            Kind::Integers(..) => ("a list of numbers", "write it as [443, 8080]"),
            Kind::Duration(..) => ("a duration", duration::HINT),
            Kind::Literals | Kind::Texts | Kind::Paths => {
                ("a list of strings", "write it as [\"one\", \"two\"]")
            }
            Kind::Map => ("an object of strings", "write it as {\"NAME\": \"value\"}"),
            Kind::Object(_) => ("an object", "write it as {…}"),
            Kind::Objects(_) => ("a list of objects", "write it as [{…}, {…}]"),
            _ => ("a string", "write it in double quotes"),
        };
        let hint = if found == "null" { "leave the key out" } else { hint };
        self.findings.error(place, format!("should be {wanted}, but is {found}"), hint);
        None
    }
}

/// `10`, `10.0` and `1e1` are ten; a fraction, or what a float cannot tell apart, is nothing.
fn whole_number(literal: &str) -> Option<u64> {
    if let Ok(number) = literal.parse() {
        return Some(number);
    }
    // Adding zero turns -0.0 into 0.0.
    let float = json::number(literal)? + 0.0;
    let whole = float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&float);
    whole.then(|| format!("{float:.0}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn whole_numbers_are_read_exactly() {
        for (literal, number) in [
            ("0", Some(0)),
            ("10.0", Some(10)),
            ("1e3", Some(1000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1.5", None),
            ("-1", None),
            ("-0.0", Some(0)),
            ("1e30", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(whole_number(literal), number, "{literal}");
        }
    }
}
