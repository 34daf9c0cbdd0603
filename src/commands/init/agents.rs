//! The agents a configuration offers: those known by name, looked for in `PATH`,
//! and those somebody names with a command or an address.

use std::path::{Path, PathBuf};

use super::super::shells;
use super::failure::Failure;
use crate::agent::locate::locate;
use crate::config::Environment;

/// An agent that can be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its id in the hub, or the end of it.
    pub id: String,
    /// What people see, or the beginning of it.
    pub name: String,
    /// Whether id and name are ours, which other machines have as well. A hub's
    /// ids are shared by all its runtimes, so this machine's name has to be added.
    pub is_common: bool,
    /// How it is spoken to.
    pub way: Way,
}

/// How an agent is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program that reads what is said and goes on running.
    Program {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
        /// Variables it needs to behave.
        env: &'static [(&'static str, &'static str)],
        /// Whether it behaves only on a terminal.
        tty: bool,
    },
    /// A program that is run once for each message.
    Job {
        /// The program.
        command: String,
        /// Its arguments.
        args: Vec<String>,
    },
    /// A service that answers requests.
    Service(String),
}

/// A program that is offered where it is installed.
struct Known {
    id: &'static str,
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    tty: bool,
    /// Whether it is offered unless somebody says otherwise.
    wanted: bool,
}

/// What ends at the first mistake or at Ctrl-C is of no use: all are interactive.
const KNOWN: [Known; 4] = [
    Known {
        id: "bash",
        name: "Bash",
        args: &shells::BASH,
        env: &shells::NO_PROMPT,
        tty: true,
        wanted: true,
    },
    Known {
        id: "sh",
        name: "Shell",
        args: &shells::SH,
        env: &shells::NO_PROMPT,
        tty: true,
        wanted: false,
    },
    Known {
        id: "python3",
        name: "Python",
        args: &["-i", "-q", "-u", "-c", "import sys; sys.ps1 = sys.ps2 = ''"],
        env: &[],
        tty: false,
        wanted: true,
    },
    Known { id: "sqlite3", name: "SQLite", args: &[], env: &[], tty: false, wanted: true },
];

impl Agent {
    /// Its id at the runtime of this id.
    pub fn id_at(&self, runtime: &str) -> String {
        if self.is_common { format!("{runtime}-{}", self.id) } else { self.id.clone() }
    }

    /// What people see, of one on the machine of this name.
    pub fn name_on(&self, machine: &str) -> String {
        if self.is_common { format!("{} on {machine}", self.name) } else { self.name.clone() }
    }
}

impl Known {
    fn agent(&self) -> Agent {
        let way = Way::Program {
            command: self.id.to_owned(),
            args: self.args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: self.env,
            tty: self.tty,
        };
        Agent { id: self.id.to_owned(), name: self.name.to_owned(), is_common: true, way }
    }
}

/// A known agent that is installed.
#[derive(Debug)]
pub struct Found {
    /// The agent.
    pub agent: Agent,
    /// Its program.
    pub program: PathBuf,
    /// Whether it is offered unless somebody says otherwise.
    pub wanted: bool,
}

/// The known agents in the `PATH`.
pub fn find(environment: &dyn Environment) -> Vec<Found> {
    let path = environment.variable("PATH");
    let mut found: Vec<Found> = KNOWN
        .iter()
        .filter_map(|known| {
            let program = locate(known.id, path.as_deref(), Path::new("/")).ok()?;
            Some(Found { agent: known.agent(), program, wanted: known.wanted })
        })
        .collect();
    // The plain shell stands in for the better one.
    let has_bash = found.iter().any(|found| found.agent.id == "bash");
    for shell in found.iter_mut().filter(|found| found.agent.id == "sh") {
        shell.wanted = !has_bash;
    }
    found
}

/// Reads what was given with `--agent`: a known name, `id=command` or
/// `id=job:command` as a shell would take it apart, or `id=http://…`.
///
/// # Errors
/// [`Failure::Agent`].
pub fn parse(given: &str) -> Result<Agent, Failure> {
    let wrong = |why: &str| Failure::Agent(given.to_owned(), why.to_owned());
    let Some((id, what)) = given.split_once('=') else {
        let known = KNOWN.iter().find(|known| known.id == given);
        return known.map(Known::agent).ok_or_else(|| {
            let names = KNOWN.map(|known| known.id).join(", ");
            wrong(&format!("is none of {names}; write ID=COMMAND"))
        });
    };
    let (id, what) = (id.trim(), what.trim());
    if id.is_empty() || id.chars().any(char::is_whitespace) {
        return Err(wrong("has no id; write ID=COMMAND, the id without spaces"));
    }
    let way = if what.starts_with("http://") || what.starts_with("https://") {
        Way::Service(what.to_owned())
    } else {
        let (is_job, what) = match what.strip_prefix("job:") {
            Some(command) => (true, command),
            None => (false, what),
        };
        let words = shell_words::split(what)
            .map_err(|_| wrong("has a quote that is not closed; close it"))?;
        let Some((command, args)) = words.split_first() else {
            return Err(wrong("has no command; write ID=COMMAND"));
        };
        let (command, args) = (command.clone(), args.to_vec());
        if is_job {
            Way::Job { command, args }
        } else {
            Way::Program { command, args, env: &[], tty: false }
        }
    };
    Ok(Agent { id: id.to_owned(), name: id.to_owned(), is_common: false, way })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FixedEnvironment;

    #[test]
    fn agents_are_named_or_spelled_out() {
        assert_eq!(parse("python3").unwrap().name, "Python");
        let tests = parse("tests = make 'all of it' -C \"/a b\"").unwrap();
        let Way::Program { command, args, .. } = tests.way else { panic!("a program") };
        assert_eq!((tests.id.as_str(), command.as_str()), ("tests", "make"));
        assert_eq!(args, ["all of it", "-C", "/a b"]);
        let build = parse("build=job: make -C /srv").unwrap();
        let args = ["-C", "/srv"].map(str::to_owned).to_vec();
        assert_eq!(build.way, Way::Job { command: "make".into(), args });
        let chat = parse("chat=http://localhost:9000/chat?a=b").unwrap();
        assert_eq!(chat.way, Way::Service("http://localhost:9000/chat?a=b".into()));
    }

    #[test]
    fn what_is_no_agent_is_told() {
        for (given, words) in [
            ("perl", "bash, sh, python3, sqlite3"),
            ("=make", "no id"),
            ("a b=make", "no id"),
            ("make=", "no command"),
            ("make=job:", "no command"),
            ("make='x", "not closed"),
        ] {
            let told = parse(given).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_installed_is_found_and_one_shell_is_wanted() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::TempDir::new().unwrap();
        let wanted = |programs: &[&str]| {
            for program in programs {
                let path = dir.path().join(program);
                std::fs::write(&path, "").unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
            let environment = FixedEnvironment::new([("PATH", dir.path().to_str().unwrap())]);
            let found = find(&environment);
            let wanted = found.iter().filter(|found| found.wanted);
            wanted.map(|found| found.agent.id.clone()).collect::<Vec<_>>()
        };
        assert!(wanted(&[]).is_empty());
        assert_eq!(wanted(&["sh"]), ["sh"]);
        assert_eq!(wanted(&["bash", "sqlite3"]), ["bash", "sqlite3"]);
    }
}
