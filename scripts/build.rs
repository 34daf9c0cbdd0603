//! Tells `version` which commit and target it was built for. A source tree
//! without git (a vendored or packaged one) says "release".

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=scripts/build.rs");
    // What is named and not there would make every build a new one.
    for path in [".git/HEAD", ".git/refs/heads"] {
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "release".into(), |commit| commit.trim().to_owned());
    println!("cargo:rustc-env=AMURG_COMMIT={commit}");
    println!("cargo:rustc-env=AMURG_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
