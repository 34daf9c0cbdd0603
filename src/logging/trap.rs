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

/// What is called with the place.
type Tell = fn(Option<usize>) -> !;

/// What is called, and how far from where its symbols say the program lies.
static TELL: OnceLock<(Tell, usize)> = OnceLock::new();

/// From now on a trap in any thread calls `tell` there, with the place as the symbols of
/// the file count, wherever the system put the program; `None` where the processor does
/// not say.
///
/// # Errors
/// When the system takes no handler.
pub fn on_trap(tell: Tell) -> io::Result<()> {
    let _ = TELL.set((tell, load_bias()));
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
        && let Some((tell, load_bias)) = TELL.get()
    {
        tell(at.checked_sub(*load_bias).filter(|_| at > 0));
    }
    // SAFETY: both are safe in a handler, and have no conditions.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// How far from where its symbols say the program was put; nothing, where it is not
/// made to be put anywhere.
fn load_bias() -> usize {
    extern "C" fn first(info: *mut libc::dl_phdr_info, _: usize, bias: *mut c_void) -> c_int {
        // SAFETY: the library hands over a filled one, and what `load_bias` gave it.
        unsafe { *bias.cast::<usize>() = usize::try_from((*info).dlpi_addr).unwrap_or_default() };
        1
    }
    let mut bias = 0_usize;
    // SAFETY: `bias` is an `usize` that outlives the call. The program itself comes
    // first, and the 1 ends it there (dl_iterate_phdr(3)).
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut bias).cast()) };
    bias
}

/// Where [`trap`] begins, as the symbols of the file count.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn place_of_trap() -> usize {
    (trap as fn() -> !) as usize - load_bias()
}

/// Panics as a build does that leaves no words. For tests.
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(never)]
pub fn trap() -> ! {
    // SAFETY: the instruction touches neither memory nor the stack.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("ud2", options(noreturn, nomem, nostack));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("brk #1", options(noreturn, nomem, nostack));
    }
}
