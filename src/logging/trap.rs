//! A panic that says nothing: an instruction that traps.
//!
//! That is what the compiler leaves of one under `panic = "immediate-abort"`, where
//! there is no hook. The kernel makes a signal of it, and the handler runs in the
//! thread that panicked, at the place where the hook would. It knows the signals and
//! the place, not what is told of them.

#![expect(
    unsafe_code,
    reason = "no crate takes the signals of faults, which need this to be sound"
)]

use std::ffi::c_int;
use std::io;
use std::sync::OnceLock;

use libc::{c_void, siginfo_t};

/// What is called, with the place as `addr2line` and `objdump` count: from the
/// beginning of the file, wherever the system put it.
static TELL: OnceLock<fn(usize) -> !> = OnceLock::new();

/// From now on a trap in any thread calls `tell` there.
///
/// # Errors
/// When the system takes no handler.
pub fn on_trap(tell: fn(usize) -> !) -> io::Result<()> {
    let _ = TELL.set(tell);
    // x86 and RISC-V have it as an illegal instruction, ARM as a breakpoint.
    for signal in [libc::SIGILL, libc::SIGTRAP] {
        // SAFETY: zeroed, every field has a value of its type: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = trapped;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: `action` outlives the call, and the handler has the signature that
        // `SA_SIGINFO` asks for (sigaction(2)). What it does is sound for a trap: that
        // happens between two instructions of its own thread, as a call does.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn trapped(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: with `SA_SIGINFO` the kernel hands over a filled one, and a fault's has
    // an address (sigaction(2)).
    let (code, at) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Somebody's `kill` comes at any moment, in which nothing may be done but this
    // (signal-safety(7)): it ends the process as it would have without a handler.
    if code > 0
        && let Some(tell) = TELL.get()
    {
        tell(at.wrapping_sub(beginning()));
    }
    // SAFETY: both are safe in a handler, and have no conditions.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Where the file begins in memory. Its program headers lie right behind its header
/// (`Elf64_Ehdr`, 64 bytes: elf(5)), and the kernel says where.
fn beginning() -> usize {
    // SAFETY: it reads what the kernel left beside the stack, and has no conditions.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
    usize::try_from(headers).unwrap_or_default().saturating_sub(size_of::<libc::Elf64_Ehdr>())
}

/// Panics as a build does that leaves no words. For tests.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn trap() -> ! {
    // SAFETY: the instruction touches neither memory nor the stack.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("ud2", options(noreturn, nomem, nostack));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("brk #1", options(noreturn, nomem, nostack));
    }
}
