//! What runtime and launcher say to each other over the launcher's stdin.
//!
//! ```text
//! runtime ──► launcher   length (4 bytes), Order as JSON; the first byte carries
//!                        the child's three descriptors (SCM_RIGHTS)
//! runtime ◄── launcher   READY just before `exec`, then nothing: the socket closes
//!                        with the exec. Or, before or after it, a Failure as JSON.
//! ```
//!
//! So an end without `READY` is a launcher that died, and an end after it is success.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::original::Original;
use super::os_text;
use crate::agent::process::mark::Mark;
use crate::agent::process::plan::{SpawnPlan, Stdio};
use crate::sandbox::SandboxPlan;

/// Said when nothing but the `exec` itself can fail any more. No JSON begins with it.
pub(super) const READY: u8 = b'+';

/// Bytes of the length before the order.
pub(super) const HEADER: usize = 4;

/// Longest order, in bytes. The kernel takes a few megabytes of arguments and environment.
pub(super) const MOST: usize = 64 << 20;

/// Everything the launcher has to know, as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    #[serde(with = "Plan")]
    pub plan: &'a SpawnPlan,
    pub original: Original,
    pub group: Option<GroupOrder>,
}

/// The same as the launcher hears it.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    #[serde(with = "Plan")]
    pub plan: SpawnPlan,
    pub original: Original,
    pub group: Option<GroupOrder>,
}

/// How a [`SpawnPlan`] is written; see there.
#[derive(Serialize, Deserialize)]
#[serde(remote = "SpawnPlan")]
struct Plan {
    #[serde(with = "os_text::path")]
    program: PathBuf,
    command: String,
    args: Vec<String>,
    #[serde(with = "os_text::pairs")]
    env: Vec<(OsString, OsString)>,
    #[serde(with = "os_text::path")]
    cwd: PathBuf,
    stdio: Stdio,
    sandbox: SandboxPlan,
    /// For the runtime alone.
    #[serde(skip, default = "Mark::next")]
    mark: Mark,
}

/// The control group to move into.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GroupOrder {
    #[serde(with = "os_text::path")]
    pub path: PathBuf,
    /// The group bounds memory: no `RLIMIT_AS` then.
    pub bounds_memory: bool,
    /// The group counts processes: no `RLIMIT_NPROC` then.
    pub bounds_processes: bool,
}

/// What went wrong in the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it was doing.
    pub step: String,
    /// The system's number for it.
    pub errno: Option<i32>,
    /// What happened and what to do, for the user.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn an_order_survives_its_way_with_bytes_that_are_not_utf8() {
        let odd = OsStr::from_bytes(b"x\xfe");
        let plan = SpawnPlan {
            program: odd.into(),
            command: "sh".into(),
            args: vec!["-c".into()],
            env: vec![("PATH".into(), "/bin".into()), ("ODD".into(), odd.into())],
            cwd: "/".into(),
            stdio: Stdio::TERMINAL,
            sandbox: SandboxPlan::default(),
            mark: Mark::next(),
        };
        let group = GroupOrder { path: odd.into(), bounds_memory: true, bounds_processes: false };
        let sent = Told { plan: &plan, original: Original::default(), group: Some(group) };
        let mut came: Order = serde_json::from_slice(&serde_json::to_vec(&sent).unwrap()).unwrap();
        came.plan.mark = plan.mark.clone();
        assert_eq!(came.plan, plan);
        assert_eq!(came.group.unwrap().path, odd);
    }
}
