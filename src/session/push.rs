//! What a hub may change of an endpoint by a config push: narrow it, never
//! widen it.
//!
//! The file on disk is the most an endpoint may ever do. Each push is judged
//! against that file, not against an earlier push, and is taken whole or
//! refused whole. A pushed directory or a laxer mode would let a compromised
//! hub run its own code, so those are refused even where they look harmless.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::{Endpoint, Limits, PermissionMode, Runtime, Security, parse_duration};
use crate::protocol::inbound::ConfigUpdate;

/// Smallest pushed `max_output_bytes`: below it a session could hardly speak.
const MIN_OUTPUT_BYTES: usize = 64 * 1024;
/// Smallest pushed timeout.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Most items of a pushed list, which is kept for as long as the endpoint is.
const MOST_ITEMS: usize = 1024;

/// What a hub pushed of an endpoint, and is to hold whenever the file is read again.
#[derive(Clone, Default)]
pub struct Pushed {
    security: Option<PushedSecurity>,
    limits: Option<PushedLimits>,
}

impl Pushed {
    /// Reads what one push says.
    ///
    /// # Errors
    /// A sentence for the hub's operator that names what has the wrong type or is too long.
    pub fn read(update: &ConfigUpdate) -> Result<Self, String> {
        let security = update.security.as_ref().map(|object| read("security", object));
        let limits = update.limits.as_ref().map(|object| read("limits", object));
        let pushed = Self { security: security.transpose()?, limits: limits.transpose()? };
        pushed.security.as_ref().map_or(Ok(()), PushedSecurity::is_short)?;
        Ok(pushed)
    }

    /// This on top of what was pushed before: a block that does not come again stays.
    #[must_use]
    pub fn over(self, earlier: Self) -> Self {
        Self {
            security: self.security.or(earlier.security),
            limits: self.limits.or(earlier.limits),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PushedSecurity {
    allowed_paths: Option<Vec<PathBuf>>,
    denied_paths: Option<Vec<PathBuf>>,
    allowed_tools: Option<Vec<String>>,
    disallowed_tools: Option<Vec<String>>,
    permission_mode: Option<String>,
    cwd: Option<PathBuf>,
    env_whitelist: Option<Vec<String>>,
    allowed_tcp_ports: Option<Vec<u16>>,
    allow_unix_sockets: Option<bool>,
    enforce: Option<String>,
}

impl PushedSecurity {
    fn is_short(&self) -> Result<(), String> {
        fn length<T>(list: Option<&Vec<T>>) -> usize {
            list.map_or(0, Vec::len)
        }
        let lengths = [
            ("allowed_paths", length(self.allowed_paths.as_ref())),
            ("denied_paths", length(self.denied_paths.as_ref())),
            ("allowed_tools", length(self.allowed_tools.as_ref())),
            ("disallowed_tools", length(self.disallowed_tools.as_ref())),
            ("env_whitelist", length(self.env_whitelist.as_ref())),
        ];
        match lengths.into_iter().find(|(_, length)| *length > MOST_ITEMS) {
            Some((field, length)) => {
                Err(format!("security.{field}: {length} items are more than {MOST_ITEMS}"))
            }
            None => Ok(()),
        }
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct PushedLimits {
    max_sessions: Option<usize>,
    session_timeout: Option<Value>,
    max_output_bytes: Option<usize>,
    idle_timeout: Option<Value>,
    max_memory_bytes: Option<u64>,
    max_processes: Option<u64>,
    max_open_files: Option<u64>,
}

/// The endpoint as `pushed` leaves it, judged against `disk`.
///
/// # Errors
/// A sentence for the hub's operator that names the first field it may not
/// change; nothing of the push holds then.
pub fn apply(disk: &Endpoint, runtime: &Runtime, pushed: &Pushed) -> Result<Endpoint, String> {
    let mut endpoint = disk.clone();
    if let Some(wanted) = &pushed.security {
        apply_security(&mut endpoint.security, &disk.security, wanted.clone(), runtime)?;
    }
    if let Some(wanted) = &pushed.limits {
        apply_limits(&mut endpoint.limits, &disk.limits, wanted, runtime)?;
    }
    Ok(endpoint)
}

fn read<T: for<'a> Deserialize<'a>>(what: &str, object: &Map<String, Value>) -> Result<T, String> {
    T::deserialize(object).map_err(|error| format!("{what}: {error}"))
}

fn apply_security(
    security: &mut Security,
    disk: &Security,
    wanted: PushedSecurity,
    runtime: &Runtime,
) -> Result<(), String> {
    if let Some(paths) = wanted.allowed_paths.filter(|paths| !paths.is_empty()) {
        if let Some(odd) = paths.iter().find(|path| !path.is_absolute()) {
            return Err(format!("security.allowed_paths: {} is not absolute", odd.display()));
        }
        if paths != disk.allowed_paths {
            security.pushed_paths = paths;
        }
    }
    superset("security.denied_paths", &mut security.denied_paths, wanted.denied_paths)?;
    superset("security.disallowed_tools", &mut security.disallowed_tools, wanted.disallowed_tools)?;
    if let Some(tools) = wanted.allowed_tools.filter(|tools| !tools.is_empty()) {
        subset(
            "security.allowed_tools",
            &tools,
            &disk.allowed_tools,
            disk.allowed_tools.is_empty(),
        )?;
        security.allowed_tools = tools;
    }
    if let Some(names) = wanted.env_whitelist {
        let known = disk.env_whitelist.as_deref().unwrap_or_default();
        subset("security.env_whitelist", &names, known, disk.env_whitelist.is_none())?;
        security.env_whitelist = Some(names);
    }
    if let Some(name) = wanted.permission_mode.filter(|name| !name.is_empty()) {
        let field = "security.permission_mode";
        let mode = PermissionMode::from_name(&name)
            .ok_or_else(|| format!("{field}: {name:?} is not a mode this runtime knows"))?;
        let skips = matches!(mode, PermissionMode::Skip | PermissionMode::BypassPermissions);
        if skips && disk.permission_mode != Some(mode) && !runtime.allow_remote_permission_skip {
            return Err(format!(
                "{field}: {name} may not be pushed; it needs runtime.allow_remote_permission_skip in the runtime's own configuration"
            ));
        }
        if !skips && disk.permission_mode.is_some_and(|own| laxity(mode) > laxity(own)) {
            return Err(format!("{field}: {name} is laxer than the runtime's own configuration"));
        }
        security.permission_mode = Some(mode);
    }
    unchanged("security.cwd", wanted.cwd.as_ref(), disk.cwd.as_ref())?;
    unchanged(
        "security.allowed_tcp_ports",
        wanted.allowed_tcp_ports.as_ref(),
        disk.allowed_tcp_ports.as_ref(),
    )?;
    unchanged(
        "security.allow_unix_sockets",
        wanted.allow_unix_sockets.as_ref(),
        Some(&disk.allow_unix_sockets),
    )?;
    unchanged("security.enforce", wanted.enforce.as_deref(), Some(disk.enforce.name()))
}

fn apply_limits(
    limits: &mut Limits,
    disk: &Limits,
    wanted: &PushedLimits,
    runtime: &Runtime,
) -> Result<(), String> {
    let most_output = disk.max_output_bytes.unwrap_or(runtime.max_output_bytes);
    let longest = disk.session_timeout.unwrap_or(runtime.default_timeout);
    let longest_idle = disk.idle_timeout.unwrap_or(runtime.idle_timeout);
    // A hub that edits limits sends 0 for "not set".
    let set = |value: Option<usize>| value.filter(|&value| value > 0);
    if let Some(max) = set(wanted.max_sessions) {
        let most = disk.max_sessions.unwrap_or(runtime.max_sessions);
        limits.max_sessions = Some(at_most("limits.max_sessions", max, most)?);
    }
    if let Some(bytes) = set(wanted.max_output_bytes) {
        let bytes = at_most("limits.max_output_bytes", bytes, most_output)?;
        limits.max_output_bytes = Some(bytes.max(MIN_OUTPUT_BYTES.min(most_output)));
    }
    if let Some(timeout) =
        duration("limits.session_timeout", wanted.session_timeout.as_ref(), longest)?
    {
        limits.session_timeout = Some(timeout);
    }
    if let Some(timeout) =
        duration("limits.idle_timeout", wanted.idle_timeout.as_ref(), longest_idle)?
    {
        limits.idle_timeout = Some(timeout);
    }
    for (field, wanted, own, limit) in [
        (
            "limits.max_memory_bytes",
            wanted.max_memory_bytes,
            disk.max_memory_bytes,
            &mut limits.max_memory_bytes,
        ),
        (
            "limits.max_processes",
            wanted.max_processes,
            disk.max_processes,
            &mut limits.max_processes,
        ),
        (
            "limits.max_open_files",
            wanted.max_open_files,
            disk.max_open_files,
            &mut limits.max_open_files,
        ),
    ] {
        if let Some(value) = wanted.filter(|&value| value > 0) {
            *limit = Some(at_most(field, value, own.unwrap_or(u64::MAX))?);
        }
    }
    Ok(())
}

/// How much a mode lets an agent do unasked.
fn laxity(mode: PermissionMode) -> u8 {
    match mode {
        PermissionMode::Plan => 0,
        PermissionMode::Strict => 1,
        PermissionMode::AcceptEdits => 2,
        PermissionMode::Auto => 3,
        PermissionMode::Skip | PermissionMode::BypassPermissions => 4,
    }
}

fn at_most<T: PartialOrd + Copy + std::fmt::Display>(
    field: &str,
    value: T,
    most: T,
) -> Result<T, String> {
    if value > most {
        return Err(format!(
            "{field}: {value} is more than the runtime's own configuration allows ({most})"
        ));
    }
    Ok(value)
}

fn duration(
    field: &str,
    value: Option<&Value>,
    longest: Duration,
) -> Result<Option<Duration>, String> {
    let parsed = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => parse_duration(text).ok(),
        Some(Value::Number(seconds)) => {
            seconds.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        }
        Some(_) => None,
    };
    let wanted = parsed.ok_or_else(|| format!("{field}: not a duration such as \"30s\""))?;
    if wanted.is_zero() {
        return Ok(None);
    }
    if wanted > longest {
        return Err(format!(
            "{field}: {} is longer than the runtime's own configuration allows ({})",
            humantime::format_duration(wanted),
            humantime::format_duration(longest)
        ));
    }
    Ok(Some(wanted.max(MIN_TIMEOUT.min(longest))))
}

fn subset(field: &str, wanted: &[String], own: &[String], open: bool) -> Result<(), String> {
    match wanted.iter().find(|name| !open && !own.contains(name)) {
        Some(name) => Err(format!("{field}: {name:?} is not in the runtime's own configuration")),
        None => Ok(()),
    }
}

/// Takes over a longer list of denials; every own one must be in it.
fn superset<T: PartialEq + std::fmt::Debug>(
    field: &str,
    own: &mut Vec<T>,
    wanted: Option<Vec<T>>,
) -> Result<(), String> {
    // An absent or empty list says nothing: hubs send the fields they do not use empty.
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Ok(()) };
    if let Some(missing) = own.iter().find(|denial| !wanted.contains(denial)) {
        return Err(format!(
            "{field}: {missing:?} is denied by the runtime's own configuration and must stay so"
        ));
    }
    *own = wanted;
    Ok(())
}

fn unchanged<T: PartialEq + ?Sized>(
    field: &str,
    wanted: Option<&T>,
    own: Option<&T>,
) -> Result<(), String> {
    match wanted {
        Some(_) if wanted != own => {
            Err(format!("{field}: may only be changed in the runtime's own configuration"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::protocol::Dialect;

    fn push(disk: &Endpoint, security: Value, limits: Value) -> Result<Endpoint, String> {
        let object = |value: Value| value.as_object().cloned();
        let update = ConfigUpdate {
            endpoint_id: disk.id.clone(),
            dialect: Dialect::Agent,
            security: object(security),
            limits: object(limits),
        };
        apply(disk, &crate::config::testing::runtime(), &Pushed::read(&update)?)
    }

    fn endpoint() -> Endpoint {
        crate::config::testing::job("make", "make")
    }

    #[test]
    fn a_narrower_push_is_taken() {
        let pushed = push(
            &endpoint(),
            json!({"allowed_paths": ["/work"], "permission_mode": "strict", "env_whitelist": ["PATH"]}),
            json!({"max_sessions": 3, "session_timeout": "20m", "idle_timeout": "7s", "max_output_bytes": 1_048_576}),
        )
        .expect("taken");
        assert_eq!(pushed.security.pushed_paths, [PathBuf::from("/work")]);
        assert_eq!(pushed.limits.max_sessions, Some(3));
        assert_eq!(pushed.limits.idle_timeout, Some(Duration::from_secs(7)));
    }

    #[test]
    fn pushed_paths_are_a_layer_and_never_replace_the_own_ones() {
        let mut disk = endpoint();
        disk.security.allowed_paths = vec!["/srv/a".into()];
        let pushed = push(&disk, json!({"allowed_paths": ["/"]}), Value::Null).expect("taken");
        assert_eq!(pushed.security.allowed_paths, [PathBuf::from("/srv/a")]);
        assert_eq!(pushed.security.pushed_paths, [PathBuf::from("/")]);
    }

    #[test]
    fn floors_hold_for_limits() {
        let pushed =
            push(&endpoint(), Value::Null, json!({"max_output_bytes": 1, "idle_timeout": "1ms"}))
                .expect("taken");
        assert_eq!(pushed.limits.max_output_bytes, Some(MIN_OUTPUT_BYTES));
        assert_eq!(pushed.limits.idle_timeout, Some(MIN_TIMEOUT));
    }

    #[test]
    fn what_would_widen_is_refused_with_its_field() {
        let mut disk = endpoint();
        disk.security.denied_paths = vec!["/etc".into()];
        disk.security.env_whitelist = Some(vec!["PATH".into()]);
        disk.security.permission_mode = Some(PermissionMode::Strict);
        for (security, limits, field) in [
            (json!({"cwd": "/tmp"}), Value::Null, "security.cwd"),
            (json!({"enforce": "off"}), Value::Null, "security.enforce"),
            (json!({"allowed_tcp_ports": [80]}), Value::Null, "security.allowed_tcp_ports"),
            (json!({"allow_unix_sockets": true}), Value::Null, "security.allow_unix_sockets"),
            (json!({"denied_paths": ["/usr"]}), Value::Null, "security.denied_paths"),
            (
                json!({"env_whitelist": ["PATH", "LD_PRELOAD"]}),
                Value::Null,
                "security.env_whitelist",
            ),
            (
                json!({"permission_mode": "bypassPermissions"}),
                Value::Null,
                "security.permission_mode",
            ),
            (json!({"permission_mode": "auto"}), Value::Null, "security.permission_mode"),
            (json!({"permission_mode": "yolo"}), Value::Null, "security.permission_mode"),
            (json!({"allowed_paths": ["relative"]}), Value::Null, "security.allowed_paths"),
            (json!({"allowed_paths": 7}), Value::Null, "security"),
            (Value::Null, json!({"max_sessions": 11}), "limits.max_sessions"),
            (Value::Null, json!({"idle_timeout": "1h"}), "limits.idle_timeout"),
            (Value::Null, json!({"session_timeout": "soon"}), "limits.session_timeout"),
        ] {
            let error = push(&disk, security.clone(), limits.clone()).expect_err(field);
            assert!(error.starts_with(field), "{security} {limits}: {error}");
        }
    }

    #[test]
    fn unknown_keys_and_unused_fields_are_passed_over() {
        let pushed = push(
            &endpoint(),
            json!({"future": 1, "denied_paths": [], "cwd": null}),
            json!({"max_sessions": 0, "idle_timeout": ""}),
        );
        assert_eq!(pushed.expect("taken"), endpoint());
    }
}
