//! What there is to say about a configuration, as data: problems by place, facts
//! by endpoint. How it looks is not known here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::agent::locate;
use crate::config::checked::Checked;
use crate::config::problem::{Place, Source};
use crate::config::{Endpoint, Enforce, Environment, Examination, Problem, Program, Runtime};
use crate::files;
use crate::sandbox::support;

use super::confined::Machine;
use super::connect::Connection;
use super::facts::{self, Fact};
use super::seen::Seen;
use super::service::Service;

/// A whole check.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// What has to be changed.
    pub errors: Vec<Finding>,
    /// What one should know.
    pub warnings: Vec<Finding>,
    /// Whose eyes were used; empty where our own were.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub service: Vec<Fact>,
    /// Facts about link and gateway, as far as they could be decided.
    #[serde(serialize_with = "as_map")]
    pub runtime: Vec<Fact>,
    /// The endpoints, in the order of the file.
    pub endpoints: Vec<EndpointReport>,
    /// What came of dialling the hub; `None`: it was not dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
}

/// A problem with the place it stands at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// JSON path; empty for the whole file.
    pub path: String,
    /// Line, counted from 1.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// One endpoint.
#[derive(Debug, Serialize)]
pub struct EndpointReport {
    /// JSON path, for instance `endpoints[2]`.
    pub path: String,
    /// Its id, where it has one.
    pub id: String,
    /// What people see.
    pub name: String,
    /// Its profile.
    pub profile: String,
    /// What it would do; empty when it cannot be decided.
    #[serde(serialize_with = "as_map")]
    pub facts: Vec<Fact>,
}

impl Report {
    /// Looks at everything a file says, for ourselves or as a service.
    pub fn of(
        examination: &Examination,
        environment: &dyn Environment,
        service: Option<&Service>,
    ) -> Self {
        let mut looking = Looking {
            environment,
            service,
            machine: Machine::here(),
            source: &examination.source,
            errors: vec![],
            warnings: vec![],
        };
        let endpoints = examination
            .endpoints
            .iter()
            .map(|read| looking.endpoint(&read.checked, read.decided.as_ref(), examination))
            .collect();
        looking.service(examination);
        let problems = &examination.problems;
        Self {
            file: examination.source.file().to_owned(),
            errors: findings(&problems.errors, &looking.errors),
            warnings: findings(&problems.warnings, &looking.warnings),
            runtime: facts::of_gateway(examination.hub.as_ref(), examination.runtime.as_ref()),
            endpoints,
            service: service.map(Service::facts).unwrap_or_default(),
            connection: None,
        }
    }

    /// Whether the configuration can be used.
    pub fn ok(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether there is nothing at all to say against it, not even a warning, and
    /// the hub answers if it was dialled.
    pub fn is_spotless(&self) -> bool {
        let is_connected = self.connection.as_ref().is_none_or(|connection| connection.ok);
        self.errors.is_empty() && self.warnings.is_empty() && is_connected
    }

    /// Adds that `$AMURG_CONFIG` names a file that does not exist.
    pub fn pass_over(&mut self, path: &Path) {
        let message = format!(
            "$AMURG_CONFIG names {path:?}, which does not exist; this file is read instead"
        );
        let hint = Some("correct the variable, or unset it".into());
        self.warnings
            .insert(0, Finding { path: String::new(), line: None, column: None, message, hint });
    }

    /// As one JSON object on lines of its own.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct WithVerdict<'a> {
            ok: bool,
            #[serde(flatten)]
            report: &'a Report,
        }
        let report = WithVerdict { ok: self.ok(), report: self };
        // Strings and lists only: nothing in it can fail.
        serde_json::to_string_pretty(&report).map(|json| json + "\n").unwrap_or_default()
    }
}

/// Facts as an object in JSON.
fn as_map<S: Serializer>(facts: &[Fact], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(facts.iter().map(|fact| (fact.name, &fact.value)))
}

fn findings(read: &[Problem], looked: &[Problem]) -> Vec<Finding> {
    let mut all: Vec<&Problem> = read.iter().chain(looked).collect();
    all.sort_by_key(|problem| problem.position);
    let finding = |problem: &Problem| Finding {
        path: problem.path.clone(),
        line: problem.position.map(|position| position.line),
        column: problem.position.map(|position| position.column),
        message: problem.message.clone(),
        hint: problem.hint.clone(),
    };
    all.into_iter().map(finding).collect()
}

/// Holds a configuration against this machine.
struct Looking<'a> {
    environment: &'a dyn Environment,
    service: Option<&'a Service>,
    machine: Machine,
    source: &'a Source,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Looking<'_> {
    fn endpoint(
        &mut self,
        checked: &Checked,
        decided: Option<&Arc<Endpoint>>,
        examination: &Examination,
    ) -> EndpointReport {
        let text = |key: &str| checked.str(key).unwrap_or_default().to_owned();
        let mut facts = Vec::new();
        if let Some(endpoint) = decided {
            let runtime = examination.runtime.as_ref();
            facts.extend(self.program(checked, endpoint, runtime));
            facts.extend(facts::of_endpoint(endpoint, runtime, self.machine));
        }
        let id = text("id");
        EndpointReport {
            path: checked.place.path.clone(),
            name: decided.map_or_else(|| id.clone(), |endpoint| endpoint.name.clone()),
            profile: text("profile"),
            id,
            facts,
        }
    }

    /// Which program would run, and where.
    fn program(
        &mut self,
        checked: &Checked,
        endpoint: &Endpoint,
        runtime: Option<&Runtime>,
    ) -> Vec<Fact> {
        let Some(program) = endpoint.profile.program() else { return Vec::new() };
        let home = self.environment.home_dir();
        let directory = locate::start_directory(endpoint, home.as_deref());
        let block = checked.configured_block();
        if let Err(error) = &directory {
            let (message, hint) = error.explain();
            self.error(&directory_place(checked, block, endpoint), message, hint);
        }
        // A child's own PATH wins over the one it inherits.
        let inherited = || self.environment.variable("PATH");
        let path: Option<OsString> = program.env.get("PATH").map(Into::into).or_else(inherited);
        let root = PathBuf::from("/");
        let start = directory.as_ref().unwrap_or(&root);
        let is_relative = program.command.contains('/') && !program.command.starts_with('/');
        let found = match (&directory, is_relative) {
            // Without its directory a relative command is nowhere, which was told.
            (Err(_), true) => None,
            _ => Some(locate::locate(&program.command, path.as_deref().map(OsStr::new), start)),
        };
        let command = match &found {
            Some(Ok(file)) => facts::command_line(file.as_os_str(), &program.args),
            _ => format!("{:?} (not found)", program.command),
        };
        if let Some(Err(error)) = &found {
            let place = block.map(|block| block.place_of("command")).unwrap_or_default();
            let (message, hint) = error.explain();
            self.error(&place, message, hint);
        }
        let mut facts = Vec::new();
        if let Some(Ok(file)) = &found {
            let place = block.map(|block| block.place_of("command")).unwrap_or_default();
            self.sight(&place, "command", file, false);
        }
        if let Ok(directory) = &directory {
            self.sight(&directory_place(checked, block, endpoint), "directory", directory, true);
            self.confinement(checked, endpoint, directory, runtime);
            facts.extend(self.home(endpoint, program));
        }
        let shown = match &directory {
            Ok(directory) => directory.display().to_string(),
            Err(_) => "none".into(),
        };
        facts.splice(..0, [Fact::new("command", command), Fact::new("directory", shown)]);
        facts
    }

    /// Whether a service sees what its configuration names, and may change it
    /// where that is the point of it.
    fn sight(&mut self, place: &Place, what: &str, path: &Path, is_written: bool) {
        let Some(service) = self.service else { return };
        match service.sees(path) {
            Seen::Hidden(setting) => {
                let message =
                    format!("the {what} {path:?} is not there for the service: {setting}");
                let hint = format!("add BindPaths={} to the unit, or name another", path.display());
                self.error(place, message, &hint);
            }
            Seen::ReadOnly(setting) if is_written => {
                let message =
                    format!("the {what} {path:?} cannot be written by the service: {setting}");
                let hint = format!(
                    "add ReadWritePaths={} to the unit if agents write there",
                    path.display()
                );
                self.warnings.push(self.source.problem(place, message, hint));
            }
            Seen::Plainly | Seen::ReadOnly(_) => {}
        }
    }

    /// The same of the file itself, and how much of it can be known.
    fn service(&mut self, examination: &Examination) {
        let Some(service) = self.service else { return };
        let root = Place::default();
        let file = PathBuf::from(self.source.file());
        self.sight(&root, "file", &file, false);
        if let Some(runtime) = &examination.runtime {
            self.sight(&root, "state directory", &runtime.state_dir, true);
        }
        if !service.is_seen_truly() {
            let message = "this was looked at with your rights, not with the service's";
            let hint = "run it as root to know what the service may read and run";
            self.warnings.push(self.source.problem(&root, message, hint));
        }
    }

    /// What a confined agent cannot see although its programs may want to: git,
    /// for one, does nothing where it cannot read its settings.
    fn home(&self, endpoint: &Endpoint, program: &Program) -> Option<Fact> {
        let own = || self.environment.variable("HOME");
        let home = PathBuf::from(program.env.get("HOME").map(OsString::from).or_else(own)?);
        let allowed = &endpoint.security.allowed_paths;
        let is_out = support::is_confined(endpoint) && !allowed.iter().any(|p| home.starts_with(p));
        is_out.then(|| {
            let advice = "lies outside of allowed_paths; set env.HOME if its programs need one";
            Fact::new("home", format!("{} {advice}", home.display()))
        })
    }

    /// Whether a confined agent can live in its directory, and whether what it
    /// is allowed holds what is the runtime's own.
    fn confinement(
        &mut self,
        checked: &Checked,
        endpoint: &Endpoint,
        directory: &Path,
        runtime: Option<&Runtime>,
    ) {
        let allowed = &endpoint.security.allowed_paths;
        if !support::is_confined(endpoint) {
            return;
        }
        let Some(security) = checked.object("security") else { return };
        if endpoint.security.enforce == Enforce::Required && !self.machine.support.is_whole() {
            let message = "cannot be met on this machine: the agent will not start";
            let hint = "run Linux 6.12 or later with Landlock enabled, or write best-effort";
            self.warnings.push(self.source.problem(&security.place_of("enforce"), message, hint));
        }
        let list = security.place_of("allowed_paths");
        let place = |index| Place { path: format!("{}[{index}]", list.path), ..list.clone() };
        let mut real = Vec::new();
        for (index, path) in allowed.iter().enumerate() {
            match files::real(path) {
                Ok(found) if found == *path => {
                    self.warn_of_secrets(&place(index), path, runtime);
                    real.push(found);
                }
                // Whoever may write where the link lies could lead it elsewhere.
                Ok(found) => {
                    let message = format!("the path {path:?} is, or lies behind, a symbolic link");
                    self.error(&place(index), message, &format!("write {found:?} instead"));
                    real.push(found);
                }
                Err(error) => {
                    let message = format!("the path {path:?} cannot be used: {error}");
                    let hint = "make it, or remove it from the list";
                    self.warnings.push(self.source.problem(&place(index), message, hint));
                }
            }
        }
        let inside = files::real(directory)
            .is_ok_and(|directory| real.iter().any(|path| directory.starts_with(path)));
        if !inside {
            let place = directory_place(checked, checked.configured_block(), endpoint);
            let message = format!("the directory {directory:?} is outside of allowed_paths");
            let hint = "start the agent inside: set security.cwd, or allow the directory";
            self.error(&place, message, hint);
        }
    }

    /// An agent may read and write all of an allowed path.
    fn warn_of_secrets(&mut self, place: &Place, path: &Path, runtime: Option<&Runtime>) {
        let state = runtime.map(|runtime| ("the runtime's state", runtime.state_dir.as_path()));
        let uploads =
            runtime.map(|runtime| ("every session's uploads", runtime.file_storage_path.as_path()));
        let file = Some(("this configuration", Path::new(self.source.file())));
        let held = [state, uploads, file].into_iter().flatten().find_map(|(what, own)| {
            let own = files::real(own).unwrap_or_else(|_| own.to_owned());
            own.starts_with(path).then(|| format!("{what} ({})", own.display()))
        });
        if let Some(held) = held {
            let message = format!("the path {path:?} holds {held}");
            let hint = "move one of them, or allow less: agents may read and write all of it";
            self.warnings.push(self.source.problem(place, message, hint));
        }
    }

    fn error(&mut self, place: &Place, message: String, hint: &str) {
        self.errors.push(self.source.problem(place, message, hint));
    }
}

/// Where the start directory is, or would be, written.
fn directory_place(checked: &Checked, block: Option<&Checked>, endpoint: &Endpoint) -> Place {
    match (endpoint.security.cwd.is_some(), checked.object("security"), block) {
        (true, Some(security), _) => security.place_of("cwd"),
        (_, _, Some(block)) => block.place_of("work_dir"),
        _ => checked.place.clone(),
    }
}

/// The sessions an endpoint may have at once: its own cap within the runtime's.
pub fn session_cap(endpoint: &Endpoint, runtime: Option<&Runtime>) -> Option<usize> {
    let all = runtime.map(|runtime| runtime.max_sessions);
    endpoint.limits.max_sessions.into_iter().chain(all).min()
}
