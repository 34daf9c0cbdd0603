//! `runtime.*`

use std::path::PathBuf;

use log::LevelFilter;

use crate::config::checked::Checked;
use crate::config::paths;
use crate::config::problem::shown;
use crate::config::types::Runtime;

use super::Decider;

/// The largest file a frame of 32 MiB can carry in base64, in bytes.
const LARGEST_FILE_ON_THE_WIRE: usize = 24 * 1024 * 1024 - 4096;

const ID_HINT: &str = "give this runtime a name no other runtime of the hub has";

impl Decider<'_, '_> {
    pub(super) fn runtime(&mut self, runtime: &Checked) -> Option<Runtime> {
        let (id, id_configured) = self.id(runtime)?;
        let state_dir = self.state_dir(runtime)?.join(paths::safe_name(&id));
        let max_file_bytes = runtime.size("max_file_bytes")?;
        if max_file_bytes > LARGEST_FILE_ON_THE_WIRE {
            let message = format!("files above {LARGEST_FILE_ON_THE_WIRE} bytes never get through");
            let hint = "a message to or from a hub ends at 32 MiB";
            self.findings.warning(&runtime.place_of("max_file_bytes"), message, hint);
        }
        if runtime.is_wrong("file_storage_path") {
            return None;
        }
        let file_storage_path =
            runtime.path("file_storage_path").unwrap_or_else(|| state_dir.join("files"));
        Some(Runtime {
            id,
            id_configured,
            org_id: runtime.str("org_id").map(str::to_owned),
            max_sessions: runtime.size("max_sessions")?,
            default_timeout: runtime.duration("default_timeout")?,
            max_output_bytes: runtime.size("max_output_bytes")?,
            max_buffered_bytes: runtime.size("max_buffered_bytes")?,
            idle_timeout: runtime.duration("idle_timeout")?,
            log_level: log_level(runtime.str("log_level")?),
            file_storage_path,
            max_file_bytes,
            file_retention: runtime.duration("file_retention")?,
            max_stored_bytes: runtime.integer("max_stored_bytes")?,
            reclaim_after: Some(runtime.duration("reclaim_after")?)
                .filter(|pause| !pause.is_zero()),
            state_dir,
            allow_remote_permission_skip: runtime.flag("allow_remote_permission_skip")?,
        })
    }

    fn id(&mut self, runtime: &Checked) -> Option<(String, bool)> {
        let place = runtime.place_of("id");
        if runtime.is_wrong("id") {
            return None;
        }
        let configured = runtime.str("id").map(str::to_owned);
        let id_configured = configured.is_some();
        let Some(id) = configured.or_else(|| self.environment.host_name()) else {
            let message = "is missing, and this host has no name to use instead";
            self.findings.error(&place, message, ID_HINT);
            return None;
        };
        if !id_configured {
            let message = format!("is missing; the host name {} is used", shown(&id));
            self.findings.warning(&place, message, ID_HINT);
        }
        if id.contains(':') {
            let message = "holds a colon: time-limited tokens do not work with such an id";
            self.findings.warning(&place, message, "use another character");
        }
        Some((id, id_configured))
    }

    fn state_dir(&mut self, runtime: &Checked) -> Option<PathBuf> {
        if runtime.is_wrong("state_dir") {
            return None;
        }
        let found =
            runtime.path("state_dir").or_else(|| paths::default_state_dir(self.environment));
        if found.is_none() {
            let message =
                "is missing, and neither STATE_DIRECTORY, XDG_STATE_HOME nor a home is set";
            let hint = "name a directory that survives a restart";
            self.findings.error(&runtime.place_of("state_dir"), message, hint);
        }
        found
    }
}

fn log_level(name: &str) -> LevelFilter {
    // The table lets nothing else than the facade's own names through.
    name.parse().unwrap_or(LevelFilter::Info)
}
