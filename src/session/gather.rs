//! When what an agent writes becomes a message, and where it is cut.
//!
//! What comes after a quiet spell, or first after a message, goes out at once. What
//! follows within [`SPELL`] is gathered, so a stream of tokens becomes at most 40 messages a
//! second and a flood becomes large ones. Only a full chunk is cut at a newline;
//! the timer sends whatever there is, so a prompt is never held back. No byte
//! is added, lost or reordered, and no chunk ends within a UTF-8 character.
//!
//! Pure: the clock is an argument, and a chunk goes to a closure. It knows
//! neither sessions nor frames. A full read is handed on as the slice it came
//! in; only what waits is copied, and the buffer is given back when it is empty.

use std::time::{Duration, Instant};

use crate::protocol::escape::incomplete_tail;

/// How long after a chunk the next bytes are gathered.
pub const SPELL: Duration = Duration::from_millis(25);

/// Most bytes of one chunk. Even if every byte has to be escaped to six, the
/// frame stays below what hubs take.
pub const LIMIT: usize = 64 * 1024;

/// One chunk: what had been waiting, then what just came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The first part. May end within a character, which `new` then continues.
    pub waiting: &'a [u8],
    /// The second part.
    pub new: &'a [u8],
}

impl Chunk<'_> {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.new.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last `N` bytes of the first `end`, zeroes before them where there are fewer.
    fn last_bytes<const N: usize>(&self, end: usize) -> [u8; N] {
        let mut last = [0; N];
        for (slot, at) in last.iter_mut().rev().zip((0..end).rev()) {
            let (waiting, new) = (self.waiting, self.new);
            *slot = if at < waiting.len() { waiting[at] } else { new[at - waiting.len()] };
        }
        last
    }

    /// The longest part up to `end` that does not end within a character.
    fn whole_characters(&self, end: usize) -> usize {
        end - incomplete_tail(&self.last_bytes::<3>(end))
    }

    /// Where to cut when it is full: behind the last newline, else between characters.
    pub(super) fn cut(&self) -> usize {
        let end = self.len().min(LIMIT);
        let new_end = end.saturating_sub(self.waiting.len());
        if let Some(at) = last_newline(&self.new[..new_end]) {
            return self.waiting.len() + at + 1;
        }
        match last_newline(&self.waiting[..end - new_end]) {
            Some(at) => at + 1,
            None => self.whole_characters(end),
        }
    }
}

fn last_newline(bytes: &[u8]) -> Option<usize> {
    // `contains` takes a word at a time, `rposition` a byte.
    let mut end = bytes.len();
    for block in bytes.rchunks(256) {
        if block.contains(&b'\n') {
            let start = end - block.len();
            return block.iter().rposition(|&byte| byte == b'\n').map(|at| start + at);
        }
        end -= block.len();
    }
    None
}

/// Gathers one stream.
#[derive(Debug, Default)]
pub struct Gather {
    /// What waits; always less than [`LIMIT`].
    waiting: Vec<u8>,
    /// When the last chunk went out.
    sent: Option<Instant>,
    /// When what waits must go out; `None` when that could only be the beginning of a character.
    due: Option<Instant>,
}

impl Gather {
    /// Takes bytes and emits what is to go out now.
    pub fn push(&mut self, bytes: &[u8], now: Instant, mut emit: impl FnMut(Chunk<'_>)) {
        let mut new = bytes;
        while self.waiting.len() + new.len() >= LIMIT {
            let cut = Chunk { waiting: &self.waiting, new }.cut();
            new = self.send(cut, new, now, &mut emit);
        }
        let rest = Chunk { waiting: &self.waiting, new };
        let complete = rest.whole_characters(rest.len());
        self.due = None;
        if complete > 0 {
            if self.is_quiet(now) {
                new = self.send(complete, new, now, &mut emit);
            } else {
                self.due = self.sent.map(|sent| sent + SPELL);
            }
        }
        self.waiting.extend_from_slice(new);
        self.give_back();
    }

    /// Somebody has said something: what comes next is the answer, as after a quiet spell.
    pub fn answer(&mut self) {
        self.sent = None;
    }

    /// When [`Gather::flush`] must be called.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Emits everything but the beginning of a character.
    pub fn flush(&mut self, now: Instant, emit: impl FnMut(Chunk<'_>)) {
        let rest = Chunk { waiting: &self.waiting, new: &[] };
        let complete = rest.whole_characters(rest.len());
        if complete > 0 {
            self.send(complete, &[], now, emit);
        }
        self.due = None;
        self.give_back();
    }

    /// Emits everything: nothing follows that could complete a character.
    pub fn finish(&mut self, mut emit: impl FnMut(Chunk<'_>)) {
        self.due = None;
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            emit(Chunk { waiting: &waiting, new: &[] });
        }
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= SPELL)
    }

    /// Emits the first `count` bytes and returns what is left of `new`.
    fn send<'a>(
        &mut self,
        count: usize,
        new: &'a [u8],
        now: Instant,
        mut emit: impl FnMut(Chunk<'_>),
    ) -> &'a [u8] {
        self.sent = Some(now);
        if count < self.waiting.len() {
            emit(Chunk { waiting: &self.waiting[..count], new: &[] });
            self.waiting.drain(..count);
            return new;
        }
        let (new, left) = new.split_at(count - self.waiting.len());
        emit(Chunk { waiting: &self.waiting, new });
        self.waiting.clear();
        left
    }

    /// An idle stream holds nothing; the beginning of a character holds 8 bytes.
    fn give_back(&mut self) {
        if self.due.is_none() {
            self.waiting.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gatherer with a clock of its own that keeps what went out.
    struct Scene {
        gather: Gather,
        now: Instant,
        sent: Vec<Vec<u8>>,
    }

    impl Scene {
        fn new() -> Self {
            Self { gather: Gather::default(), now: Instant::now(), sent: Vec::new() }
        }

        fn push(&mut self, bytes: &[u8]) -> &mut Self {
            self.gather.push(bytes, self.now, |chunk| self.sent.push(joined(chunk)));
            assert!(self.gather.waiting.len() < LIMIT);
            self
        }

        fn after(&mut self, millis: u64) -> &mut Self {
            self.now += Duration::from_millis(millis);
            self
        }

        fn flush(&mut self) -> &mut Self {
            self.gather.flush(self.now, |chunk| self.sent.push(joined(chunk)));
            self
        }

        fn finish(&mut self) -> &mut Self {
            self.gather.finish(|chunk| self.sent.push(joined(chunk)));
            self
        }

        fn took(&mut self) -> Vec<String> {
            self.sent.drain(..).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
        }
    }

    fn joined(chunk: Chunk<'_>) -> Vec<u8> {
        assert!(!chunk.is_empty() && chunk.len() <= LIMIT, "{} bytes", chunk.len());
        [chunk.waiting, chunk.new].concat()
    }

    #[test]
    fn what_comes_after_a_quiet_spell_goes_out_at_once() {
        let mut scene = Scene::new();
        assert_eq!(scene.push(b"$ ").took(), ["$ "]);
        assert_eq!(scene.after(25).push(b"a\nb").took(), ["a\nb"]);
        assert_eq!(scene.gather.due(), None);
        assert_eq!(scene.gather.waiting.capacity(), 0);
    }

    #[test]
    fn what_follows_within_the_spell_goes_out_together_at_its_end() {
        let mut scene = Scene::new();
        let start = scene.now;
        assert_eq!(scene.push(b"a").took(), ["a"]);
        assert!(scene.after(1).push(b"b\n").after(23).push(b"c").took().is_empty());
        assert_eq!(scene.gather.due(), Some(start + SPELL));
        assert_eq!(scene.after(1).flush().took(), ["b\nc"]);
        assert_eq!((scene.gather.due(), scene.gather.waiting.capacity()), (None, 0));
        // The spell begins anew with what the timer sent.
        assert!(scene.after(24).push(b"d").took().is_empty());
        assert_eq!(scene.after(2).push(b"e").took(), ["de"]);
    }

    #[test]
    fn an_answer_goes_out_at_once_and_what_follows_it_is_gathered() {
        let mut scene = Scene::new();
        assert_eq!(scene.push(b"a").took(), ["a"]);
        scene.gather.answer();
        let answered = scene.after(1).now;
        assert_eq!(scene.push(b"b").took(), ["b"]);
        assert!(scene.after(1).push(b"c").took().is_empty());
        assert_eq!(scene.gather.due(), Some(answered + SPELL));
    }

    #[test]
    fn only_a_full_chunk_is_cut_at_its_last_newline() {
        let lines = "0123456789abcdef0123456789abcdef0123456789abcdef\n".repeat(1_400);
        let whole = LIMIT / 49 * 49;
        let mut scene = Scene::new();
        assert_eq!(scene.push(lines.as_bytes()).took(), [&lines[..whole]]);
        assert_eq!(scene.gather.due(), Some(scene.now + SPELL));
        assert_eq!(scene.after(25).flush().took(), [&lines[whole..]]);
        // The newline may also lie in what waits.
        let long = "x".repeat(LIMIT);
        scene.push(b"y\nz").push(long.as_bytes());
        assert_eq!(scene.took(), ["y\n", &format!("z{}", &long[1..])]);
        assert_eq!(scene.finish().took(), ["x"]);
    }

    #[test]
    fn a_full_read_is_handed_on_where_it_lies() {
        let bytes = vec![b'x'; LIMIT];
        let mut same = false;
        let mut gather = Gather::default();
        gather.push(&bytes, Instant::now(), |chunk| {
            same = chunk.waiting.is_empty() && std::ptr::eq(chunk.new, &raw const bytes[..]);
        });
        assert!(same);
        assert_eq!(gather.waiting.capacity(), 0);
    }

    #[test]
    fn a_character_is_waited_for_without_a_timer_until_the_end() {
        let mut scene = Scene::new();
        assert_eq!(scene.push(b"a\xe2\x82").took(), ["a"]);
        assert_eq!(scene.gather.due(), None);
        assert!(scene.gather.waiting.capacity() <= 8);
        assert!(scene.after(1_000).flush().took().is_empty());
        assert_eq!(scene.push(b"\xac").took(), ["€"]);
        assert_eq!(scene.after(30).push(b"\xf0\x9f").finish().took(), ["\u{fffd}"]);
        assert_eq!(scene.gather.waiting.capacity(), 0);
    }

    #[test]
    fn a_full_chunk_without_a_newline_is_cut_between_characters() {
        let text = "a".to_owned() + &"€".repeat(LIMIT / 3 + 10);
        let mut scene = Scene::new();
        let took = scene.push(text.as_bytes()).finish().took();
        assert_eq!(took[0].len(), 1 + (LIMIT - 1) / 3 * 3);
        assert_eq!(took.concat(), text);
    }

    #[test]
    fn whatever_the_splits_and_times_nothing_is_lost_and_no_character_is_cut() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let parts: [&[u8]; 8] = [
            b"some words ",
            b"\n",
            "é".as_bytes(),
            "€".as_bytes(),
            "😀".as_bytes(),
            b"\xff",
            b"\xe2\x82",
            b"\xf0\x9f",
        ];
        for round in 0..300 {
            // Every tenth round is a flood.
            let largest = if round % 10 == 0 { 3 * LIMIT } else { 200 };
            let mut input = Vec::new();
            while input.len() < largest {
                input.extend_from_slice(random.choice(parts).unwrap_or_default());
            }
            let mut scene = Scene::new();
            let mut sent = None;
            let mut rest = &input[..];
            while !rest.is_empty() {
                let before = scene.sent.len();
                scene.after(random.u64(..40));
                if random.bool() && scene.gather.due().is_some_and(|due| due <= scene.now) {
                    scene.flush();
                } else {
                    let (piece, after) =
                        rest.split_at(random.usize(..=rest.len().min(largest / 2)));
                    rest = after;
                    scene.push(piece);
                }
                for chunk in &scene.sent[before..] {
                    // Only a flood sends faster than 40 times a second.
                    let soon = sent.is_some_and(|at| scene.now - at < SPELL);
                    let full = chunk.len() > LIMIT - 4 || chunk.ends_with(b"\n");
                    assert!(!soon || full, "seed {seed}: {} bytes too soon", chunk.len());
                    sent = Some(scene.now);
                }
            }
            scene.finish();
            assert_eq!(scene.sent.concat(), input, "seed {seed}");
            let lossy = String::from_utf8_lossy(&input);
            assert_eq!(scene.took().concat(), lossy, "seed {seed}");
        }
    }
}
