//! Opens a file beneath a directory: one whose real path lies there.

use std::fs::File;
use std::path::{Component, Path};

use crate::files::Refusal;

/// Opens `rest` beneath `root` for reading; else why not. Nothing is confined.
pub fn open(root: &Path, rest: &Path, _confined: bool) -> Result<File, String> {
    // `..` may lead out.
    if !rest.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err("it lies elsewhere".into());
    }
    let real = |path: &Path| path.canonicalize().map_err(|error| error.to_string());
    let path = real(&root.join(rest))?;
    if !path.starts_with(real(root)?) {
        return Err("a link is on the way".into());
    }
    File::open(path).map_err(|error| error.to_string())
}

/// Whether it is a regular file.
pub fn check(file: &File) -> Result<(), Refusal> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(Refusal::NoFile("no file".into())) }
}
