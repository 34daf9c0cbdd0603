//! Whole files, right and wrong.

mod good;
mod wrong;

use super::{FixedEnvironment, Loaded, Options, Problems, parse};

/// Variables the files of these tests find.
const VARIABLES: [(&str, &str); 4] = [
    ("HOME", "/home/me"),
    ("AMURG_TOKEN", "s3cret-from-the-environment"),
    ("NUMBER", "7"),
    ("EMPTY", ""),
];

fn read(text: &str) -> Result<Loaded, Problems> {
    parse(text, "config.json", &FixedEnvironment::new(VARIABLES), Options::default())
}

/// A file with one endpoint and this in the place of `hub`, `runtime` and `endpoints`.
fn file(hub: &str, runtime: &str, endpoints: &str) -> String {
    format!("{{\n\"hub\": {hub},\n\"runtime\": {runtime},\n\"endpoints\": {endpoints}\n}}")
}

const HUB: &str = r#"{"token": "t"}"#;
const RUNTIME: &str = r#"{"id": "lab"}"#;
const SH: &str = r#"[{"id": "sh", "profile": "generic-cli", "cli": {"command": "sh"}}]"#;
