//! Decided configuration for the tests of other rooms: what a minimal file becomes.

use super::{Config, Endpoint, FixedEnvironment, Options, Runtime, parse};

/// The configuration of a file with this list of endpoints (JSON), everything else default.
pub fn config(endpoints: &str) -> Config {
    let text = format!(
        r#"{{"hub": {{"token": "test"}}, "runtime": {{"id": "test"}}, "endpoints": {endpoints}}}"#
    );
    let environment = FixedEnvironment::new([("HOME", "/home/test")]);
    match parse(&text, "test.json", &environment, Options::default()) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

/// `runtime.*` with its defaults.
pub fn runtime() -> Runtime {
    config(r#"[{"id": "test", "profile": "generic-cli", "cli": {"command": "cat"}}]"#).runtime
}

/// A `generic-job` endpoint without arguments.
pub fn job(id: &str, command: &str) -> Endpoint {
    endpoint(id, "generic-job", "job", command)
}

/// A `generic-cli` endpoint without arguments.
pub fn cli(id: &str, command: &str) -> Endpoint {
    endpoint(id, "generic-cli", "cli", command)
}

/// An `external` endpoint without arguments.
pub fn external(id: &str, command: &str) -> Endpoint {
    endpoint(id, "external", "external", command)
}

fn endpoint(id: &str, profile: &str, block: &str, command: &str) -> Endpoint {
    let endpoints =
        serde_json::json!([{"id": id, "profile": profile, block: {"command": command}}]);
    Endpoint::clone(&config(&endpoints.to_string()).endpoints[0])
}

#[test]
fn fixtures_are_what_their_names_say() {
    assert_eq!(job("make", "make").profile.name(), "generic-job");
    assert_eq!(cli("sh", "sh").profile.name(), "generic-cli");
    assert_eq!(external("a", "adapter").profile.name(), "external");
    assert_eq!(runtime().max_sessions, 10);
}
