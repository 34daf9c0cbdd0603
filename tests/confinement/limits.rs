//! Limits of a child as far as `setrlimit` keeps them, tried against.

use amurg_runtime::agent::process::plan::Stdio;
use amurg_runtime::sandbox::SandboxPlan;

use crate::children::Scene;
use crate::room::{Room, User, users};

/// What a script says with these limits.
fn says(user: User, limit: impl Fn(&mut SandboxPlan), script: &str) -> String {
    let room = Room::of(user);
    let mut plan = room.plan(&["python3", "-c", script], Stdio::Pipes).unwrap();
    limit(&mut plan.sandbox);
    let mut scene = Scene::with(&room.launcher, &plan);
    let said = scene.rest();
    assert_eq!(scene.code(), 0, "{said}");
    said
}

/// Counted over all processes of the user, of whom other tests have some as
/// well; root is bound by a control group only.
#[test]
fn forks_end_at_max_processes() {
    let script = "import os, signal
pids = []
try:
    while len(pids) < 500:
        pid = os.fork()
        if pid == 0: signal.pause()
        pids.append(pid)
    print('never')
except BlockingIOError: print('refused')
for pid in pids: os.kill(pid, signal.SIGKILL)";
    if users().contains(&User::Nobody) {
        let said = says(User::Nobody, |limits| limits.max_processes = Some(400), script);
        assert_eq!(said, "refused\n");
    }
}

#[test]
fn memory_ends_at_max_memory_bytes() {
    let script = "try: bytearray(1 << 30); print('never')\nexcept MemoryError: print('refused')";
    for &user in users() {
        let said = says(user, |limits| limits.max_memory_bytes = Some(512 << 20), script);
        assert_eq!(said, "refused\n", "{user:?}");
    }
}

#[test]
fn open_files_end_at_max_open_files_and_no_child_raises_that() {
    let script = "import resource
try: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)); print('raised')
except ValueError: pass
files = []
try:
    while len(files) < 200: files.append(open('/dev/null'))
    print('never')
except OSError: print('refused')";
    for &user in users() {
        let said = says(user, |limits| limits.max_open_files = Some(64), script);
        assert_eq!(said, "refused\n", "{user:?}");
    }
}
