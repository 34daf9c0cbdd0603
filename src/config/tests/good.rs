//! What a right file becomes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{
    Config, Enforce, FixedEnvironment, Limits, Options, PermissionMode, Profile, Security,
    SpawnPolicy, TurnEnd, load, parse,
};
use super::{HUB, RUNTIME, SH, VARIABLES, file, read};
use tempfile::TempDir;

/// A config without any warning.
#[track_caller]
fn clean(text: &str) -> Config {
    let loaded = read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    assert_eq!(loaded.warnings, [], "{text}");
    loaded.config
}

/// Paths and messages of the warnings of a file that can be used.
#[track_caller]
fn warnings(text: &str) -> Vec<(String, String)> {
    let loaded = read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    loaded.warnings.into_iter().map(|warning| (warning.path, warning.message)).collect()
}

#[test]
fn what_is_not_said_has_its_default() {
    let config = clean(&file(HUB, RUNTIME, SH));
    let (hub, runtime) = (&config.hub, &config.runtime);
    assert_eq!(hub.url.text, "ws://localhost:8090/ws/runtime");
    assert_eq!((hub.url.host.as_str(), hub.url.port, hub.url.tls), ("localhost", 8090, false));
    assert_eq!(hub.token.as_ref().unwrap().expose(), "t");
    assert!(!hub.tls_skip_verify);
    assert_eq!(hub.reconnect_interval, Duration::from_secs(2));
    assert_eq!(hub.max_reconnect_delay, Duration::from_secs(60));
    assert_eq!((runtime.id.as_str(), runtime.id_configured), ("lab", true));
    assert_eq!(runtime.org_id, None);
    assert_eq!(runtime.max_sessions, 10);
    assert_eq!(runtime.default_timeout, Duration::from_secs(1800));
    assert_eq!(runtime.max_output_bytes, 10_485_760);
    assert_eq!(runtime.max_buffered_bytes, 67_108_864);
    assert_eq!(runtime.idle_timeout, Duration::from_secs(10));
    assert_eq!(runtime.log_level, log::LevelFilter::Info);
    assert_eq!(runtime.max_file_bytes, 10_485_760);
    assert_eq!(runtime.file_retention, Duration::from_secs(86_400));
    assert_eq!(runtime.max_stored_bytes, 536_870_912);
    assert_eq!(runtime.reclaim_after, Some(Duration::from_secs(300)));
    assert_eq!(runtime.state_dir, Path::new("/home/me/.local/state/amurg/lab"));
    assert_eq!(runtime.file_storage_path, runtime.state_dir.join("files"));
    assert!(!runtime.allow_remote_permission_skip);

    let endpoint = &config.endpoints[0];
    assert_eq!((endpoint.id.as_str(), endpoint.name.as_str()), ("sh", "sh"));
    assert_eq!(endpoint.limits, Limits::default());
    assert_eq!(endpoint.security, Security::default());
    let Profile::Cli(cli) = &endpoint.profile else { panic!("{endpoint:?}") };
    assert_eq!((cli.spawn_policy, cli.turn_end), (SpawnPolicy::PerSession, TurnEnd::Auto));
    assert!(!cli.tty && cli.program.work_dir.is_none() && cli.program.args.is_empty());
}

#[test]
fn everything_can_be_said() {
    let config = clean(
        r#"{
        "$schema": "./schema.json",
        "hub": {"url": "ws://[::1]/ws/runtime", "token": "${AMURG_TOKEN}",
                "reconnect_interval": 0.5, "max_reconnect_delay": "1.5h"},
        "runtime": {"id": "a/b", "org_id": "org", "max_sessions": 3, "reclaim_after": 0,
                    "state_dir": "~/state", "file_storage_path": "files", "log_level": "trace"},
        "agents": [
          {"id": "x", "name": "X", "profile": "external", "tags": {"a": "${NUMBER}"},
           "limits": {"max_sessions": 1, "session_timeout": "1m", "max_output_bytes": 65536,
                      "idle_timeout": "1s", "max_memory_bytes": 1, "max_processes": 2, "max_open_files": 3},
           "security": {"allowed_paths": ["/srv"], "denied_paths": ["/srv/x"], "allowed_tools": ["a"],
                        "disallowed_tools": ["b"], "permission_mode": "acceptEdits", "cwd": "/srv",
                        "env_whitelist": ["A"], "allowed_tcp_ports": [443], "allow_unix_sockets": true,
                        "enforce": "required"},
           "external": {"command": "${NONE}", "args": ["${NONE}", "$HOME"], "work_dir": "w",
                        "env": {"PS1": "$ ", "N": "${NUMBER}", "L": "$${NUMBER}"},
                        "spawn_policy": "persistent"}},
          {"id": "h", "profile": "generic-http",
           "http": {"base_url": "http://h/?q=1", "method": "put", "timeout": 5,
                    "headers": {"B": "2", "A": "1"}}}
        ]}"#,
    );
    assert_eq!(config.hub.token.unwrap().expose(), "s3cret-from-the-environment");
    assert_eq!(config.hub_variables, ["AMURG_TOKEN"]);
    assert_eq!(config.hub.reconnect_interval, Duration::from_millis(500));
    assert_eq!(config.hub.max_reconnect_delay, Duration::from_secs(5400));
    assert_eq!(config.runtime.state_dir, Path::new("/home/me/state/a%2Fb"));
    assert_eq!(config.runtime.file_storage_path, Path::new("/files"));
    assert_eq!(config.runtime.reclaim_after, None);

    let endpoint = &config.endpoints[0];
    assert_eq!(endpoint.tags["a"], "7");
    assert_eq!(endpoint.limits.max_open_files, Some(3));
    assert_eq!(endpoint.security.permission_mode, Some(PermissionMode::AcceptEdits));
    assert_eq!(endpoint.security.enforce, Enforce::Required);
    assert_eq!(endpoint.security.allowed_tcp_ports, Some(vec![443]));
    let Profile::External(external) = &endpoint.profile else { panic!("{endpoint:?}") };
    assert_eq!(external.spawn_policy, SpawnPolicy::Persistent);
    assert_eq!(external.program.command, "${NONE}");
    assert_eq!(external.program.args, ["${NONE}", "$HOME"]);
    assert_eq!(external.program.work_dir, Some(PathBuf::from("/w")));
    let env = &external.program.env;
    assert_eq!((&*env["PS1"], &*env["N"], &*env["L"]), ("$ ", "7", "${NUMBER}"));

    let Profile::Http(http) = &config.endpoints[1].profile else { panic!() };
    assert_eq!((http.base_url.as_str(), http.method.as_str()), ("http://h/?q=1", "PUT"));
    assert_eq!(http.headers, [("B".into(), "2".into()), ("A".into(), "1".into())]);
}

#[test]
fn the_seeds_examples_load_as_they_stand() {
    let endpoints = r#"[
        {
          "id": "bash-shell",
          "name": "Bash Shell",
          "profile": "generic-cli",
          "cli": {
            "command": "bash",
            "args": ["--norc", "--noprofile", "-i"],
            "work_dir": "/path/to/project",
            "env": {"PS1": "$ ", "TERM": "dumb"},
            "spawn_policy": "per-session"
          }
        },
        {
          "id": "test-runner",
          "name": "Go Tests",
          "profile": "generic-job",
          "job": {
            "command": "bash",
            "args": ["-c", "cd /project && go test -v ./..."],
            "max_runtime": "30s"
          }
        },
        {
          "id": "my-api",
          "name": "Agent API",
          "profile": "generic-http",
          "http": {
            "base_url": "http://localhost:9000/chat",
            "method": "POST",
            "timeout": "30s"
          }
        },
        {
          "id": "my-agent",
          "name": "Custom Agent",
          "profile": "external",
          "external": {
            "command": "/path/to/adapter",
            "args": ["--mode", "chat"],
            "work_dir": "/workspace"
          }
        }
    ]"#;
    let config = clean(&file(HUB, RUNTIME, endpoints));
    let profiles: Vec<&str> = config.endpoints.iter().map(|e| e.profile.name()).collect();
    assert_eq!(profiles, ["generic-cli", "generic-job", "generic-http", "external"]);
    let Profile::Job(job) = &config.endpoints[1].profile else { panic!() };
    assert_eq!(job.max_runtime, Duration::from_secs(30));
    assert_eq!(job.program.args[1], "cd /project && go test -v ./...");
}

#[test]
fn files_of_other_runtimes_load_with_warnings() {
    let text = r#"{
        "hub": {"url": "ws://hub:8080/ws/runtime", "token": "t", "send_buffer_size": 256,
                "reconnect_interval": "2s", "max_reconnect_delay": "1m0s"},
        "runtime": {"id": "local-dev", "default_timeout": "30m0s", "event_bus": {"size": 5}},
        "agents": [
          {"id": "claude", "profile": "claude-code", "claude_code": {"model": "x", "max_turns": 5}},
          {"id": "codex", "profile": "codex", "job": {"command": "codex"}},
          {"id": "kilo", "profile": "kilo-code"},
          {"id": "cat", "profile": "generic-cli", "cli": {"command": "cat"}, "gemini": {},
           "security": {"permission_mode": "dontAsk"}}
        ]}"#;
    let loaded = read(text).unwrap();
    assert_eq!(loaded.config.endpoints.len(), 1);
    let strict = loaded.config.endpoints[0].security.permission_mode;
    assert_eq!(strict, Some(PermissionMode::Strict));
    let paths: Vec<&str> = loaded.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "hub.send_buffer_size",
            "runtime.event_bus",
            "agents[0].profile",
            "agents[1].profile",
            "agents[2].profile",
            "agents[3].gemini",
            "agents[3].security.permission_mode",
        ]
    );
    assert!(loaded.warnings[2].message.contains("is skipped"), "{}", loaded.warnings[2]);
}

#[test]
fn a_file_full_of_zeros_from_another_wizard_means_the_defaults() {
    let runtime = r#"{"id": "lab", "max_sessions": 0, "default_timeout": "0s",
        "max_output_bytes": 0, "idle_timeout": "0s", "log_level": "info"}"#;
    let hub = r#"{"token": "t", "reconnect_interval": "0s", "max_reconnect_delay": "0s"}"#;
    let job =
        r#"[{"id": "j", "profile": "generic-job", "job": {"command": "x", "max_runtime": "0s"}}]"#;
    let loaded = read(&file(hub, runtime, job)).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].path, "runtime");
    assert_eq!(loaded.config.runtime.max_sessions, 10);
    assert_eq!(loaded.config.hub.reconnect_interval, Duration::from_secs(2));
    let Profile::Job(job) = &loaded.config.endpoints[0].profile else { panic!() };
    assert_eq!(job.max_runtime, Duration::from_secs(300));
}

#[test]
fn what_an_operator_should_know_is_warned_of() {
    let only_foreign = r#"[{"id": "c", "profile": "codex"}]"#;
    let cli = |security: &str| {
        format!(
            r#"[{{"id": "sh", "profile": "generic-cli", "cli": {{"command": "sh"}}, "security": {{{security}}}}}]"#
        )
    };
    for (text, path, words) in [
        (file(HUB, "{}", SH), "runtime.id", "the host name \"host\" is used"),
        (file(HUB, r#"{"id": "${EMPTY}"}"#, SH), "runtime.id", "the host name"),
        (file(HUB, r#"{"id": "a:b"}"#, SH), "runtime.id", "colon"),
        (
            file(HUB, r#"{"id": "a", "max_file_bytes": 99000000}"#, SH),
            "runtime.max_file_bytes",
            "never get through",
        ),
        (file(r#"{"token": "t", "url": "ws://hub:8090"}"#, RUNTIME, SH), "hub.url", "has no path"),
        (file(r#"{"token": " t"}"#, RUNTIME, SH), "hub.token", "space"),
        (
            file(r#"{"token": "t", "tls_skip_verify": true}"#, RUNTIME, SH),
            "hub.tls_skip_verify",
            "no effect",
        ),
        (file(HUB, RUNTIME, only_foreign), "endpoints", "no endpoint is left"),
        (
            file(HUB, RUNTIME, &cli(r#""allowed_tcp_ports": [80]"#)),
            "endpoints[0].security.allowed_tcp_ports",
            "no effect",
        ),
        (
            file(HUB, RUNTIME, &cli(r#""enforce": "required""#)),
            "endpoints[0].security.enforce",
            "no effect",
        ),
        (
            file(HUB, RUNTIME, &cli(r#""allowed_paths": []"#)),
            "endpoints[0].security.allowed_paths",
            "is empty",
        ),
        (
            file(HUB, RUNTIME, &cli(r#""env_whitelist": ["LC_*"]"#)),
            "endpoints[0].security.env_whitelist[0]",
            "name of a variable",
        ),
    ] {
        let warnings = warnings(&text);
        let found = warnings.iter().any(|(at, message)| at == path && message.contains(words));
        assert!(found, "{text}\n{warnings:?}");
    }
}

#[test]
fn a_trial_needs_no_token_and_does_not_look_at_one() {
    let options = Options { token_optional: true };
    let environment = FixedEnvironment::new(VARIABLES);
    for hub in ["{}", r#"{"token": "${NONE}"}"#, r#"{"token": "", "token_file": "/no/such"}"#] {
        let text = file(hub, RUNTIME, SH);
        let loaded = parse(&text, "c", &environment, options).unwrap_or_else(|p| panic!("{p}"));
        assert!(loaded.config.hub.token.is_none());
    }
    let loaded = parse(&file(HUB, RUNTIME, SH), "c", &environment, options).unwrap();
    assert!(loaded.config.hub.token.is_some());
}

#[test]
fn an_empty_list_of_variables_is_not_no_list() {
    let with = |security: &str| {
        let text = SH.replace("}]", &format!(", \"security\": {{{security}}}}}]"));
        clean(&file(HUB, RUNTIME, &text)).endpoints[0].security.env_whitelist.clone()
    };
    assert_eq!(with(""), None);
    assert_eq!(with("\"env_whitelist\": []"), Some(vec![]));
}

#[cfg(unix)]
#[test]
fn a_file_others_can_read_is_warned_of_when_the_token_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.json");
    let environment = FixedEnvironment::new(VARIABLES);
    for (token, mode, warned) in [
        ("t", 0o644, true),
        ("t", 0o640, false),
        ("${AMURG_TOKEN:-change-me}", 0o644, false),
        ("${NONE:-change-me}", 0o644, true),
    ] {
        fs::write(&path, file(&format!("{{\"token\": \"{token}\"}}"), RUNTIME, SH)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = load(&path, &environment, Options::default()).unwrap();
        let found = loaded.warnings.iter().any(|warning| warning.message.contains("everybody"));
        assert_eq!(found, warned, "{token} {mode:o} {:?}", loaded.warnings);
    }
}

#[test]
fn a_token_file_is_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, "s3cret\n").unwrap();
    let hub = format!("{{\"token_file\": {:?}}}", path.display().to_string());
    let loaded = read(&file(&hub, RUNTIME, SH)).unwrap();
    assert_eq!(loaded.config.hub.token.unwrap().expose(), "s3cret");

    let directory = dir.path().display().to_string();
    let environment = FixedEnvironment::new(
        VARIABLES.into_iter().chain([("CREDENTIALS_DIRECTORY", directory.as_str())]),
    );
    let text = file(r#"{"token_credential": "token"}"#, RUNTIME, SH);
    let loaded = parse(&text, "c", &environment, Options::default()).unwrap();
    assert_eq!(loaded.config.hub.token.unwrap().expose(), "s3cret");
}

#[test]
fn files_that_cannot_be_read_are_told_by_name() {
    let dir = TempDir::new().unwrap();
    let environment = FixedEnvironment::new(VARIABLES);
    let problem =
        |path: &Path| load(path, &environment, Options::default()).unwrap_err().to_string();
    let missing = problem(&dir.path().join("none.json"));
    assert!(missing.contains("none.json: cannot be read") && missing.contains("init"), "{missing}");
    assert!(problem(dir.path()).contains("is a directory"));
    let path = dir.path().join("config.json");
    fs::write(&path, b"{\n\xff}").unwrap();
    assert!(problem(&path).contains("not UTF-8 (line 2)"));
    fs::write(&path, " ".repeat(2 << 20)).unwrap();
    assert!(problem(&path).contains("larger than 1 MiB"));
}

#[test]
fn a_byte_order_mark_is_no_problem() {
    clean(&format!("\u{feff}{}", file(HUB, RUNTIME, SH)));
}

#[test]
fn the_example_uses_every_profile() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    let text = fs::read_to_string(path).unwrap();
    let config = clean(&text);
    for (profile, _) in super::super::fields::PROFILES {
        assert!(config.endpoints.iter().any(|e| e.profile.name() == profile), "{profile}");
    }
}
