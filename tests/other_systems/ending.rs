//! Stop and close, and what came of a session's processes.

use std::time::{Duration, Instant};

use amurg_runtime::ids;

use crate::support::scene::Scene;
use crate::{cli, job, living, none_left, scene};

#[test]
#[ignore = "make cross-check"]
fn a_stop_interrupts_a_job_that_listens() {
    let scene = scene("other_polite").agent(job("job", &["polite"])).start();
    let session = scene.session("job");
    let turn = session.say("");
    session.shows("stdout", "waiting");
    session.stop();
    turn.ended(7);
    session.shows("stdout", "interrupted");
}

#[test]
#[ignore = "make cross-check"]
fn a_stop_kills_a_job_that_does_not_listen() {
    let scene = scene("other_stubborn").agent(job("job", &["stubborn"])).start();
    let session = scene.session("job");
    let turn = session.say("");
    session.shows("stdout", "waiting");
    let stopped = Instant::now();
    session.stop();
    turn.ended(137);
    assert!(stopped.elapsed() >= Duration::from_secs(4), "it had its time");
}

#[test]
#[ignore = "make cross-check"]
fn a_stop_interrupts_a_running_program() {
    let scene = Scene::new("other_interrupt").agent(cli("polite", &["polite"])).start();
    let session = scene.session("polite");
    session.shows("stdout", "waiting");
    let turn = session.say("");
    session.stop();
    turn.ended(7);
}

#[test]
#[ignore = "make cross-check"]
fn a_close_ends_grandchildren_that_share_nothing_with_their_session() {
    let word = ids::next_id();
    let scene = scene("other_close").agent(cli("parent", &["parent", &word])).start();
    let session = scene.session("parent");
    session.shows("stdout", "child started");
    assert_eq!(living(&word).len(), 2, "parent and child: {:?}", living(&word));
    session.close();
    none_left(&word);
}

#[test]
#[ignore = "make cross-check"]
fn a_runtime_that_is_killed_takes_every_process_with_it() {
    let word = ids::next_id();
    let scene = scene("other_killed").agent(cli("parent", &["parent", &word])).start();
    let session = scene.session("parent");
    session.shows("stdout", "child started");
    let turn = session.say("hello");
    turn.started();
    scene.kill();
    none_left(&word);
    scene.launch();
    scene.registered();
    // Of what was open then, the end is told now.
    turn.end();
    scene.every_turn_ended();
}
