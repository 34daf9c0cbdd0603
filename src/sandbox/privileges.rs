//! Taking privileges away from a confined child: no capability, now or after
//! any exec.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

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
