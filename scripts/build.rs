//! Tells `version` which commit and target it was built for. A source tree
//! without git (a vendored or packaged one) says "release". And spares the loader
//! what it need not do, as far as this machine has what that takes.

use std::path::{Path, PathBuf};
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
    let variable = |name| std::env::var(name).unwrap_or_default();
    let target = variable("TARGET");
    println!("cargo:rustc-env=AMURG_TARGET={target}");
    if target.ends_with("-linux-gnu") && target == variable("HOST") {
        if has_relr() {
            // 700 KB less of the file, and of what is read before `main`: a quarter of the
            // time from start to hello. A linker that does not know it says so and goes on.
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
        // Tried where it is: what the archive itself needs is another matter elsewhere.
        if target.starts_with("x86_64-")
            && let Some(directory) = unwinder()
        {
            // One library less to be there and to be loaded: a twentieth of that time.
            println!("cargo:rustc-link-search=native={}", directory.display());
            println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
        }
    }
}

/// Where the compiler has its unwinder as an archive; `libgcc_s` has the same to be loaded.
fn unwinder() -> Option<PathBuf> {
    let archive = PathBuf::from(said(Command::new("cc").arg("-print-file-name=libgcc_eh.a"))?);
    let directory = archive.parent().filter(|_| archive.exists())?;
    Some(directory.to_owned())
}

/// Whether this machine's loader knows `DT_RELR`: glibc does since 2.36.
fn has_relr() -> bool {
    let said = said(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default();
    let version = said.strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let Some((Ok(major), Ok(minor))) = version.map(|(a, b)| (a.parse(), b.parse())) else {
        return false;
    };
    (2u32, 36u32) <= (major, minor)
}

/// What git says, where there is git and a repository.
fn git(arguments: &[&str]) -> Option<String> {
    said(Command::new("git").args(arguments))
}

/// What a command says, if it goes well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}
