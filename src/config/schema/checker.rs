//! For tests: holds a value against a schema, as far as ours goes. An unknown
//! keyword is a failure, so that nothing is taken for checked that was not.

use serde_json::{Map, Value};

use super::{DURATION, VARIABLE};
use crate::config::duration;

/// Whether `value` is as `root` says.
pub fn accepts(root: &Value, value: &Value) -> bool {
    Checker { root }.holds(root, value)
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let Value::Object(keywords) = schema else { return schema.as_bool().expect("a schema") };
        keywords.iter().all(|(keyword, wanted)| self.keyword(keyword, wanted, keywords, value))
    }

    fn keyword(
        &self,
        keyword: &str,
        wanted: &Value,
        schema: &Map<String, Value>,
        value: &Value,
    ) -> bool {
        let all = |list: &Value| list.as_array().expect("a list").clone();
        match keyword {
            "$schema" | "$defs" | "title" | "description" | "default" | "deprecated" | "then" => {
                true
            }
            "$ref" => {
                let path = wanted.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path.and_then(|path| self.root.pointer(path));
                self.holds(target.expect("a definition"), value)
            }
            "type" => match wanted.as_str().expect("a type") {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_u64(),
                "number" => value.is_number(),
                other => panic!("unknown type {other}"),
            },
            "enum" => all(wanted).contains(value),
            "const" => wanted == value,
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minItems" => {
                value.as_array().is_none_or(|list| list.len() as u64 >= wanted.as_u64().unwrap())
            }
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| match wanted.as_str() {
                Some(VARIABLE) => text.contains("${"),
                Some(DURATION) => duration::parse(text).is_ok(),
                other => panic!("unknown pattern {other:?}"),
            }),
            "items" => value
                .as_array()
                .is_none_or(|list| list.iter().all(|element| self.holds(wanted, element))),
            "required" => value.as_object().is_none_or(|object| {
                all(wanted).iter().all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "properties" => self.members(value, |key| wanted.get(key).cloned()),
            "patternProperties" => self.members(value, |key| pattern(wanted, key)),
            "additionalProperties" => self.members(value, |key| {
                let properties = schema.get("properties").and_then(|known| known.get(key));
                let patterns = schema.get("patternProperties");
                let known = properties.is_some()
                    || patterns.is_some_and(|patterns| pattern(patterns, key).is_some());
                (!known).then(|| wanted.clone())
            }),
            "oneOf" => all(wanted).iter().filter(|one| self.holds(one, value)).count() == 1,
            "anyOf" => all(wanted).iter().any(|one| self.holds(one, value)),
            "allOf" => all(wanted).iter().all(|one| self.holds(one, value)),
            "if" => !self.holds(wanted, value) || self.holds(&schema["then"], value),
            other => panic!("unknown keyword {other}"),
        }
    }

    /// Whether each member of an object is as the schema for its key says.
    fn members(&self, value: &Value, schema: impl Fn(&str) -> Option<Value>) -> bool {
        value.as_object().is_none_or(|object| {
            object
                .iter()
                .all(|(key, member)| schema(key).is_none_or(|schema| self.holds(&schema, member)))
        })
    }
}

fn pattern(patterns: &Value, key: &str) -> Option<Value> {
    let fits = |pattern: &str| {
        let start = pattern.strip_prefix('^').expect("an anchor");
        start.strip_suffix('$').map_or_else(|| key.starts_with(start), |whole| key == whole)
    };
    let patterns = patterns.as_object().expect("an object");
    patterns.iter().find(|(pattern, _)| fits(pattern)).map(|(_, schema)| schema.clone())
}
