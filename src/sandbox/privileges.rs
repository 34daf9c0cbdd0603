//! Taking privileges away from a confined child: no capability, now or after
//! any exec.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Drops every capability from every set and sets `no_new_privs`. As root this
/// is what keeps a uid of 0 from meaning anything; elsewhere it changes nothing.
pub fn drop_all() -> io::Result<()> {
    set_no_new_privs(true)?;
    // Each fails only where the caller has no right to it, and then the sets
    // are empty of what it could have taken away; the check below decides.
    let _ = clear_ambient_capability_set();
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}
