//! Configuration: read, expanded, checked whole, decided once.
//!
//! ```text
//! text ──syntax──► tree ──reader──► checked values ──decide──► Config
//!                           │                          │
//!                        fields                      token
//! ```
//!
//! - [`find()`] says which file is read.
//! - [`syntax`] makes a JSON tree whose values know where they stand.
//! - [`fields`] is the one list of what a file may hold; [`reader`] holds the tree
//!   against it: unknown keys, types, bounds, `${NAME}` ([`expand`]), defaults.
//! - [`decide`] knows the rules between fields and makes [`Config`] of it.
//!
//! Nothing gives up at the first problem: every step tells what it finds
//! ([`problem`]) and goes on with the rest. Problems never hold a secret: what came
//! out of a variable, and all of `hub.token`, is not shown.
//!
//! Nothing here reaches the network or looks for programs; `check` does more.

pub mod checked;
pub mod decide;
pub mod describe;
pub mod duration;
pub mod environment;
pub mod expand;
pub mod fields;
pub mod find;
mod foreign;
pub mod nearest;
pub mod paths;
pub mod problem;
pub mod reader;
pub mod schema;
pub mod syntax;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod token;
pub mod types;
pub mod url;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use jsonc_parser::ast;
use zeroize::Zeroizing;

pub use decide::{Options, ReadEndpoint};
pub use duration::parse as parse_duration;
pub use environment::{Environment, FixedEnvironment, ProcessEnvironment};
pub use find::{Found, NoneFound, find};
pub use problem::{Problem, Problems};
pub use types::*;

use decide::{Decided, Decider};
use problem::{Findings, Place, Source};
use reader::Reader;

/// Larger files are refused, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Everything a file says, right or wrong: what `check` works with.
pub struct Examination {
    /// The text, to place further problems in.
    pub source: Source,
    /// What was found.
    pub problems: Problems,
    /// `None`: something is wrong with it.
    pub hub: Option<Hub>,
    /// `None`: something is wrong with it.
    pub runtime: Option<Runtime>,
    /// In the order of the file, without those of other runtimes.
    pub endpoints: Vec<ReadEndpoint>,
    hub_variables: Vec<String>,
}

impl Examination {
    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn into_loaded(self) -> Result<Loaded, Problems> {
        let endpoints = self.endpoints.into_iter().map(|endpoint| endpoint.decided).collect();
        match (self.hub, self.runtime, endpoints) {
            (Some(hub), Some(runtime), Some(endpoints)) if self.problems.errors.is_empty() => {
                let hub_variables = self.hub_variables;
                let config = Config { hub, runtime, endpoints, hub_variables };
                Ok(Loaded { config, warnings: self.problems.warnings })
            }
            _ => Err(self.problems),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// Every problem of the file, or the one that it cannot be read.
pub fn load(
    path: &Path,
    environment: &dyn Environment,
    options: Options,
) -> Result<Loaded, Problems> {
    examine_file(path, environment, options).into_loaded()
}

/// Reads a text; `name` is what problems call it.
///
/// # Errors
/// Every problem of the text.
pub fn parse(
    text: &str,
    name: &str,
    environment: &dyn Environment,
    options: Options,
) -> Result<Loaded, Problems> {
    examine(text, name, environment, options).into_loaded()
}

/// Reads a file, as far as it can be read.
pub fn examine_file(path: &Path, environment: &dyn Environment, options: Options) -> Examination {
    let name = path.display().to_string();
    let (message, hint) = match read_file(&environment.current_dir().join(path)) {
        Ok(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => {
                return examine_text(text, &name, environment, options, Some(path));
            }
            Err(error) => {
                let line = bytes[..error.valid_up_to()].split(|b| *b == b'\n').count();
                (format!("is not UTF-8 (line {line})"), "save the file as UTF-8".into())
            }
        },
        Err(error) => error,
    };
    let source = Source::new(name.clone(), Zeroizing::default());
    let problem =
        Problem { file: name, path: String::new(), position: None, message, hint: Some(hint) };
    let problems = Problems { errors: vec![problem], warnings: Vec::new() };
    examination(source, problems, Decided::default())
}

/// Reads a text, as far as it can be read; `name` is what problems call it.
pub fn examine(
    text: &str,
    name: &str,
    environment: &dyn Environment,
    options: Options,
) -> Examination {
    examine_text(text, name, environment, options, None)
}

fn examine_text(
    text: &str,
    name: &str,
    environment: &dyn Environment,
    options: Options,
    file: Option<&Path>,
) -> Examination {
    // Some editors put a byte order mark in front of UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(name.to_owned(), Zeroizing::new(text.to_owned()));
    let mut findings = Findings::new(&source);
    let mut decided = Decided::default();
    if let Some(tree) = syntax::parse(source.text(), &mut findings) {
        decided = examine_tree(&tree, environment, options, &mut findings);
    }
    let read_by_others =
        |file: &Path| token::readable_by_others(&environment.current_dir().join(file));
    if let Some(place) = &decided.token_in_file
        && file.is_some_and(read_by_others)
    {
        let message = "everybody on this machine can read the token in this file";
        findings.warning(place, message, "chmod 600 the file, or use hub.token_file");
    }
    let problems = findings.into_problems();
    examination(source, problems, decided)
}

fn examine_tree(
    tree: &ast::Value<'_>,
    environment: &dyn Environment,
    options: Options,
    findings: &mut Findings<'_>,
) -> Decided {
    let place = Place::default();
    let ast::Value::Object(object) = tree else {
        let hint =
            "the file has to hold one object: {\"hub\": {…}, \"runtime\": {…}, \"endpoints\": […]}";
        findings.error(&place, "is not an object", hint);
        return Decided::default();
    };
    let zero_is_unset = zeros_stand_for_nothing(object, findings);
    let mut reader = Reader { environment, findings, zero_is_unset };
    let root = reader.object(object, &fields::ROOT, &place);
    let decided = Decider { environment, findings, options }.decide(&root);
    let listed = ["endpoints", "agents"].into_iter().find(|key| object.get(key).is_some());
    let elements = listed.and_then(|key| object.get_array(key)).map(|list| list.elements.len());
    let hint = "for instance \"endpoints\": [{\"id\": \"sh\", \"profile\": \"generic-cli\", \"cli\": {\"command\": \"sh\"}}]";
    match (listed, elements) {
        (None, _) => findings.error(&root.place_of("endpoints"), "is missing", hint),
        (Some(key), Some(0)) => findings.error(&root.place_of(key), "is empty", hint),
        (Some(key), Some(_)) if decided.endpoints.is_empty() && !root.is_wrong(key) => {
            let message = "no endpoint is left: the hub will show this runtime without agents";
            findings.warning(&root.place_of(key), message, hint);
        }
        _ => {}
    }
    decided
}

/// The wizard of another runtime writes a zero for everything its user did not
/// say. One zero is a mistake; all four of these are such a file.
fn zeros_stand_for_nothing(root: &ast::Object<'_>, findings: &mut Findings<'_>) -> bool {
    let keys = ["max_sessions", "default_timeout", "max_output_bytes", "idle_timeout"];
    let Some(runtime) = root.get_object("runtime") else { return false };
    let all = keys
        .into_iter()
        .all(|key| runtime.get(key).is_some_and(|property| reader::is_zero(&property.value)));
    if all {
        let place = Place::default().member("runtime", runtime.range.start);
        let message = "zeros, as other Amurg runtimes write them, count as unset";
        findings.warning(&place, message, "remove them");
    }
    all
}

fn examination(source: Source, problems: Problems, decided: Decided) -> Examination {
    let Decided { hub, runtime, endpoints, hub_variables, .. } = decided;
    Examination { source, problems, hub, runtime, endpoints, hub_variables }
}

/// The bytes of a file, or what is wrong with it and what to do.
fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, (String, String)> {
    let unreadable = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "name an existing file with -config PATH, or write one with `amurg-runtime init`"
                    .into()
            }
            std::io::ErrorKind::PermissionDenied => let_read(path),
            _ => "name a readable file with -config PATH".into(),
        };
        (format!("cannot be read: {error}"), hint)
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(("is a directory".into(), "name the file in it".into()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(unreadable)?;
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(("is larger than 1 MiB".into(), "is this the right file?".into()));
    }
    Ok(bytes)
}

/// What to do about a file that is there and may not be read. The usual case is
/// a private file of the host's that is mounted into a container.
#[cfg(unix)]
fn let_read(path: &Path) -> String {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let user = rustix::process::geteuid();
    match fs::metadata(path) {
        Ok(file) => format!(
            "it belongs to user {} (mode {:04o}) and this runs as user {user}: `chown {user}` the file, \
             also where it is mounted into a container from, or run this as its owner",
            file.uid(),
            file.permissions().mode() & 0o7777,
        ),
        Err(_) => format!("let user {user}, as which this runs, into the directory it is in"),
    }
}

#[cfg(not(unix))]
fn let_read(_path: &Path) -> String {
    "let the user this runs as read it".into()
}
