//! Taking privileges away: from a confined child every capability, now and after
//! any exec; from a thread of the runtime, for a moment, those a confined child of
//! the same user lacks when it opens a file.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What lets root open files that are none of its business by owner and mode.
const PAST_MODES: CapabilitySet = CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// Drops every capability from every set and sets `no_new_privs`. As root this
/// is what keeps a uid of 0 from meaning anything; elsewhere it changes nothing.
///
/// # Errors
/// What the system refused; privileges are left then.
pub fn drop_all() -> io::Result<()> {
    // Together with an empty permitted set this alone keeps root's capabilities
    // from coming back at an exec. The two sets below need a right to be
    // emptied, which a container may have taken while leaving others.
    set_no_new_privs(true)?;
    let _ = clear_ambient_capability_set();
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Does `open` without the calling thread's right to pass file modes by, which it
/// has back afterwards. Whoever has no such right just does it.
///
/// # Errors
/// When the right cannot be laid down; then nothing was done.
pub fn by_modes_alone<T>(open: impl FnOnce() -> T) -> io::Result<T> {
    let all = capabilities(None)?;
    if !all.effective.intersects(PAST_MODES) {
        return Ok(open());
    }
    set_capabilities(None, CapabilitySets { effective: all.effective - PAST_MODES, ..all })?;
    let _back = Restored(all);
    Ok(open())
}

/// Gives a thread its capabilities back, also after a panic.
struct Restored(CapabilitySets);

impl Drop for Restored {
    fn drop(&mut self) {
        // They are still permitted, and what is permitted can be made effective.
        let _ = set_capabilities(None, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_is_laid_down_for_a_moment_in_this_thread() {
        let effective = || capabilities(None).unwrap().effective;
        let before = effective();
        let meanwhile = by_modes_alone(effective).unwrap();
        assert_eq!(meanwhile, before - PAST_MODES);
        assert_eq!(effective(), before);
    }
}
