//! The link: lost, and found again.

use amurg_runtime::protocol::Dialect;

use crate::{cli, job, scene};

#[test]
#[ignore = "make cross-check"]
fn a_lost_connection_is_made_again_and_nothing_is_lost() {
    for dialect in [Dialect::Agent, Dialect::Endpoint] {
        let scene = scene("other_link").dialect(dialect).agent(cli("echo", &["echo"])).start();
        let session = scene.session("echo");
        for number in 0..3 {
            let before = scene.registrations();
            let turn = session.say(&number.to_string());
            turn.started();
            scene.hub.drop_connections(false);
            scene.registered_again(before);
            assert_eq!(turn.output(), format!("you said {number}\n> "));
        }
        scene.every_turn_ended();
    }
}

#[test]
#[ignore = "make cross-check"]
fn a_hub_that_was_away_is_found_when_it_is_back() {
    let scene = scene("other_away").agent(job("job", &["job", "0"])).start();
    let session = scene.session("job");
    let before = scene.registrations();
    scene.hub.go_down();
    scene.logged("Connection refused");
    scene.hub.come_up().expect("its address is free");
    scene.registered_again(before);
    session.say("x").ended(0);
}
