//! The text of a configuration: only what was decided, in the order a person
//! would write it. Every other value is the default, and stays so.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::agents::{Agent, Way};
use crate::config::expand::literal;

/// What goes into a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// The hub's address.
    pub hub_url: &'a str,
    /// How the token is found.
    pub token: TokenAt<'a>,
    /// PEM file with roots beside the system's.
    pub tls_ca_file: Option<&'a Path>,
    /// Whether any certificate is good enough.
    pub tls_skip_verify: bool,
    /// `runtime.id`
    pub id: &'a str,
    /// `runtime.org_id`
    pub org_id: Option<&'a str>,
    /// What people call this machine.
    pub machine: &'a str,
    /// The agents, in order.
    pub agents: &'a [Agent],
    /// Where the programs among them start.
    pub work_dir: Option<&'a Path>,
}

/// How the token is found.
#[derive(Clone, Copy, Debug)]
pub enum TokenAt<'a> {
    /// In a file.
    File(&'a Path),
    /// In a systemd credential of this name.
    Credential(&'a str),
}

#[derive(Serialize)]
struct File {
    hub: Hub,
    runtime: Runtime,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Hub {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_ca_file: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_skip_verify: bool,
}

#[derive(Serialize)]
struct Runtime {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_id: Option<String>,
}

#[derive(Serialize)]
struct Endpoint {
    id: String,
    name: String,
    profile: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cli: Option<Cli>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<Http>,
}

#[derive(Serialize)]
struct Cli {
    command: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tty: bool,
}

#[derive(Serialize)]
struct Job {
    command: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_dir: Option<String>,
}

#[derive(Serialize)]
struct Http {
    base_url: String,
}

/// The text, ending in a newline.
pub fn compose(parts: &Parts<'_>) -> String {
    let (token_file, token_credential) = match parts.token {
        TokenAt::File(path) => (Some(path_text(path)), None),
        TokenAt::Credential(name) => (None, Some(name.to_owned())),
    };
    let file = File {
        hub: Hub {
            url: literal(parts.hub_url),
            token_file,
            token_credential,
            tls_ca_file: parts.tls_ca_file.map(path_text),
            tls_skip_verify: parts.tls_skip_verify,
        },
        runtime: Runtime { id: literal(parts.id), org_id: parts.org_id.map(literal) },
        endpoints: parts.agents.iter().map(|agent| endpoint(agent, parts)).collect(),
    };
    // Strings, lists and flags only: nothing in it can fail.
    serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
}

fn endpoint(agent: &Agent, parts: &Parts<'_>) -> Endpoint {
    let (id, name) = (literal(&agent.id_at(parts.id)), literal(&agent.name_on(parts.machine)));
    let of = |profile| Endpoint { id, name, profile, cli: None, job: None, http: None };
    let work_dir = || parts.work_dir.map(path_text);
    match &agent.way {
        Way::Program { command, args, env, tty } => {
            let cli = Cli {
                // Taken as they stand, without variables.
                command: command.clone(),
                args: args.clone(),
                work_dir: work_dir(),
                env: env.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
                tty: *tty,
            };
            Endpoint { cli: Some(cli), ..of("generic-cli") }
        }
        Way::Job { command, args } => {
            let job = Job { command: command.clone(), args: args.clone(), work_dir: work_dir() };
            Endpoint { job: Some(job), ..of("generic-job") }
        }
        Way::Service(url) => {
            let http = Http { base_url: literal(url) };
            Endpoint { http: Some(http), ..of("generic-http") }
        }
    }
}

fn path_text(path: &Path) -> String {
    literal(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FixedEnvironment, Options, Profile, parse};

    #[test]
    fn what_is_written_is_what_is_read_whatever_it_holds() {
        let agents = [
            super::super::agents::parse("bash").unwrap(),
            super::super::agents::parse("odd=run '${HOME}' '\"'").unwrap(),
            super::super::agents::parse("build=job:make all").unwrap(),
            super::super::agents::parse("api=http://localhost:9000/${x}").unwrap(),
        ];
        let text = compose(&Parts {
            hub_url: "ws://hub:80/ws/runtime",
            token: TokenAt::Credential("amurg-token"),
            tls_ca_file: None,
            tls_skip_verify: false,
            id: "a ${HOME} \" id",
            org_id: Some("org"),
            machine: "lab",
            agents: &agents,
            work_dir: Some(Path::new("/tmp/${HOME}")),
        });
        let environment = FixedEnvironment::new([("HOME", "/home/me")]);
        let options = Options { token_optional: true };
        let config = parse(&text, "c", &environment, options).unwrap().config;
        assert_eq!(config.runtime.id, "a ${HOME} \" id");
        assert_eq!(config.runtime.org_id.as_deref(), Some("org"));
        let names = config.endpoints.iter().map(|endpoint| (&*endpoint.id, &*endpoint.name));
        let expected = [
            ("a ${HOME} \" id-bash", "Bash on lab"),
            ("odd", "odd"),
            ("build", "build"),
            ("api", "api"),
        ];
        assert!(names.eq(expected));
        let odd = config.endpoints[1].profile.program().unwrap();
        assert_eq!(odd.args, ["${HOME}", "\""]);
        assert_eq!(odd.work_dir.as_deref(), Some(Path::new("/tmp/${HOME}")));
        assert!(matches!(&config.endpoints[0].profile, Profile::Cli(cli) if cli.tty));
        assert!(
            matches!(&config.endpoints[2].profile, Profile::Job(job) if job.program.args == ["all"])
        );
        assert!(
            matches!(&config.endpoints[3].profile, Profile::Http(http) if http.base_url.ends_with("${x}"))
        );
    }
}
