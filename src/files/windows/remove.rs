//! Removes whatever an agent may have left in a directory.

use std::fs;
use std::io;

use super::directory::Directory;

/// Removes everything in `trash`, until `stop` says so. What cannot be removed
/// (somebody has it open, say) stays; how many entries that are.
///
/// # Errors
/// When `trash` itself cannot be read.
pub fn empty(trash: &Directory, stop: &dyn Fn() -> bool) -> io::Result<usize> {
    let mut left = 0;
    for entry in fs::read_dir(trash.path())? {
        let entry = entry?;
        if stop() {
            return Ok(0);
        }
        // The library follows no link, and needs no stack for depth.
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        left += usize::from(removed.is_err());
    }
    Ok(left)
}
