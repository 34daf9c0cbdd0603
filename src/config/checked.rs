//! Values that hold what their field promises: the right type, within bounds,
//! variables put in, defaults filled in. Each knows where it stands.
//!
//! What they mean together is not known here.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::expand::Expanded;
use super::fields::{Object, PROFILES};
use super::problem::{Place, shown};

/// A string of the file. `Debug` does not show it.
#[derive(Clone)]
pub struct Text {
    /// The value, with variables put in. Wiped on drop.
    pub value: Zeroizing<String>,
    /// Where it stands.
    pub place: Place,
    /// Whether a part of the value stands in the file, and does not come from a variable.
    pub written_out: bool,
    /// As it was written, where variables were put in.
    written: Option<Zeroizing<String>>,
    /// Which variables.
    variables: Vec<String>,
}

impl Text {
    /// A text without variables.
    pub fn literal(text: &str, place: Place) -> Self {
        let value = Zeroizing::new(text.to_owned());
        Self { value, place, written_out: true, written: None, variables: Vec::new() }
    }

    /// A text with variables put in.
    pub fn expanded(written: &str, expanded: Expanded, place: Place) -> Self {
        let Expanded { value, variables, written_out } = expanded;
        let written = (!variables.is_empty()).then(|| Zeroizing::new(written.to_owned()));
        Self { value, place, written_out, written, variables }
    }

    /// The text as it may be shown: as written, never what came out of a variable.
    pub fn shown(&self) -> String {
        shown(self.written.as_ref().unwrap_or(&self.value))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({})", self.place.path)
    }
}

/// One entry of an object of strings.
#[derive(Clone, Debug)]
pub struct MapEntry {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Text,
}

/// A path, made absolute.
#[derive(Clone, Debug)]
pub struct PathValue {
    /// The path.
    pub path: PathBuf,
    /// The text it was made from.
    pub text: Text,
}

/// A value that is as its field says.
#[derive(Clone, Debug)]
pub enum Value {
    /// Not looked at.
    Anything,
    /// A string; also a choice and a name.
    Text(Text),
    /// Strings.
    Texts(Vec<Text>),
    /// A path.
    Path(PathValue),
    /// Paths.
    Paths(Vec<PathValue>),
    /// An object of strings, in the order of the file.
    Map(Vec<MapEntry>),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(u64),
    /// Whole numbers.
    Integers(Vec<u64>),
    /// A duration.
    Duration(Duration),
    /// An object with its own fields.
    Object(Checked),
    /// Objects with their own fields.
    Objects(Vec<Checked>),
}

/// A field that stands in the file, or has a default.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// Whether it stands in the file.
    pub configured: bool,
    /// `None`: it is there, but wrong, which was told.
    pub value: Option<Value>,
}

/// An object of the file, checked against its table.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Where it stands.
    pub place: Place,
    /// Its table.
    pub table: &'static Object,
    /// Few enough to be looked through.
    entries: Vec<(&'static str, Entry)>,
}

impl Checked {
    /// Holding nothing yet.
    pub fn new(place: Place, table: &'static Object) -> Self {
        Self { place, table, entries: Vec::new() }
    }

    /// Adds a field, which is not there yet.
    pub fn insert(&mut self, name: &'static str, entry: Entry) {
        debug_assert!(self.entry(name).is_none(), "{}.{name}", self.table.path);
        self.entries.push((name, entry));
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, entry)| entry)
    }

    /// Whether the field stands in the file, right or wrong.
    pub fn configured(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.configured)
    }

    /// Whether there is an entry, from the file or a default.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Whether a field stands in the file and is wrong.
    pub fn is_wrong(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.value.is_none())
    }

    /// Where the field stands, or where it would.
    pub fn place_of(&self, name: &str) -> Place {
        match self.entry(name) {
            Some(entry) => entry.place.clone(),
            None => self.place.member(name, self.place.offset),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        debug_assert!(self.table.field(name).is_some(), "{}.{name}", self.table.path);
        self.entry(name)?.value.as_ref()
    }

    /// A string.
    pub fn text(&self, name: &str) -> Option<&Text> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A string's value.
    pub fn str(&self, name: &str) -> Option<&str> {
        self.text(name).map(|text| text.value.as_str())
    }

    /// Strings; none where the field is absent.
    pub fn texts(&self, name: &str) -> &[Text] {
        match self.value(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// A path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match self.value(name)? {
            Value::Path(path) => Some(path.path.clone()),
            _ => None,
        }
    }

    /// Paths; none where the field is absent.
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        match self.value(name) {
            Some(Value::Paths(paths)) => paths.iter().map(|path| path.path.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// Entries of an object of strings; none where the field is absent.
    pub fn map(&self, name: &str) -> &[MapEntry] {
        match self.value(name) {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number as a size in memory.
    pub fn size(&self, name: &str) -> Option<usize> {
        self.integer(name).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// Whole numbers.
    pub fn integers(&self, name: &str) -> Option<&[u64]> {
        match self.value(name)? {
            Value::Integers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// A duration.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name)? {
            Value::Duration(duration) => Some(*duration),
            _ => None,
        }
    }

    /// An object.
    pub fn object(&self, name: &str) -> Option<&Checked> {
        match self.value(name)? {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The block of the profile, of an endpoint.
    pub fn configured_block(&self) -> Option<&Checked> {
        let profile = self.str("profile")?;
        let (_, block) = PROFILES.into_iter().find(|(name, _)| *name == profile)?;
        self.object(block)
    }

    /// Objects; none where the field is absent.
    pub fn objects(&self, name: &str) -> &[Checked] {
        match self.value(name) {
            Some(Value::Objects(objects)) => objects,
            _ => &[],
        }
    }

    /// Names of all variables that were put into strings of this object.
    pub fn variables(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .entries
            .iter()
            .flat_map(|(_, entry)| match &entry.value {
                Some(Value::Text(text)) => text.variables.clone(),
                Some(Value::Path(path)) => path.text.variables.clone(),
                _ => Vec::new(),
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}
