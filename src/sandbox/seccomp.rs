//! The part of a cage that Landlock does not see: a small filter of system
//! calls. It closes the ways out that were tried and worked from inside a
//! Landlock domain, and nothing else: programs must not notice it.

use std::collections::BTreeMap;
use std::io;

use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// On `x86_64` the same calls exist a second time, as numbers of the x32 ABI.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;

/// `IPPROTO_MPTCP`: its connections pass Landlock's TCP rules by.
const IPPROTO_MPTCP: u64 = 262;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Applies the filter to the calling process, for good; `no_new_privs` is set with it.
pub fn restrict(unix_sockets: bool) -> io::Result<()> {
    let program = program(unix_sockets).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

fn program(unix_sockets: bool) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules = Rules::new();
    let mut refuse = |call: i64, conditions: Vec<SeccompRule>| {
        #[cfg(target_arch = "x86_64")]
        rules.entry(call | X32).or_default().extend(conditions.iter().cloned());
        rules.entry(call).or_default().extend(conditions);
    };
    // A control socket, systemd's, docker's, an ssh-agent: all are a connect away.
    let mut sockets = vec![when(2, Eq, IPPROTO_MPTCP)?];
    if !unix_sockets {
        sockets.push(when(0, Eq, constant(libc::AF_UNIX))?);
    }
    refuse(libc::SYS_socket, sockets);
    // A ring does whatever its calls would do, unseen by this filter.
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        refuse(call, Vec::new());
    }
    // RLIMIT_CPU on another process of the same user ends it; 0 is the caller itself.
    refuse(libc::SYS_prlimit64, vec![when(0, Ne, 0)?]);
    // A first segment sent with data connects without asking Landlock.
    let fast_open = constant(libc::MSG_FASTOPEN);
    refuse(libc::SYS_sendto, vec![when(3, MaskedEq(fast_open), fast_open)?]);
    refuse(libc::SYS_sendmsg, vec![when(2, MaskedEq(fast_open), fast_open)?]);
    refuse(libc::SYS_sendmmsg, vec![when(3, MaskedEq(fast_open), fast_open)?]);
    // Typing into somebody's terminal.
    refuse(libc::SYS_ioctl, vec![when(1, Eq, libc::TIOCSTI)?, when(1, Eq, libc::TIOCLINUX)?]);

    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?.try_into()
}

fn when(
    argument: u8,
    comparison: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    // The kernel reads these arguments as 32-bit values; the upper half is noise.
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, comparison, value)?;
    SeccompRule::new(vec![condition])
}

fn constant(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_both_ways_and_is_longer_without_unix_sockets() {
        let (strict, open) = (program(false).unwrap(), program(true).unwrap());
        assert!(strict.len() > open.len());
    }
}
