//! From checked values to decided configuration: what the values mean together.
//!
//! Whether one value alone is right was settled before; here are the rules
//! between fields. What cannot be decided is told and left out, so that one
//! mistake hides no other.

mod endpoint;
mod hub;
mod runtime;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::checked::Checked;
use super::environment::Environment;
use super::problem::{Findings, Place};
use super::types::{Endpoint, Hub, Runtime};

/// How strict to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// No token is needed, and what is wrong with one is not looked at (`try`).
    pub token_optional: bool,
}

/// One endpoint: as it was read, and as it was decided.
#[derive(Clone, Debug)]
pub struct ReadEndpoint {
    /// Its fields, with the places they stand at.
    pub checked: Checked,
    /// `None`: something is wrong with it, which was told.
    pub decided: Option<Arc<Endpoint>>,
}

/// What could be decided.
#[derive(Debug, Default)]
pub struct Decided {
    /// `None`: something is wrong with it, which was told.
    pub hub: Option<Hub>,
    /// `None`: something is wrong with it, which was told.
    pub runtime: Option<Runtime>,
    /// In the order of the file, without those of other runtimes.
    pub endpoints: Vec<ReadEndpoint>,
    /// Variables that were put into `hub.*`.
    pub hub_variables: Vec<String>,
    /// Where the token itself stands in the file, if it does.
    pub token_in_file: Option<Place>,
}

/// Applies the rules between fields.
pub struct Decider<'a, 's> {
    /// Where the token, the host's name and the state directory come from.
    pub environment: &'a dyn Environment,
    /// Where problems go.
    pub findings: &'a mut Findings<'s>,
    /// How strict to be.
    pub options: Options,
}

impl Decider<'_, '_> {
    /// Decides the whole file.
    pub fn decide(&mut self, root: &Checked) -> Decided {
        let mut decided = Decided::default();
        if let Some(hub) = root.object("hub") {
            decided.hub_variables = hub.variables();
            decided.token_in_file = hub
                .text("token")
                .filter(|token| token.written_out && !self.options.token_optional)
                .map(|token| token.place.clone());
            decided.hub = self.hub(hub);
        }
        decided.runtime = root.object("runtime").and_then(|runtime| self.runtime(runtime));
        decided.endpoints = self.endpoints(root);
        decided
    }

    fn endpoints(&mut self, root: &Checked) -> Vec<ReadEndpoint> {
        if root.configured("endpoints") && root.configured("agents") {
            let message = "is another name of `endpoints`, and both are there";
            self.findings.error(&root.place_of("agents"), message, "put all of them into one list");
        }
        let mut ids: HashMap<&str, &str> = HashMap::new();
        let mut read = Vec::new();
        for checked in ["endpoints", "agents"].into_iter().flat_map(|key| root.objects(key)) {
            let decided = self.endpoint(checked);
            if let Some(id) = checked.text("id") {
                if let Some(first) = ids.get(id.value.as_str()) {
                    let message = format!("{} is already the id of {first}", id.shown());
                    self.findings.error(&id.place, message, "give every endpoint an id of its own");
                } else {
                    ids.insert(&id.value, &checked.place.path);
                }
            }
            read.push(ReadEndpoint { checked: checked.clone(), decided: decided.map(Arc::new) });
        }
        read
    }

    /// Tells of a file that is named and cannot be read.
    fn readable(&mut self, object: &Checked, key: &str) -> Result<Option<PathBuf>, ()> {
        if object.is_wrong(key) {
            return Err(());
        }
        let Some(path) = object.path(key) else { return Ok(None) };
        let error = match std::fs::metadata(&path) {
            // Not opened when it is a pipe: that would wait for a writer.
            Ok(metadata) if metadata.is_file() => match File::open(&path) {
                Ok(_) => return Ok(Some(path)),
                Err(error) => error.to_string(),
            },
            Ok(_) => "not a file".to_owned(),
            Err(error) => error.to_string(),
        };
        let message = format!("{path:?} cannot be read: {error}");
        self.findings.error(&object.place_of(key), message, "name a readable PEM file");
        Err(())
    }
}
