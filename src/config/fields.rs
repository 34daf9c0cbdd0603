//! The one list of what a configuration may hold: every field with its type,
//! default and a sentence about it.
//!
//! The reader checks files against it and fills defaults in from it; the schema,
//! the man page and the README's tables are made from it. What a value means, and
//! rules between fields, are [`decide`](super::decide)'s business.

use std::time::Duration;

/// An object of the configuration: one table of fields.
#[derive(Debug)]
pub struct Object {
    /// Its JSON path, for instance `endpoints[].limits`; empty for the whole file.
    pub path: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// What it may hold, in the order of the documentation.
    pub fields: &'static [Field],
}

impl Object {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One key of an object.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not there.
    pub fallback: Fallback,
    /// One sentence for documentation and hints.
    pub doc: &'static str,
}

/// What a field takes. Strings are expanded (`${NAME}`) unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Anything; not looked at.
    Anything,
    /// A string.
    Text,
    /// A string that is never shown.
    Secret,
    /// A string of one line, at most 256 bytes, that is shown and logged.
    Name,
    /// A string taken as it stands, without expansion.
    Literal,
    /// A list of strings taken as they stand.
    Literals,
    /// A path; `~/` is the home, and a relative one is relative to the current directory.
    Path,
    /// A list of paths.
    Paths,
    /// A list of strings.
    Texts,
    /// An object of strings.
    Map,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number within these bounds.
    Integer(u64, u64),
    /// A list of whole numbers within these bounds.
    Integers(u64, u64),
    /// A duration within these bounds.
    Duration(Duration, Duration),
    /// An object of its own.
    Object(&'static Object),
    /// A list of objects.
    Objects(&'static Object),
}

/// What holds for a field that is not there.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// It has to be there.
    Required,
    /// Nothing; the feature is not used.
    Absent,
    /// This value, written as it would stand in the file (strings without quotes).
    Value(&'static str),
    /// Worked out; the words say from what.
    Computed(&'static str),
}

/// The profiles, each with the name of its block.
pub const PROFILES: [(&str, &str); 4] = [
    ("generic-cli", "cli"),
    ("generic-job", "job"),
    ("generic-http", "http"),
    ("external", "external"),
];

/// A day, the longest of the pauses between two attempts.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A year stands for "for ever": clocks can be added to it without overflow.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Any duration but none.
const SOME_TIME: Kind = Kind::Duration(MILLISECOND, YEAR);
/// Any duration, also none.
const ANY_TIME: Kind = Kind::Duration(Duration::ZERO, YEAR);
/// A count that would fit any machine.
const COUNT: Kind = Kind::Integer(1, 1_000_000);
/// A size in bytes; at most a tebibyte.
const BYTES: Kind = Kind::Integer(1, 1 << 40);

const fn field(name: &'static str, kind: Kind, fallback: Fallback, doc: &'static str) -> Field {
    Field { name, kind, fallback, doc }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    field(name, kind, Fallback::Absent, doc)
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    field(name, kind, Fallback::Required, doc)
}

const fn or(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Field {
    field(name, kind, Fallback::Value(default), doc)
}

/// The whole file.
pub static ROOT: Object = Object {
    path: "",
    doc: "The configuration file.",
    fields: &[
        optional("$schema", Kind::Anything, "Where an editor finds the JSON Schema of this file."),
        or("hub", Kind::Object(&HUB), "{}", "How to reach and join the hub."),
        or("runtime", Kind::Object(&RUNTIME), "{}", "The gateway itself."),
        field(
            "endpoints",
            Kind::Objects(&ENDPOINT),
            Fallback::Computed("required, under this name or as `agents`"),
            "The agents of this machine.",
        ),
        optional("agents", Kind::Objects(&ENDPOINT), "Another name of `endpoints`."),
    ],
};

/// `hub`
pub static HUB: Object = Object {
    path: "hub",
    doc: "How to reach and join the hub.",
    fields: &[
        or(
            "url",
            Kind::Text,
            "ws://localhost:8090/ws/runtime",
            "WebSocket address of the hub, ws:// or wss://.",
        ),
        field(
            "token",
            Kind::Secret,
            Fallback::Computed("required, or one of the next two"),
            "Token the hub knows this runtime by.",
        ),
        optional(
            "token_file",
            Kind::Path,
            "File with the token, read at start and on SIGHUP, never written.",
        ),
        optional(
            "token_credential",
            Kind::Name,
            "Name of a systemd credential with the token, read from $CREDENTIALS_DIRECTORY.",
        ),
        or(
            "tls_skip_verify",
            Kind::Flag,
            "false",
            "Accept any certificate of the hub (development only).",
        ),
        optional("tls_ca_file", Kind::Path, "PEM file with roots to trust beside the system's."),
        optional("tls_client_cert", Kind::Path, "PEM file with the client certificate for mTLS."),
        optional("tls_client_key", Kind::Path, "PEM file with the client certificate's key."),
        or(
            "reconnect_interval",
            Kind::Duration(MILLISECOND, DAY),
            "2s",
            "First pause before a reconnect; it doubles with every failure.",
        ),
        or(
            "max_reconnect_delay",
            Kind::Duration(MILLISECOND, DAY),
            "60s",
            "Longest pause before a reconnect, and the pause after refused credentials.",
        ),
    ],
};

/// `runtime`
pub static RUNTIME: Object = Object {
    path: "runtime",
    doc: "The gateway itself.",
    fields: &[
        field(
            "id",
            Kind::Name,
            Fallback::Computed("the host name, with a warning"),
            "Unique name of this runtime in its hub, without a colon.",
        ),
        optional("org_id", Kind::Name, "Organisation, where a hub has several."),
        or("max_sessions", COUNT, "10", "Most sessions at once."),
        or(
            "default_timeout",
            SOME_TIME,
            "30m",
            "A session without activity for this long is ended.",
        ),
        or(
            "max_output_bytes",
            BYTES,
            "10485760",
            "Output of one session that may wait for the hub's confirmation, in bytes.",
        ),
        or(
            "max_buffered_bytes",
            BYTES,
            "67108864",
            "The same for all sessions together, in bytes.",
        ),
        or("idle_timeout", SOME_TIME, "10s", "A CLI turn without output for this long is over."),
        or(
            "log_level",
            Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
            "info",
            "Most detailed level that is logged.",
        ),
        field(
            "file_storage_path",
            Kind::Path,
            Fallback::Computed("`<state_dir>/files`"),
            "Directory uploads are kept in.",
        ),
        or("max_file_bytes", BYTES, "10485760", "Largest file in either direction, in bytes."),
        or("file_retention", ANY_TIME, "24h", "How long uploads outlive their session."),
        or("max_stored_bytes", BYTES, "536870912", "All stored uploads together, in bytes."),
        or(
            "reclaim_after",
            ANY_TIME,
            "5m",
            "A session quiet for this long may make room for a new one; 0 for never.",
        ),
        field(
            "state_dir",
            Kind::Path,
            Fallback::Computed(
                "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/amurg`, else `~/.local/state/amurg`",
            ),
            "Directory for lock, journal and refreshed token; inside it one directory per runtime.id.",
        ),
        or(
            "allow_remote_permission_skip",
            Kind::Flag,
            "false",
            "Whether a hub may push the permission modes skip and bypassPermissions.",
        ),
    ],
};

/// One element of `endpoints`
pub static ENDPOINT: Object = Object {
    path: "endpoints[]",
    doc: "One agent.",
    fields: &[
        required("id", Kind::Name, "Unique id; hubs share ids between all their runtimes."),
        field("name", Kind::Name, Fallback::Computed("the id"), "What people see."),
        required(
            "profile",
            Kind::Choice(&["generic-cli", "generic-job", "generic-http", "external"]),
            "How the agent is spoken to.",
        ),
        or("tags", Kind::Map, "{}", "Free labels."),
        or("limits", Kind::Object(&LIMITS), "{}", "What its sessions may use."),
        or("security", Kind::Object(&SECURITY), "{}", "What its processes may touch."),
        optional("cli", Kind::Object(&CLI), "Block of the profile generic-cli."),
        optional("job", Kind::Object(&JOB), "Block of the profile generic-job."),
        optional("http", Kind::Object(&HTTP), "Block of the profile generic-http."),
        optional("external", Kind::Object(&EXTERNAL), "Block of the profile external."),
    ],
};

/// `endpoints[].limits`
pub static LIMITS: Object = Object {
    path: "endpoints[].limits",
    doc: "What the sessions of an endpoint may use.",
    fields: &[
        field(
            "max_sessions",
            COUNT,
            Fallback::Computed("`runtime.max_sessions`"),
            "Most sessions of this endpoint at once.",
        ),
        field(
            "session_timeout",
            SOME_TIME,
            Fallback::Computed("`runtime.default_timeout`"),
            "A session without activity for this long is ended.",
        ),
        field(
            "max_output_bytes",
            BYTES,
            Fallback::Computed("`runtime.max_output_bytes`"),
            "Output of one session that may wait for the hub's confirmation, in bytes.",
        ),
        field(
            "idle_timeout",
            SOME_TIME,
            Fallback::Computed("`runtime.idle_timeout`"),
            "A CLI turn without output for this long is over.",
        ),
        optional("max_memory_bytes", BYTES, "Memory of one session's processes, in bytes."),
        optional("max_processes", COUNT, "Processes and threads of one session."),
        optional("max_open_files", Kind::Integer(3, 1_000_000), "Open files of each process."),
    ],
};

/// `endpoints[].security`
pub static SECURITY: Object = Object {
    path: "endpoints[].security",
    doc: "What the processes of an endpoint may touch.",
    fields: &[
        optional("allowed_paths", Kind::Paths, "Paths the agent is confined to."),
        optional("denied_paths", Kind::Paths, "Paths the agent should leave alone; declared only."),
        optional("allowed_tools", Kind::Texts, "Tools the agent may use; declared only."),
        optional("disallowed_tools", Kind::Texts, "Tools the agent may not use; declared only."),
        optional(
            "permission_mode",
            Kind::Choice(&["skip", "strict", "auto", "acceptEdits", "bypassPermissions", "plan"]),
            "How permissions are asked for; told to the hub.",
        ),
        optional(
            "cwd",
            Kind::Path,
            "Directory its processes start in, before the block's `work_dir`.",
        ),
        optional(
            "env_whitelist",
            Kind::Texts,
            "Variables its processes inherit; without the list all but the runtime's own.",
        ),
        optional(
            "allowed_tcp_ports",
            Kind::Integers(1, 65_535),
            "TCP ports a confined agent may connect to; without the list all.",
        ),
        or(
            "allow_unix_sockets",
            Kind::Flag,
            "false",
            "Whether a confined agent may make Unix sockets.",
        ),
        or(
            "enforce",
            Kind::Choice(&["best-effort", "required", "off"]),
            "best-effort",
            "What to do where the kernel cannot confine the agent whole.",
        ),
    ],
};

const COMMAND: Field = required(
    "command",
    Kind::Literal,
    "Program to run: a path, or a name that is looked up in PATH.",
);
const ARGS: Field = optional("args", Kind::Literals, "Arguments of the program.");
const WORK_DIR: Field = field(
    "work_dir",
    Kind::Path,
    Fallback::Computed("the user's home"),
    "Directory the program starts in, unless `security.cwd` names one.",
);
const ENV: Field = optional("env", Kind::Map, "Variables set for the program.");
const SPAWN_POLICY: Field = or(
    "spawn_policy",
    Kind::Choice(&["per-session", "persistent"]),
    "per-session",
    "One process for each session, or one for the endpoint.",
);

/// `endpoints[].cli`
pub static CLI: Object = Object {
    path: "endpoints[].cli",
    doc: "A long-running interactive process.",
    fields: &[
        COMMAND,
        ARGS,
        WORK_DIR,
        ENV,
        SPAWN_POLICY,
        or(
            "turn_end",
            Kind::Choice(&["auto", "idle"]),
            "auto",
            "Whether a turn also ends when the program waits for input again, or only by exit and idle_timeout.",
        ),
        or("tty", Kind::Flag, "false", "Give the program a pseudo-terminal."),
    ],
};

/// `endpoints[].job`
pub static JOB: Object = Object {
    path: "endpoints[].job",
    doc: "A process for each message.",
    fields: &[
        COMMAND,
        ARGS,
        WORK_DIR,
        ENV,
        or("max_runtime", SOME_TIME, "5m", "A job that runs longer than this is ended."),
    ],
};

/// `endpoints[].http`
pub static HTTP: Object = Object {
    path: "endpoints[].http",
    doc: "An HTTP request for each message.",
    fields: &[
        required("base_url", Kind::Text, "Where requests go, http:// or https://."),
        or("method", Kind::Text, "POST", "Request method."),
        optional("headers", Kind::Map, "Headers of every request."),
        or(
            "timeout",
            SOME_TIME,
            "60s",
            "Longest wait for the head of an answer, then for each gap in its body.",
        ),
        optional("tls_ca_file", Kind::Path, "PEM file with roots to trust beside the system's."),
    ],
};

/// `endpoints[].external`
pub static EXTERNAL: Object = Object {
    path: "endpoints[].external",
    doc: "An adapter that speaks JSON Lines on its standard input and output.",
    fields: &[COMMAND, ARGS, WORK_DIR, ENV, SPAWN_POLICY],
};

/// Every table, in the order of the documentation.
pub static OBJECTS: [&Object; 10] =
    [&ROOT, &HUB, &RUNTIME, &ENDPOINT, &LIMITS, &SECURITY, &CLI, &JOB, &HTTP, &EXTERNAL];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_documented_by_a_sentence() {
        for object in OBJECTS {
            for Field { name, doc, .. } in object.fields {
                assert!(doc.ends_with('.') && doc.len() > 10, "{}.{name}: {doc}", object.path);
            }
        }
    }

    #[test]
    fn profiles_and_blocks_agree() {
        let Some(Kind::Choice(profiles)) = ENDPOINT.field("profile").map(|field| field.kind) else {
            panic!("profile is a choice");
        };
        assert_eq!(PROFILES.map(|(profile, _)| profile), profiles);
        for (_, block) in PROFILES {
            assert!(ENDPOINT.field(block).is_some(), "{block}");
        }
    }
}
