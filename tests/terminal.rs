//! What a person at a terminal sees: a pseudo-terminal in their place.
#![cfg(target_os = "linux")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use amurg_runtime::loopback::ScratchDir;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};
use support::scene::{Scene, cli};
use support::{PATIENCE, soon};

/// The program on a terminal, and what stood on it.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<(Mutex<String>, Condvar)>,
}

impl Terminal {
    /// 80 columns, 24 rows; a home of its own and nothing else of ours.
    fn start(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let main = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&main).expect("granted");
        unlockpt(&main).expect("unlocked");
        tcsetwinsize(&main, Winsize { ws_col: 80, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 })
            .expect("a size");
        let name = ptsname(&main, Vec::new()).expect("a name");
        let side = rustix::fs::openat(CWD, name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let side = File::from(side.expect("its other side"));
        let also = || Stdio::from(side.try_clone().expect("a copy"));
        let child = Command::new(env!("CARGO_BIN_EXE_amurg-runtime"))
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a PATH"))
            .envs([
                ("HOME", home.to_str().expect("a name")),
                ("TERM", "xterm"),
                ("LANG", "C.UTF-8"),
            ])
            .envs(variables.iter().copied())
            .stdin(also())
            .stdout(also())
            .stderr(also())
            .spawn()
            .expect("it starts");
        drop(side);
        let keyboard = File::from(main);
        let mut shown = keyboard.try_clone().expect("a copy");
        let screen = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let paper = Arc::clone(&screen);
        // Ends with the last process on the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = shown.read(&mut bytes) {
                paper.0.lock().expect("whole").push_str(&String::from_utf8_lossy(&bytes[..count]));
                paper.1.notify_all();
            }
        });
        Self { child, keyboard, screen }
    }

    fn screen(&self) -> String {
        self.screen.0.lock().expect("whole").clone()
    }

    /// Waits until this stands there so many times.
    fn shows(&self, text: &str, times: usize) {
        let missing = |screen: &mut String| screen.matches(text).count() < times;
        let screen = self.screen.0.lock().expect("whole");
        let (screen, late) =
            self.screen.1.wait_timeout_while(screen, PATIENCE, missing).expect("whole");
        assert!(!late.timed_out(), "waited in vain for {text:?}: {}", *screen);
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("typed");
    }

    /// Waits for a question and answers it.
    fn answers(&mut self, question: &str, answer: &str) {
        self.shows(question, 1);
        self.types(&format!("{answer}\n"));
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home() -> ScratchDir {
    ScratchDir::new("amurg-terminal").expect("a home")
}

fn config(home: &ScratchDir) -> Value {
    let text = std::fs::read_to_string(home.path().join("config.json")).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn init_asks_writes_and_never_shows_the_token() {
    let home = home();
    let init = ["init", "--output", "config.json"];
    let mut terminal = Terminal::start(home.path(), &init, &[]);
    terminal.answers("Address of the hub", "not an address://");
    // What cannot be understood is asked for again.
    terminal.shows("Address of the hub", 2);
    terminal.types("https://hub.example\n");
    terminal.answers("Token (not shown", "s3cret-token");
    terminal.answers("Name of this runtime", "lab-1");
    terminal.answers("Which of them to offer", "sh tests='make -C /srv test'");
    terminal.answers("Directory they work in", "");
    terminal.shows(" run", 1);
    assert_eq!(terminal.code(), Some(0), "{}", terminal.screen());
    assert!(!terminal.screen().contains("s3cret"), "{}", terminal.screen());
    let config = config(&home);
    assert_eq!(config["hub"]["url"], "wss://hub.example/ws/runtime");
    assert_eq!(config["runtime"]["id"], "lab-1");
    let ids: Vec<&Value> =
        config["endpoints"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["lab-1-sh", "tests"]);
    let token = home.path().join("token");
    assert_eq!(std::fs::read_to_string(&token).expect("a token"), "s3cret-token\n");
    let mode = token.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut again = Terminal::start(home.path(), &init, &[]);
    assert_eq!(again.code(), Some(64));
    again.shows("is there already; replace it with --force", 1);
}

/// A hub that gives a code, and a token at the third question.
fn registering_hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut polls = 0;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let (mut first, mut length) = (String::new(), 0);
            stream.read_line(&mut first).expect("a request");
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).expect("a header");
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).expect("a body");
            polls += usize::from(first.contains("/poll"));
            let answer = if !first.contains("/poll") {
                json!({ "user_code": "ABCD-EF23", "expires_in": 300, "interval": 1,
                        "verification_url": "https://hub.example/connect?code=ABCD-EF23",
                        "polling_token": "0".repeat(64) })
            } else if polls < 3 {
                json!({ "status": "pending" })
            } else {
                json!({ "status": "approved", "token": "given-token",
                        "runtime_id": "runtime-1a2b3c4d", "org_id": "acme" })
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            stream.get_mut().write_all((head + &answer).as_bytes()).expect("it is read");
        }
    });
    format!("ws://{address}/ws/runtime")
}

#[test]
fn registration_shows_code_address_and_picture_and_what_it_waits_for() {
    let home = home();
    let url = registering_hub();
    let arguments = [
        "init",
        "--register",
        "--yes",
        "--hub-url",
        &url,
        "--agent",
        "sh",
        "--output",
        "config.json",
    ];
    let mut terminal = Terminal::start(home.path(), &arguments, &[]);
    terminal.shows("ABCD-EF23", 2);
    assert_eq!(terminal.code(), Some(0), "{}", terminal.screen());
    terminal.shows("Next:", 1);
    let screen = terminal.screen();
    assert!(screen.contains("https://hub.example/connect?code=ABCD-EF23"), "{screen}");
    assert!(screen.contains('█') && screen.contains("waiting for your confirmation"), "{screen}");
    assert!(!screen.contains("given-token"), "{screen}");
    let config = config(&home);
    assert_eq!(
        (&config["runtime"]["id"], &config["runtime"]["org_id"]),
        (&json!("runtime-1a2b3c4d"), &json!("acme"))
    );
    let token = std::fs::read_to_string(home.path().join("token")).expect("a token");
    assert_eq!(token, "given-token\n");
}

#[test]
fn what_takes_long_tells_what_it_waits_for() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/ws/runtime", silent.local_addr().expect("an address"));
    let home = home();
    let config = json!({
        "hub": { "url": url, "token": "t" }, "runtime": { "id": "lab" },
        "endpoints": [{ "id": "sh", "profile": "generic-cli", "cli": { "command": "sh" } }],
    });
    std::fs::write(home.path().join("config.json"), config.to_string()).expect("written");
    let check = ["check", "--connect", "--config", "config.json"];
    for (variables, begin) in [
        (&[][..], "\r\x1b[K  waiting for the WebSocket handshake ("),
        (&[("NO_COLOR", "1")], "  waiting for the WebSocket handshake\r\n"),
        (&[("TERM", "dumb")], "  waiting for the WebSocket handshake\r\n"),
    ] {
        let terminal = Terminal::start(home.path(), &check, variables);
        terminal.shows(begin, 1);
        let plain = !variables.is_empty();
        assert_eq!(terminal.screen().contains('\x1b'), !plain, "{:?}", terminal.screen());
    }
}

#[test]
fn the_watched_page_is_drawn_in_place() {
    let scene = Scene::new("watch").agent(cli("sh", "sh", &[])).start();
    scene.session("sh").say("true").end();
    let watch = ["status", "--watch", "--config", "config.json"];
    let begun = Instant::now();
    let terminal = Terminal::start(scene.dir.path(), &watch, &[]);
    terminal.shows("\x1b[H", 3);
    assert!(begun < soon());
    let screen = terminal.screen();
    let frames: Vec<&str> = screen.split("\x1b[H").skip(1).collect();
    assert!(frames[0].starts_with("watch "), "{screen:?}");
    assert!(frames[1].contains('▁') || frames[1].contains('█'), "a sparkline: {screen:?}");
    // Clearing everything before drawing is what flickers.
    assert!(!screen.contains("\x1b[2J"), "{screen:?}");
    let lines = frames[0].matches("\r\n").count();
    assert!(lines < 24, "more than the terminal has: {screen:?}");
}

#[test]
fn a_trial_at_a_terminal_survives_a_mistake() {
    let home = home();
    let mut terminal = Terminal::start(home.path(), &["try", "--demo"], &[]);
    terminal.answers("shell> ", "if )");
    terminal.shows("syntax error", 1);
    terminal.shows("shell> ", 2);
    terminal.types("echo $((6*7))\n");
    terminal.shows("42\r\n", 1);
    terminal.shows("shell> ", 3);
    terminal.types("\u{4}");
    assert_eq!(terminal.code(), Some(0));
}
