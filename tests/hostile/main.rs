//! A hub, its users and agents that mean harm, from outside: each attack has a
//! bound and a word about it, and the runtime serves on.

#[path = "../support/mod.rs"]
mod support;

mod agents;
mod hub;
mod secrets;

use support::scene::Scene;

/// What a runtime may hold whatever is done to it: its buffers in these scenes,
/// one message of the largest size taken apart, and a debug build's own.
const MOST_MEMORY: u64 = 192 << 20;

/// It serves, on the same connection, and has not grown.
fn is_well(scene: &Scene, endpoint: &str) {
    let session = scene.session(endpoint);
    assert_eq!(session.say("still here").output(), "still here");
    session.close();
    let memory = scene.usage().memory;
    assert!(memory < MOST_MEMORY, "{} MiB", memory >> 20);
}
