//! Room for waiting threads in the kernel's table of them.
//!
//! Since Linux 6.16 a process has such a table of its own, with sixteen places on a
//! small machine, however many threads it has. Each session has one or two that wait
//! most of the time, so with thousands of sessions every wake-up walked past hundreds of
//! threads that it was not meant for: a third of what it takes to close them all.

/// Asks for room for the threads of so many sessions. An older kernel has one large
/// table for everybody, and refuses.
#[cfg(target_os = "linux")]
pub fn make_room(sessions: usize) {
    // linux/prctl.h: PR_FUTEX_HASH, PR_FUTEX_HASH_SET_SLOTS; a power of two.
    const FUTEX_HASH: libc::c_int = 78;
    const SET_SLOTS: libc::c_ulong = 1;
    /// A place is 64 bytes of the kernel's: half a megabyte at most.
    const MOST: usize = 8192;
    /// What a process has anyway, or little more.
    const FEW: usize = 32;
    let slots = sessions.min(MOST / 2).next_power_of_two() * 2;
    if slots > FEW {
        let flags: libc::c_ulong = 0;
        #[expect(unsafe_code, reason = "no safe crate has this call yet")]
        // SAFETY: it takes numbers only, and changes where the kernel keeps what waits.
        unsafe {
            libc::prctl(FUTEX_HASH, SET_SLOTS, slots as libc::c_ulong, flags, flags);
        }
    }
}

/// Elsewhere the system sees to it.
#[cfg(not(target_os = "linux"))]
pub fn make_room(_sessions: usize) {}
