//! `external` with real adapters: the documentation's example, and some that
//! break every rule of the protocol.

mod agent_scene;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agent_scene::{PATIENCE, Scene, Seen, external, processes_with};
use amurg_runtime::agent::external::SharedAdapters;
use amurg_runtime::agent::{AgentEvent, FileUse, StoredFile, TurnEnd};
use amurg_runtime::config::{External, SpawnPolicy};

/// The adapter that packages bring as an example.
fn example() -> External {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/examples/echo_adapter.py");
    external(&["python3", path])
}

/// An adapter in Python, with `say` and `read` at hand.
fn python(script: &str) -> External {
    let prelude = "\
import json, sys
def say(type, **fields): print(json.dumps({'type': type, 'session_id': me, **fields}), flush=True)
def read(): return json.loads(sys.stdin.readline())
me = read()['session_id']
";
    external(&["python3", "-c", &format!("{prelude}{script}")])
}

fn persistent(adapter: External) -> External {
    External { spawn_policy: SpawnPolicy::Persistent, ..adapter }
}

fn close(shared: &SharedAdapters) {
    shared.0.close();
    assert!(shared.0.ended(Instant::now() + Duration::from_secs(20)));
}

fn permission(scene: &mut Scene) -> String {
    match scene.next() {
        Seen::Event(AgentEvent::PermissionRequested(request)) => {
            assert_eq!(request.tool, "Shout");
            assert_eq!(request.resource.as_deref(), Some("please"));
            request.request_id
        }
        other => panic!("instead of a question: {other:?}"),
    }
}

#[test]
fn the_example_answers_and_ends_its_turns() {
    let mut scene = Scene::external(example());
    for text in ["hello", "two\nlines \u{1f600} \"quoted\"", ""] {
        let turn = scene.turn(text);
        assert_eq!(turn.stdout, format!("ann said: {text}\n"));
        assert_eq!((turn.exit_code, turn.note), (Some(0), None));
    }
    scene.close();
}

#[test]
fn the_adapter_of_the_readme_works() {
    let readme = include_str!("../README.md");
    let (_, from_script) = readme.split_once("```python\n").expect("a script");
    let (script, _) = from_script.split_once("```").expect("its end");
    let mut scene = Scene::external(external(&["python3", "-c", script]));
    let turn = scene.turn("hello");
    assert_eq!((turn.stdout.as_str(), turn.exit_code), ("hello\nhello\n", Some(0)));
}

#[test]
fn the_example_asks_and_takes_either_answer() {
    let mut scene = Scene::external(example());
    for (approved, answer) in [(true, "PLEASE\n"), (false, "(not allowed)\n")] {
        let start = Instant::now();
        let turn = scene.send("ask please");
        let request_id = permission(&mut scene);
        scene.agent.permission("never asked", true);
        scene.agent.permission(&request_id, approved);
        assert_eq!(scene.rest_of_turn(turn, start).stdout, answer);
    }
}

#[test]
fn files_go_both_ways() {
    let mut scene = Scene::external(example());
    scene.send("file the content");
    match scene.next() {
        Seen::File(name, mime_type, data) => {
            assert_eq!((name.as_str(), mime_type.as_str()), ("answer.txt", "text/plain"));
            assert_eq!(data, b"the content");
        }
        other => panic!("instead of a file: {other:?}"),
    }
    assert!(matches!(scene.next(), Seen::Event(AgentEvent::TurnEnded(_))));
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let size = own.metadata().expect("a file").len();
    let file = StoredFile { path: own, name: "Cargo.toml".into(), mime_type: "x/y".into() };
    assert_eq!(scene.agent.file(&file), FileUse::Taken);
    scene.until_output(&format!("got Cargo.toml, {size} bytes\n"));
}

#[test]
fn a_file_from_elsewhere_is_not_taken() {
    let mut scene = Scene::external(python(
        "read(); say('file.output', file_path='/etc/../etc/hostname'); \
         say('file.output', file_path='/proc/self/environ'); say('turn.complete')",
    ));
    let turn = scene.turn("go");
    let refused = turn.system.matches("was not taken: it cannot be read beneath").count();
    assert_eq!(refused, 2, "{turn:?}");
}

#[test]
fn a_stop_is_passed_on_once() {
    let mut scene = Scene::external(example());
    let start = Instant::now();
    let turn = scene.send("wait");
    scene.agent.stop();
    scene.agent.stop();
    let turn = scene.rest_of_turn(turn, start);
    assert_eq!((turn.system.as_str(), turn.exit_code), ("stopped", None));
    // A second stop would have ended the next turn.
    assert_eq!(scene.turn("hello").stdout, "ann said: hello\n");
}

#[test]
fn what_is_no_message_is_skipped_and_never_fatal() {
    let mut scene = Scene::external(python(
        "read()
print('nonsense'); print(); print('[]'); print('{\"type\":7}'); print('\\x00')
say('dance', steps=3)
print(json.dumps({'type': 'output', 'session_id': 'another', 'content': 'not mine'}))
print(json.dumps({'type': 'turn.complete', 'session_id': 'another'}))
sys.stdout.flush(); sys.stdout.buffer.write(b'\\xff\\xfe\\n')
say('output', content='x' * (32 << 20))
say('output', content='still here')
say('turn.complete', exit_code=5)
read()",
    ));
    let turn = scene.turn("go");
    assert_eq!(turn.stdout, "still here");
    assert_eq!((turn.system.as_str(), turn.exit_code), ("", Some(5)));
}

#[test]
fn channels_keep_their_order_and_their_names() {
    let mut scene = Scene::external(python(
        "read()
say('output', content='a'); say('output', content='b', channel='stderr')
say('output', content='c', channel='tool'); say('output', content='d', channel='tool')
say('output', content='e', channel='file'); say('output', content='f', channel='my-plan')
say('turn.complete')
read()",
    ));
    scene.send("go");
    let mut said = Vec::new();
    while let Seen::Output(channel, content) = scene.next() {
        said.push(format!("{channel}:{content}"));
    }
    assert_eq!(said, ["stdout:a", "stderr:b", "tool:c", "tool:d", "stdout:e", "my-plan:f"]);
}

#[test]
fn an_adapter_that_dies_ends_the_turn_and_is_started_again() {
    let mut scene = Scene::external(python(
        "text = read()['content']
if text == 'die':
    print('first line', file=sys.stderr); print('it hurts', file=sys.stderr)
    say('output', content='last output'); sys.exit(3)
say('output', content='alive'); say('turn.complete'); read()",
    ));
    let turn = scene.turn("die");
    assert_eq!((turn.stdout.as_str(), turn.exit_code), ("last output", Some(3)));
    assert_eq!(
        turn.note.as_deref(),
        Some("The adapter ended (exit code 3) in mid-turn. Its last words: first line | it hurts")
    );
    let turn = scene.turn("live");
    assert_eq!(turn.stdout, "alive");
    assert!(turn.system.contains("had ended (exit code 3); it was started again"), "{turn:?}");
}

#[test]
fn an_adapter_that_is_not_there_is_told_at_once() {
    let missing = external(&["/nowhere/adapter"]);
    let shared = SharedAdapters::default();
    let error = Scene::try_external(missing.clone(), &shared).err().expect("no adapter");
    assert!(error.contains("/nowhere/adapter"), "{error}");
    let error = Scene::try_external(persistent(missing), &shared).err().expect("no adapter");
    assert!(error.contains("/nowhere/adapter"), "{error}");
}

#[test]
fn one_process_serves_many_sessions_told_apart_by_their_ids() {
    let shared = SharedAdapters::default();
    let adapter = persistent(python_for_many());
    let mut scenes: Vec<Scene> =
        (0..5).map(|_| Scene::shared_external(adapter.clone(), &shared)).collect();
    let starts: Vec<_> =
        scenes.iter_mut().map(|scene| (scene.send("go"), Instant::now())).collect();
    let mut pids = Vec::new();
    for (scene, (turn, start)) in scenes.iter_mut().zip(starts) {
        let turn = scene.rest_of_turn(turn, start);
        let (pid, session_id) = turn.stdout.split_once(' ').expect("two words");
        assert_eq!(session_id, &**scene.output.session_id());
        pids.push(pid.to_owned());
    }
    pids.dedup();
    assert_eq!(pids.len(), 1, "one process: {pids:?}");
    // One leaves, the others stay.
    scenes.pop().expect("a scene").close();
    assert!(scenes[0].turn("again").stdout.starts_with(&pids[0]));
    close(&shared);
    for scene in &mut scenes {
        assert!(matches!(scene.next(), Seen::Event(AgentEvent::Closed)));
    }
}

/// Answers each message with its process id and the session's, and does what it is told.
fn python_for_many() -> External {
    external(&[
        "python3",
        "-c",
        "import json, os, subprocess, sys
for line in sys.stdin:
    message = json.loads(line)
    if message['type'] != 'user.input': continue
    def say(type, **fields):
        print(json.dumps({'type': type, 'session_id': message['session_id'], **fields}), flush=True)
    if message['content'] == 'die': os._exit(9)
    if message['content'] == 'wait': continue
    if message['content'] == 'die in steps':
        gone = json.dumps({'type': 'output', 'session_id': message['session_id'], 'content': 'gone'})
        watch = f\"while kill -0 {os.getpid()}; do sleep 0.01; done; echo '{gone}'; exec sleep 1000\"
        subprocess.Popen(['sh', '-c', watch], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os._exit(9)
    if message['content'] == 'flood':
        for _ in range(64): say('output', content='x' * 65536)
    say('output', content=f\"{os.getpid()} {message['session_id']}\")
    say('turn.complete', exit_code=0)
",
    ])
}

#[test]
fn the_death_of_a_shared_adapter_ends_every_open_turn() {
    let shared = SharedAdapters::default();
    let adapter = persistent(python_for_many());
    let mut waiting = Scene::shared_external(adapter.clone(), &shared);
    let mut dying = Scene::shared_external(adapter, &shared);
    let open = waiting.send("wait");
    let start = Instant::now();
    assert_eq!(dying.turn("die").exit_code, Some(9));
    let ended = waiting.rest_of_turn(open, start);
    assert!(ended.note.expect("a note").contains("(exit code 9) in mid-turn"));
    // Started again by one, and greeted with both.
    assert!(dying.turn("go").system.contains("started again"));
    assert!(waiting.turn("go").stdout.ends_with(&**waiting.output.session_id()));
    close(&shared);
}

#[test]
fn messages_that_come_while_an_adapter_is_on_its_way_out_are_for_the_next_one() {
    let shared = SharedAdapters::default();
    let adapter = persistent(python_for_many());
    let mut ann = Scene::shared_external(adapter.clone(), &shared);
    let mut bob = Scene::shared_external(adapter, &shared);
    let start = Instant::now();
    let last = ann.send("die in steps");
    // Something that it left holds its output for a second.
    ann.until_output("gone");
    let (asked, another) = (bob.send("go"), ann.send("go"));
    assert_eq!(ann.rest_of_turn(last, start).exit_code, Some(9));
    let answer = bob.rest_of_turn(asked, start);
    assert!(answer.stdout.ends_with(&**bob.output.session_id()), "{answer:?}");
    let answer = ann.rest_of_turn(another, start);
    assert!(answer.stdout.ends_with(&**ann.output.session_id()), "{answer:?}");
    close(&shared);
}

#[test]
fn a_full_session_does_not_hold_up_the_others() {
    let shared = SharedAdapters::default();
    let adapter = persistent(python_for_many());
    // Nobody takes what this one says: it has room for a megabyte.
    let mut full = Scene::shared_external(adapter.clone(), &shared);
    let mut other = Scene::shared_external(adapter, &shared);
    let start = Instant::now();
    let flood = full.send("flood");
    assert!(other.turn("go").stdout.ends_with(&**other.output.session_id()));
    let turn = full.rest_of_turn(flood, start);
    assert!(turn.stdout.len() >= 1 << 20 && turn.stdout.len() < 4 << 20, "{}", turn.stdout.len());
    assert!(turn.system.contains("bytes of output were dropped"), "{}", turn.system);
    assert!(full.turn("go").stdout.ends_with(&**full.output.session_id()));
    close(&shared);
}

#[test]
fn an_adapter_of_one_session_is_held_back_and_loses_nothing() {
    let mut scene = Scene::external(python(
        "read()
for _ in range(200): say('output', content='x' * 65536)
say('turn.complete'); read()",
    ));
    assert_eq!(scene.turn("go").stdout.len(), 200 * 65536);
}

/// Offers nine files with one write; each of them alone fills a session.
fn offers_files_at_once() -> Scene {
    Scene::external(python(
        "read()
import os, tempfile
file = tempfile.NamedTemporaryFile(); file.truncate(1 << 20)
offer = lambda n: {'type': 'file.output', 'session_id': me, 'file_path': file.name, 'file_name': str(n)}
lines = [*map(offer, range(9)), {'type': 'turn.complete', 'session_id': me}]
os.write(1, ''.join(json.dumps(line) + '\\n' for line in lines).encode())
read()",
    ))
}

#[test]
fn files_that_are_offered_at_once_are_read_as_there_is_room() {
    let mut scene = offers_files_at_once();
    scene.send("go");
    for n in 0..9 {
        let seen = scene.next();
        assert!(matches!(&seen, Seen::File(name, ..) if *name == n.to_string()), "{n}: {seen:?}");
    }
    assert!(matches!(scene.next(), Seen::Event(AgentEvent::TurnEnded(_))));
}

#[test]
fn files_there_is_no_room_for_are_not_read() {
    let mut scene = offers_files_at_once();
    scene.hold();
    scene.send("go");
    assert!(matches!(scene.next(), Seen::File(name, ..) if name == "0"));
    let said = scene.close();
    assert!(!said.iter().any(|seen| matches!(seen, Seen::File(..))), "the next one was read");
    let told =
        |seen: &Seen| matches!(seen, Seen::Output(_, text) if text.contains("could be taken"));
    assert!(said.iter().any(told), "{said:?}");
}

#[test]
fn an_adapter_that_asks_for_ever_is_bounded() {
    let mut scene = Scene::external(python(
        "read()
for n in range(100000): say('permission.request', request_id=str(n), tool='T', description='')
say('turn.complete'); read()",
    ));
    scene.send("go");
    let mut asked = 0;
    loop {
        match scene.next() {
            Seen::Event(AgentEvent::PermissionRequested(_)) => asked += 1,
            Seen::Event(AgentEvent::TurnEnded(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(asked <= 64, "{asked}");
}

#[test]
fn an_adapter_that_does_not_read_is_ended_and_started_again() {
    let shared = SharedAdapters::default();
    let mut scene = Scene::shared_external(persistent(external(&["sleep", "1000"])), &shared);
    let start = Instant::now();
    let turn = scene.send("go");
    let name = "x".repeat(128 * 1024);
    let file = StoredFile { path: "/x".into(), name, mime_type: "x/y".into() };
    for _ in 0..12 {
        scene.agent.file(&file);
    }
    let turn = scene.rest_of_turn(turn, start);
    assert!(turn.system.contains("more than 1 MiB of what it was told unread"), "{turn:?}");
    assert_eq!(turn.exit_code, Some(143), "{turn:?}");
    let turn = scene.send("again");
    let seen = scene.next();
    let told = |text: &str| text.contains("it was started again");
    assert!(matches!(&seen, Seen::Output(_, text) if told(text)), "{seen:?}");
    close(&shared);
    let ends = |seen: &Seen| matches!(seen, Seen::Event(AgentEvent::TurnEnded(TurnEnd { turn: ended, .. })) if *ended == turn);
    assert!(ends(&scene.next()));
}

#[test]
fn closing_ends_the_adapter_and_its_children() {
    let mut scene = Scene::external(python(
        "import subprocess
subprocess.Popen(['sleep', '47.5'], start_new_session=True); say('output', content='up'); read()
import signal; signal.pause()",
    ));
    scene.until_output("up");
    let start = Instant::now();
    scene.close();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(processes_with("sleep 47.5").is_empty());
}

#[test]
fn closing_in_mid_turn_ends_it_first() {
    let mut scene = Scene::external(example());
    let turn = scene.send("wait");
    let said = scene.close();
    let ends = |seen: &Seen| matches!(seen, Seen::Event(AgentEvent::TurnEnded(TurnEnd { turn: ended, .. })) if *ended == turn);
    assert!(said.iter().any(ends), "{said:?}");
    assert!(scene.next_within(PATIENCE / 100).is_none());
}
