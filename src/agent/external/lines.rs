//! Cuts what an adapter writes into lines, holding at most one of them, and of
//! that no more than a bound. Whoever takes the lines may have had enough in the
//! middle of what was read: the rest of that is kept, too. What a line says is not
//! known here.

use std::ops::ControlFlow;

/// A line of this many bytes or more is skipped.
pub const LONGEST: usize = 32 * 1024 * 1024;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its newline.
    Whole(&'a [u8]),
    /// A line that was skipped; its length in bytes.
    TooLong(u64),
}

/// The part of a line that is not complete yet, and what was not taken.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    held: Vec<u8>,
    /// Read, and not looked at yet: it begins with a line, so nothing is held then.
    kept: Vec<u8>,
    /// Bytes of a line that is being skipped.
    skipped: Option<u64>,
}

impl Default for Lines {
    fn default() -> Self {
        Self::bounded(LONGEST)
    }
}

impl Lines {
    /// For lines shorter than `longest` bytes.
    pub fn bounded(longest: usize) -> Self {
        Self { longest, held: Vec::new(), kept: Vec::new(), skipped: None }
    }

    /// Takes what was read, and gives out every line that is complete now.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        self.push_while(bytes, |line| {
            each(line);
            ControlFlow::Continue(())
        });
    }

    /// The same, until `each` has had enough; the rest waits for [`Lines::go_on`].
    pub fn push_while(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) {
        if !self.kept.is_empty() {
            self.kept.extend_from_slice(bytes);
            return self.go_on(each);
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            let had = if self.held.is_empty() && self.skipped.is_none() && line.len() < self.longest
            {
                each(Line::Whole(line))
            } else {
                self.hold(line);
                self.give(&mut each)
            };
            if had.is_break() {
                self.kept = bytes.to_vec();
                return;
            }
        }
        self.hold(bytes);
    }

    /// Goes on with what was kept, until `each` has had enough again.
    pub fn go_on(&mut self, each: impl FnMut(Line<'_>) -> ControlFlow<()>) {
        let kept = std::mem::take(&mut self.kept);
        self.push_while(&kept, each);
    }

    /// Bytes that wait for [`Lines::go_on`].
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The end of the stream: what is held counts as a line, and what is kept is
    /// given up.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        self.kept = Vec::new();
        let _ = self.give(&mut |line| {
            each(line);
            ControlFlow::Continue(())
        });
    }

    /// Gives out the line that is held.
    fn give(&mut self, each: &mut impl FnMut(Line<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        // The memory of a long line is not kept for the next.
        let held = std::mem::take(&mut self.held);
        match self.skipped.take() {
            Some(length) => each(Line::TooLong(length)),
            None if held.is_empty() => ControlFlow::Continue(()),
            None => each(Line::Whole(&held)),
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.skipped.is_none() && self.held.len() + bytes.len() >= self.longest {
            self.skipped = Some(self.held.len() as u64);
            self.held = Vec::new();
        }
        match &mut self.skipped {
            Some(length) => *length += bytes.len() as u64,
            None => self.held.extend_from_slice(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(lines: &mut Lines, pieces: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut each = |line: Line<'_>| match line {
            Line::Whole(line) => found.push(String::from_utf8(line.to_vec()).unwrap()),
            Line::TooLong(length) => found.push(format!("<{length}>")),
        };
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut each);
        }
        lines.finish(&mut each);
        found
    }

    #[test]
    fn lines_come_whole_however_they_were_cut() {
        let text = "one\n\ntwo\nthree";
        for cut_at in 0..text.len() {
            let (head, tail) = text.split_at(cut_at);
            let found = cut(&mut Lines::default(), &[head, tail]);
            let found: Vec<_> = found.into_iter().filter(|line| !line.is_empty()).collect();
            assert_eq!(found, ["one", "two", "three"], "cut at {cut_at}");
        }
    }

    #[test]
    fn any_bytes_cut_anywhere_give_what_splitting_gives() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let text: String = (0..300).map(|_| random.choice(['a', 'b', '\n']).unwrap()).collect();
            let mut pieces = Vec::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(20)));
                pieces.push(piece);
                rest = after;
            }
            let longest = 6;
            let expected = |line: &str| match line.len() {
                length if length < longest => line.to_owned(),
                length => format!("<{length}>"),
            };
            let expected: Vec<_> = text.split_terminator('\n').map(expected).collect();
            assert_eq!(cut(&mut Lines::bounded(longest), &pieces), expected, "seed {seed}");
        }
    }

    #[test]
    fn who_has_had_enough_gets_the_rest_later_in_order() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let one = |found: &mut Vec<String>, line: &Line<'_>| {
            let Line::Whole(line) = line else { panic!("a short one") };
            found.push(String::from_utf8(line.to_vec()).unwrap());
            ControlFlow::Break(())
        };
        lines.push_while(b"be", |line| one(&mut found, &line));
        assert_eq!(lines.kept(), 0);
        lines.push_while(b"gun\n1\n2\nha", |line| one(&mut found, &line));
        assert_eq!((found.last().map(String::as_str), lines.kept()), (Some("begun"), 6));
        lines.push_while(b"lf\n", |line| one(&mut found, &line));
        assert_eq!((found.last().map(String::as_str), lines.kept()), (Some("1"), 7));
        for _ in 0..3 {
            lines.go_on(|line| one(&mut found, &line));
        }
        assert_eq!(found, ["begun", "1", "2", "half"]);
        assert_eq!((lines.kept(), lines.kept.capacity()), (0, 0));
    }

    #[test]
    fn a_long_line_is_skipped_to_its_end_and_no_further() {
        let mut lines = Lines::bounded(5);
        assert_eq!(cut(&mut lines, &["1234\n12345\nok\n"]), ["1234", "<5>", "ok"]);
        assert_eq!(cut(&mut lines, &["123", "456", "789\nok", "\n"]), ["<9>", "ok"]);
        assert_eq!(cut(&mut lines, &["1234567"]), ["<7>"]);
        assert_eq!(lines.held.capacity(), 0);
    }
}
