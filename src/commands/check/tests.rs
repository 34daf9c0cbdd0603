//! What `check` says of a file on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::{self, FixedEnvironment, Options, ProcessEnvironment};
use tempfile::TempDir;

use super::{Check, Paint, Report, Text, check};

/// A machine with a home, a program `tool` in its `PATH`, and a file to check.
struct Machine {
    dir: TempDir,
    environment: FixedEnvironment,
}

impl Machine {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["home", "bin", "project"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let tool = dir.path().join("bin/tool");
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (home, bin) = (at("home"), at("bin"));
        let variables = [("HOME", home.as_str()), ("PATH", bin.as_str())];
        let mut environment = FixedEnvironment::new(variables);
        environment.current_dir = dir.path().into();
        Self { dir, environment }
    }

    fn report(&self, endpoint: &str) -> Report {
        let text = format!(
            "{{\"hub\": {{\"token\": \"hunter2\"}}, \"runtime\": {{\"id\": \"lab\"}},\n\"endpoints\": [{endpoint}]}}"
        );
        let name = "config.json";
        let examination = config::examine(&text, name, &self.environment, Options::default());
        Report::of(&examination, &self.environment, None)
    }
}

/// The arguments that name a file and nothing else.
fn named(path: impl Into<PathBuf>) -> Check {
    Check { config: Some(path.into()), ..Check::default() }
}

/// Path, message and hint of every error.
fn errors(report: &Report) -> Vec<(&str, &str, &str)> {
    report
        .errors
        .iter()
        .map(|error| (&*error.path, &*error.message, error.hint.as_deref().unwrap_or_default()))
        .collect()
}

fn fact<'a>(report: &'a Report, name: &str) -> &'a str {
    let facts = &report.endpoints[0].facts;
    facts.iter().find(|fact| fact.name == name).map_or("", |fact| &fact.value)
}

#[test]
fn a_good_endpoint_is_told_with_what_is_in_force() {
    let machine = Machine::new();
    let report = machine.report(
        r#"{"id": "t", "name": "Tool", "profile": "generic-job",
            "limits": {"max_sessions": 50, "max_processes": 9},
            "security": {"denied_paths": ["/x"], "env_whitelist": ["HOME", "A"]},
            "job": {"command": "tool", "args": ["-c", "a b"], "work_dir": "project", "env": {"B": "hunter2"}}}"#,
    );
    assert!(report.ok(), "{:?}", report.errors);
    let bin = machine.dir.path().join("bin/tool");
    assert_eq!(fact(&report, "command"), format!("{} -c \"a b\"", bin.display()));
    assert!(fact(&report, "directory").ends_with("/project"));
    assert_eq!(fact(&report, "environment"), "inherits only PATH, HOME, LANG, TERM, A; sets B");
    assert_eq!(fact(&report, "turn"), "ends when the job exits; ended after 5m");
    assert_eq!(fact(&report, "sessions"), "at most 10 at once, ended after 30m without activity");
    assert_eq!(fact(&report, "buffer"), "10 MiB for each session");
    assert_eq!(fact(&report, "limits"), "9 processes");
    assert!(fact(&report, "declared").starts_with("denied_paths (told to the hub"));

    let shown = Text(&report, Paint::PLAIN).to_string();
    assert!(shown.contains("\nendpoint t, Tool (generic-job)\n    command      "), "{shown}");
    assert!(shown.ends_with("config.json: can be used (no errors, no warnings)\n"), "{shown}");
    assert!(!shown.contains("hunter2") && !report.to_json().contains("hunter2"), "{shown}");
}

#[test]
fn what_this_machine_does_not_have_is_an_error_with_its_place() {
    let machine = Machine::new();
    for (endpoint, path, message, hint) in [
        (
            r#"{"id": "t", "profile": "generic-cli", "cli": {"command": "nonesuch"}}"#,
            "endpoints[0].cli.command",
            "\"nonesuch\" is in no directory of PATH",
            "install it",
        ),
        (
            r#"{"id": "t", "profile": "generic-cli", "cli": {"command": "tool", "env": {"PATH": "/none"}}}"#,
            "endpoints[0].cli.command",
            "PATH (\"/none\")",
            "full path",
        ),
        (
            r#"{"id": "t", "profile": "external", "external": {"command": "/none/adapter"}}"#,
            "endpoints[0].external.command",
            "\"/none/adapter\" does not exist",
            "correct the path",
        ),
        (
            r#"{"id": "t", "profile": "generic-job", "job": {"command": "tool", "work_dir": "/none"}}"#,
            "endpoints[0].job.work_dir",
            "the directory \"/none\" cannot be used",
            "make it",
        ),
        (
            r#"{"id": "t", "profile": "generic-job", "security": {"cwd": "/none"}, "job": {"command": "tool", "work_dir": "/"}}"#,
            "endpoints[0].security.cwd",
            "the directory \"/none\" cannot be used",
            "make it",
        ),
        (
            r#"{"id": "t", "profile": "generic-job", "security": {"allowed_paths": ["project"]}, "job": {"command": "tool"}}"#,
            "endpoints[0].job.work_dir",
            "is outside of allowed_paths",
            "security.cwd",
        ),
    ] {
        let report = machine.report(endpoint);
        let found = errors(&report);
        let [(got_path, got_message, got_hint)] = found[..] else { panic!("{found:?}") };
        assert_eq!(got_path, path, "{got_message}");
        assert!(got_message.contains(message), "{got_message}");
        assert!(got_hint.contains(hint), "{got_hint}");
        assert_eq!(report.errors[0].line, Some(2));
    }
}

#[test]
fn a_confined_agent_starts_inside_of_its_paths() {
    let machine = Machine::new();
    let report = machine.report(
        r#"{"id": "t", "profile": "generic-cli",
            "security": {"allowed_paths": ["project", "/no/such"], "cwd": "./project", "allowed_tcp_ports": [443]},
            "cli": {"command": "../bin/tool"}}"#,
    );
    assert_eq!(errors(&report), []);
    assert_eq!(report.warnings.len(), 1);
    assert_eq!(report.warnings[0].path, "endpoints[0].security.allowed_paths[1]");
    assert!(fact(&report, "confined").ends_with("as far as the kernel can; TCP to port 443 only"));
    assert!(fact(&report, "home").contains("/home lies outside of allowed_paths; set env.HOME"));
}

#[test]
fn allowed_paths_must_not_be_links_nor_hold_what_is_the_runtimes() {
    let machine = Machine::new();
    std::os::unix::fs::symlink("project", machine.dir.path().join("link")).unwrap();
    let report = machine.report(
        r#"{"id": "t", "profile": "generic-job",
            "security": {"allowed_paths": ["project", "link", "home"], "cwd": "project"},
            "job": {"command": "tool"}}"#,
    );
    let found = errors(&report);
    let [(path, message, hint)] = found[..] else { panic!("{found:?}") };
    assert_eq!(path, "endpoints[0].security.allowed_paths[1]");
    assert!(message.contains("is, or lies behind, a symbolic link"), "{message}");
    assert!(hint.starts_with("write ") && hint.contains("/project"), "{hint}");
    let [warning] = &report.warnings[..] else { panic!("{:?}", report.warnings) };
    assert_eq!(warning.path, "endpoints[0].security.allowed_paths[2]");
    assert!(warning.message.contains("holds the runtime's state ("), "{}", warning.message);
    assert!(fact(&report, "enforced").contains("capabilities and set-user-ID programs"));
    assert!(fact(&report, "open").contains("UDP"));
    assert_eq!(fact(&report, "home"), "", "it is allowed");
}

#[test]
fn problems_stand_with_their_endpoint_and_nothing_hides_the_rest() {
    let machine = Machine::new();
    let report = machine.report(
        r#"{"id": "bad", "profile": "generic-cli"}, {"id": "good", "profile": "generic-job", "job": {"command": "nonesuch"}}"#,
    );
    assert_eq!(report.errors.len(), 2, "{:?}", report.errors);
    let shown = Text(&report, Paint::PLAIN).to_string();
    let order = [
        "endpoint bad",
        "endpoints[0].cli: is missing",
        "endpoint good",
        "nonesuch",
        "cannot be used (2 errors",
    ];
    let places: Vec<Option<usize>> = order.iter().map(|part| shown.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
}

#[test]
fn colours_add_nothing_but_colours() {
    let machine = Machine::new();
    let report =
        machine.report(r#"{"id": "t", "profile": "generic-cli", "cli": {"command": "none"}}"#);
    let painted = Text(&report, Paint { colours: true }).to_string();
    assert!(painted.contains("\x1b[1;31merror\x1b[0m: "), "{painted}");
    let parts = painted.split('\x1b').enumerate();
    let bare: String = parts
        .map(|(index, part)| match part.split_once('m') {
            Some((_, rest)) if index > 0 => rest,
            _ => part,
        })
        .collect();
    assert_eq!(bare, Text(&report, Paint::PLAIN).to_string());
}

#[test]
fn json_says_the_same() {
    let machine = Machine::new();
    let report =
        machine.report(r#"{"id": "t", "profile": "generic-cli", "cli": {"command": "none"}}"#);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["errors"][0]["path"], "endpoints[0].cli.command");
    assert_eq!(json["errors"][0]["line"], 2);
    assert_eq!(json["runtime"]["id"], "lab");
    assert_eq!(json["endpoints"][0]["facts"]["command"], "\"none\" (not found)");
}

#[test]
fn the_example_passes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    let examination = config::examine_file(&path, &ProcessEnvironment, Options::default());
    let report = Report::of(&examination, &ProcessEnvironment, None);
    assert!(report.ok(), "{}", Text(&report, Paint::PLAIN).to_string());
    let arguments = Check { json: true, ..named(path) };
    assert_eq!(check(&arguments, &ProcessEnvironment, &mut Vec::new()), 0);
}

#[test]
fn quiet_prints_problems_and_nothing_else() {
    let machine = Machine::new();
    let path = machine.dir.path().join("config.json");
    for (command, shown, code) in [("tool", "", 0), ("none", "error: config.json:1:", 78)] {
        let text = format!(
            r#"{{"hub": {{"token": "t"}}, "runtime": {{"id": "lab"}}, "endpoints":
               [{{"id": "t", "profile": "generic-cli", "cli": {{"command": "{command}"}}}}]}}"#
        );
        fs::write(&path, text.replace('\n', " ")).unwrap();
        // A token that everybody may read is worth a warning.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut out = Vec::new();
        let arguments = Check { quiet: true, ..named("config.json") };
        assert_eq!(check(&arguments, &machine.environment, &mut out), code);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(shown) && out.is_empty() == shown.is_empty(), "{out}");
        assert!(!out.contains("can be used"), "{out}");
    }
}

#[test]
fn a_file_that_is_not_there_is_bad_configuration() {
    let machine = Machine::new();
    for (arguments, words) in [
        (named("none.json"), "none.json: cannot be read"),
        (Check::default(), "no configuration file was found"),
    ] {
        let mut out = Vec::new();
        let code = check(&arguments, &machine.environment, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(code == 78 && out.contains(words), "{out}");
    }
}

#[test]
fn a_variable_that_names_no_file_is_warned_of() {
    let mut machine = Machine::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.json");
    fs::copy(example, machine.dir.path().join("config.json")).unwrap();
    machine.environment.variables.insert("AMURG_CONFIG".into(), "/none.json".into());
    let mut out = Vec::new();
    check(&Check::default(), &machine.environment, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with("warning: config.json: $AMURG_CONFIG names \"/none.json\""), "{out}");
}
