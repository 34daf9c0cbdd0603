//! What the running kernel offers for a cage, and what that is worth for an
//! endpoint: the words of `check` and of the start log. Changes nothing.

use std::sync::Arc;

use log::Level;

use crate::agent::process::cgroup::Groups;
use crate::config::{Endpoint, Enforce, Limits, Security};
use crate::logging::Quoted;

use super::WHOLE;

/// What of a cage can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Support {
    /// The kernel's Landlock version as far as it matters here, 0 for none.
    pub landlock: u8,
    /// Whether the filter of system calls can be had.
    pub filter: bool,
}

impl Support {
    /// Asks the running kernel.
    #[cfg(target_os = "linux")]
    pub fn here() -> Self {
        Self { landlock: super::landlock::kernel_version(), filter: super::seccomp::is_offered() }
    }

    /// Other systems have neither.
    #[cfg(not(target_os = "linux"))]
    pub fn here() -> Self {
        Self { landlock: 0, filter: false }
    }

    /// Whether the cage is whole.
    pub fn is_whole(self) -> bool {
        self.landlock >= WHOLE && self.filter
    }

    /// What holds for a confined child here.
    pub fn enforced(self, security: &Security) -> Vec<&'static str> {
        parts(security).filter(|part| part.holds(self)).map(|part| part.what).collect()
    }

    /// What a confined child can do here that a newer kernel would refuse.
    pub fn missing(self, security: &Security) -> Vec<&'static str> {
        parts(security).filter(|part| !part.holds(self)).map(|part| part.what).collect()
    }
}

/// What is asked for.
fn parts(security: &Security) -> impl Iterator<Item = &'static Part> {
    let has_ports = security.allowed_tcp_ports.is_some();
    let closes_sockets = !security.allow_unix_sockets;
    PARTS.iter().filter(move |part| match part.only {
        Only::Always => true,
        Only::WithPorts => has_ports,
        Only::WithoutSockets => closes_sockets,
    })
}

/// One thing a cage closes.
struct Part {
    what: &'static str,
    by: By,
    only: Only,
}

enum By {
    /// From this version on.
    Landlock(u8),
    Filter,
    /// Every kernel.
    Privileges,
}

enum Only {
    Always,
    WithPorts,
    WithoutSockets,
}

impl Part {
    fn holds(&self, support: Support) -> bool {
        match self.by {
            By::Landlock(version) => support.landlock >= version,
            By::Filter => support.filter,
            By::Privileges => cfg!(target_os = "linux"),
        }
    }
}

const PARTS: &[Part] = {
    use By::{Filter, Landlock, Privileges};
    use Only::{Always, WithPorts, WithoutSockets};
    const fn part(what: &'static str, by: By, only: Only) -> Part {
        Part { what, by, only }
    }
    &[
        part("reading and writing files", Landlock(1), Always),
        part("processes in /proc", Landlock(1), Always),
        part("truncating files", Landlock(3), Always),
        part("TCP ports", Landlock(4), WithPorts),
        part("device ioctls", Landlock(5), Always),
        part("signals", Landlock(6), Always),
        part("abstract sockets", Landlock(6), Always),
        part("Unix sockets", Filter, WithoutSockets),
        part("MPTCP, SCTP, DCCP, vsock and fast open", Filter, WithPorts),
        part("io_uring, prlimit, terminals, keyrings and user namespaces", Filter, Always),
        part("capabilities and set-user-ID programs", Privileges, Always),
    ]
};

/// What nothing here stops, on any kernel.
pub const OPEN: &str = "mode, times and attributes of files outside that this user owns; \
                        whether a file exists; UDP; load beyond limits";

/// What an endpoint only declares to the hub, enforced by nobody here.
pub fn declared(security: &Security) -> Vec<&'static str> {
    [
        ("denied_paths", security.denied_paths.is_empty()),
        ("allowed_tools", security.allowed_tools.is_empty()),
        ("disallowed_tools", security.disallowed_tools.is_empty()),
        ("permission_mode", security.permission_mode.is_none()),
    ]
    .into_iter()
    .filter(|(_, unset)| !unset)
    .map(|(key, _)| key)
    .collect()
}

/// Whether an endpoint's children are put into a cage.
pub fn is_confined(endpoint: &Endpoint) -> bool {
    let security = &endpoint.security;
    let has_paths = !security.allowed_paths.is_empty() || !security.pushed_paths.is_empty();
    endpoint.profile.program().is_some() && has_paths && security.enforce != Enforce::Off
}

/// By which means the limits of memory and processes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// Control groups bound memory.
    pub group_memory: bool,
    /// Control groups count processes.
    pub group_processes: bool,
    /// The runtime is root, whom `RLIMIT_NPROC` does not bind.
    pub root: bool,
}

impl Means {
    /// What a runtime started here, by this user, would have. Changes nothing.
    pub fn here() -> Self {
        Self::with_groups(Groups::offered())
    }

    /// What a runtime has whose groups bound memory and processes so.
    pub fn with_groups((group_memory, group_processes): (bool, bool)) -> Self {
        Self { group_memory, group_processes, root: rustix::process::geteuid().is_root() }
    }

    /// How the limits of an endpoint are kept and what that is worth; nothing
    /// where it has none that could be kept in two ways.
    pub fn of_limits(self, limits: &Limits) -> Option<String> {
        let memory = limits.max_memory_bytes.map(|_| {
            if self.group_memory {
                "memory by a control group of the session, all its processes together"
            } else {
                "memory by RLIMIT_AS: address space, in each process for itself (a JVM or node may not start)"
            }
        });
        let processes = limits.max_processes.map(|_| match (self.group_processes, self.root) {
            (true, _) => "processes by a control group of the session",
            (false, false) => "processes by RLIMIT_NPROC: counted over everything this user runs",
            (false, true) => "processes not at all: RLIMIT_NPROC does not bind root",
        });
        let kept: Vec<&str> = memory.into_iter().chain(processes).collect();
        (!kept.is_empty()).then(|| kept.join("; "))
    }
}

/// Tells the log what holds for every confined endpoint, a line each, and what
/// is missing of it here.
pub fn announce(endpoints: &[Arc<Endpoint>], support: Support, means: Means) {
    for endpoint in endpoints {
        for (level, line) in lines(endpoint, support, means) {
            log::log!(level, "{line}");
        }
    }
}

fn lines(endpoint: &Endpoint, support: Support, means: Means) -> Vec<(Level, String)> {
    let (id, security) = (Quoted(&endpoint.id), &endpoint.security);
    let mut lines = Vec::new();
    if is_confined(endpoint) {
        let missing = support.missing(security);
        let level = if missing.is_empty() { Level::Info } else { Level::Warn };
        let quoted = |name: &str, list: &[&str]| match list {
            [] => String::new(),
            list => format!(" {name}=\"{}\"", list.join(", ")),
        };
        let fails = !support.is_whole() && security.enforce == Enforce::Required;
        let line = format!(
            "confined endpoint={id} enforce={} landlock={} paths={}{}{}{}",
            security.enforce.name(),
            support.landlock,
            security.allowed_paths.len(),
            quoted("declared_only", &declared(security)),
            quoted("missing", &missing),
            if fails { " consequence=\"its agents will not start\"" } else { "" },
        );
        lines.push((level, line));
    }
    if endpoint.profile.program().is_some() {
        let kept = means.of_limits(&endpoint.limits);
        lines
            .extend(kept.map(|kept| (Level::Info, format!("bounded endpoint={id} by=\"{kept}\""))));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    fn security() -> Security {
        Security { allowed_tcp_ports: Some(vec![443]), ..Security::default() }
    }

    #[test]
    fn each_version_of_landlock_closes_a_little_more() {
        let missing = |landlock| Support { landlock, filter: true }.missing(&security());
        assert_eq!(missing(6), [""; 0]);
        assert_eq!(missing(5), ["signals", "abstract sockets"]);
        assert_eq!(missing(3), ["TCP ports", "device ioctls", "signals", "abstract sockets"]);
        assert_eq!(missing(2)[0], "truncating files");
        assert_eq!(missing(0)[0], "reading and writing files");
        assert!(Support { landlock: 6, filter: true }.is_whole());
        assert!(!Support { landlock: 6, filter: false }.is_whole());
    }

    #[test]
    fn what_is_not_asked_for_is_neither_enforced_nor_missing() {
        let open = Security { allow_unix_sockets: true, ..Security::default() };
        let nothing = Support { landlock: 0, filter: false };
        let all = [nothing.missing(&open), nothing.enforced(&open)].concat();
        assert!(!all.contains(&"TCP ports") && !all.contains(&"Unix sockets"), "{all:?}");
        let lacking = nothing.missing(&security());
        assert!(lacking.contains(&"TCP ports") && lacking.contains(&"Unix sockets"), "{lacking:?}");
    }

    #[test]
    fn limits_tell_by_which_means_they_are_kept() {
        let limits = Limits { max_processes: Some(9), ..Limits::default() };
        let groups = Means { group_memory: true, group_processes: true, root: true };
        assert!(groups.of_limits(&limits).is_some_and(|kept| kept.contains("control group")));
        let bare = Means { group_memory: false, group_processes: false, root: true };
        assert!(bare.of_limits(&limits).is_some_and(|kept| kept.contains("not at all")));
        assert_eq!(bare.of_limits(&Limits::default()), None);
    }
    #[test]
    fn a_confined_endpoint_is_one_line_and_a_warning_where_something_is_missing() {
        let mut endpoint = testing::job("make", "make");
        let bare = Means { group_memory: false, group_processes: false, root: false };
        let whole = Support { landlock: 6, filter: true };
        assert_eq!(lines(&endpoint, whole, bare), []);
        endpoint.security.allowed_paths = vec!["/srv".into()];
        endpoint.security.denied_paths = vec!["/srv/x".into()];
        let told = "confined endpoint=make enforce=best-effort landlock=6 paths=1 \
                    declared_only=\"denied_paths\"";
        assert_eq!(lines(&endpoint, whole, bare), [(Level::Info, told.into())]);

        endpoint.security.enforce = Enforce::Required;
        endpoint.limits.max_processes = Some(3);
        let [(level, line), (_, bounded)] =
            &lines(&endpoint, Support { landlock: 5, filter: true }, bare)[..]
        else {
            panic!("two lines");
        };
        assert_eq!(*level, Level::Warn);
        assert!(line.contains("missing=\"signals, abstract sockets\""), "{line}");
        assert!(line.ends_with("consequence=\"its agents will not start\""), "{line}");
        assert!(bounded.contains("RLIMIT_NPROC"), "{bounded}");
    }
}
