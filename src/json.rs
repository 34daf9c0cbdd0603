//! JSON in one way for everybody, where there are several that give the same answers.
//!
//! `serde_json` has a reader for text and one for bytes, and every type that is read
//! is compiled anew for each: 5 KB of the small binary. The standard library has a
//! reader of floats of its own: 15 KB.

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::{Map, Value};

/// Reads a value.
///
/// # Errors
/// What is no UTF-8, no JSON, or no such value.
pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> serde_json::Result<T> {
    let text = std::str::from_utf8(bytes).map_err(serde_json::Error::custom)?;
    serde_json::from_str(text)
}

/// The number that a literal stands for; nothing, if it is none or out of range.
pub fn number(literal: &str) -> Option<f64> {
    serde_json::from_str(literal).ok()
}

/// Takes a text out of an object.
///
/// # Errors
/// When it is not there, or no text.
pub fn take_text(
    object: &mut Map<String, Value>,
    name: &'static str,
) -> serde_json::Result<String> {
    match object.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(serde_json::Error::custom(format_args!("`{name}` is no text"))),
        None => Err(serde_json::Error::missing_field(name)),
    }
}
