//! A hub may narrow an agent, never widen it.

use amurg_runtime::protocol::Dialect;
use serde_json::{Value, json};

use crate::support::scene::{Scene, job};
use crate::support::soon;

fn push(scene: &Scene, security: Value, limits: Value) -> (bool, String) {
    let some = |value: Value| (!value.is_null()).then_some(value);
    let answers = || {
        let frames = scene.hub.frames();
        frames
            .iter()
            .filter(|frame| frame.is("agent.config_ack") || frame.is("endpoint.config_ack"))
            .count()
    };
    let before = answers();
    scene.client.config_update("j", some(security), some(limits));
    let mut seen = 0;
    let answer = scene.client.wait_for(soon(), |frame| {
        let ours = frame.is("agent.config_ack") || frame.is("endpoint.config_ack");
        seen += usize::from(ours);
        (ours && seen > before)
            .then(|| (frame.field("ok") == &json!(true), frame.text_of("error").to_owned()))
    });
    answer.unwrap_or_else(|_| scene.fail("a config_ack"))
}

#[test]
fn a_narrower_push_holds_for_new_turns_in_either_dialect() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene =
            Scene::new("push_narrow").dialect(dialect).agent(job("j", "sh", &["-c", "ulimit -n"]));
        let scene = scene.start();
        let session = scene.session("j");
        session.say("").ended(0);
        assert_eq!(push(&scene, Value::Null, json!({"max_open_files": 48})), (true, String::new()));
        assert_eq!(session.say("").output(), "48\n");
    }
}

#[test]
fn what_would_widen_is_refused_with_a_reason() {
    let scene = Scene::new("push_wide").agent(job("j", "pwd", &[])).start();
    for (security, limits) in [
        (json!({"cwd": "/tmp"}), Value::Null),
        (json!({"permission_mode": "bypassPermissions"}), Value::Null),
        (Value::Null, json!({"max_sessions": 1_000_000})),
    ] {
        let (ok, error) = push(&scene, security, limits);
        assert!(!ok && !error.is_empty());
    }
    assert_ne!(scene.session("j").say("").output(), "/tmp\n");
}

#[test]
fn a_pushed_cap_holds() {
    let scene = Scene::new("push_cap").agent(job("j", "true", &[])).start();
    push(&scene, Value::Null, json!({"max_sessions": 1}));
    scene.session("j");
    assert!(scene.try_session("j").is_err());
}
