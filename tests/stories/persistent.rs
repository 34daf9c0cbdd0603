//! One process for an endpoint, whoever uses it.

use serde_json::json;

use crate::support::scene::{Scene, is_emulated};

#[test]
fn a_persistent_shell_is_shared_and_outlives_its_sessions() {
    if is_emulated() {
        return;
    }
    let scene = Scene::new("persistent")
        .set("/runtime/idle_timeout", json!("1h"))
        .agent(json!({
            "id": "sh", "profile": "generic-cli",
            "cli": { "command": "bash", "spawn_policy": "persistent" },
        }))
        .start();
    let (first, second) = (scene.session("sh"), scene.session("sh"));
    first.say("x=shared").ended(None);
    assert_eq!(second.say("echo $x").output(), "shared\n");
    first.shows("stdout", "shared\n");
    first.close();
    second.close();
    assert_eq!(scene.session("sh").say("echo $x").output(), "shared\n");
    assert!(scene.terminate().success());
    scene.no_process_left();
}

#[test]
fn a_message_from_another_session_ends_the_open_turn() {
    let scene = Scene::new("persistent_turns")
        .agent(json!({
            "id": "sh", "profile": "generic-cli",
            "cli": { "command": "bash", "spawn_policy": "persistent", "turn_end": "idle" },
        }))
        .start();
    let (first, second) = (scene.session("sh"), scene.session("sh"));
    let open = first.say("echo one");
    first.shows("stdout", "one\n");
    let other = second.say("echo two; exit 0");
    open.ended(None);
    other.ended(0);
    scene.every_turn_ended();
}
