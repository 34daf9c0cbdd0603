//! What is wrong with a configuration, and where: collected, never thrown at the first.
//!
//! A problem names its JSON path, line and column, says what was found and what
//! to do. It knows nothing of what fields exist, and values that may be secret
//! never get this far: whoever reports decides what may be shown.

use std::fmt;

use zeroize::Zeroizing;

/// More problems than this are counted but not kept: a file of nonsense must
/// not cost more memory than the file.
const KEPT: usize = 500;

/// Line and column of a value, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Where a value stands in the file and in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// JSON path, for instance `endpoints[2].job.command`; empty for the whole file.
    pub path: String,
    /// Byte offset in the text.
    pub offset: usize,
}

impl Place {
    /// The place of `key` inside this one.
    #[must_use]
    pub fn member(&self, key: &str, offset: usize) -> Self {
        let plain = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
        let path = match (plain, self.path.is_empty()) {
            (true, true) => key.to_owned(),
            (true, false) => format!("{}.{key}", self.path),
            (false, _) => format!("{}[{}]", self.path, shown(key)),
        };
        Self { path, offset }
    }

    /// The place of an element inside this one.
    #[must_use]
    pub fn element(&self, index: usize, offset: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), offset }
    }
}

/// A text from the file as it may be put into a message: quoted, control
/// characters escaped, cut at 64 characters.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// One thing that is wrong, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// JSON path; empty when it concerns the whole file.
    pub path: String,
    /// Where in the file; `None` when the file could not be read at all.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Everything in one line, for a log.
    pub fn in_one_line(&self) -> String {
        self.to_string().replace("\n    hint: ", "; ")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Why a configuration cannot be used: every error, and the warnings beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// What has to be changed, in the order of the file.
    pub errors: Vec<Problem>,
    /// What one should know, in the order of the file.
    pub warnings: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (label, problems) in [("", &self.errors), ("warning: ", &self.warnings)] {
            for problem in problems {
                if !std::mem::take(&mut first) {
                    f.write_str("\n")?;
                }
                write!(f, "{label}{problem}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The text of a configuration and what to call it. Wiped from memory on drop,
/// since it may hold the token.
pub struct Source {
    file: String,
    text: Zeroizing<String>,
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes a file's text over.
    pub fn new(file: String, text: Zeroizing<String>) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        Self { file, text, line_starts }
    }

    /// What the file is called.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// A problem at a place of this text.
    pub fn problem(
        &self,
        place: &Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let hint = hint.into();
        Problem {
            file: self.file.clone(),
            path: place.path.clone(),
            position: Some(self.position(place.offset)),
            message: message.into(),
            hint: (!hint.is_empty()).then_some(hint),
        }
    }
}

/// Collects what is found while a text is read.
pub struct Findings<'s> {
    /// The text it is about.
    pub source: &'s Source,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    dropped: usize,
}

impl<'s> Findings<'s> {
    /// Nothing found yet.
    pub fn new(source: &'s Source) -> Self {
        Self { source, errors: Vec::new(), warnings: Vec::new(), dropped: 0 }
    }

    /// Something that has to be changed. An empty hint is none.
    pub fn error(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        if self.errors.len() < KEPT {
            self.errors.push(self.source.problem(place, message, hint));
        } else {
            self.dropped += 1;
        }
    }

    /// Something one should know. An empty hint is none.
    pub fn warning(&mut self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        if self.warnings.len() < KEPT {
            self.warnings.push(self.source.problem(place, message, hint));
        }
    }

    /// Forgets what was found at the given paths.
    pub fn forget(&mut self, paths: &[String]) {
        self.errors.retain(|problem| !paths.contains(&problem.path));
        self.warnings.retain(|problem| !paths.contains(&problem.path));
    }

    /// Everything found, in the order of the file.
    pub fn into_problems(mut self) -> Problems {
        self.errors.sort_by_key(|problem| problem.position);
        self.warnings.sort_by_key(|problem| problem.position);
        if self.dropped > 0 {
            let message = format!("{} more errors are not shown", self.dropped);
            self.errors.push(self.source.problem(&Place::default(), message, ""));
        }
        Problems { errors: self.errors, warnings: self.warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new("config.json".into(), Zeroizing::new(text.into()))
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = source("{\n  \"ä\": 1\n}");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(source.text().find('1').unwrap()).column, 8);
        assert_eq!(source.position(source.text().len()), Position { line: 3, column: 2 });
    }

    #[test]
    fn keys_that_are_no_plain_words_are_quoted_in_the_path() {
        let env = Place::default().member("cli", 0).member("env", 0);
        assert_eq!(env.member("A B\n", 0).path, "cli.env[\"A B\\n\"]");
        assert_eq!(env.member("PATH", 0).path, "cli.env.PATH");
    }

    #[test]
    fn a_problem_is_a_headline_and_a_hint() {
        let source = source("{\n\"hub\": 1}");
        let place = Place::default().member("hub", 9);
        let problem = source.problem(&place, "wrong", "do right");
        assert_eq!(problem.to_string(), "config.json:2:8: hub: wrong\n    hint: do right");
        assert_eq!(problem.in_one_line(), "config.json:2:8: hub: wrong; do right");
    }

    #[test]
    fn a_flood_of_problems_is_counted() {
        let source = source("{}");
        let mut findings = Findings::new(&source);
        for _ in 0..KEPT + 7 {
            findings.error(&Place::default(), "wrong", "");
        }
        let problems = findings.into_problems();
        assert_eq!(problems.errors.len(), KEPT + 1);
        assert_eq!(problems.errors[KEPT].message, "7 more errors are not shown");
    }
}
