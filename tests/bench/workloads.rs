//! The hot paths, each alone and without a thread, for counting instructions.
//!
//! One round handles one unit of work, as large as it comes in practice. What
//! comes before the first round costs the same for any number of rounds, so
//! the difference of two numbers is exact.

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use amurg_runtime::hub::outbox::{Budget, Command, Outbox};
use amurg_runtime::protocol::escape::escape_json;
use amurg_runtime::protocol::inbound::decode;
use amurg_runtime::protocol::outbound::Channel;
use amurg_runtime::protocol::output_frame::OutputFrame;
use amurg_runtime::session::output::SessionOutput;
use amurg_runtime::wake;
use crossbeam_channel::{Receiver, unbounded};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Message, WebSocket};

use super::Outcome;
use super::agents::pattern;

/// One hot path.
pub struct Workload {
    pub name: &'static str,
    /// Bytes of one round, where its cost grows with them.
    pub bytes: Option<usize>,
    run: fn(u32),
}

/// What one read brings in a flood.
const BLOCK: usize = 64 * 1024;

/// All of them.
pub const ALL: &[Workload] = &[
    Workload { name: "escape lines", bytes: Some(BLOCK), run: |n| escape(n, &known("lines")) },
    Workload { name: "escape prose", bytes: Some(BLOCK), run: |n| escape(n, &prose()) },
    Workload {
        name: "escape control bytes",
        bytes: Some(BLOCK),
        run: |n| escape(n, &known("control")),
    },
    Workload { name: "output frame", bytes: Some(BLOCK), run: |n| frame(n, &known("lines")) },
    Workload { name: "output frame of a word", bytes: None, run: |n| frame(n, b"hello\n") },
    Workload {
        name: "stream of a flood",
        bytes: Some(BLOCK),
        run: |n| stream(n, &known("lines"), 100),
    },
    Workload { name: "stream of tokens", bytes: None, run: |n| stream(n, b"token ", 10) },
    Workload { name: "websocket frame", bytes: Some(BLOCK), run: websocket },
    Workload { name: "decode a message", bytes: None, run: decode_message },
];

/// Runs one of them so many times.
pub fn run(name: &str, rounds: u32) -> Outcome<()> {
    let workload = ALL.iter().find(|one| one.name == name).ok_or("no such hot path")?;
    (workload.run)(rounds);
    Ok(())
}

fn known(name: &str) -> Vec<u8> {
    pattern(name).unwrap_or_default()
}

/// Words with accents, quotes and ideograms.
fn prose() -> Vec<u8> {
    let line = "„Größe“ ist relativ, sagt sie, \"mais pas ici\", und 世界 nickt dazu.\n";
    let mut prose = line.repeat(BLOCK / line.len() + 1);
    prose.truncate((0..=BLOCK).rev().find(|&end| prose.is_char_boundary(end)).unwrap_or(0));
    prose.into_bytes()
}

fn escape(rounds: u32, bytes: &[u8]) {
    let mut out = String::with_capacity(6 * bytes.len());
    for _ in 0..rounds {
        out.clear();
        escape_json(black_box(bytes), &mut out);
        black_box(&out);
    }
}

fn frame(rounds: u32, bytes: &[u8]) {
    for _ in 0..rounds {
        let mut frame =
            OutputFrame::begin("a-session-of-usual-length", 1, &Channel::Stdout, bytes.len());
        frame.push(black_box(bytes));
        black_box(frame.finish());
    }
}

/// Reads of an agent, so many milliseconds apart, up to the writer's channel.
fn stream(rounds: u32, bytes: &[u8], apart: u64) {
    let (commands, received): (_, Receiver<Command>) = unbounded();
    let (waker, _awake) = wake::pair().expect("a descriptor");
    let outbox = Outbox::new(commands, waker, Arc::new(Budget::new(usize::MAX)));
    let session: Arc<str> = "a-session-of-usual-length".into();
    let output = SessionOutput::new(Arc::clone(&session), outbox.lane(session, usize::MAX));
    let mut stream = output.stream(Channel::Stdout);
    let mut now = Instant::now();
    for _ in 0..rounds {
        now += Duration::from_millis(apart);
        if stream.due().is_some_and(|due| due <= now) {
            stream.flush(now);
        }
        stream.push(black_box(bytes), now);
        received.try_iter().for_each(drop);
    }
}

/// Header, mask and the copy into the buffer, up to the socket.
fn websocket(rounds: u32) {
    let config = WebSocketConfig::default().write_buffer_size(2 * BLOCK);
    let nowhere = Socket { nothing: std::io::empty(), everything: std::io::sink() };
    let mut socket = WebSocket::from_raw_socket(nowhere, Role::Client, Some(config));
    let text = Bytes::from(known("lines"));
    for _ in 0..rounds {
        let frame = Frame::message(text.clone(), OpCode::Data(Data::Text), true);
        socket.write(Message::Frame(black_box(frame))).expect("a sink takes everything");
    }
}

/// Takes everything and says nothing.
struct Socket {
    nothing: std::io::Empty,
    everything: std::io::Sink,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.nothing.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.everything.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decode_message(rounds: u32) {
    let text = r#"{"type":"user.message","session_id":"5b0c9a3e-6d0b-4b7e-9c5f-1f2e3d4c5b6a",
        "ts":"2026-01-02T03:04:05.678901234Z","payload":{
        "session_id":"5b0c9a3e-6d0b-4b7e-9c5f-1f2e3d4c5b6a","message_id":"0f9e8d7c-6b5a-4c3d-2e1f-0a9b8c7d6e5f",
        "agent_id":"shell","user_id":"ann","prompt_profile":"standard","content":"ls -l \"My Documents\" | head\n"}}"#;
    for _ in 0..rounds {
        black_box(decode(black_box(text))).expect("a message");
    }
}
