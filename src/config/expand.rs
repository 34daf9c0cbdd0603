//! `${NAME}` and `${NAME:-default}` in string values.
//!
//! A `$` that no `{` follows is a dollar; `$${` is a literal `${`. What comes out
//! of a variable is not expanded again.

use zeroize::Zeroizing;

use super::environment::Environment;

/// A text with its variables put in.
pub struct Expanded {
    /// The value; wiped on drop, since any variable may be a secret.
    pub value: Zeroizing<String>,
    /// Names of the variables that were asked for.
    pub variables: Vec<String>,
    /// Whether a part of the value was written out, also as a default.
    pub written_out: bool,
}

/// Why a text cannot be expanded. Holds names only, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpandError {
    /// No such variable, and no default.
    Undefined(String),
    /// The variable's value is not UTF-8.
    NotUnicode(String),
    /// A `${` without its `}`.
    Unclosed,
    /// What stands between the braces is neither `NAME` nor `NAME:-default`.
    NotAName(String),
}

impl ExpandError {
    /// What is wrong.
    pub fn message(&self) -> String {
        match self {
            Self::Undefined(name) => format!("the variable {name} is not set"),
            Self::NotUnicode(name) => format!("the variable {name} is not valid UTF-8"),
            Self::Unclosed => "a \"${\" has no \"}\"".into(),
            Self::NotAName(inside) => {
                format!("{} is not a variable", super::problem::shown(&format!("${{{inside}}}")))
            }
        }
    }

    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Undefined(name) => {
                format!("set {name} in the environment, or give a default: ${{{name}:-value}}")
            }
            Self::NotUnicode(name) => format!("give {name} a UTF-8 value"),
            Self::Unclosed | Self::NotAName(_) => {
                "write ${NAME} or ${NAME:-default}; a literal \"${\" is written \"$${\"".into()
            }
        }
    }
}

/// A text that means itself, whatever it holds, when it is put into a configuration.
pub fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// Puts variables in.
///
/// As in a shell, the default of `${NAME:-default}` also stands in for a variable
/// that is set but empty.
///
/// # Errors
/// The first thing that cannot be expanded.
pub fn expand(text: &str, environment: &dyn Environment) -> Result<Expanded, ExpandError> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let mut variables = Vec::new();
    let mut written_out = false;
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        written_out |= at > 0;
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$${") {
            value.push_str("${");
            written_out = true;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (inside, after) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
            let (name, default) = match inside.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (inside, None),
            };
            if !is_name(name) {
                return Err(ExpandError::NotAName(inside.to_owned()));
            }
            match (look_up(name, environment)?, default) {
                (Some(found), None) => value.push_str(&found),
                (Some(found), Some(_)) if !found.is_empty() => value.push_str(&found),
                (_, Some(default)) => {
                    value.push_str(default);
                    written_out |= !default.is_empty();
                }
                (None, None) => return Err(ExpandError::Undefined(name.to_owned())),
            }
            variables.push(name.to_owned());
            rest = after;
        } else {
            value.push('$');
            written_out = true;
            rest = &rest[1..];
        }
    }
    value.push_str(rest);
    written_out |= !rest.is_empty();
    Ok(Expanded { value, variables, written_out })
}

fn look_up(
    name: &str,
    environment: &dyn Environment,
) -> Result<Option<Zeroizing<String>>, ExpandError> {
    let Some(found) = environment.variable(name) else { return Ok(None) };
    match found.into_string() {
        Ok(found) => Ok(Some(Zeroizing::new(found))),
        Err(_) => Err(ExpandError::NotUnicode(name.to_owned())),
    }
}

/// Whether a text can be the name of a variable: a letter or `_`, then letters, digits, `_`.
pub fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::super::environment::FixedEnvironment;
    use super::*;

    fn expanded(text: &str) -> Result<(String, Vec<String>), ExpandError> {
        let environment =
            FixedEnvironment::new([("TOKEN", "s3cret"), ("EMPTY", ""), ("LOOP", "${LOOP}")]);
        expand(text, &environment).map(|e| (e.value.to_string(), e.variables))
    }

    #[test]
    fn puts_variables_and_defaults_in() {
        for (text, value, variables) in [
            ("plain", "plain", &[][..]),
            ("${TOKEN}", "s3cret", &["TOKEN"]),
            ("a${TOKEN}b${TOKEN}", "as3cretbs3cret", &["TOKEN", "TOKEN"]),
            ("${NONE:-x}", "x", &["NONE"]),
            ("${NONE:-}", "", &["NONE"]),
            ("${NONE:-a:-b}", "a:-b", &["NONE"]),
            ("${EMPTY}", "", &["EMPTY"]),
            ("${EMPTY:-x}", "x", &["EMPTY"]),
            ("${TOKEN:-x}", "s3cret", &["TOKEN"]),
            ("${LOOP}", "${LOOP}", &["LOOP"]),
            ("$ ", "$ ", &[]),
            ("$", "$", &[]),
            ("$$", "$$", &[]),
            ("$HOME", "$HOME", &[]),
            ("$${TOKEN}", "${TOKEN}", &[]),
            ("$$${TOKEN}", "$${TOKEN}", &[]),
            ("ä${TOKEN}ö}", "äs3cretö}", &["TOKEN"]),
        ] {
            let (got, names) = expanded(text).unwrap();
            assert_eq!(
                (got.as_str(), names.as_slice()),
                (value, &to_owned(variables)[..]),
                "{text}"
            );
        }
    }

    #[test]
    fn tells_a_value_that_stands_in_the_text_from_one_that_does_not() {
        let environment = FixedEnvironment::new([("TOKEN", "s3cret")]);
        for (text, written_out) in [
            ("${TOKEN}", false),
            ("${TOKEN:-change-me}", false),
            ("${NONE:-change-me}", true),
            ("${NONE:-}", false),
            ("x${TOKEN}", true),
            ("${TOKEN}x", true),
            ("s3cret", true),
        ] {
            assert_eq!(expand(text, &environment).unwrap().written_out, written_out, "{text}");
        }
    }

    #[test]
    fn says_what_cannot_be_expanded() {
        for (text, error) in [
            ("${NONE}", ExpandError::Undefined("NONE".into())),
            ("${TOKEN", ExpandError::Unclosed),
            ("${}", ExpandError::NotAName(String::new())),
            ("${1X}", ExpandError::NotAName("1X".into())),
            ("${TOKEN:?x}", ExpandError::NotAName("TOKEN:?x".into())),
            ("${TOKEN-x}", ExpandError::NotAName("TOKEN-x".into())),
        ] {
            assert_eq!(expanded(text).unwrap_err(), error, "{text}");
        }
    }

    fn to_owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}
