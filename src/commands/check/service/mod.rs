//! The surroundings of a service: what a configuration finds when it is not a
//! person at a terminal who starts the runtime, but systemd, as another user.
//!
//! Everything is read off the unit's files and the user database; systemd is
//! not asked, so that it works before the service is installed.

mod unit;
mod user;
mod view;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::facts::Fact;
use super::seen::Seen;
use crate::config::token::{self, TokenError};
use crate::config::{Environment, ProcessEnvironment};
use crate::logging::Quoted;
use crate::secret::Secret;

use unit::Unit;
use user::User;
use view::View;

/// The `PATH` systemd gives a service.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A service, as far as it matters to a configuration.
pub struct Service {
    /// `amurg-runtime.service (/etc/systemd/system/amurg-runtime.service)`, or `the user ann`.
    title: String,
    user: User,
    variables: BTreeMap<String, String>,
    directory: PathBuf,
    config: Option<PathBuf>,
    /// Credentials by name: where they come from, and the token in it.
    credentials: Vec<(String, PathBuf, Option<Secret>)>,
    /// What is hidden from it.
    view: View,
}

impl Service {
    /// The unit of this name or path, else the user of this name.
    ///
    /// # Errors
    /// When there is neither, or something in it cannot be read; in words.
    pub fn find(name: &str) -> Result<Self, String> {
        let directories = unit::DIRECTORIES.map(PathBuf::from);
        let unit = Unit::find(name, &directories)
            .map_err(|error| format!("the unit {} cannot be read: {error}", Quoted(name)))?;
        if let Some(unit) = unit {
            return Self::of_unit(&unit);
        }
        if let Some(user) = User::find(name).filter(|_| !name.contains('/')) {
            return Ok(Self::of_user(format!("the user {}", user.name), user, View::default()));
        }
        Err(format!(
            "there is neither a unit nor a user {}; name a unit (looked for in {}), a unit's file \
             with its path, or a user",
            Quoted(name),
            unit::DIRECTORIES.join(", ")
        ))
    }

    fn of_unit(unit: &Unit) -> Result<Self, String> {
        let stem = unit.name.split(['@', '.']).next().unwrap_or(&unit.name);
        let wanted = unit.last("User");
        let user = match (User::find(wanted.unwrap_or("root")), unit.is_on("DynamicUser")) {
            (Some(user), false) => user,
            (_, true) => User::made_up(wanted.unwrap_or(stem)),
            (None, false) => {
                return Err(format!(
                    "{} runs as {}, a user this machine does not have; make it (systemd-sysusers), \
                     or correct User=",
                    unit.name,
                    Quoted(wanted.unwrap_or("root"))
                ));
            }
        };
        let title = format!("{} ({})", unit.name, unit.files[0].display());
        let mut service = Self::of_user(title, user, View::of(unit));
        if wanted.is_none() && !unit.is_on("DynamicUser") {
            // Root's service has no home in its environment.
            for name in ["HOME", "USER", "LOGNAME", "SHELL"] {
                service.variables.remove(name);
            }
        }
        for (key, variable, place) in [
            ("StateDirectory", "STATE_DIRECTORY", "/var/lib"),
            ("RuntimeDirectory", "RUNTIME_DIRECTORY", "/run"),
        ] {
            let paths: Vec<String> =
                unit.words(key).iter().map(|name| format!("{place}/{name}")).collect();
            service.set(variable, paths.join(":"));
        }
        service.set("PATH", unit.words("ExecSearchPath").join(":"));
        for assignment in unit.words("Environment") {
            service.assign(&assignment);
        }
        for file in unit.words("EnvironmentFile") {
            service.assign_file(&file)?;
        }
        for name in unit.words("UnsetEnvironment") {
            service.variables.remove(&name);
        }
        if let Some(directory) = unit.last("WorkingDirectory") {
            let directory = directory.trim_start_matches('-');
            let home = service.user.home.clone();
            service.directory = if directory == "~" { home } else { directory.into() };
        }
        for credential in unit.all("LoadCredential") {
            if let Some((name, path)) = credential.split_once(':') {
                // Systemd hands it over as root: it is read before anybody is become.
                let token = token::read(Path::new(path)).ok();
                service.credentials.push((name.to_owned(), path.into(), token));
            }
        }
        service.config = unit.last("ExecStart").and_then(configuration);
        Ok(service)
    }

    fn of_user(title: String, user: User, view: View) -> Self {
        let mut service = Self {
            title,
            user,
            variables: BTreeMap::new(),
            directory: "/".into(),
            config: None,
            credentials: Vec::new(),
            view,
        };
        service.set("PATH", PATH.to_owned());
        service.set("HOME", service.user.home.to_string_lossy().into_owned());
        for name in ["USER", "LOGNAME"] {
            service.set(name, service.user.name.clone());
        }
        service.set("SHELL", service.user.shell.clone());
        // The system's locale, which systemd itself has.
        for line in fs::read_to_string("/etc/locale.conf").unwrap_or_default().lines() {
            service.assign_line(line);
        }
        service
    }

    fn set(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.variables.insert(name.to_owned(), value);
        }
    }

    fn assign(&mut self, assignment: &str) {
        if let Some((name, value)) = assignment.split_once('=') {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
    }

    fn assign_line(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return;
        }
        // Quotes as a shell has them; a line that cannot be read so is taken as it is.
        match shell_words::split(line) {
            Ok(words) if words.len() == 1 => self.assign(&words[0]),
            _ => self.assign(line),
        }
    }

    fn assign_file(&mut self, file: &str) -> Result<(), String> {
        let path = file.trim_start_matches('-');
        match fs::read_to_string(path) {
            Ok(text) => {
                text.lines().for_each(|line| self.assign_line(line));
                Ok(())
            }
            Err(_) if file.starts_with('-') => Ok(()),
            Err(error) => Err(format!(
                "{} reads its environment from {path}: {error}; make the file, or run this as root",
                self.title
            )),
        }
    }

    /// The configuration its command names.
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Whether the token comes from where only systemd and root may look.
    pub fn hides_token(&self) -> bool {
        self.credentials.iter().any(|(.., token)| token.is_none()) && !self.is_seen_truly()
    }

    /// How it sees a path.
    pub fn sees(&self, path: &Path) -> &Seen {
        self.view.of_path(path)
    }

    /// Whether files are looked at with its user's eyes.
    pub fn is_seen_truly(&self) -> bool {
        self.user.can_be_taken()
    }

    /// Looks with its user's eyes, as far as this process can.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn look<T: Send + 'static>(
        self,
        look: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> std::io::Result<T> {
        let user = self.user.clone();
        user.look(move || look(&self))
    }

    /// What is different from a shell.
    pub fn facts(&self) -> Vec<Fact> {
        let variable = |name: &str| self.variables.get(name).map_or("", String::as_str);
        let User { name, uid, .. } = &self.user;
        let mut facts = vec![
            Fact::new("unit", &self.title),
            Fact::new("user", format!("{name} ({uid})")),
            Fact::new("home", self.user.home.display().to_string()),
            Fact::new("directory", self.directory.display().to_string()),
            Fact::new("PATH", variable("PATH")),
        ];
        let here = std::env::var_os("PATH").unwrap_or_default();
        let mut missing: Vec<String> = std::env::split_paths(&here)
            .filter(|one| !std::env::split_paths(variable("PATH")).any(|other| other == *one))
            .map(|path| path.display().to_string())
            .collect();
        missing.dedup();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            facts.push(Fact::new(
                "programs",
                format!("not those in {missing}, which your PATH has"),
            ));
        }
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| self.variables.get(name).map(|value| format!("{name}={value}")));
        let none = || "none, so that agents get LANG=C.UTF-8".to_owned();
        facts.push(Fact::new("locale", locale.unwrap_or_else(none)));
        let files = self.view.words().join("; ");
        if !files.is_empty() {
            facts.push(Fact::new("files", files));
        }
        facts
    }
}

impl Environment for Service {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn home_dir(&self) -> Option<PathBuf> {
        let home = self.variables.get("HOME").map_or_else(|| self.user.home.clone(), PathBuf::from);
        home.is_absolute().then_some(home)
    }

    fn current_dir(&self) -> PathBuf {
        self.directory.clone()
    }

    fn host_name(&self) -> Option<String> {
        ProcessEnvironment.host_name()
    }

    fn credential(&self, name: &str) -> Result<Secret, TokenError> {
        token::credential(name, Some("/".into()))?;
        // Of one name, the last one counts.
        match self.credentials.iter().rfind(|(other, ..)| other == name) {
            Some((_, _, Some(token))) => Ok(token.clone()),
            Some((_, path, None)) => token::read(path),
            None => Err(TokenError::NoCredentials),
        }
    }
}

/// The file a command line names as its configuration.
fn configuration(command: &str) -> Option<PathBuf> {
    let words = shell_words::split(command).ok()?;
    let words = super::super::arguments::normalise(words);
    let at = words.iter().position(|word| word == "--config")?;
    words.get(at + 1).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(settings: &str) -> Result<Service, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("amurg-runtime.service");
        fs::write(dir.path().join("file"), "# x\nFROM_FILE='one two'\nA=file\n").unwrap();
        fs::write(dir.path().join("token"), "hunter2\n").unwrap();
        let at = dir.path().display().to_string();
        fs::write(&path, format!("[Service]\n{}", settings.replace("{at}", &at))).unwrap();
        Service::find(path.to_str().unwrap())
    }

    #[test]
    fn a_unit_makes_the_surroundings() {
        let service = service(
            "User=root\nEnvironment=A=unit \"PS1=$ \" GONE=1\nEnvironmentFile={at}/file\n\
             EnvironmentFile=-{at}/none\nUnsetEnvironment=GONE\nStateDirectory=amurg\n\
             WorkingDirectory=~\nLoadCredential=amurg-token:{at}/token\n\
             ExecStart=/usr/bin/amurg-runtime run -config=/etc/amurg/lab.json\n",
        )
        .unwrap();
        let variable = |name: &str| service.variable(name).map(|v| v.into_string().unwrap());
        for (name, value) in [
            ("A", Some("file")),
            ("FROM_FILE", Some("one two")),
            ("PS1", Some("$ ")),
            ("GONE", None),
            ("USER", Some("root")),
            ("PATH", Some(PATH)),
            ("STATE_DIRECTORY", Some("/var/lib/amurg")),
        ] {
            assert_eq!(variable(name).as_deref(), value, "{name}");
        }
        assert_eq!(service.current_dir(), service.user.home);
        assert_eq!(service.config(), Some(Path::new("/etc/amurg/lab.json")));
        assert_eq!(service.credential("amurg-token").unwrap().expose(), "hunter2");
        assert!(matches!(service.credential("other"), Err(TokenError::NoCredentials)));
        assert!(!format!("{:?}", service.facts()).contains("hunter2"));
    }

    #[test]
    fn a_service_of_root_has_no_home_in_its_environment_and_one_made_up_may_nothing() {
        let root = service("ExecSearchPath=/opt/bin\n").unwrap();
        assert_eq!((root.variable("HOME"), root.variable("PATH")), (None, Some("/opt/bin".into())));
        let made_up = service("DynamicUser=yes\nUser=dyn\n").unwrap();
        assert_eq!((made_up.user.name.as_str(), made_up.home_dir()), ("dyn", Some("/".into())));
    }

    #[test]
    fn who_is_not_there_is_told() {
        let error = service("User=no-such-user\n").err().unwrap();
        assert!(error.contains("no-such-user") && error.contains("; make it"), "{error}");
        let error = service("EnvironmentFile={at}/none\n").err().unwrap();
        assert!(error.contains("/none: No such file") && error.contains("; make"), "{error}");
        let error = Service::find("no-such-unit").err().unwrap();
        assert!(error.contains("neither a unit nor a user no-such-unit; name"), "{error}");
    }

    #[test]
    fn a_user_alone_has_what_systemd_gives_and_nothing_hidden() {
        let root = Service::find("root").unwrap();
        assert_eq!(root.variable("LOGNAME"), Some("root".into()));
        assert_eq!(root.current_dir(), Path::new("/"));
        assert_eq!(*root.sees(Path::new("/home")), Seen::Plainly);
    }
}
