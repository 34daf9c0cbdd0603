//! Nothing lost, nothing reordered, whatever the connection does.

use std::collections::HashSet;

use serde_json::json;

use crate::support::fault_proxy::{Cut, Door, Faults, Toward, Way};
use crate::support::scene::{Scene, cli, job};
use crate::support::session::Session;

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("{n}\n")).collect()
}

fn stalled() -> Faults {
    let way = Way { stalled: true, ..Way::default() };
    Faults { to_hub: way.clone(), to_runtime: way }
}

fn seq(count: usize) -> Vec<String> {
    vec!["-c".into(), format!("seq 0 {}", count - 1)]
}

/// Repeated frames carry the ids of the first.
fn ids_are_kept(session: &Session<'_>, scene: &Scene) {
    let frames = scene.hub.frames();
    let mut seen = HashSet::new();
    for frame in frames.iter().filter(|frame| frame.session() == Some(&session.id)) {
        if frame.is("agent.output") {
            let id = frame.value()["id"].as_str().unwrap_or_default().to_owned();
            assert!(!id.is_empty());
            seen.insert((id, frame.text_of("message_id").to_owned()));
        }
    }
    let ids: HashSet<_> = seen.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), seen.len(), "one message_id for each envelope id");
}

#[test]
fn twenty_resets_lose_and_reorder_nothing() {
    let count = 1_000_000;
    let args = seq(count);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let scene = Scene::new("delivery_resets")
        .proxy(7)
        .set("/hub/reconnect_interval", json!("5ms"))
        // A connection that is cut within 5 ms does not reset the backoff.
        .set("/hub/max_reconnect_delay", json!("20ms"))
        .agent(job("seq", "sh", &args))
        .start();
    let session = scene.session("seq");
    // Each is reset after more than may be unconfirmed, so that it got somewhere.
    scene.proxy().set_cuts(|connection, random| {
        (connection <= 21).then(|| (Toward::Hub, random.u64(300_000..400_000), Cut::Reset))
    });
    let before = scene.registrations();
    scene.proxy().cut(Cut::Reset);
    scene.registered_again(before);
    let turn = session.say("");
    turn.ended(0);
    assert!(session.output_on("stdout") == lines(count), "every line once, in order");
    ids_are_kept(&session, &scene);
    scene.every_turn_ended();
}

#[test]
fn what_is_printed_during_an_outage_arrives_after_it() {
    let scene = Scene::new("delivery_outage").proxy(3).agent(cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    let turn = session.say("for i in $(seq 0 4999); do echo $i; done; exit 9");
    turn.started();
    scene.proxy().set_door(Door::Reset);
    scene.proxy().cut(Cut::Fin);
    scene.logged("not connected");
    scene.proxy().set_door(Door::Open);
    turn.ended(9);
    assert!(session.output_on("stdout") == lines(5000));
}

#[test]
fn a_link_that_splits_every_byte_and_is_slow_carries_everything() {
    let args = seq(3_000);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let scene = Scene::new("delivery_split").proxy(11).agent(job("seq", "sh", &args)).start();
    let pieces = Way { pieces_of: Some(3), ..Way::default() };
    scene.proxy().set_faults(Faults { to_hub: pieces.clone(), to_runtime: pieces });
    let session = scene.session("seq");
    session.say("").ended(0);
    assert!(session.output_on("stdout") == lines(3_000));
}

#[test]
fn a_stalled_hub_bounds_what_is_held_and_gets_everything_after() {
    let count = 1_000_000;
    let args = seq(count);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let scene = Scene::new("delivery_stalled")
        .proxy(5)
        .set("/runtime/max_output_bytes", json!(262_144))
        .agent(job("seq", "sh", &args))
        .agent(job("echo", "echo", &["through"]))
        .start();
    let session = scene.session("seq");
    let turn = session.say("");
    turn.started();
    scene.proxy().set_faults(stalled());
    // Others are still heard while nobody reads: the runtime itself does not wait.
    let other = scene.adopt(&scene.client.create_session("echo", "ann"));
    scene.proxy().set_faults(Faults::default());
    assert_eq!(other.say("").output(), "through\n");
    turn.ended(0);
    assert!(session.output_on("stdout") == lines(count));
}

#[test]
fn a_flood_does_not_keep_others_from_being_heard() {
    let scene = Scene::new("delivery_flood")
        .agent(job("yes", "yes", &["flood"]))
        .agent(job("echo", "echo", &["heard"]))
        .start();
    let flood = scene.session("yes");
    let turn = flood.say("");
    flood.shows("stdout", "flood\n");
    let other = scene.session("echo");
    for _ in 0..5 {
        assert_eq!(other.say("").output(), "heard\n");
    }
    flood.stop();
    turn.ended(128 + 15);
}

#[test]
fn a_cut_in_every_turn_loses_nothing() {
    let scene = Scene::new("delivery_again")
        .proxy(9)
        .set("/hub/reconnect_interval", json!("5ms"))
        .agent(cli("sh", "bash", &[]))
        .start();
    let session = scene.session("sh");
    for n in 0..10 {
        let before = scene.registrations();
        let turn = session.say(&format!("echo {n}"));
        turn.started();
        scene.proxy().cut(Cut::Reset);
        scene.registered_again(before);
        turn.end();
    }
    assert_eq!(session.output_on("stdout"), lines(10));
    scene.every_turn_ended();
}
