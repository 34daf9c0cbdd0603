//! The JSON Schema (draft 2020-12) of a configuration, for editors.
//!
//! Made from [`fields`](super::fields): it accepts what the reader accepts, also
//! what that only warns of, and marks the latter as deprecated. What a file means
//! on a machine (a file that is missing, a command that is not there) only `check`
//! can tell.

#[cfg(test)]
mod checker;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::describe::name_of;
use super::fields::{Fallback, Field, Kind, OBJECTS, Object, PROFILES, ROOT};
use super::foreign;

/// Strings that hold a variable, whose value no schema knows.
const VARIABLE: &str = r"\$\{";

/// Durations in words, one number and unit after the other.
const DURATION: &str = r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zµμ]+\s*)+$";

/// The schema.
pub fn schema() -> Value {
    let mut schema = object(&ROOT);
    let definitions: Map<String, Value> = OBJECTS
        .into_iter()
        .filter(|table| !table.path.is_empty())
        .map(|table| (name_of(table).to_owned(), object(table)))
        .collect();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Amurg Runtime configuration");
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn object(table: &Object) -> Value {
    let properties: Map<String, Value> =
        table.fields.iter().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = table
        .fields
        .iter()
        .filter(|field| matches!(field.fallback, Fallback::Required))
        .map(|field| field.name)
        .collect();
    let mut object = json!({
        "description": table.doc,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    let foreign = foreign_keys(table.path);
    if !foreign.is_empty() {
        object["patternProperties"] = Value::Object(foreign);
    }
    for (keyword, rule) in rules(table.path) {
        object[keyword] = rule;
    }
    object
}

/// What holds between the fields of an object.
fn rules(path: &str) -> Vec<(&'static str, Value)> {
    let one_of = |keys: &[&str]| keys.iter().map(|key| json!({"required": [key]})).collect();
    match path {
        // The token in it has no default.
        "" => vec![("required", json!(["hub"])), ("oneOf", one_of(&["endpoints", "agents"]))],
        "hub" => vec![("oneOf", one_of(&["token", "token_file", "token_credential"]))],
        "endpoints[]" => vec![("allOf", PROFILES.into_iter().map(block).collect())],
        _ => Vec::new(),
    }
}

/// A profile needs its own block, and has no other's.
fn block((profile, own): (&str, &str)) -> Value {
    let others: Map<String, Value> = PROFILES
        .into_iter()
        .filter(|(_, block)| *block != own)
        .map(|(_, block)| (block.to_owned(), json!(false)))
        .collect();
    json!({
        "if": {"properties": {"profile": {"const": profile}}, "required": ["profile"]},
        "then": {"required": [own], "properties": others},
    })
}

fn foreign_keys(path: &str) -> Map<String, Value> {
    let ignored =
        json!({"deprecated": true, "description": "A key of other Amurg runtimes; ignored."});
    let pattern = |key: &str| match key.strip_suffix('*') {
        Some(start) => format!("^{start}"),
        None => format!("^{key}$"),
    };
    foreign::keys(path).map(|key| (pattern(key), ignored.clone())).collect()
}

fn property(field: &Field) -> Value {
    let mut property = match field.kind {
        Kind::Anything => json!({}),
        Kind::Text | Kind::Secret | Kind::Name | Kind::Path => json!({"type": "string"}),
        Kind::Literal => json!({"type": "string", "minLength": 1}),
        Kind::Literals | Kind::Texts | Kind::Paths => {
            json!({"type": "array", "items": {"type": "string"}})
        }
        Kind::Map => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Choice(choices) => json!({"anyOf": choice(field.name, choices)}),
        Kind::Integer(low, high) => number(low, high),
        Kind::Integers(low, high) => json!({"type": "array", "items": number(low, high)}),
        Kind::Duration(low, high) => json!({"anyOf": [
            {"type": "string", "pattern": DURATION},
            {"type": "string", "pattern": VARIABLE},
            {"type": "number", "minimum": low.as_secs_f64(), "maximum": high.as_secs_f64()},
        ]}),
        Kind::Object(table) => json!({"$ref": reference(table)}),
        Kind::Objects(table) => {
            json!({"type": "array", "minItems": 1, "items": {"$ref": reference(table)}})
        }
    };
    property["description"] = json!(field.doc);
    if let Some(default) = default(field) {
        property["default"] = default;
    }
    property
}

fn reference(table: &Object) -> String {
    format!("#/$defs/{}", name_of(table))
}

fn number(low: u64, high: u64) -> Value {
    json!({"type": "integer", "minimum": low, "maximum": high})
}

/// Ours, one that a variable decides, and those of other runtimes.
fn choice(name: &str, choices: &[&str]) -> Vec<Value> {
    let foreign: Vec<&str> = foreign::values(name).collect();
    let mut any = vec![json!({"enum": choices}), json!({"type": "string", "pattern": VARIABLE})];
    if !foreign.is_empty() {
        any.push(json!({"enum": foreign, "deprecated": true}));
    }
    any
}

/// The default as it would stand in the file.
fn default(field: &Field) -> Option<Value> {
    let Fallback::Value(text) = field.fallback else { return None };
    match field.kind {
        Kind::Integer(..) | Kind::Flag | Kind::Map | Kind::Object(_) => {
            serde_json::from_str(text).ok()
        }
        _ => Some(json!(text)),
    }
}
