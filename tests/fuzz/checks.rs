//! What must hold for any bytes at all, one function for each place where bytes
//! from outside are read. The fuzz targets call them with what a fuzzer thinks
//! of, the ordinary tests with the seeds beside this file.

use std::time::{Duration, Instant};

use amurg_runtime::agent::external::{lines, message};
use amurg_runtime::config::{self, FixedEnvironment, Options, duration, expand};
use amurg_runtime::protocol::inbound;
use amurg_runtime::protocol::outbound::Channel;
use amurg_runtime::protocol::output_frame::OutputFrame;
use amurg_runtime::session::gather::{Chunk, Gather, LIMIT, SPELL};
use amurg_runtime::state::journal;

/// A check and its name, which is also its target's and its seeds' directory's.
pub type Check = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: [Check; 6] = [
    ("envelope", envelope),
    ("config", config),
    ("adapter", adapter),
    ("journal", journal),
    ("utf8", utf8),
    ("words", words),
];

/// A message of the hub is read or refused, the same way each time.
pub fn envelope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = || match inbound::decode(text) {
        Ok(message) => format!("{message:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(read(), read());
}

/// A configuration is taken, or has problems with places that exist.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = FixedEnvironment::new([("HOME", "/home/me"), ("NAME", "value")]);
    match config::parse(text, "config.json", &environment, Options::default()) {
        Ok(loaded) => assert!(!loaded.config.runtime.id.is_empty()),
        Err(problems) => {
            assert!(!problems.errors.is_empty(), "neither a configuration nor an error");
            let lines = text.lines().count().max(1);
            for position in problems.errors.iter().filter_map(|error| error.position) {
                assert!((1..=lines + 1).contains(&position.line), "line {}", position.line);
            }
            assert!(!problems.to_string().is_empty());
        }
    }
}

/// Longest line the check lets an adapter write, in bytes.
const LONGEST: usize = 4096;

/// What an adapter writes comes apart into the same lines however it is read,
/// and each line is a message or is not.
pub fn adapter(data: &[u8]) {
    let (size, text) = data.split_first().map_or((1, data), |(first, rest)| (*first, rest));
    let cut = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut found = Vec::new();
        let mut lines = lines::Lines::bounded(LONGEST);
        let mut each = |line: lines::Line<'_>| match line {
            lines::Line::Whole(line) => {
                assert!(line.len() < LONGEST && !line.contains(&b'\n'));
                found.push(line.to_vec());
            }
            lines::Line::TooLong(length) => found.push(length.to_string().into()),
        };
        pieces.for_each(|piece| lines.push(piece, &mut each));
        lines.finish(&mut each);
        found
    };
    let whole = cut(&mut std::iter::once(text));
    assert_eq!(whole, cut(&mut text.chunks(usize::from(size).max(1))));
    for line in whole {
        match message::parse(&line) {
            Ok(addressed) => drop(format!("{addressed:?}")),
            Err(error) => drop(error.to_string()),
        }
    }
}

/// A journal is read, whatever is damaged, and so are its lines with the
/// checksums they ought to have.
pub fn journal(data: &[u8]) {
    drop(journal::read(data));
    let mut sound = Vec::new();
    for line in data.split(|&byte| byte == b'\n') {
        if let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) {
            journal::lines::encode(&value, &mut sound);
        }
    }
    let once = format!("{:?}", journal::read(&sound));
    assert_eq!(once, format!("{:?}", journal::read(&sound)));
    // A byte of damage costs no more than the line it hits.
    if let Some(middle) = sound.len().checked_div(2).filter(|&at| at > 0) {
        sound[middle] ^= 0x40;
        drop(journal::read(&sound));
    }
}

/// Output gathered, cut and escaped is what decoding it at once would give. The
/// bytes before the first 0xff say how much comes at once, and when; the first
/// of them also whether the rest is repeated until it fills a chunk.
pub fn utf8(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == 0xff).unwrap_or(0);
    let (steps, output) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let is_long = steps.first().is_some_and(|first| first & 0x80 != 0) && !output.is_empty();
    let output = &output.repeat(if is_long { LIMIT / output.len() + 2 } else { 1 });
    let mut steps = steps.iter().copied().chain(std::iter::repeat(61));
    let mut sent = String::new();
    let mut gather = Gather::default();
    let mut now = Instant::now();
    let mut rest = output.as_slice();
    while !rest.is_empty() {
        let step = steps.next().unwrap_or(1);
        // The low bits are a time, the high ones a size.
        now += SPELL / 2 * u32::from(step & 3);
        if gather.due().is_some_and(|due| due <= now) {
            gather.flush(now, |chunk| sent += &content(chunk));
        }
        let size = (usize::from(step >> 2) * 40).clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        gather.push(piece, now, |chunk| sent += &content(chunk));
        rest = after;
    }
    gather.finish(|chunk| sent += &content(chunk));
    assert_eq!(sent, String::from_utf8_lossy(output));
}

fn content(chunk: Chunk<'_>) -> String {
    assert!(!chunk.is_empty() && chunk.len() <= LIMIT, "a chunk of {}", chunk.len());
    let mut frame = OutputFrame::begin("s", 1, &Channel::Stdout, chunk.len());
    frame.push(chunk.waiting);
    frame.push(chunk.new);
    let envelope: serde_json::Value = serde_json::from_str(&frame.finish().text).expect("JSON");
    envelope["payload"]["content"].as_str().expect("content").to_owned()
}

/// Durations and variables. A duration is what it is shown as; a text without
/// a dollar is itself.
pub fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = config::parse_duration(text)
        && read < Duration::from_secs(u64::from(u32::MAX))
    {
        assert_eq!(config::parse_duration(&duration::show(read)), Ok(read), "{text:?}");
    }
    if let Ok(read) = duration::parse_seconds(text) {
        drop(duration::show(read));
    }
    let environment = FixedEnvironment::new([("A", "$${B}${B}"), ("EMPTY", "")]);
    match expand::expand(text, &environment) {
        Ok(expanded) if !text.contains('$') => assert_eq!(*expanded.value, text),
        Ok(expanded) => assert!(expanded.variables.iter().all(|name| expand::is_name(name))),
        Err(error) => drop((error.message(), error.hint())),
    }
}
