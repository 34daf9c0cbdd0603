//! Who is at the other end of a control connection, and whether it may command.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::process::{Pid, geteuid, getpid};

/// Lets in the runtime's own user and root, but no process beneath the runtime.
///
/// # Errors
/// `PermissionDenied` with the reason, or what the system said.
pub fn admit(stream: &UnixStream) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    let refuse = |reason: &str| {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{reason} pid={}", peer.pid)))
    };
    if peer.uid != geteuid() && !peer.uid.is_root() {
        return refuse("another user");
    }
    // Root may anything, and where other users' processes are hidden from this
    // one (`ProtectProc=`, `hidepid`), its parents are too.
    if peer.uid.is_root() && !geteuid().is_root() {
        return Ok(());
    }
    if descends_from(peer.pid, getpid()) {
        return refuse("a process of an agent");
    }
    Ok(())
}

/// Follows the parents of `pid` upwards. A process that has gone in between is
/// taken for a descendant: nothing it could have been is worth the risk.
fn descends_from(mut pid: Pid, ancestor: Pid) -> bool {
    loop {
        if pid == ancestor {
            return true;
        }
        // Above everybody, and hidden where other users' processes are. What an agent
        // leaves behind comes to the runtime and never here.
        if pid.is_init() {
            return false;
        }
        match parent_of(pid) {
            Ok(Some(parent)) => pid = parent,
            // The top of what this namespace shows.
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

fn parent_of(pid: Pid) -> io::Result<Option<Pid>> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()))?;
    // The command's name stands in parentheses and may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let parent = after_name.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    parent.map(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestry_goes_one_way() {
        let own = getpid();
        let parent = parent_of(own).unwrap().expect("a test has a parent");
        assert!(descends_from(own, parent));
        assert!(!descends_from(parent, own));
        assert!(!descends_from(Pid::INIT, own));
    }
}
