//! The real binary under a listener in the place of systemd: what it tells, and when.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use amurg_runtime::loopback::ScratchDir;
use rustix::process::Signal;
use support::PATIENCE;
use support::scene::{Scene, job};
use support::setup::Setup;

/// What a service manager hears.
struct Listener {
    socket: UnixDatagram,
    _dir: ScratchDir,
}

impl Listener {
    /// Listens, and lets the scene's runtime know where.
    fn of(setup: Setup) -> (Self, Setup) {
        let dir = ScratchDir::new("amurg-notify").expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let setup = setup.variable("NOTIFY_SOCKET", path.to_str().expect("a plain name"));
        (Self { socket, _dir: dir }, setup)
    }

    /// The next message that has this line; others are passed over.
    fn hears(&self, line: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {line:?}; heard {passed:?}");
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(length) = self.socket.recv(&mut buffer) else { continue };
            let text = String::from_utf8_lossy(&buffer[..length]);
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.iter().any(|one| one == line) {
                return lines;
            }
            passed.extend(lines);
        }
    }
}

#[test]
fn readiness_connection_reload_and_stop_are_told() {
    let (systemd, setup) = Listener::of(Scene::new("notify").agent(job("j", "true", &[])));
    let scene = setup.start();
    systemd.hears("READY=1");
    systemd.hears("STATUS=connected to the hub");

    scene.signal(Signal::HUP);
    let reloading = systemd.hears("RELOADING=1");
    assert!(reloading.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading:?}");
    let ready = systemd.hears("READY=1");
    assert!(ready.contains(&"STATUS=connected to the hub".to_owned()), "{ready:?}");

    scene.hub.go_down();
    systemd.hears("STATUS=not connected to the hub");

    scene.signal(Signal::TERM);
    systemd.hears("STOPPING=1");
    assert!(scene.exited().success());
}

#[test]
fn a_hub_that_is_away_does_not_keep_the_service_from_being_ready() {
    let setup = Scene::new("notify_away").agent(job("j", "true", &[]));
    // Nothing listens on the port of discarded things.
    let (systemd, setup) = Listener::of(setup.dial("ws://127.0.0.1:9/ws/runtime"));
    let scene = setup.start_unregistered();
    let ready = systemd.hears("READY=1");
    assert!(ready.contains(&"STATUS=not connected to the hub".to_owned()), "{ready:?}");
    assert!(scene.terminate().success());
}

#[test]
fn a_file_that_cannot_be_used_is_no_reason_to_stop() {
    let (systemd, setup) = Listener::of(Scene::new("notify_bad").agent(job("j", "true", &[])));
    let scene = setup.start();
    systemd.hears("STATUS=connected to the hub");
    let mut config = scene.configuration();
    config["endpoints"] = "none".into();
    scene.configure(&config);
    scene.signal(Signal::HUP);
    systemd.hears("RELOADING=1");
    systemd.hears("READY=1");
    scene.logged("nothing changes");
    scene.session("j").say("").ended(Some(0));
}

#[test]
fn the_watchdog_is_fed_twice_in_its_time() {
    let period = Duration::from_secs(1);
    let setup = Scene::new("notify_watchdog").agent(job("j", "true", &[]));
    let (systemd, setup) =
        Listener::of(setup.variable("WATCHDOG_USEC", &period.as_micros().to_string()));
    let _scene = setup.start();
    systemd.hears("WATCHDOG=1");
    let first = Instant::now();
    for _ in 0..3 {
        systemd.hears("WATCHDOG=1");
    }
    assert!(first.elapsed() < 3 * period, "three pulses took {:?}", first.elapsed());
}

#[test]
fn the_agents_are_told_nothing_of_it() {
    let print = "env | grep -E '^(NOTIFY_SOCKET|WATCHDOG_)' || echo nothing";
    let setup = Scene::new("notify_agents").agent(job("j", "sh", &["-c", print]));
    let setup = setup.variable("WATCHDOG_USEC", "60000000");
    let (_systemd, setup) = Listener::of(setup);
    let scene = setup.start();
    assert_eq!(scene.session("j").say("").output(), "nothing\n");
}
