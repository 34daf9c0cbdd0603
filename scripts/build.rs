//! Tells `version` which commit and target it was built for. A source tree
//! without git (a vendored or packaged one) says "release".

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=scripts/build.rs");
    // Git knows where they are: not below `.git` in a further working tree.
    for path in ["HEAD", "refs/heads"] {
        let path = git(&["rev-parse", "--git-path", path]);
        // What is named and not there would make every build a new one.
        if let Some(path) = path.filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "release".into());
    println!("cargo:rustc-env=AMURG_COMMIT={commit}");
    println!("cargo:rustc-env=AMURG_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}

/// What git says, where there is git and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
