//! What a hub is told of an endpoint.
//!
//! Knows the wire's names of profiles, capabilities and modes; nothing of when
//! or how often it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Endpoint, PermissionMode, Profile, Security};

/// One endpoint as `runtime.hello` lists it. Two that are equal need not be told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registration {
    id: String,
    profile: &'static str,
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    caps: Caps,
    #[serde(skip_serializing_if = "Option::is_none")]
    security: Option<Declared>,
}

/// What a profile can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Caps {
    native_session_ids: bool,
    turn_completion: bool,
    resume_attach: bool,
    exec_model: &'static str,
}

/// The `security` block; what is not configured is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Declared {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied_paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_tools: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disallowed_tools: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<String>,
    /// An empty list says something: almost nothing is inherited.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_whitelist: Option<Vec<String>>,
}

impl Registration {
    /// What a hub is told of `endpoint`.
    pub fn of(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id.clone(),
            profile: endpoint.profile.name(),
            name: endpoint.name.clone(),
            tags: endpoint.tags.clone(),
            caps: Caps::of(&endpoint.profile),
            security: Declared::of(&endpoint.security),
        }
    }

    /// The endpoint's id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Caps {
    fn of(profile: &Profile) -> Self {
        let (turn_completion, exec_model) = match profile {
            Profile::Cli(_) => (false, "interactive"),
            Profile::Job(_) => (true, "run-to-completion"),
            Profile::Http(_) => (true, "request-response"),
            Profile::External(_) => (true, "interactive"),
        };
        Self { native_session_ids: false, turn_completion, resume_attach: false, exec_model }
    }
}

impl Declared {
    fn of(security: &Security) -> Option<Self> {
        let declared = Self {
            allowed_paths: texts(&security.allowed_paths),
            denied_paths: texts(&security.denied_paths),
            allowed_tools: security.allowed_tools.clone(),
            disallowed_tools: security.disallowed_tools.clone(),
            permission_mode: security.permission_mode.map(PermissionMode::name),
            cwd: security.cwd.as_deref().map(text),
            env_whitelist: security.env_whitelist.clone(),
        };
        (declared != Self::nothing()).then_some(declared)
    }

    fn nothing() -> Self {
        Self {
            allowed_paths: Vec::new(),
            denied_paths: Vec::new(),
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            permission_mode: None,
            cwd: None,
            env_whitelist: None,
        }
    }
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| text(path)).collect()
}

/// A path for people to read: the wire has no way for bytes that are no text.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::config::{Cli, External, Http, Job, Limits, Program, SpawnPolicy, TurnEnd};

    fn endpoint(profile: Profile) -> Endpoint {
        Endpoint {
            id: "sh".into(),
            name: "Shell".into(),
            tags: BTreeMap::new(),
            limits: Limits::default(),
            security: Security::default(),
            profile,
        }
    }

    fn cli() -> Profile {
        Profile::Cli(Cli {
            program: Program::default(),
            spawn_policy: SpawnPolicy::PerSession,
            turn_end: TurnEnd::Auto,
            tty: false,
        })
    }

    fn told(endpoint: &Endpoint) -> serde_json::Value {
        serde_json::to_value(Registration::of(endpoint)).unwrap()
    }

    #[test]
    fn each_profile_has_its_capabilities() {
        let program = Program::default();
        let job = Job { program: program.clone(), max_runtime: Duration::from_secs(1) };
        let http = Http {
            base_url: "http://localhost/".into(),
            method: "POST".into(),
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            tls_ca_file: None,
        };
        let external = External { program, spawn_policy: SpawnPolicy::PerSession };
        let expected = [
            (cli(), "generic-cli", false, "interactive"),
            (Profile::Job(job), "generic-job", true, "run-to-completion"),
            (Profile::Http(http), "generic-http", true, "request-response"),
            (Profile::External(external), "external", true, "interactive"),
        ];
        for (profile, name, turn_completion, exec_model) in expected {
            let told = told(&endpoint(profile));
            assert_eq!(
                told,
                json!({
                    "id": "sh", "profile": name, "name": "Shell",
                    "caps": {
                        "native_session_ids": false, "turn_completion": turn_completion,
                        "resume_attach": false, "exec_model": exec_model
                    }
                })
            );
        }
    }

    #[test]
    fn tags_and_security_are_told_when_there_are_any() {
        let mut endpoint = endpoint(cli());
        endpoint.tags.insert("env".into(), "lab".into());
        endpoint.security.allowed_paths = vec!["/work".into()];
        endpoint.security.permission_mode = Some(PermissionMode::AcceptEdits);
        endpoint.security.env_whitelist = Some(Vec::new());
        let told = told(&endpoint);
        assert_eq!(told["tags"], json!({"env": "lab"}));
        assert_eq!(
            told["security"],
            json!({
                "allowed_paths": ["/work"], "permission_mode": "acceptEdits", "env_whitelist": []
            })
        );
    }
}
