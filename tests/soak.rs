//! Everything at once, for as long as one likes: all four profiles, every fault
//! the proxy knows, hub restarts and kills, and an oracle that knows what each
//! turn must say. `make soak MINUTES=10 SEED=1`; not part of `make test`.

#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use support::fault_proxy::{Cut, Door, Faults, Way};
use support::scene::{Scene, cli, external, http, job};
use support::session::{Session, Turn};
use support::soon;

/// How long a message may take to reach its agent before it is written again: a
/// hub drops what is addressed to a runtime that is away.
const ARRIVAL: Duration = Duration::from_secs(15);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// An HTTP service that says each body back, for as long as the test lives.
fn echo_service() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream));
        }
    });
    url
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let Some(head) = request.windows(4).position(|end| end == b"\r\n\r\n") else {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => request.extend_from_slice(&piece[..count]),
            }
            continue;
        };
        let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
        let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|value| value.trim().parse().ok()).unwrap_or(0);
        while request.len() < head + 4 + length {
            let count = stream.read(&mut piece)?;
            request.extend_from_slice(&piece[..count]);
        }
        let body: Vec<u8> = request.drain(..head + 4 + length).skip(head + 4).collect();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(&body)?;
    }
}

/// What a turn must say on stdout, and with which message it is asked.
fn question(agent: &str, random: &mut fastrand::Rng) -> (String, String) {
    let count = random.usize(1..20_000);
    let lines: String = (1..=count).map(|n| format!("{n}\n")).collect();
    match agent {
        "sh" => (format!("seq {count}"), lines),
        "job" => (format!("{count}"), lines),
        "http" => (lines.clone(), lines),
        _ => (lines.clone(), format!("ann said: {lines}\n")),
    }
}

struct Soak {
    scene: Scene,
    random: fastrand::Rng,
    counts: BTreeMap<&'static str, u64>,
}

impl Soak {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Writes a message until its turn begins.
    fn ask<'a>(&self, session: &Session<'a>, content: &str) -> Turn<'a> {
        let deadline = soon() + ARRIVAL;
        loop {
            self.scene.registered();
            let turn = session.say(content);
            if turn.begins_before(Instant::now() + ARRIVAL) {
                return turn;
            }
            assert!(Instant::now() < deadline, "no message reached the agent");
        }
    }

    /// Does something to the link, the hub or the runtime; true when the
    /// runtime itself was killed, so that open turns are lost.
    fn disturb(&mut self) -> bool {
        let proxy = self.scene.proxy();
        let way = |way: Way| Faults { to_hub: way.clone(), to_runtime: way };
        match self.random.u8(0..10) {
            0 => proxy.cut(Cut::Reset),
            1 => proxy.cut(Cut::Fin),
            2 => {
                proxy.cut(Cut::Silence);
                proxy.bury();
            }
            3 => proxy.set_faults(way(Way { pieces_of: Some(700), ..Way::default() })),
            4 => proxy.set_faults(way(Way { delay: Duration::from_millis(40), ..Way::default() })),
            5 => proxy.set_faults(Faults::default()),
            6 => {
                proxy.set_door(Door::Reset);
                proxy.cut(Cut::Reset);
                proxy.set_door(Door::Open);
            }
            7 => {
                self.scene.hub.go_down();
                self.scene.hub.come_up().expect("the same port again");
            }
            8 => {
                self.scene.kill();
                self.scene.launch();
                self.count("kills");
                return true;
            }
            _ => {}
        }
        self.count("disturbances");
        false
    }
}

/// Turns in one scene; the next one begins afresh, so that memory stays bounded.
const ROUND: u64 = 40;

/// One scene, until so many turns are over or the time is.
fn round(seed: u64, until: Instant) -> BTreeMap<&'static str, u64> {
    let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/examples/echo_adapter.py");
    let scene = Scene::new("soak")
        .proxy(seed)
        .set("/hub/reconnect_interval", json!("20ms"))
        .set("/runtime/log_level", json!("info"))
        .agent(cli("sh", "bash", &[]))
        .agent(job("job", "sh", &["-c", "read count; seq $count"]))
        .agent(http("http", &echo_service()))
        .agent(external("adapter", "python3", &[adapter]))
        .start();
    let mut soak = Soak { scene, random: fastrand::Rng::with_seed(seed), counts: BTreeMap::new() };
    let agents = ["sh", "job", "http", "adapter"];
    let ids = agents.map(|agent| soak.scene.session(agent).id);
    for _ in 0..ROUND {
        if Instant::now() > until {
            break;
        }
        let at = soak.random.usize(0..agents.len());
        let (message, expected) = question(agents[at], &mut soak.random);
        let message_id = soak.ask(&soak.scene.adopt(&ids[at]), &message).message;
        let killed = soak.disturb();
        let output = soak.scene.adopt(&ids[at]).turn(&message_id).output();
        soak.count("turns");
        if killed {
            soak.count("turns cut short");
        } else {
            let (got, wanted) = (output.len(), expected.len());
            assert!(output == expected, "seed={seed} {}: {got} of {wanted} bytes", agents[at]);
        }
    }
    soak.scene.proxy().set_faults(Faults::default());
    soak.scene.every_turn_ended();
    assert!(soak.scene.terminate().success());
    soak.scene.no_process_left();
    soak.counts
}

#[test]
#[ignore = "takes minutes: make soak"]
fn everything_at_once_loses_nothing() {
    let first = setting("SEED", fastrand::u64(1..1_000_000));
    let until = Instant::now() + Duration::from_secs(60 * setting("MINUTES", 1));
    let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in first.. {
        println!("soak round seed={seed}");
        for (what, count) in round(seed, until) {
            *all.entry(what).or_default() += count;
        }
        if Instant::now() > until {
            break;
        }
    }
    println!("soak counted {all:?}");
}
