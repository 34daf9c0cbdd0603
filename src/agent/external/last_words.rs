//! What an adapter wrote to stderr: into the log, and its last lines kept for
//! the user who is told that it died.

use std::collections::VecDeque;

use log::{Level, debug, log_enabled};

use super::lines::{Line, Lines};
use crate::agent::excerpt::excerpt;
use crate::logging::Quoted;

/// Longest line that is looked at, in bytes.
const LONGEST: usize = 4096;
/// Lines that are kept.
const KEPT: usize = 5;
/// Characters of each that are told.
const TOLD: usize = 200;

/// An adapter's stderr.
#[derive(Debug)]
pub struct LastWords {
    lines: Lines,
    kept: VecDeque<String>,
}

impl Default for LastWords {
    fn default() -> Self {
        Self { lines: Lines::bounded(LONGEST), kept: VecDeque::new() }
    }
}

impl LastWords {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8], endpoint: &str) {
        let Self { lines, kept } = self;
        lines.push(bytes, |line| keep(kept, &line, endpoint));
    }

    /// The end of the process: its last lines, as one; empty where it said nothing.
    pub fn finish(&mut self, endpoint: &str) -> String {
        let Self { lines, kept } = self;
        lines.finish(|line| keep(kept, &line, endpoint));
        let words: Vec<String> = kept.drain(..).collect();
        words.join(" | ")
    }
}

fn keep(kept: &mut VecDeque<String>, line: &Line<'_>, endpoint: &str) {
    let text = match line {
        Line::Whole(line) => String::from_utf8_lossy(line),
        Line::TooLong(length) => format!("({length} bytes in one line)").into(),
    };
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if log_enabled!(Level::Debug) {
        debug!("adapter says endpoint={} text={}", Quoted(endpoint), Quoted(text));
    }
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(excerpt(text, TOLD));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut words = LastWords::default();
        words.push(b"1\n2\n3\n4\n\n  5  \n6", "e");
        words.push(b"\x1b[2J\n7", "e");
        assert_eq!(words.finish("e"), "3 | 4 | 5 | 6\\u{1b}[2J | 7");
        assert_eq!(words.finish("e"), "");
    }

    #[test]
    fn an_endless_line_is_bounded() {
        let mut words = LastWords::default();
        for _ in 0..100 {
            words.push(&[b'x'; 1000], "e");
        }
        assert_eq!(words.finish("e"), "(100000 bytes in one line)");
        words.push("é".repeat(300).as_bytes(), "e");
        assert_eq!(words.finish("e").chars().count(), TOLD + 1);
    }
}
