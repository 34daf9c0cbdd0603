//! Settings in force, in words: one fact a line.

use std::ffi::OsStr;
use std::time::Duration;

use crate::config::duration::show;
use crate::config::{
    Endpoint, Hub, Limits, Profile, Program, Runtime, Security, SpawnPolicy, TurnEnd,
};

use super::super::terminal::escaped;
use super::confined::{self, Machine};
use super::report::session_cap;

/// One thing that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// One word; the key in JSON.
    pub name: &'static str,
    /// In words.
    pub value: String,
}

impl Fact {
    /// A fact. Control characters, which a path may hold, are escaped.
    pub fn new(name: &'static str, value: impl AsRef<str>) -> Self {
        Self { name, value: escaped(value.as_ref()) }
    }
}

/// Facts about link and gateway.
pub fn of_gateway(hub: Option<&Hub>, runtime: Option<&Runtime>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(hub) = hub {
        let unverified = if hub.tls_skip_verify && hub.url.tls {
            ", without verifying its certificate"
        } else {
            ""
        };
        facts.push(Fact::new("hub", format!("{}{unverified}", hub.url.text)));
        let (first, longest) = (show(hub.reconnect_interval), show(hub.max_reconnect_delay));
        facts.push(Fact::new("reconnect", format!("after {first}, doubling to {longest}")));
    }
    if let Some(runtime) = runtime {
        facts.push(Fact::new("id", runtime.id.clone()));
        facts.extend(runtime.org_id.clone().map(|org_id| Fact::new("organisation", org_id)));
        let reclaim = match runtime.reclaim_after {
            Some(quiet) => format!("one quiet for {} makes room", show(quiet)),
            None => "none makes room for another".into(),
        };
        facts.push(Fact::new(
            "sessions",
            format!("at most {} at once; {reclaim}", runtime.max_sessions),
        ));
        let (one, all) = (bytes(runtime.max_output_bytes), bytes(runtime.max_buffered_bytes));
        facts.push(Fact::new("buffers", format!("{one} for each session, {all} in all")));
        facts.push(Fact::new(
            "files",
            format!(
                "up to {} each and {} in all, kept for {} in {}",
                bytes(runtime.max_file_bytes),
                bytes_u64(runtime.max_stored_bytes),
                show(runtime.file_retention),
                runtime.file_storage_path.display()
            ),
        ));
        facts.push(Fact::new("state", runtime.state_dir.display().to_string()));
        facts.push(Fact::new("log", runtime.log_level.to_string().to_ascii_lowercase()));
        if runtime.allow_remote_permission_skip {
            facts.push(Fact::new("permissions", "a hub may switch them off"));
        }
    }
    facts
}

/// Facts about an endpoint, apart from where its program is.
pub fn of_endpoint(endpoint: &Endpoint, runtime: Option<&Runtime>, machine: Machine) -> Vec<Fact> {
    let limits = &endpoint.limits;
    let mut facts = Vec::new();
    if let Profile::Http(http) = &endpoint.profile {
        facts.push(Fact::new("request", format!("{} {}", http.method, http.shown_url())));
    }
    if let Some(program) = endpoint.profile.program() {
        facts.push(Fact::new("environment", environment(program, &endpoint.security)));
    }
    let process = match &endpoint.profile {
        Profile::Cli(cli) if cli.tty => {
            Some(format!("{}, on a pseudo-terminal", processes(cli.spawn_policy)))
        }
        Profile::Cli(cli) => Some(processes(cli.spawn_policy).into()),
        Profile::External(external) => Some(processes(external.spawn_policy).into()),
        Profile::Job(_) => Some("one for each message".into()),
        Profile::Http(_) => None,
    };
    facts.extend(process.map(|process| Fact::new("process", process)));
    facts.push(Fact::new("turn", turn(endpoint, runtime)));
    facts.push(Fact::new("sessions", sessions(endpoint, runtime)));
    let output = limits.max_output_bytes.or(runtime.map(|runtime| runtime.max_output_bytes));
    facts.extend(
        output.map(|size| Fact::new("buffer", format!("{} for each session", bytes(size)))),
    );
    if endpoint.profile.program().is_some() {
        facts.extend(resources(limits).map(|limits| Fact::new("limits", limits)));
        facts.extend(confined::facts(endpoint, machine));
    }
    facts.extend(confined::declared(&endpoint.security));
    facts
}

/// A command and its arguments as one could type them.
pub fn command_line(program: &OsStr, arguments: &[String]) -> String {
    let program = program.to_string_lossy();
    let words = std::iter::once(&*program).chain(arguments.iter().map(String::as_str));
    let quoted: Vec<String> = words
        .map(|word| {
            let plain = !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./=:,+@%".contains(&b));
            if plain { word.to_owned() } else { format!("{word:?}") }
        })
        .collect();
    let line = quoted.join(" ");
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn processes(policy: SpawnPolicy) -> &'static str {
    match policy {
        SpawnPolicy::PerSession => "one for each session",
        SpawnPolicy::Persistent => "one for all sessions",
    }
}

fn turn(endpoint: &Endpoint, runtime: Option<&Runtime>) -> String {
    let idle = endpoint.limits.idle_timeout.or(runtime.map(|runtime| runtime.idle_timeout));
    let idle =
        idle.map_or_else(String::new, |idle| format!(", or after {} without output", show(idle)));
    match &endpoint.profile {
        Profile::Cli(cli) if cli.turn_end == TurnEnd::Auto => {
            format!("ends when the program waits for input or exits{idle}")
        }
        Profile::Cli(_) => format!("ends when the program exits{idle}"),
        Profile::Job(job) => {
            format!("ends when the job exits; ended after {}", show(job.max_runtime))
        }
        Profile::Http(http) => format!(
            "ends with the answer; cancelled after {} without a byte of it",
            show(http.timeout)
        ),
        Profile::External(_) => "ends when the adapter says so or dies".into(),
    }
}

fn sessions(endpoint: &Endpoint, runtime: Option<&Runtime>) -> String {
    let inactive: Option<Duration> =
        endpoint.limits.session_timeout.or(runtime.map(|runtime| runtime.default_timeout));
    let cap = session_cap(endpoint, runtime).map(|cap| format!("at most {cap} at once"));
    let end = inactive.map(|pause| format!("ended after {} without activity", show(pause)));
    cap.into_iter().chain(end).collect::<Vec<_>>().join(", ")
}

fn environment(program: &Program, security: &Security) -> String {
    let inherits = match &security.env_whitelist {
        None => "inherits all but the runtime's own".to_owned(),
        Some(names) => {
            let mut kept = vec!["PATH", "HOME", "LANG", "TERM"];
            kept.extend(
                names
                    .iter()
                    .map(String::as_str)
                    .filter(|name| !kept.contains(name))
                    .collect::<Vec<_>>(),
            );
            format!("inherits only {}", kept.join(", "))
        }
    };
    if program.env.is_empty() {
        return inherits;
    }
    let set: Vec<&str> = program.env.keys().map(String::as_str).collect();
    format!("{inherits}; sets {}", set.join(", "))
}

fn resources(limits: &Limits) -> Option<String> {
    let all = [
        limits.max_memory_bytes.map(|size| format!("{} of memory", bytes_u64(size))),
        limits.max_processes.map(|count| format!("{count} processes")),
        limits.max_open_files.map(|count| format!("{count} open files in each process")),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn bytes(size: usize) -> String {
    bytes_u64(size as u64)
}

/// A size with the largest unit that divides it.
fn bytes_u64(size: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| size >= *unit && size.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", size / unit),
        None => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_divides_them() {
        for (size, shown) in [
            (0, "0 bytes"),
            (1000, "1000 bytes"),
            (4096, "4 KiB"),
            (10_485_760, "10 MiB"),
            (1 << 30, "1 GiB"),
        ] {
            assert_eq!(bytes_u64(size), shown);
        }
    }

    #[test]
    fn command_lines_show_where_words_end_and_no_control_characters() {
        let arguments = ["-c", "echo hi\n", ""].map(str::to_owned);
        assert_eq!(command_line(OsStr::new("/bin/sh"), &arguments), r#"/bin/sh -c "echo hi\n" """#);
        let long = command_line(OsStr::new("/bin/sh"), &["ä".repeat(500)]);
        assert_eq!(long.chars().count(), 161);
    }
}
