//! What an agent may try: it is held to its own bounds, and others are served.

use serde_json::json;

use crate::is_well;
use crate::support::scene::{Scene, Setup, cli, external, job};

fn beside(name: &str) -> Setup {
    Scene::new(name).agent(job("cat", "cat", &[]))
}

/// An adapter that reads a message, does `deed`, and ends its turn.
fn adapter(deed: &str) -> serde_json::Value {
    let script = format!(
        "import json, sys
def read(): return json.loads(sys.stdin.readline())
def say(kind, **rest): print(json.dumps(dict(type=kind, session_id=session, **rest)), flush=True)
session = read()['session_id']
read()
{deed}
say('turn.complete')
sys.stdin.read()"
    );
    external("adapter", "python3", &["-c", &script])
}

#[test]
fn one_endless_line_is_cut_and_holds_nobody_up() {
    let scene = beside("hostile_line")
        .agent(cli("line", "sh", &["-c", "read x; tr '\\0' x </dev/zero | head -c 30000000"]))
        .start();
    let session = scene.session("line");
    let turn = session.say("go");
    is_well(&scene, "cat");
    turn.ended(0);
    let output = turn.output();
    assert_eq!(output.len(), 30_000_000);
    let longest = session.output().iter().map(|piece| piece.content.len()).max();
    assert!(longest <= Some(64 * 1024), "{longest:?}");
}

#[test]
fn a_line_of_json_without_end_is_skipped() {
    let deed = "for _ in range(100): sys.stdout.write('[' * (1 << 20))\nprint(flush=True)";
    let scene = beside("hostile_json").agent(adapter(deed)).start();
    scene.session("adapter").say("go").ended(None);
    assert!(scene.logged("adapter line skipped").contains("104857600 bytes in one line"));
    is_well(&scene, "cat");
}

#[test]
fn a_question_asked_for_ever_is_asked_once() {
    let deed = "for _ in range(30000): say('permission.request', request_id='same', tool='T', description='d' * 4000)";
    let scene = beside("hostile_question").agent(adapter(deed)).start();
    let session = scene.session("adapter");
    session.say("go").ended(None);
    let asked = scene.hub.frames().iter().filter(|frame| frame.is("permission.request")).count();
    assert!((1..=64).contains(&asked), "{asked}");
    is_well(&scene, "cat");
}

#[test]
fn files_that_may_not_be_taken_are_told_and_not_kept() {
    let deed = "for _ in range(2000): say('file.output', file_path='/etc/shadow')";
    let scene = beside("hostile_offers").agent(adapter(deed)).start();
    let session = scene.session("adapter");
    session.say("go").ended(None);
    session.shows("system", "/etc/shadow was not taken");
    assert!(!scene.hub.frames().iter().any(|frame| frame.is("file.available")));
    is_well(&scene, "cat");
}

/// As many as the machine lets one have in a second; all end with the session.
#[test]
fn what_forks_without_end_ends_with_its_session() {
    let forks =
        "i=0; while [ $i -lt 300 ]; do setsid sleep 1000 & i=$((i+1)); done; echo done; wait";
    let scene = beside("hostile_forks").agent(cli("forks", "sh", &["-c", forks])).start();
    let session = scene.session("forks");
    session.shows("stdout", "done");
    session.close();
    is_well(&scene, "cat");
    scene.terminate();
    scene.no_process_left();
}

#[test]
fn a_confined_agent_is_confined_through_the_whole_runtime() {
    let script = "cat /etc/shadow \"$1\" 2>&1; echo >in && cat in; echo x >$(mktemp) && echo tmp; \
                  cat /proc/$PPID/environ 2>&1 >/dev/null; ls /proc/$PPID/fd 2>&1 >/dev/null; \
                  kill -URG $PPID 2>&1; echo >../out; true";
    let setup = beside("hostile_cage");
    let own = tempfile::tempdir().unwrap();
    let own = own.path().canonicalize().unwrap();
    std::fs::create_dir(own.join("inside")).unwrap();
    std::fs::write(own.join("secret"), "a secret").unwrap();
    let inside = own.join("inside");
    let scene = setup
        .agent(json!({
            "id": "caged", "profile": "generic-job",
            "job": {
                "command": "bash", "work_dir": inside,
                "args": ["-c", script, "bash", own.join("secret")],
            },
            "security": { "allowed_paths": [inside], "enforce": "required" },
        }))
        .start();
    assert!(scene.logged("confined endpoint=caged").contains("enforce=required landlock=6"));
    let session = scene.session("caged");
    let turn = session.say("");
    turn.ended(0);
    let said = turn.output();
    for refused in
        ["shadow: Permission", "secret: Permission", "environ: Permission", "fd': Permission"]
    {
        assert!(said.contains(refused), "{refused}: {said}");
    }
    assert!(said.contains("\n\ntmp\n") && said.contains("Operation not permitted"), "{said}");
    assert!(!said.contains("a secret") && !own.join("out").exists(), "{said}");
    is_well(&scene, "cat");
}
