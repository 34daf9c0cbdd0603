//! From answers to files: examined first, the token before the configuration,
//! each file in one step.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::check::{Finding, Report};
use super::answers::{Answers, Sources, TokenFrom, ask_token, is_loopback};
use super::ask::Person;
use super::compose::{Parts, TokenAt, compose};
use super::done::Done;
use super::draft::{Draft, Readers};
use super::failure::Failure;
use super::register::{Client, Granted, RegisterError, Surroundings, register};
use super::{CREDENTIAL, Init};
use crate::config::{self, Environment, Examination, Hub, Options, paths};

/// Writes what the sources say.
///
/// # Errors
/// When something is missing or wrong, the hub does not give a token, or a file
/// cannot be written. Nothing is left behind then but, at worst, the token.
pub fn write(mut sources: Sources<'_>, around: &mut dyn Surroundings) -> Result<Done, Failure> {
    let (options, environment) = (sources.options, sources.environment);
    let files = Files::chosen(options, environment)?;
    files.refuse(options, &files.config)?;
    if options.token_file.is_none() && !options.credential {
        files.refuse(options, &files.token)?;
    }
    if options.yes {
        sources.person = None;
    } else if sources.person.is_none() {
        return Err(Failure::NoTerminal);
    }
    let answers = sources.gather()?;
    if matches!(answers.token, TokenFrom::Here(_) | TokenFrom::Registration) {
        files.refuse(options, &files.token)?;
    }
    let mut writing = Writing { options, environment, files, answers, granted: None };
    // All but the token, which may be the hub's to give.
    let hub = writing.examined(Options { token_optional: true })?;
    let config = writing.files.begin_config()?;
    writing.token(&hub, sources.person, around)?;
    writing.finish(config)
}

/// The two files there will be.
struct Files {
    config: PathBuf,
    token: PathBuf,
}

impl Files {
    fn chosen(options: &Init, environment: &dyn Environment) -> Result<Self, Failure> {
        let variable = environment.variable("AMURG_CONFIG").filter(|value| !value.is_empty());
        let usual = || {
            if is_root() {
                Some(PathBuf::from(config::find::SYSTEM))
            } else {
                config::find::personal(environment)
            }
        };
        let config = options
            .output
            .clone()
            .or_else(|| variable.map(PathBuf::from))
            .or_else(usual)
            .and_then(|path| paths::absolute(&path.to_string_lossy(), environment).ok())
            .ok_or(Failure::NoPlace)?;
        // Several configurations in one directory have a token each.
        let token = match config.file_stem() {
            Some(stem) if stem != "config" => config.with_file_name(stem).with_extension("token"),
            _ => config.with_file_name("token"),
        };
        Ok(Self { config, token })
    }

    /// Refuses to replace a file, unless that is wanted.
    fn refuse(&self, options: &Init, path: &Path) -> Result<(), Failure> {
        debug_assert!(path == self.config || path == self.token);
        let is_there = path.symlink_metadata().is_ok();
        if is_there && !options.force { Err(Failure::Exists(path.to_owned())) } else { Ok(()) }
    }

    fn begin_config(&self) -> Result<Draft, Failure> {
        Draft::begin(&self.config, Readers::Group)
            .map_err(|error| Failure::Unwritable(self.config.clone(), error))
    }

    fn begin_token(&self) -> Result<Draft, Failure> {
        Draft::begin(&self.token, Readers::Owner)
            .map_err(|error| Failure::Unwritable(self.token.clone(), error))
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Whether nobody but root can read a file that is open to its group.
#[cfg(unix)]
fn is_roots(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.metadata().is_ok_and(|metadata| metadata.uid() == 0 && metadata.gid() == 0)
}

#[cfg(not(unix))]
fn is_roots(_path: &Path) -> bool {
    false
}

/// A configuration on its way.
struct Writing<'a> {
    options: &'a Init,
    environment: &'a dyn Environment,
    files: Files,
    answers: Answers,
    granted: Option<Granted>,
}

impl Writing<'_> {
    /// Puts the token where the configuration will look for it.
    fn token(
        &mut self,
        hub: &Hub,
        person: Option<&mut dyn Person>,
        around: &mut dyn Surroundings,
    ) -> Result<(), Failure> {
        match &self.answers.token {
            TokenFrom::File(_) | TokenFrom::Later => return Ok(()),
            TokenFrom::Here(_) => {}
            TokenFrom::Registration => match (self.register(hub, around), person) {
                (Err(RegisterError::OlderHub), Some(person)) => {
                    person.tell(&RegisterError::OlderHub.to_string());
                    let token = ask_token(person, "Token (not shown)")?.ok_or(Failure::NoToken)?;
                    self.answers.token = TokenFrom::Here(token);
                }
                (Err(RegisterError::NoId), _) => {
                    let cause = Box::new(Failure::Register(RegisterError::NoId));
                    let token = self.files.token.clone();
                    return Err(Failure::AfterToken { token, id: None, cause });
                }
                (result, _) => {
                    self.granted = Some(result.map_err(Failure::Register)?);
                    return Ok(());
                }
            },
        }
        let TokenFrom::Here(token) = &self.answers.token else { return Ok(()) };
        let draft = self.files.begin_token()?;
        keep(draft, token.expose(), self.options.force)
            .map_err(|error| Failure::Unwritable(self.files.token.clone(), error))
    }

    fn register(&self, hub: &Hub, around: &mut dyn Surroundings) -> Result<Granted, RegisterError> {
        let client = Client::new(hub)
            .map_err(|error| RegisterError::Unreachable(hub.url.text.clone(), error.told()))?;
        // Begun before there is anything to lose.
        let draft = Draft::begin(&self.files.token, Readers::Owner).map_err(RegisterError::Keep)?;
        let mut draft = Some(draft);
        register(&client, around, &mut |token| match draft.take() {
            Some(draft) => keep(draft, token, self.options.force),
            None => Ok(()),
        })
    }

    fn text(&self) -> String {
        let answers = &self.answers;
        let token = match &answers.token {
            _ if self.options.credential => TokenAt::Credential(CREDENTIAL),
            TokenFrom::File(path) => TokenAt::File(path),
            _ => TokenAt::File(&self.files.token),
        };
        let granted = self.granted.as_ref();
        compose(&Parts {
            hub_url: &answers.hub_url,
            token,
            tls_ca_file: self.options.tls_ca_file.as_deref(),
            tls_skip_verify: self.options.tls_skip_verify,
            id: self.id(),
            org_id: granted.and_then(|granted| granted.org_id.as_deref()),
            machine: &answers.machine,
            agents: &answers.agents,
            work_dir: answers.work_dir.as_deref(),
        })
    }

    fn id(&self) -> &str {
        self.granted.as_ref().map_or(&self.answers.id, |granted| &granted.runtime_id)
    }

    /// Looks at the configuration as `check` would.
    fn report(&self, options: Options) -> (Examination, Report) {
        let name = self.files.config.display().to_string();
        let examination = config::examine(&self.text(), &name, self.environment, options);
        let report = Report::of(&examination, self.environment, None);
        (examination, report)
    }

    fn examined(&self, options: Options) -> Result<Hub, Failure> {
        let (examination, report) = self.report(options);
        match examination.hub {
            Some(hub) if report.ok() => Ok(hub),
            _ => Err(Failure::Problems(report.errors)),
        }
    }

    /// Writes the configuration, now that the token is where it belongs.
    fn finish(self, draft: Draft) -> Result<Done, Failure> {
        // A credential is there only for the service.
        let options = Options { token_optional: self.options.credential };
        let (examination, mut report) = self.report(options);
        report.warnings.extend(examination.hub.as_ref().and_then(in_the_clear));
        let written = if report.ok() {
            draft
                .put(self.text().as_bytes(), self.options.force)
                .map_err(|error| Failure::Unwritable(self.files.config.clone(), error))
        } else {
            Err(Failure::Problems(report.errors))
        };
        let id = self.id().to_owned();
        let agents = self.answers.agents.iter().map(|agent| agent.id_at(&id)).collect();
        let Files { config, token } = self.files;
        if let Err(cause) = written {
            return Err(match self.granted {
                Some(_) => Failure::AfterToken { token, id: Some(id), cause: Box::new(cause) },
                None => cause,
            });
        }
        let found = config::find(None, self.environment).ok();
        let current = self.environment.current_dir();
        Ok(Done {
            is_roots: is_roots(&config),
            is_found: found.is_some_and(|found| current.join(found.path) == config),
            credential: self.options.credential.then(|| token.clone()),
            token: matches!(self.answers.token, TokenFrom::Here(_) | TokenFrom::Registration)
                .then_some(token),
            config,
            id,
            agents,
            warnings: report.warnings,
            program: program(),
        })
    }
}

/// A token on its way to another machine without encryption is worth a word.
fn in_the_clear(hub: &Hub) -> Option<Finding> {
    (!hub.url.tls && !is_loopback(&hub.url.host)).then(|| Finding {
        path: "hub.url".to_owned(),
        line: None,
        column: None,
        message: "token and messages travel unencrypted".to_owned(),
        hint: Some("use wss:// unless the network is private".to_owned()),
    })
}

fn keep(draft: Draft, token: &str, replace: bool) -> io::Result<()> {
    let line = Zeroizing::new(format!("{token}\n"));
    draft.put(line.as_bytes(), replace)
}

/// This program as it was called: its name where `PATH` leads to it.
fn program() -> std::ffi::OsString {
    std::env::args_os().next().unwrap_or_else(|| "amurg-runtime".into())
}
