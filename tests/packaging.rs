//! What is shipped beside the binary fits it, and fits together.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use amurg_runtime::config::{self, FixedEnvironment, Options};

/// The configurations below `directory`: JSON that has a hub.
fn configurations(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

/// Given the variables its page names, and the token.
#[test]
fn every_shipped_configuration_is_without_a_problem() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("config.example.json")];
    configurations(&root.join("packaging"), &mut paths);
    assert!(paths.len() >= 7, "{paths:?}");
    // What the operator puts there.
    let operators = tempfile::tempdir().expect("a directory");
    for name in ["token", "proxy-ca.pem"] {
        let path = operators.path().join(name);
        fs::write(&path, "secret").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a private file");
    }
    let operators = operators.path().to_str().expect("a plain name");
    let environment = FixedEnvironment::new([
        ("HOME", "/var/lib/amurg"),
        ("HOSTNAME", "host"),
        ("NODE_NAME", "node-1"),
    ]);
    for path in paths {
        let text = fs::read_to_string(&path).expect("it is read");
        let text = text.replace("/etc/amurg", operators).replace("/run/secrets/amurg", operators);
        let name = path.display().to_string();
        let loaded = config::parse(&text, &name, &environment, Options::default())
            .unwrap_or_else(|problems| panic!("{problems}"));
        // A package cannot know a better name than the host's.
        let is_meant = |warning: &&config::Problem| warning.path != "runtime.id";
        let warnings: Vec<String> =
            loaded.warnings.iter().filter(is_meant).map(config::Problem::in_one_line).collect();
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn the_template_unit_is_the_unit() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let settings = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(root.join(name)).expect("a unit");
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.replace(" %i", "").replace("%i", "config")).collect()
    };
    assert_eq!(settings("amurg-runtime@.service"), settings("amurg-runtime.service"));
}
