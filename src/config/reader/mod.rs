//! Holds a JSON tree against the tables of [`fields`](super::fields), and makes
//! checked values of it. Tells everything that does not fit.

mod scalars;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;

use super::checked::{Checked, Entry, MapEntry, Value};
use super::environment::Environment;
use super::fields::{Fallback, Field, Kind, OBJECTS, Object};
use super::problem::{Findings, Place, shown};
use super::{duration, foreign, nearest};
use crate::json;

/// Reads one tree.
pub struct Reader<'a, 's> {
    /// Where variables and paths come from.
    pub environment: &'a dyn Environment,
    /// Where problems go.
    pub findings: &'a mut Findings<'s>,
    /// A zero in a number that may not be one counts as unset.
    pub zero_is_unset: bool,
}

impl Reader<'_, '_> {
    /// Reads an object against its table.
    pub fn object(
        &mut self,
        tree: &ast::Object<'_>,
        table: &'static Object,
        place: &Place,
    ) -> Checked {
        let mut checked = Checked::new(place.clone(), table);
        for (key, key_offset, value) in self.members(tree, place) {
            let Some(field) = table.field(key) else {
                self.unknown_key(table, key, &place.member(key, key_offset));
                continue;
            };
            if self.zero_is_unset && is_zero(value) && field.refuses_zero() {
                continue;
            }
            let place = place.member(key, value.start());
            let value = self.value(field, field.kind, value, &place);
            // An empty name is none, so that "${NAME:-}" can leave one out.
            if let (Kind::Name, Some(Value::Text(text))) = (field.kind, &value)
                && text.value.is_empty()
            {
                continue;
            }
            checked.insert(field.name, Entry { place, configured: true, value });
        }
        self.fill_in(&mut checked);
        checked
    }

    /// What is there without having been written.
    fn fill_in(&mut self, checked: &mut Checked) {
        for field in checked.table.fields {
            if checked.has(field.name) {
                continue;
            }
            let place = checked.place_of(field.name);
            match field.fallback {
                Fallback::Required => self.findings.error(&place, "is missing", field.doc),
                Fallback::Value(default) => {
                    let value = self.default_of(field, default, &place);
                    checked.insert(field.name, Entry { place, configured: false, value });
                }
                Fallback::Absent | Fallback::Computed(_) => {}
            }
        }
    }

    /// A default goes the way of a value from the file, so that the table cannot
    /// hold one that a file could not.
    fn default_of(&mut self, field: &'static Field, default: &str, place: &Place) -> Option<Value> {
        let range = jsonc_parser::common::Range::new(place.offset, place.offset);
        let object = ast::Object { range, properties: Vec::new() };
        let value = match field.kind {
            Kind::Object(_) | Kind::Map => ast::Value::Object(object),
            Kind::Flag => {
                ast::Value::BooleanLit(ast::BooleanLit { range, value: default == "true" })
            }
            Kind::Integer(..) => ast::Value::NumberLit(ast::NumberLit { range, value: default }),
            _ => ast::Value::StringLit(ast::StringLit { range, value: default.into() }),
        };
        self.value(field, field.kind, &value, place)
    }

    /// The members of an object with the offsets of their keys; a key given twice is told.
    fn members<'t>(
        &mut self,
        tree: &'t ast::Object<'_>,
        place: &Place,
    ) -> Vec<(&'t str, usize, &'t ast::Value<'t>)> {
        let mut members: Vec<(&str, usize, _)> = Vec::with_capacity(tree.properties.len());
        for property in &tree.properties {
            let (key, offset) = (property.name.as_str(), property.name.start());
            if let Some((_, first, _)) = members.iter().find(|(other, ..)| *other == key) {
                let line = self.findings.source.position(*first).line;
                let message = format!("is given twice, first in line {line}");
                self.findings.error(&place.member(key, offset), message, "keep one of them");
                continue;
            }
            members.push((key, offset, &property.value));
        }
        members
    }

    fn unknown_key(&mut self, table: &'static Object, key: &str, place: &Place) {
        if foreign::is_key(table.path, key) {
            let message = "is a key of other Amurg runtimes; ignored";
            return self.findings.warning(
                place,
                message,
                "remove it where only this one reads the file",
            );
        }
        let elsewhere: Vec<&str> = OBJECTS
            .iter()
            .filter(|object| object.field(key).is_some())
            .map(|object| if object.path.is_empty() { "the top level" } else { object.path })
            .collect();
        let known = || table.fields.iter().map(|field| field.name);
        let hint = if let Some(near) = nearest::nearest(key, known()) {
            format!("did you mean {}?", shown(near))
        } else if !elsewhere.is_empty() {
            format!("it belongs to {}", elsewhere.join(" or "))
        } else {
            format!("known here: {}", known().collect::<Vec<_>>().join(", "))
        };
        self.findings.error(place, "is not a known key", hint);
    }

    fn value(
        &mut self,
        field: &'static Field,
        kind: Kind,
        value: &ast::Value<'_>,
        place: &Place,
    ) -> Option<Value> {
        match (kind, value) {
            (Kind::Anything, _) => Some(Value::Anything),
            (Kind::Text | Kind::Secret, ast::Value::StringLit(text)) => {
                self.expanded(&text.value, place).map(Value::Text)
            }
            (Kind::Name, ast::Value::StringLit(text)) => {
                let text = self.expanded(&text.value, place)?;
                self.name(&text, field).then_some(Value::Text(text))
            }
            (Kind::Literal, ast::Value::StringLit(text)) => {
                let text = self.literal(&text.value, place)?;
                if text.value.is_empty() {
                    self.findings.error(place, "is empty", field.doc);
                    return None;
                }
                Some(Value::Text(text))
            }
            (Kind::Path, ast::Value::StringLit(text)) => {
                self.path(&text.value, place).map(Value::Path)
            }
            (Kind::Choice(choices), ast::Value::StringLit(text)) => {
                let text = self.expanded(&text.value, place)?;
                self.choice(field, choices, text).map(Value::Text)
            }
            (Kind::Duration(..), ast::Value::StringLit(text)) => {
                let text = self.expanded(&text.value, place)?;
                match duration::parse(&text.value) {
                    Ok(duration) => self.duration(kind, duration, place),
                    Err(why) => {
                        let message = format!("{} {why}", text.shown());
                        self.findings.error(place, message, duration::HINT);
                        None
                    }
                }
            }
            (Kind::Duration(..), ast::Value::NumberLit(number)) => {
                match duration::parse_seconds(number.value) {
                    Ok(duration) => self.duration(kind, duration, place),
                    Err(why) => {
                        self.findings.error(
                            place,
                            format!("{} {why}", number.value),
                            duration::HINT,
                        );
                        None
                    }
                }
            }
            (Kind::Integer(low, high), ast::Value::NumberLit(number)) => {
                self.integer(number.value, low, high, place).map(Value::Integer)
            }
            (Kind::Flag, ast::Value::BooleanLit(flag)) => Some(Value::Flag(flag.value)),
            (Kind::Map, ast::Value::Object(object)) => self.map(object, place).map(Value::Map),
            (Kind::Object(table), ast::Value::Object(object)) => {
                Some(Value::Object(self.object(object, table, place)))
            }
            (Kind::Literals, ast::Value::Array(list)) => self
                .elements(list, place, |reader, value, place| match value {
                    ast::Value::StringLit(text) => reader.literal(&text.value, place),
                    other => reader.wrong_type(Kind::Text, other, place),
                })
                .map(Value::Texts),
            (Kind::Texts, ast::Value::Array(list)) => self
                .elements(list, place, |reader, value, place| match value {
                    ast::Value::StringLit(text) => reader.expanded(&text.value, place),
                    other => reader.wrong_type(Kind::Text, other, place),
                })
                .map(Value::Texts),
            (Kind::Paths, ast::Value::Array(list)) => self
                .elements(list, place, |reader, value, place| match value {
                    ast::Value::StringLit(text) => reader.path(&text.value, place),
                    other => reader.wrong_type(Kind::Path, other, place),
                })
                .map(Value::Paths),
            (Kind::Integers(low, high), ast::Value::Array(list)) => self
                .elements(list, place, |reader, value, place| match value {
                    ast::Value::NumberLit(n) => reader.integer(n.value, low, high, place),
                    other => reader.wrong_type(Kind::Integer(low, high), other, place),
                })
                .map(Value::Integers),
            (Kind::Objects(table), ast::Value::Array(list)) => {
                Some(Value::Objects(self.endpoints(list, table, place)))
            }
            (kind, other) => self.wrong_type(kind, other, place),
        }
    }

    /// Every element of a list; `None` when one of them is wrong.
    fn elements<T>(
        &mut self,
        list: &ast::Array<'_>,
        place: &Place,
        mut read: impl FnMut(&mut Self, &ast::Value<'_>, &Place) -> Option<T>,
    ) -> Option<Vec<T>> {
        let read_all: Vec<Option<T>> = list
            .elements
            .iter()
            .enumerate()
            .map(|(index, value)| read(self, value, &place.element(index, value.start())))
            .collect();
        read_all.into_iter().collect()
    }

    /// Objects of a list, those with another runtime's profile left out. A wrong
    /// one does not take the others with it.
    fn endpoints(
        &mut self,
        list: &ast::Array<'_>,
        table: &'static Object,
        place: &Place,
    ) -> Vec<Checked> {
        let mut objects = Vec::with_capacity(list.elements.len());
        for (index, value) in list.elements.iter().enumerate() {
            let place = place.element(index, value.start());
            let ast::Value::Object(object) = value else {
                self.wrong_type::<()>(Kind::Object(table), value, &place);
                continue;
            };
            if let Some(property) = object.get("profile")
                && let ast::Value::StringLit(text) = &property.value
                && foreign::PROFILES.contains(&&*text.value)
            {
                let place = place.member("profile", text.start());
                let message = format!(
                    "the profile {} belongs to other Amurg runtimes; the endpoint is skipped",
                    shown(&text.value)
                );
                let hint =
                    "run the program as generic-cli, generic-job or external to have it here";
                self.findings.warning(&place, message, hint);
                continue;
            }
            objects.push(self.object(object, table, &place));
        }
        objects
    }

    fn map(&mut self, object: &ast::Object<'_>, place: &Place) -> Option<Vec<MapEntry>> {
        let members = self.members(object, place);
        let read_all: Vec<Option<MapEntry>> = members
            .into_iter()
            .map(|(key, _, value)| {
                let place = place.member(key, value.start());
                let value = match value {
                    ast::Value::StringLit(text) => self.expanded(&text.value, &place)?,
                    other => return self.wrong_type(Kind::Text, other, &place),
                };
                Some(MapEntry { key: key.to_owned(), value })
            })
            .collect();
        read_all.into_iter().collect()
    }
}

impl Field {
    fn refuses_zero(&self) -> bool {
        match self.kind {
            Kind::Integer(low, _) => low > 0,
            Kind::Duration(low, _) => !low.is_zero(),
            _ => false,
        }
    }
}

/// Whether the tree says zero, as a number or as a duration.
pub fn is_zero(value: &ast::Value<'_>) -> bool {
    match value {
        ast::Value::NumberLit(number) => json::number(number.value) == Some(0.0),
        ast::Value::StringLit(text) => {
            duration::parse(&text.value).is_ok_and(|duration| duration.is_zero())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::environment::FixedEnvironment;
    use super::super::problem::Source;
    use super::*;

    #[test]
    fn every_default_fits_its_own_field() {
        let source = Source::new(String::new(), Zeroizing::default());
        let mut findings = Findings::new(&source);
        let environment = FixedEnvironment::new([]);
        for object in OBJECTS {
            for field in object.fields {
                let Fallback::Value(default) = field.fallback else { continue };
                let mut reader = Reader {
                    environment: &environment,
                    findings: &mut findings,
                    zero_is_unset: false,
                };
                let value = reader.default_of(field, default, &Place::default());
                assert!(value.is_some(), "{}.{}", object.path, field.name);
            }
        }
    }
}
