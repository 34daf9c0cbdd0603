//! The part of a cage that Landlock does not see: a small filter of system
//! calls. It closes the ways out that were tried and worked from inside a
//! Landlock domain, and nothing else: programs must not notice it.
//!
//! Programs for another architecture (32-bit ones on a 64-bit machine) are
//! ended by it: their calls have other numbers, which would pass it by.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// Carry TCP past Landlock's rules about it: `IPPROTO_SMC`, `IPPROTO_MPTCP`.
const TCP_IN_DISGUISE: [u64; 2] = [256, 262];
/// The same as a family of its own.
const AF_SMC: u64 = 43;

/// Connections with ports of their own, which no rule about TCP's covers.
const OTHER_TRANSPORTS: [libc::c_int; 2] = [libc::IPPROTO_SCTP, libc::IPPROTO_DCCP];
/// Types of sockets that mean one of these where no protocol is named.
const THEIR_TYPES: [libc::c_int; 2] = [libc::SOCK_SEQPACKET, SOCK_DCCP];
const SOCK_DCCP: libc::c_int = 6;

/// `clone3`, the same on every architecture.
const CLONE3: u32 = 435;

/// Typing into a terminal: `TIOCSTI`, and `TIOCLINUX` on a console. The C
/// libraries disagree about the type of these numbers.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// What `socket` takes beside the type, in the same argument.
const SOCKET_TYPE: u64 = 0xf;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Whether this kernel takes filters, and this program can write them for it.
pub fn is_offered() -> bool {
    // The file came with the part of seccomp that runs filters.
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() && program(false, false).is_ok()
}

/// Applies the filter to the calling process, for good; `no_new_privs` is set with
/// it. `some_ports`: TCP is restricted, so nothing may be used in its place.
///
/// # Errors
/// When the system refuses it, or there is none for this architecture.
pub fn restrict(unix_sockets: bool, some_ports: bool) -> io::Result<()> {
    let program = program(unix_sockets, some_ports).map_err(io::Error::other)?;
    seccompiler::apply_filter(&program).map_err(io::Error::other)
}

fn program(unix_sockets: bool, some_ports: bool) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    let mut refuse = |call: i64, conditions: Vec<SeccompRule>| {
        rules.entry(call).or_default().extend(conditions);
    };
    let mut sockets = vec![when(&[(0, Eq, AF_SMC)])?];
    for protocol in TCP_IN_DISGUISE {
        sockets.push(when(&[(2, Eq, protocol)])?);
    }
    let [unix, inet, inet6] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(constant);
    if some_ports {
        // No other family: the machine's host (vsock), a cluster (TIPC, RDS), a radio.
        let known = [unix, inet, inet6, constant(libc::AF_NETLINK)];
        sockets.push(when(&known.map(|family| (0, Ne, family)))?);
        for protocol in OTHER_TRANSPORTS {
            sockets.push(when(&[(2, Eq, constant(protocol))])?);
        }
        for (family, kind) in [inet, inet6].into_iter().flat_map(|f| THEIR_TYPES.map(|t| (f, t))) {
            sockets.push(when(&[(0, Eq, family), (1, MaskedEq(SOCKET_TYPE), constant(kind))])?);
        }
    }
    // A control socket, systemd's, docker's, an ssh-agent: all are a connect away.
    if !unix_sockets {
        sockets.push(when(&[(0, Eq, unix)])?);
        // A pair of datagram sockets takes an address with every message; a
        // pair of stream sockets stays with itself.
        let pair = [libc::SOCK_DGRAM, libc::SOCK_RAW]
            .map(|kind| when(&[(0, Eq, unix), (1, MaskedEq(SOCKET_TYPE), constant(kind))]));
        refuse(libc::SYS_socketpair, pair.into_iter().collect::<Result<_, _>>()?);
    }
    refuse(libc::SYS_socket, sockets);
    // A ring does whatever its calls would do, unseen by this filter.
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        refuse(call, Vec::new());
    }
    // RLIMIT_CPU on another process of the same user ends it; 0 is the caller itself.
    refuse(libc::SYS_prlimit64, vec![when(&[(0, Ne, 0)])?]);
    // A first segment sent with data connects without asking Landlock.
    let fast_open = constant(libc::MSG_FASTOPEN);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        refuse(call, vec![when(&[(flags, MaskedEq(fast_open), fast_open)])?]);
    }
    let typing = TYPING.map(|request| when(&[(1, Eq, request)]));
    refuse(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    // In a user namespace of its own a child has every capability again, and with
    // them all the kernel code that only root was meant to reach. Without one,
    // entering any other namespace takes capabilities as well.
    let new_user = constant(libc::CLONE_NEWUSER);
    for call in [libc::SYS_unshare, libc::SYS_clone] {
        refuse(call, vec![when(&[(0, MaskedEq(new_user), new_user)])?]);
    }
    refuse(libc::SYS_setns, Vec::new());
    // The keys of the user's and the session's keyrings are nobody's files.
    for call in [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key] {
        refuse(call, Vec::new());
    }

    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture()?)?;
    Ok(without_unseen_calls(filter.try_into()?))
}

/// This machine's. The crate's own conversion folds case first, for which it brings
/// Unicode's tables along: 25 KB of the binary.
fn architecture() -> Result<TargetArch, BackendError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(TargetArch::x86_64),
        "aarch64" => Ok(TargetArch::aarch64),
        "riscv64" => Ok(TargetArch::riscv64),
        other => Err(BackendError::InvalidTargetArch(other.to_owned())),
    }
}

/// Calls of which the filter says that there are none, as old kernels do, before
/// it looks at any other. `clone3` keeps its flags in memory, where no filter can
/// see them; C libraries fall back on `clone`. And on `x86_64` every call exists a
/// second time, as one of the x32 ABI with a number of its own; elsewhere no call
/// has such a number.
fn without_unseen_calls(program: BpfProgram) -> BpfProgram {
    use seccompiler::sock_filter;

    const X32: u32 = 0x4000_0000;
    /// `BPF_LD | BPF_W | BPF_ABS`; the number stands first in what a filter sees.
    const LOAD: u16 = 0x20;
    /// `BPF_JMP | BPF_JEQ | BPF_K`
    const JUMP_IF_EQUAL: u16 = 0x15;
    /// `BPF_JMP | BPF_JSET | BPF_K`
    const JUMP_IF_SET: u16 = 0x45;
    /// `BPF_RET | BPF_K`
    const RETURN: u16 = 0x06;

    let no_such_call = SeccompAction::Errno(libc::ENOSYS.unsigned_abs()).into();
    let first = [
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: CLONE3 },
        sock_filter { code: JUMP_IF_SET, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: no_such_call },
    ];
    first.into_iter().chain(program).collect()
}

/// A rule about some of a call's arguments, of which all must hold.
fn when(arguments: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = arguments.iter().map(|(argument, comparison, value)| {
        // The kernel reads these arguments as 32-bit values; the upper half is noise.
        let length = SeccompCmpArgLen::Dword;
        SeccompCondition::new(*argument, length, comparison.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn constant(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_in_every_way_and_grows_with_what_it_refuses() {
        let length = |unix, ports| program(unix, ports).unwrap().len();
        assert!(length(false, false) > length(true, false));
        assert!(length(true, true) > length(true, false));
    }
}
