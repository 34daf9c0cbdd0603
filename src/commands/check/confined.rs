//! What confinement and limits are worth on this machine, in words.

use crate::config::{Endpoint, Enforce, Security};
use crate::sandbox::WHOLE;
use crate::sandbox::support::{self, Means, OPEN, Support};

use super::facts::Fact;

/// What this machine offers.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// For cages.
    pub support: Support,
    /// For limits.
    pub means: Means,
}

impl Machine {
    /// Asks the kernel. Changes nothing.
    pub fn here() -> Self {
        Self { support: Support::here(), means: Means::here() }
    }
}

/// Facts about an endpoint that runs a program.
pub fn facts(endpoint: &Endpoint, machine: Machine) -> Vec<Fact> {
    let security = &endpoint.security;
    let mut facts = Vec::new();
    facts.extend(machine.means.of_limits(&endpoint.limits).map(|kept| {
        Fact::new("bounds", format!("{kept} (for a runtime started as this command was)"))
    }));
    facts.push(Fact::new("confined", confinement(security)));
    if support::is_confined(endpoint) {
        facts.extend(cage(security, machine));
    }
    facts
}

/// What is only told to the hub, of any endpoint.
pub fn declared(security: &Security) -> Option<Fact> {
    let declared = support::declared(security);
    (!declared.is_empty()).then(|| {
        let value = format!("{} (told to the hub, enforced by nobody here)", declared.join(", "));
        Fact::new("declared", value)
    })
}

fn cage(security: &Security, Machine { support, means }: Machine) -> Vec<Fact> {
    let landlock = match support.landlock {
        0 if cfg!(not(target_os = "linux")) => "nothing is confined on this system".to_owned(),
        0 => "no Landlock in this kernel".to_owned(),
        WHOLE => format!("Landlock version {WHOLE} or later"),
        version => format!("Landlock version {version}"),
    };
    let filter = if support.filter { "system call filter" } else { "no system call filter" };
    let enforced = support.enforced(security).join(", ");
    let mut facts = vec![Fact::new("enforced", format!("{enforced} ({landlock}, {filter})"))];
    let missing = support.missing(security);
    if !missing.is_empty() {
        let consequence = if security.enforce == Enforce::Required {
            "so the agent will not start"
        } else {
            "set enforce to required to start nothing then"
        };
        let missing = missing.join(", ");
        let value = format!("{missing} (Linux 6.12 closes all of it; {consequence})");
        facts.push(Fact::new("missing", value));
    }
    facts.push(Fact::new("open", OPEN));
    if means.root {
        let value = "confined agents of root cannot list /proc, which ps needs; start the runtime as another user for that";
        facts.push(Fact::new("root", value));
    }
    facts
}

fn confinement(security: &Security) -> String {
    if security.allowed_paths.is_empty() {
        return "no: it may do whatever this user may".into();
    }
    let paths: Vec<String> =
        security.allowed_paths.iter().map(|path| path.display().to_string()).collect();
    let paths = paths.join(", ");
    let how = match security.enforce {
        Enforce::Off => return format!("no: enforce is off (allowed_paths: {paths})"),
        Enforce::Required => "or not started",
        Enforce::BestEffort => "as far as the kernel can",
    };
    let ports = match &security.allowed_tcp_ports {
        None => String::new(),
        Some(ports) if ports.is_empty() => "; no TCP".into(),
        Some(ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!("; TCP to port {} only", ports.join(", "))
        }
    };
    let unix = if security.allow_unix_sockets { "; may use Unix sockets" } else { "" };
    format!("to {paths}, {how}{ports}{unix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    fn value(facts: &[Fact], name: &str) -> String {
        facts.iter().find(|fact| fact.name == name).map_or(String::new(), |fact| fact.value.clone())
    }

    #[test]
    fn each_kernel_is_told_by_what_it_can() {
        let means = Means { group_memory: false, group_processes: false, root: true };
        let on = |landlock, filter| Machine { support: Support { landlock, filter }, means };
        let mut endpoint = testing::job("make", "make");
        endpoint.limits.max_processes = Some(9);
        endpoint.security.allowed_tcp_ports = Some(vec![443]);
        let free = facts(&endpoint, on(6, true));
        assert_eq!(value(&free, "confined"), "no: it may do whatever this user may");
        assert_eq!(value(&free, "enforced"), "");
        assert!(value(&free, "bounds").contains("RLIMIT_NPROC does not bind root"));

        endpoint.security.allowed_paths = vec!["/srv".into()];
        let whole = facts(&endpoint, on(6, true));
        let enforced = value(&whole, "enforced");
        assert!(
            enforced.starts_with("reading and writing files, processes in /proc"),
            "{enforced}"
        );
        assert!(
            enforced.ends_with("(Landlock version 6 or later, system call filter)"),
            "{enforced}"
        );
        assert_eq!(value(&whole, "missing"), "");
        assert!(value(&whole, "open").contains("UDP"));

        let old = facts(&endpoint, on(3, true));
        let missing = value(&old, "missing");
        assert!(
            missing.starts_with("TCP ports, device ioctls, signals, abstract sockets (Linux 6.12")
        );
        endpoint.security.enforce = Enforce::Required;
        let none = facts(&endpoint, on(0, false));
        assert!(value(&none, "missing").ends_with("so the agent will not start)"));
        assert!(value(&none, "enforced").contains("no Landlock in this kernel, no system call"));
    }
}
