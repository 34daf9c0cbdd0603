//! `endpoints[]`

use std::collections::BTreeMap;

use crate::config::checked::Checked;
use crate::config::fields::PROFILES;
use crate::config::types::{
    Cli, Endpoint, Enforce, External, Http, Job, Limits, PermissionMode, Profile, Program,
    Security, SpawnPolicy, TurnEnd,
};
use crate::config::url;

use super::Decider;

/// Headers a request gets from its own content, not from a file.
const OWN_HEADERS: [&str; 3] = ["connection", "content-length", "transfer-encoding"];

impl Decider<'_, '_> {
    /// Every part is looked at before anything is given up, so that all problems are told.
    pub(super) fn endpoint(&mut self, endpoint: &Checked) -> Option<Endpoint> {
        let tags = strings(endpoint, "tags");
        let limits = endpoint.object("limits").map(limits);
        let profile = self.profile(endpoint);
        let security = endpoint.object("security").and_then(|security| {
            self.security(security, matches!(profile, Some(Profile::Http(_))))
        });
        let wrong = ["name", "tags"].into_iter().any(|key| endpoint.is_wrong(key));
        let id = endpoint.str("id")?;
        (!wrong).then_some(())?;
        Some(Endpoint {
            id: id.to_owned(),
            name: endpoint.str("name").unwrap_or(id).to_owned(),
            tags,
            limits: limits??,
            security: security?,
            profile: profile?,
        })
    }

    fn profile(&mut self, endpoint: &Checked) -> Option<Profile> {
        let profile = endpoint.str("profile")?;
        let (_, own) = PROFILES.into_iter().find(|(name, _)| *name == profile)?;
        for (other_profile, block) in PROFILES {
            if block != own && endpoint.configured(block) {
                let message =
                    format!("belongs to the profile {other_profile}, but the profile is {profile}");
                let hint = format!("remove it, or set the profile to {other_profile:?}");
                self.findings.error(&endpoint.place_of(block), message, hint);
            }
        }
        if !endpoint.configured(own) {
            let example = match own {
                "http" => "{\"base_url\": \"http://localhost:9000/chat\"}",
                "cli" => "{\"command\": \"bash\"}",
                _ => "{\"command\": \"/path/to/program\"}",
            };
            let hint = format!("the profile {profile} needs it: \"{own}\": {example}");
            self.findings.error(&endpoint.place_of(own), "is missing", hint);
            return None;
        }
        let block = endpoint.object(own)?;
        match own {
            "cli" => self.cli(block).map(Profile::Cli),
            "job" => self.job(block).map(Profile::Job),
            "http" => self.http(block).map(Profile::Http),
            _ => self.external(block).map(Profile::External),
        }
    }

    fn cli(&mut self, cli: &Checked) -> Option<Cli> {
        let program = self.program(cli);
        let tty = cli.flag("tty")?;
        if tty && cfg!(windows) {
            let message = "asks for a terminal, which agents cannot have on Windows";
            let hint = "leave it out; the program gets pipes".to_owned();
            self.findings.error(&cli.place_of("tty"), message, hint);
        }
        Some(Cli {
            program: program?,
            spawn_policy: spawn_policy(cli)?,
            turn_end: match cli.str("turn_end")? {
                "idle" => TurnEnd::Idle,
                _ => TurnEnd::Auto,
            },
            tty,
        })
    }

    fn job(&mut self, job: &Checked) -> Option<Job> {
        let program = self.program(job);
        Some(Job { program: program?, max_runtime: job.duration("max_runtime")? })
    }

    fn external(&mut self, external: &Checked) -> Option<External> {
        let program = self.program(external);
        Some(External { program: program?, spawn_policy: spawn_policy(external)? })
    }

    fn program(&mut self, block: &Checked) -> Option<Program> {
        let mut wrong = ["args", "work_dir", "env"].into_iter().any(|key| block.is_wrong(key));
        for entry in block.map("env") {
            if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
                let message = "is not the name of a variable";
                let hint = "a name is not empty and holds no \"=\"";
                self.findings.error(&entry.value.place, message, hint);
                wrong = true;
            }
        }
        let command = block.str("command")?.to_owned();
        (!wrong).then(|| Program {
            command,
            args: block.texts("args").iter().map(|arg| arg.value.to_string()).collect(),
            work_dir: block.path("work_dir"),
            env: strings(block, "env"),
        })
    }

    fn http(&mut self, http: &Checked) -> Option<Http> {
        let headers = self.headers(http);
        let base_url = http.text("base_url").and_then(|text| match url::check_http(&text.value) {
            Ok(()) => Some(text.value.to_string()),
            Err(error) => {
                self.findings.error(&text.place, error.message, error.hint);
                None
            }
        });
        let method = self.method(http);
        let tls_ca_file = self.readable(http, "tls_ca_file");
        Some(Http {
            base_url: base_url?,
            method: method?,
            headers: headers?,
            timeout: http.duration("timeout")?,
            tls_ca_file: tls_ca_file.ok()?,
        })
    }

    fn method(&mut self, http: &Checked) -> Option<String> {
        let text = http.text("method")?;
        let method = text.value.to_ascii_uppercase();
        let (message, hint) = if !is_token(&method) {
            ("is not an HTTP method", "use POST, PUT, PATCH or GET")
        } else if matches!(method.as_str(), "CONNECT" | "HEAD" | "TRACE") {
            ("is a method whose answer has no text", "use POST, PUT, PATCH or GET")
        } else {
            return Some(method);
        };
        self.findings.error(&text.place, format!("{} {message}", text.shown()), hint);
        None
    }

    /// Values may be secrets and are never shown.
    fn headers(&mut self, http: &Checked) -> Option<Vec<(String, String)>> {
        let mut seen = Vec::new();
        let mut wrong = http.is_wrong("headers");
        for entry in http.map("headers") {
            let name = entry.key.to_ascii_lowercase();
            let value = entry.value.value.as_str();
            let (message, hint) = if !is_token(&entry.key) {
                ("is not the name of a header", "letters, digits and hyphens only")
            } else if OWN_HEADERS.contains(&name.as_str()) {
                ("is made from the request itself", "remove it")
            } else if value.contains(['\r', '\n']) {
                ("holds a line break", "a header's value is one line")
            } else if !value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
                (
                    "holds a control character or something else than ASCII",
                    "encode it as the server expects it",
                )
            } else if seen.contains(&name) {
                ("is given twice, in different case", "keep one of them")
            } else {
                seen.push(name);
                continue;
            };
            self.findings.error(&entry.value.place, message, hint);
            wrong = true;
        }
        let pairs = http.map("headers").iter();
        (!wrong).then(|| {
            pairs.map(|entry| (entry.key.clone(), entry.value.value.to_string())).collect()
        })
    }

    fn security(&mut self, security: &Checked, is_http: bool) -> Option<Security> {
        self.warn_of_what_has_no_effect(security, is_http);
        for name in security.texts("env_whitelist") {
            if name.value.is_empty() || name.value.contains(['=', '*']) {
                let message = format!("{} is not the name of a variable", name.shown());
                let hint = "name each variable whole; there are no patterns";
                self.findings.warning(&name.place, message, hint);
            }
        }
        let wrong = security.table.fields.iter().any(|field| security.is_wrong(field.name));
        let values = |key: &str| -> Vec<String> {
            security.texts(key).iter().map(|text| text.value.to_string()).collect()
        };
        (!wrong).then(|| Security {
            allowed_paths: security.paths("allowed_paths"),
            denied_paths: security.paths("denied_paths"),
            allowed_tools: values("allowed_tools"),
            disallowed_tools: values("disallowed_tools"),
            permission_mode: security.str("permission_mode").and_then(PermissionMode::from_name),
            cwd: security.path("cwd"),
            env_whitelist: security.configured("env_whitelist").then(|| values("env_whitelist")),
            allowed_tcp_ports: security
                .integers("allowed_tcp_ports")
                .map(|ports| ports.iter().filter_map(|port| u16::try_from(*port).ok()).collect()),
            allow_unix_sockets: security.flag("allow_unix_sockets") == Some(true),
            enforce: match security.str("enforce") {
                Some("required") => Enforce::Required,
                Some("off") => Enforce::Off,
                _ => Enforce::BestEffort,
            },
            pushed_paths: Vec::new(),
        })
    }

    fn warn_of_what_has_no_effect(&mut self, security: &Checked, is_http: bool) {
        let confined = !security.paths("allowed_paths").is_empty();
        if is_http {
            for key in ["allowed_paths", "cwd", "env_whitelist", "allowed_tcp_ports"] {
                if security.configured(key) {
                    let message = "has no effect: an HTTP agent is not a process of this machine";
                    self.findings.warning(&security.place_of(key), message, "remove it");
                }
            }
            return;
        }
        if confined {
            return;
        }
        if security.configured("allowed_paths") && !security.is_wrong("allowed_paths") {
            let message = "is empty: the agent is not confined";
            let hint = "name the paths it may use, or remove the list";
            self.findings.warning(&security.place_of("allowed_paths"), message, hint);
        }
        let needs_a_cage = [
            ("allowed_tcp_ports", security.configured("allowed_tcp_ports")),
            ("allow_unix_sockets", security.flag("allow_unix_sockets") == Some(true)),
            ("enforce", security.str("enforce") == Some("required")),
        ];
        for (key, set) in needs_a_cage {
            if set {
                let message = "has no effect without allowed_paths: the agent is not confined";
                let hint = "name the paths it may use in allowed_paths";
                self.findings.warning(&security.place_of(key), message, hint);
            }
        }
    }
}

/// `None`: a limit is wrong, which was told.
fn limits(limits: &Checked) -> Option<Limits> {
    let wrong = limits.table.fields.iter().any(|field| limits.is_wrong(field.name));
    (!wrong).then(|| Limits {
        max_sessions: limits.size("max_sessions"),
        session_timeout: limits.duration("session_timeout"),
        max_output_bytes: limits.size("max_output_bytes"),
        idle_timeout: limits.duration("idle_timeout"),
        max_memory_bytes: limits.integer("max_memory_bytes"),
        max_processes: limits.integer("max_processes"),
        max_open_files: limits.integer("max_open_files"),
    })
}

fn spawn_policy(block: &Checked) -> Option<SpawnPolicy> {
    Some(match block.str("spawn_policy")? {
        "persistent" => SpawnPolicy::Persistent,
        _ => SpawnPolicy::PerSession,
    })
}

fn strings(object: &Checked, key: &str) -> BTreeMap<String, String> {
    object.map(key).iter().map(|entry| (entry.key.clone(), entry.value.value.to_string())).collect()
}

/// Whether a text is a token in the sense of HTTP.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}
