//! Each wrong file is answered with the right path and a hint that helps.

use super::super::{FixedEnvironment, Options, parse};
use super::{HUB, RUNTIME, SH, VARIABLES, file, read};

/// The only error of a text: path, message, hint.
#[track_caller]
fn only_error(text: &str) -> (String, String, String) {
    let problems = read(text).expect_err(text);
    assert_eq!(problems.errors.len(), 1, "{text}\n{problems}");
    let error = problems.errors.into_iter().next().unwrap();
    assert!(error.position.is_some(), "{error}");
    (error.path, error.message, error.hint.unwrap_or_default())
}

#[track_caller]
fn expect(text: &str, path: &str, message: &str, hint: &str) {
    let (got_path, got_message, got_hint) = only_error(text);
    assert_eq!(got_path, path, "{text}\n{got_message}");
    assert!(got_message.contains(message), "{text}\n{got_message:?} lacks {message:?}");
    assert!(got_hint.contains(hint), "{text}\n{got_hint:?} lacks {hint:?}");
    assert!(!got_hint.is_empty(), "{text}");
}

#[test]
fn wrong_hubs() {
    for (hub, path, message, hint) in [
        ("{}", "hub.token", "is missing", "hub.token_file"),
        (r#"{"token": ""}"#, "hub.token", "is empty", "the hub was given"),
        (r#"{"token": "${EMPTY}"}"#, "hub.token", "is empty", "the hub was given"),
        (r#"{"token": "${NONE}"}"#, "hub.token", "NONE is not set", "${NONE:-value}"),
        (r#"{"token": "${AMURG_TOKEN"}"#, "hub.token", "no \"}\"", "$${"),
        (r#"{"token": "a\nb"}"#, "hub.token", "control character", "line break"),
        (r#"{"token": 5}"#, "hub.token", "should be a string, but is a number", "double quotes"),
        (r#"{"token": null}"#, "hub.token", "but is null", "leave the key out"),
        (r#"{"token": "t", "token_file": "/t"}"#, "hub.token_file", "second source", "keep one"),
        (r#"{"token_file": "/no/such/file"}"#, "hub.token_file", "/no/such/file", "0600"),
        (r#"{"token_file": ""}"#, "hub.token_file", "is empty", "leave the key out"),
        (
            r#"{"token_credential": "t"}"#,
            "hub.token_credential",
            "CREDENTIALS_DIRECTORY",
            "LoadCredential=",
        ),
        (
            r#"{"token_credential": "../t"}"#,
            "hub.token_credential",
            "not the name",
            "without a path",
        ),
        (r#"{"token": "t", "url": "http://hub/ws"}"#, "hub.url", "neither ws://", "use ws://"),
        (r#"{"token": "t", "url": "hub:8090"}"#, "hub.url", "no scheme", "wss://host"),
        (r#"{"token": "t", "url": "ws://me:pw@hub/ws"}"#, "hub.url", "password", "hub.token"),
        (r#"{"token": "t", "url": "ws://hub:99999/ws"}"#, "hub.url", "bad port", "65535"),
        (r#"{"token": "t", "url": ""}"#, "hub.url", "is empty", "ws://host"),
        (r#"{"token": "t", "tokn": "x"}"#, "hub.tokn", "not a known key", "\"token\""),
        (
            r#"{"token": "t", "tls_skip_verify": "yes"}"#,
            "hub.tls_skip_verify",
            "true or false",
            "without quotes",
        ),
        (
            r#"{"token": "t", "reconnect_interval": "2 parsecs"}"#,
            "hub.reconnect_interval",
            "not a duration",
            "\"30s\"",
        ),
        (
            r#"{"token": "t", "reconnect_interval": 0}"#,
            "hub.reconnect_interval",
            "out of range",
            "from 1ms",
        ),
        (
            r#"{"token": "t", "reconnect_interval": "30"}"#,
            "hub.reconnect_interval",
            "has no unit",
            "\"30s\"",
        ),
        (
            r#"{"token": "t", "max_reconnect_delay": "1s"}"#,
            "hub.max_reconnect_delay",
            "less than",
            "at least as long",
        ),
        (r#"{"token": "t", "tls_ca_file": "/no/ca.pem"}"#, "hub.tls_ca_file", "/no/ca.pem", "PEM"),
        ("[]", "hub", "should be an object, but is a list", "{"),
    ] {
        expect(&file(hub, RUNTIME, SH), path, message, hint);
    }
}

#[test]
fn wrong_runtimes() {
    for (runtime, path, message, hint) in [
        (r#"{"id": "a\nb"}"#, "runtime.id", "control character", "one line"),
        (
            r#"{"id": "lab", "max_sessions": 0}"#,
            "runtime.max_sessions",
            "0 is out of range",
            "from 1",
        ),
        (r#"{"id": "lab", "max_sessions": -1}"#, "runtime.max_sessions", "negative", "from 1"),
        (r#"{"id": "lab", "max_sessions": 1.5}"#, "runtime.max_sessions", "1.5", "whole number"),
        (
            r#"{"id": "lab", "max_sessions": "10"}"#,
            "runtime.max_sessions",
            "a string",
            "without quotes",
        ),
        (
            r#"{"id": "lab", "maxSessions": 10}"#,
            "runtime.maxSessions",
            "not a known key",
            "max_sessions",
        ),
        (r#"{"id": "lab", "idle_timeout": "5M"}"#, "runtime.idle_timeout", "upper-case", "\"5m\""),
        (r#"{"id": "lab", "idle_timeout": -3}"#, "runtime.idle_timeout", "negative", "seconds"),
        (r#"{"id": "lab", "idle_timeout": true}"#, "runtime.idle_timeout", "a duration", "\"30s\""),
        (
            r#"{"id": "lab", "default_timeout": "2years"}"#,
            "runtime.default_timeout",
            "out of range",
            "365d",
        ),
        (
            r#"{"id": "lab", "log_level": "verbose"}"#,
            "runtime.log_level",
            "\"verbose\"",
            "\"debug\"",
        ),
        (
            r#"{"id": "lab", "log_level": "inf"}"#,
            "runtime.log_level",
            "not a known log_level",
            "mean \"info\"",
        ),
        (
            r#"{"id": "lab", "state_dir": "~you/x"}"#,
            "runtime.state_dir",
            "home of a user",
            "only ~/",
        ),
        (r#"{"id": "lab", "token": "t"}"#, "runtime.token", "not a known key", "belongs to hub"),
        (
            r#"{"id": "lab", "idle_timeout": 9, "idle_timeout": 9}"#,
            "runtime.idle_timeout",
            "twice, first in line 3",
            "keep one",
        ),
    ] {
        expect(&file(HUB, runtime, SH), path, message, hint);
    }
}

#[test]
fn wrong_endpoints() {
    for (endpoints, path, message, hint) in [
        ("{}", "endpoints", "a list of objects", "[{"),
        ("[]", "endpoints", "is empty", "\"profile\""),
        ("[7]", "endpoints[0]", "should be an object", "{"),
        (
            r#"[{"profile": "generic-cli", "cli": {"command": "sh"}}]"#,
            "endpoints[0].id",
            "is missing",
            "Unique id",
        ),
        (
            r#"[{"id": "", "profile": "generic-cli", "cli": {"command": "sh"}}]"#,
            "endpoints[0].id",
            "is empty",
            "Unique id",
        ),
        (
            r#"[{"id": "sh", "cli": {"command": "sh"}}]"#,
            "endpoints[0].profile",
            "is missing",
            "spoken to",
        ),
        (
            r#"[{"id": "sh", "profile": "generic-cil", "cli": {"command": "sh"}}]"#,
            "endpoints[0].profile",
            "\"generic-cil\" is not a known profile",
            "did you mean \"generic-cli\"",
        ),
        (
            r#"[{"id": "sh", "profile": "job", "job": {"command": "sh"}}]"#,
            "endpoints[0].profile",
            "not a known profile",
            "did you mean \"generic-job\"",
        ),
        (
            r#"[{"id": "sh", "profile": "generic-cli"}]"#,
            "endpoints[0].cli",
            "is missing",
            "\"cli\": {\"command\": \"bash\"}",
        ),
        (
            r#"[{"id": "j", "profile": "generic-job", "job": {"command": "x", "max_runtime": "0s"}}]"#,
            "endpoints[0].job.max_runtime",
            "0s is out of range",
            "from 1ms",
        ),
        (
            r#"[{"id": "a", "profile": "external", "external": {"command": "x"}},
                {"id": "a", "profile": "external", "external": {"command": "x"}}]"#,
            "endpoints[1].id",
            "\"a\" is already the id of endpoints[0]",
            "id of its own",
        ),
    ] {
        expect(&file(HUB, RUNTIME, endpoints), path, message, hint);
    }
}

#[test]
fn wrong_parts_of_an_endpoint() {
    for (rest, path, message, hint) in [
        (r#""cli": {}"#, "cli.command", "is missing", "Program to run"),
        (r#""cli": {"command": ""}"#, "cli.command", "is empty", "Program to run"),
        (r#""cli": {"command": ["sh"]}"#, "cli.command", "a string, but is a list", "quotes"),
        (r#""cli": {"command": "s\u0000h"}"#, "cli.command", "NUL", "remove"),
        (
            r#""job": {"command": "x"}, "cli": {"command": "sh"}"#,
            "job",
            "the profile is generic-cli",
            "set the profile to \"generic-job\"",
        ),
        (r#""args": [], "cli": {"command": "sh"}"#, "args", "not a known key", "endpoints[].cli"),
        (r#""tags": ["a"], "cli": {"command": "sh"}"#, "tags", "object of strings", "{\"NAME\""),
    ] {
        let endpoints = format!(r#"[{{"id": "sh", "profile": "generic-cli", {rest}}}]"#);
        let path = format!("endpoints[0].{path}");
        expect(&file(HUB, RUNTIME, &endpoints), &path, message, hint);
    }
}

#[test]
fn wrong_programs() {
    for (rest, path, message, hint) in [
        (r#""arg": []"#, "arg", "not a known key", "\"args\""),
        (r#""zebra": []"#, "zebra", "not a known key", "known here: command, args"),
        (r#""args": "-i""#, "args", "a list of strings", "[\"one\""),
        (r#""args": ["-i", 5]"#, "args[1]", "a string, but is a number", "quotes"),
        (r#""env": {"PORT": 80}"#, "env.PORT", "is a number", "quotes"),
        (r#""env": {"A=B": "x"}"#, "env[\"A=B\"]", "name of a variable", "\"=\""),
        (r#""env": {"A": "${NONE}"}"#, "env.A", "NONE is not set", "${NONE:-"),
        (r#""env": {"A": "1", "A": "2"}"#, "env.A", "is given twice", "keep one"),
        (r#""work_dir": """#, "work_dir", "is empty", "leave the key out"),
        (r#""spawn_policy": "per_session""#, "spawn_policy", "\"per_session\"", "\"per-session\""),
        (r#""tty": "true""#, "tty", "true or false", "without quotes"),
        (r#""turn_end": "never""#, "turn_end", "\"never\"", "\"idle\""),
    ] {
        let endpoints = format!(
            r#"[{{"id": "sh", "profile": "generic-cli", "cli": {{"command": "sh", {rest}}}}}]"#
        );
        let path = format!("endpoints[0].cli.{path}");
        expect(&file(HUB, RUNTIME, &endpoints), &path, message, hint);
    }
}

#[test]
fn wrong_requests() {
    for (rest, path, message, hint) in [
        (r#""base_url": "localhost:9000""#, "base_url", "no scheme", "http://host"),
        (r#""base_url": "http://h/", "method": "HEAD""#, "method", "no text", "POST"),
        (r#""base_url": "http://h/", "method": "PO ST""#, "method", "not an HTTP method", "POST"),
        (
            r#""base_url": "http://h/", "headers": {"A": "x\r\nB: y"}"#,
            "headers.A",
            "line break",
            "one line",
        ),
        (
            r#""base_url": "http://h/", "headers": {"A B": "x"}"#,
            "headers[\"A B\"]",
            "name of a header",
            "hyphens",
        ),
        (
            r#""base_url": "http://h/", "headers": {"a": "x", "A": "y"}"#,
            "headers.A",
            "twice",
            "keep one",
        ),
        (
            r#""base_url": "http://h/", "headers": {"Content-Length": "5"}"#,
            "headers.Content-Length",
            "request itself",
            "remove",
        ),
    ] {
        let endpoints =
            format!(r#"[{{"id": "h", "profile": "generic-http", "http": {{{rest}}}}}]"#);
        let path = format!("endpoints[0].http.{path}");
        expect(&file(HUB, RUNTIME, &endpoints), &path, message, hint);
    }
}

#[test]
fn wrong_limits_and_security() {
    for (rest, path, message, hint) in [
        (
            r#""security": {"allowed_tcp_ports": [443, 70000]}"#,
            "security.allowed_tcp_ports[1]",
            "out of range",
            "65535",
        ),
        (
            r#""security": {"allowed_paths": "/srv"}"#,
            "security.allowed_paths",
            "a list of strings",
            "[\"one\"",
        ),
        (
            r#""security": {"permission_mode": "yolo"}"#,
            "security.permission_mode",
            "\"yolo\"",
            "\"strict\"",
        ),
        (
            r#""security": {"enforce": "besteffort"}"#,
            "security.enforce",
            "\"besteffort\"",
            "did you mean \"best-effort\"",
        ),
        (r#""limits": {"max_open_files": 1}"#, "limits.max_open_files", "out of range", "from 3"),
        (r#""limits": {"max_memory": 1}"#, "limits.max_memory", "known key", "max_memory_bytes"),
        (r#""limits": {"session_timeout": {}}"#, "limits.session_timeout", "an object", "\"30s\""),
    ] {
        let endpoints = format!(
            r#"[{{"id": "sh", "profile": "generic-cli", "cli": {{"command": "sh"}}, {rest}}}]"#
        );
        let path = format!("endpoints[0].{path}");
        expect(&file(HUB, RUNTIME, &endpoints), &path, message, hint);
    }
}

#[test]
fn wrong_files() {
    let both = format!(r#"{{"hub": {HUB}, "endpoints": {SH}, "agents": []}}"#);
    let none = format!(r#"{{"hub": {HUB}}}"#);
    let unknown = format!(r#"{{"hub": {HUB}, "endpoint": [], "endpoints": {SH}}}"#);
    for (text, path, message, hint) in [
        (both.as_str(), "agents", "another name of `endpoints`", "one list"),
        (&none, "endpoints", "is missing", "generic-cli"),
        (&unknown, "endpoint", "not a known key", "\"endpoints\""),
        ("[]", "", "is not an object", "\"hub\""),
        ("", "", "is empty", "init"),
        ("{\"hub\": }", "", "is not JSON", "put a value"),
        ("{\"hub\" 1}", "", "is not JSON", "\"key\": value"),
        ("{\"hub\": True}", "", "is not JSON", "bare words"),
    ] {
        expect(text, path, message, hint);
    }
}

#[test]
fn every_problem_is_found_at_once_with_its_line_and_column() {
    let text = "{\n  \"hub\": {\"url\": \"hub\"},\n  \"runtime\": {\"id\": \"lab\", \"log_level\": 3, // loud\n    \"idle_timeot\": \"1s\"},\n  \"endpoints\": [\n    {\"id\": \"a\", \"profile\": \"generic-job\", \"job\": {\"command\": 7}},\n    {\"id\": \"a\", \"profile\": \"generic-job\", \"job\": {\"command\": \"x\"}},\n    {\"profile\": \"nonsense\"}\n  ]\n}";
    let problems = read(text).unwrap_err();
    let shown: Vec<String> = problems
        .errors
        .iter()
        .map(|error| error.to_string().split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        shown,
        [
            "config.json:2:10 hub.token",
            "config.json:2:18 hub.url",
            "config.json:3:41 runtime.log_level",
            "config.json:3:44 is not JSON",
            "config.json:4:5 runtime.idle_timeot",
            "config.json:6:62 endpoints[0].job.command",
            "config.json:7:12 endpoints[1].id",
            "config.json:8:5 endpoints[2].id",
            "config.json:8:17 endpoints[2].profile",
        ]
    );
    let first = problems.to_string();
    assert!(first.contains("config.json:6:62: endpoints[0].job.command: should be a string, but is a number\n    hint: "), "{first}");
}

#[test]
fn no_problem_shows_what_may_be_secret() {
    let secret = "hunter2";
    for text in [
        file(r#"{"token": "hunter2\u0007"}"#, RUNTIME, SH),
        file(r#"{"token": ["hunter2"]}"#, RUNTIME, SH),
        file(r#"{"token": "${hunter2"}"#, RUNTIME, SH),
        file(r#"{"token": "t", "url": "ws://u:hunter2@hub/"}"#, RUNTIME, SH),
        file(r#"{"token": "t", "url": "${SECRET}"}"#, RUNTIME, SH),
        file(HUB, r#"{"id": "lab", "log_level": "${SECRET}"}"#, SH),
        file(HUB, r#"{"id": "lab", "idle_timeout": "${SECRET}"}"#, SH),
        file(
            HUB,
            RUNTIME,
            r#"[{"id": "h", "profile": "generic-http", "http": {"base_url": "http://h/",
                "headers": {"Authorization": "Bearer hunter2\n"}}}]"#,
        ),
        file(
            HUB,
            RUNTIME,
            r#"[{"id": "h", "profile": "generic-job", "job": {"command": "x",
                "env": {"KEY": "hunter2${"}}}]"#,
        ),
        format!("{{\"hub\": {{\"token\": \"{secret}\\q\"}}}}"),
        format!("{{\"hub\": {{\"token\": \"{secret}"),
    ] {
        let environment =
            FixedEnvironment::new(VARIABLES.into_iter().chain([("SECRET", "hunter2")]));
        let problems =
            parse(&text, "config.json", &environment, Options::default()).expect_err(&text);
        let shown = format!("{problems}{problems:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn names_in_problems_cannot_forge_lines() {
    let problems = read("{\"a\\nconfig.json:1:1: hub\": 1}").unwrap_err();
    assert!(problems.errors.iter().all(|error| !error.path.contains('\n')), "{problems}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let example = include_str!("../../../config.example.json");
    let pieces =
        ["{", "}", "[", "]", "\"", ",", ":", "null", "-1e9", "\\", "${", "\u{1f600}", "//", "0"];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..3000 {
        let mut text = example.to_owned();
        for _ in 0..random.usize(1..4) {
            let mut at = random.usize(0..text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match round % 3 {
                0 => text.truncate(at.max(1)),
                1 => text.insert_str(at, pieces[random.usize(0..pieces.len())]),
                _ => drop(text.remove(at)),
            }
        }
        // Whatever it is: an answer, never a panic.
        if let Err(problems) = read(&text) {
            assert!(!problems.errors.is_empty(), "{text}");
        }
    }
}
