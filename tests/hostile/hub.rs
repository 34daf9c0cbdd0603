//! What a compromised hub, or a user through it, may try.

use std::fs;
use std::path::Path;

use fastrand::Rng;
use rustix::process::Signal;
use serde_json::json;

use crate::is_well;
use crate::support::scene::{Scene, Setup, cli, job};
use crate::support::soon;

fn cat(name: &str) -> Setup {
    Scene::new(name).agent(job("cat", "cat", &[])).set("/runtime/log_level", json!("warn"))
}

/// Sound messages as the fuzzer's seeds have them.
fn seeds() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/envelope");
    let entries = fs::read_dir(directory).unwrap();
    let mut seeds: Vec<String> =
        entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    seeds.sort();
    seeds
}

/// Characters that mean something in JSON.
const ODD: [char; 13] = ['"', '{', '}', '[', ']', ':', ',', '\\', '\0', ' ', 'u', '9', '-'];

/// Some characters of a text changed, doubled or left out, or pure noise.
fn mutated(seed: &str, random: &mut Rng) -> String {
    let mut text: Vec<char> = seed.chars().collect();
    if random.u8(..) < 32 {
        return (0..random.usize(..300)).map(|_| random.char(..)).collect();
    }
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..text.len().max(1));
        match random.u8(..4) {
            _ if text.is_empty() => text.push('{'),
            0 => drop(text.remove(at)),
            1 => text[at] = *random.choice(&ODD).unwrap(),
            2 => text.insert(at, random.char(..)),
            _ => text.extend_from_within(at..),
        }
    }
    text.into_iter().collect()
}

#[test]
fn ten_thousand_mutated_frames_leave_it_alive_and_serving() {
    let scene = cat("hostile_frames").start();
    let (seeds, mut random) = (seeds(), Rng::with_seed(7));
    for number in 0..10_000 {
        scene.client.raw(&mutated(&seeds[number % seeds.len()], &mut random));
    }
    is_well(&scene, "cat");
}

#[test]
fn sessions_in_a_loop_stop_at_the_cap() {
    let scene = cat("hostile_sessions")
        .agent(cli("shell", "cat", &[]))
        .set("/runtime/max_sessions", json!(4))
        .start();
    let ids: Vec<String> =
        (0..300).map(|_| scene.client.create_session("shell", "mallory")).collect();
    let made = ids.iter().filter(|id| scene.adopt(id).created().is_ok()).count();
    assert_eq!(made, 4);
    assert!(scene.adopt(&ids[299]).created().is_err_and(|error| error.contains('4')));
    assert_eq!(scene.processes().len(), 4, "{:?}", scene.processes());
}

/// What ignores TERM takes five seconds to end: until then it counts.
#[test]
fn opening_and_closing_in_a_loop_is_bounded_as_well() {
    let deaf = "trap '' TERM; while :; do sleep 1000; done";
    let scene = cat("hostile_closing").agent(cli("deaf", "sh", &["-c", deaf])).start();
    for number in 0..100 {
        let id = format!("s{number}");
        scene.client.create_session_as(&id, "deaf", "mallory");
        scene.client.close_session(&id, "again");
    }
    let outcomes: Vec<_> =
        (0..100).map(|number| scene.adopt(&format!("s{number}")).created()).collect();
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(refused.len() >= 100 - 2 * 16, "{} refused", refused.len());
    assert!(refused.iter().all(|reason| reason.contains("still ending")), "{refused:?}");
}

#[test]
fn the_largest_messages_are_taken_one_at_a_time() {
    let scene = cat("hostile_large").agent(job("count", "wc", &["-c"])).start();
    let session = scene.session("count");
    let large = "x".repeat(30 << 20);
    for _ in 0..3 {
        assert_eq!(session.say(&large).output().trim(), (30 << 20).to_string());
    }
    is_well(&scene, "cat");
}

#[test]
fn messages_in_a_loop_are_answered_or_refused() {
    let scene = cat("hostile_messages").agent(job("slow", "sleep", &["1000"])).start();
    let session = scene.session("slow");
    let nobody = scene.adopt("nobody");
    for number in 0..5_000 {
        session.say("x");
        scene.client.raw(&format!(
            r#"{{"type":"user.message","payload":{{"session_id":"nobody","message_id":"{number}","content":"x"}}}}"#
        ));
    }
    session.shows("system", "64");
    nobody.shows("system", "session");
    is_well(&scene, "cat");
    session.close();
}

#[test]
fn questions_without_end_cost_nothing() {
    let scene = cat("hostile_questions").start();
    for number in 0..3_000 {
        scene.client.raw(r#"{"type":"ping"}"#);
        scene.client.native_sessions_list("cat");
        scene.client.stop("nobody");
        scene.client.token_refresh(&format!("token-{number}"));
        scene.client.token_refresh("not a token\u{7f}");
    }
    is_well(&scene, "cat");
}

#[test]
fn pings_without_end_leave_it_time_for_everybody_else() {
    let scene = cat("hostile_pings").set("/runtime/log_level", json!("info")).start();
    let pings = b"\x89\x00".repeat(2_000);
    for _ in 0..50 {
        scene.client.raw_bytes(&pings);
    }
    scene.signal(Signal::HUP);
    scene.logged("configuration read again");
    is_well(&scene, "cat");
    assert!(scene.terminate().success());
}

#[test]
fn pushes_without_end_leave_the_last_one_in_force() {
    let scene = cat("hostile_pushes").start();
    let session = scene.session("cat");
    for number in 0..2_000 {
        let limits =
            json!({ "session_timeout": format!("{}s", 60 + number % 7), "max_sessions": 2 });
        scene.client.config_update("cat", None, Some(limits));
        scene.client.config_update("cat", Some(json!({ "cwd": "/" })), None);
    }
    assert_eq!(session.say("x").output(), "x");
    scene.session("cat").close();
    let third = scene.try_session("cat").and_then(|_| scene.try_session("cat"));
    assert!(third.is_err_and(|error| error.contains('2')));
    let acks =
        || scene.hub.frames().iter().filter(|frame| frame.kind().ends_with("config_ack")).count();
    let all = scene.client.wait_for(soon(), |_| (acks() == 4_000).then_some(()));
    assert!(all.is_ok(), "{} acks", acks());
}

#[test]
fn empty_uploads_without_end_are_bounded_and_told() {
    let scene = cat("hostile_uploads").set("/runtime/max_stored_bytes", json!(1 << 16)).start();
    let session = scene.session("cat");
    for number in 0..100 {
        session.upload(&format!("{number}"), b"");
        if number % 50 == 49 {
            // More would wait than may wait, and be refused for that.
            session.say("go on").end();
        }
    }
    session.shows("system", "runtime.max_stored_bytes");
    let stored = scene.dir.path().join("state/hostile_uploads/files/cat");
    let sessions = fs::read_dir(stored).unwrap().flatten();
    let files: usize = sessions.map(|one| fs::read_dir(one.path()).unwrap().count()).sum();
    assert!((1..=16).contains(&files), "{files}");
    is_well(&scene, "cat");
}
