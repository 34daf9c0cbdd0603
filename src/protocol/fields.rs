//! One JSON object of a hub, looked into field by field.
//!
//! Only the fields that were asked for are kept, as slices of the text; all
//! others are skipped without being built, however many or deep they are. A
//! field is parsed when it is wanted, so an error can name it. Knows types and
//! bounds of fields, not what they mean.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::inbound::{DecodeError, Problem};

/// Longest id, in bytes.
pub(super) const MAX_ID: usize = 256;

/// Longest object that is kept as a tree, in bytes of its text. A tree takes
/// many times its text; what a hub pushes is a few hundred bytes.
const MAX_TREE: usize = 256 * 1024;

/// The known fields of one object.
pub(super) struct Fields<'a> {
    /// The object, for errors.
    of: &'static str,
    found: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Reads the object `text`, which is called `of` in errors. Of a repeated
    /// field the last one counts; one that is `null` is not there.
    pub fn read(
        of: &'static str,
        text: &'a str,
        known: &'static [&'static str],
    ) -> Result<Self, DecodeError> {
        let syntax = |error: serde_json::Error| DecodeError::Syntax { of, text: error.to_string() };
        let mut source = serde_json::Deserializer::from_str(text);
        // What is no object is told apart first: serde's message would quote it.
        if let Some(found) = first_type(text)
            && found != "an object"
        {
            return Err(DecodeError::NotAnObject { of, found });
        }
        let mut found = Known(known).deserialize(&mut source).map_err(syntax)?;
        source.end().map_err(syntax)?;
        found.retain(|(_, value)| value.get() != "null");
        Ok(Self { of, found })
    }

    /// Gives the object another name in errors.
    pub fn called(self, of: &'static str) -> Self {
        Self { of, ..self }
    }

    /// The object in field `name`.
    pub fn object(
        &self,
        name: &'static str,
        of: &'static str,
        known: &'static [&'static str],
    ) -> Result<Self, DecodeError> {
        let value = self.required(name)?;
        if type_of(value) == "an object" {
            Self::read(of, value.get(), known)
        } else {
            Err(self.wrong_type(name, "an object", value))
        }
    }

    /// The text in field `name`, of any length.
    pub fn text(&self, name: &'static str) -> Result<String, DecodeError> {
        self.string(name, self.required(name)?)
    }

    /// The text in field `name`; `None` when it is empty or not there.
    pub fn optional_text(&self, name: &'static str) -> Result<Option<String>, DecodeError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        Ok(Some(self.string(name, value)?).filter(|text| !text.is_empty()))
    }

    /// The id in field `name`: 1 to [`MAX_ID`] bytes.
    pub fn id(&self, name: &'static str) -> Result<String, DecodeError> {
        match self.optional_id(name)? {
            Some(id) => Ok(id),
            None if self.get(name).is_some() => Err(self.error(name, Problem::Empty)),
            None => Err(self.error(name, Problem::Missing)),
        }
    }

    /// The id in field `name`; `None` when it is empty or not there.
    pub fn optional_id(&self, name: &'static str) -> Result<Option<String>, DecodeError> {
        let id = self.optional_text(name)?;
        match id {
            Some(id) if id.len() > MAX_ID => {
                Err(self.error(name, Problem::TooLong { bytes: id.len(), most: MAX_ID }))
            }
            id => Ok(id),
        }
    }

    /// The truth in field `name`.
    pub fn flag(&self, name: &'static str) -> Result<bool, DecodeError> {
        self.required(name)?;
        self.flag_or_false(name)
    }

    /// The truth in field `name`; `false` when it is not there.
    pub fn flag_or_false(&self, name: &'static str) -> Result<bool, DecodeError> {
        match self.get(name).map(|value| (value, value.get())) {
            None | Some((_, "false")) => Ok(false),
            Some((_, "true")) => Ok(true),
            Some((value, _)) => Err(self.wrong_type(name, "a boolean", value)),
        }
    }

    /// The object in field `name` as a tree.
    pub fn tree(&self, name: &'static str) -> Result<Option<Map<String, Value>>, DecodeError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if type_of(value) != "an object" {
            return Err(self.wrong_type(name, "an object", value));
        }
        let bytes = value.get().len();
        if bytes > MAX_TREE {
            return Err(self.error(name, Problem::TooLong { bytes, most: MAX_TREE }));
        }
        // Nesting is bounded by serde_json (128 levels), so dropping the tree is harmless, too.
        let tree = serde_json::from_str(value.get());
        tree.map(Some).map_err(|error| self.error(name, Problem::Unreadable(error.to_string())))
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.found.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn required(&self, name: &'static str) -> Result<&'a RawValue, DecodeError> {
        self.get(name).ok_or_else(|| self.error(name, Problem::Missing))
    }

    fn string(&self, name: &'static str, value: &RawValue) -> Result<String, DecodeError> {
        if type_of(value) != "a string" {
            return Err(self.wrong_type(name, "a string", value));
        }
        // The syntax was checked when the object was read: what is left to be
        // wrong is an escaped surrogate without its other half.
        serde_json::from_str(value.get()).map_err(|_| self.error(name, Problem::Surrogate))
    }

    fn wrong_type(
        &self,
        name: &'static str,
        expected: &'static str,
        found: &RawValue,
    ) -> DecodeError {
        self.error(name, Problem::WrongType { expected, found: type_of(found) })
    }

    fn error(&self, field: &'static str, problem: Problem) -> DecodeError {
        DecodeError::Field { of: self.of, field, problem }
    }
}

/// The type of a value whose syntax is known to be right.
fn type_of(value: &RawValue) -> &'static str {
    first_type(value.get()).unwrap_or("nothing")
}

/// The type a JSON text begins as; `None` when it does not begin as any.
fn first_type(text: &str) -> Option<&'static str> {
    let first = text.bytes().find(|byte| !byte.is_ascii_whitespace())?;
    Some(match first {
        b'{' => "an object",
        b'[' => "an array",
        b'"' => "a string",
        b'0'..=b'9' | b'-' => "a number",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => return None,
    })
}

/// Reads an object, keeping the values of these fields.
struct Known(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Known {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known {
    type Value = Vec<(&'static str, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: Self::Value = Vec::with_capacity(self.0.len());
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value()?;
            match found.iter_mut().find(|(known, _)| *known == name) {
                Some(earlier) => earlier.1 = value,
                None => found.push((name, value)),
            }
        }
        Ok(found)
    }
}

/// Reads a field's name without keeping one that is not known.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|known| *known == name))
    }
}
