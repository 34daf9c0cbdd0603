//! The cage of a planned child, and what it needs beside it: a private `TMPDIR`
//! and a working directory that lies inside.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::process::plan::SpawnPlan;
use crate::config::{Endpoint, Enforce};
use crate::files::{PRIVATE_TMP, create_private, real};
use crate::sandbox::Cage;

/// Fills in the plan's cage where the endpoint is confined.
///
/// # Errors
/// When there is no confinement where it is required, the working directory lies
/// outside, or `TMPDIR` cannot be made; in words for the user.
pub fn confine(
    endpoint: &Endpoint,
    upload_dir: Option<&Path>,
    plan: &mut SpawnPlan,
) -> Result<(), String> {
    let own: Vec<PathBuf> = upload_dir.map(Path::to_owned).into_iter().collect();
    let Some(cage) = Cage::of(endpoint, own, plan.program.clone()) else { return Ok(()) };
    if cage.enforce == Enforce::Required && cfg!(not(target_os = "linux")) {
        return Err(
            "security.enforce is \"required\", but nothing can be confined on this system; \
             run the endpoint on Linux, or set it to \"best-effort\"."
                .into(),
        );
    }
    if !real(&plan.cwd).is_ok_and(|real| cage.covers(&real)) {
        return Err(format!(
            "The working directory {} lies outside security.allowed_paths; set security.cwd or work_dir to one of them.",
            plan.cwd.display()
        ));
    }
    if let Some(upload_dir) = upload_dir {
        let tmp = upload_dir.join(PRIVATE_TMP);
        make_private(&tmp).map_err(|error| {
            format!("The private TMPDIR {} cannot be made: {error}.", tmp.display())
        })?;
        plan.env.retain(|(name, _)| name != "TMPDIR");
        plan.env.push((OsString::from("TMPDIR"), tmp.into()));
    }
    plan.sandbox.cage = Some(cage);
    Ok(())
}

/// Whatever an agent of the same session put there instead gains nothing: rules
/// are made for the directory above, and never follow a link.
fn make_private(path: &Path) -> io::Result<()> {
    match create_private(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(path)?.is_dir() { Ok(()) } else { Err(error) }
        }
        made => made,
    }
}
