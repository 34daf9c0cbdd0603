//! Questions to a person, and the answers. It does not know what is asked.

use std::fmt::Display;
use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use crate::config::token::LONGEST;

/// Nothing more is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// The input ended.
    Ended,
    /// Ctrl-C, where it is read as a key.
    Interrupted,
}

/// Somebody who can be asked.
pub trait Person {
    /// Shows a line.
    fn tell(&mut self, text: &str);
    /// Asks; the answer is one line, without white space around it.
    ///
    /// # Errors
    /// When nothing is answered any more.
    fn ask(&mut self, question: &str) -> Result<String, Silent>;
    /// Asks for what nobody may see; what is typed is not shown.
    ///
    /// # Errors
    /// As [`Person::ask`].
    fn ask_secret(&mut self, question: &str) -> Result<Zeroizing<String>, Silent>;
}

/// Asks until the answer can be understood; an empty one is `default`.
///
/// # Errors
/// When nothing is answered any more.
pub fn until_understood<T, E: Display>(
    person: &mut dyn Person,
    question: &str,
    default: &str,
    understand: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Silent> {
    loop {
        let answer = person.ask(&format!("{question} [{default}]"))?;
        match understand(if answer.is_empty() { default } else { &answer }) {
            Ok(understood) => return Ok(understood),
            Err(why) => person.tell(&why.to_string()),
        }
    }
}

/// Whoever sits at the terminal: asked on stderr, answering on stdin.
pub struct Terminal;

impl Person for Terminal {
    fn tell(&mut self, text: &str) {
        // Whoever cannot be told anything still answers.
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn ask(&mut self, question: &str) -> Result<String, Silent> {
        prompt(question);
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => Err(Silent::Ended),
            Ok(_) => Ok(line.trim().to_owned()),
        }
    }

    fn ask_secret(&mut self, question: &str) -> Result<Zeroizing<String>, Silent> {
        let answer = secret_line(question);
        // What was typed was not shown, nor the key that ended it.
        self.tell("");
        answer
    }
}

fn prompt(question: &str) {
    let _ = write!(io::stderr(), "{question}: ");
    let _ = io::stderr().flush();
}

/// A line from the terminal that is not shown. The terminal is silent before the
/// question stands there: an answer may come at once, by a paste.
#[cfg(unix)]
fn secret_line(question: &str) -> Result<Zeroizing<String>, Silent> {
    use std::io::Read;

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let stdin = io::stdin();
    let Ok(found) = tcgetattr(&stdin) else {
        prompt(question);
        return read_secret(stdin.lock().bytes());
    };
    let mut silent = found.clone();
    // Ctrl-C is read as a key, so that it never leaves a terminal that shows nothing.
    silent.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    let hidden = tcsetattr(&stdin, OptionalActions::Drain, &silent);
    prompt(question);
    if hidden.is_err() {
        return read_secret(stdin.lock().bytes());
    }
    let answer = read_secret(stdin.lock().bytes());
    let _ = tcsetattr(&stdin, OptionalActions::Drain, &found);
    answer
}

/// A line from the console, which shows it: there is no safe call to hide it.
#[cfg(not(unix))]
fn secret_line(question: &str) -> Result<Zeroizing<String>, Silent> {
    use std::io::Read;
    prompt(question);
    read_secret(io::stdin().lock().bytes())
}

/// Reads keys up to Enter, with the few that edit a line.
fn read_secret(keys: impl Iterator<Item = io::Result<u8>>) -> Result<Zeroizing<String>, Silent> {
    // One buffer that is never moved, so that no copy stays behind unwiped.
    let mut typed = Zeroizing::new(Vec::with_capacity(2 * LONGEST));
    for key in keys {
        match key {
            Err(_) => return Err(Silent::Ended),
            Ok(b'\n' | b'\r') => {
                let text = Zeroizing::new(String::from_utf8_lossy(&typed).into_owned());
                return Ok(Zeroizing::new(text.trim().to_owned()));
            }
            Ok(0x03) => return Err(Silent::Interrupted),
            Ok(0x04) if typed.is_empty() => return Err(Silent::Ended),
            // Backspace, and Ctrl-U.
            Ok(0x7f | 0x08) => drop(typed.pop()),
            Ok(0x15) => typed.clear(),
            Ok(byte) if typed.len() < typed.capacity() => typed.push(byte),
            Ok(_) => {}
        }
    }
    Err(Silent::Ended)
}

/// Somebody whose answers were written down beforehand.
#[cfg(test)]
#[derive(Default)]
pub struct Script {
    /// What is answered, in order.
    pub answers: std::collections::VecDeque<&'static str>,
    /// What was asked and told.
    pub heard: Vec<String>,
}

#[cfg(test)]
impl Script {
    /// Answers these, then nothing more.
    pub fn new(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().copied().collect(), heard: Vec::new() }
    }
}

#[cfg(test)]
impl Person for Script {
    fn tell(&mut self, text: &str) {
        self.heard.push(text.to_owned());
    }

    fn ask(&mut self, question: &str) -> Result<String, Silent> {
        self.heard.push(question.to_owned());
        self.answers.pop_front().map(str::to_owned).ok_or(Silent::Ended)
    }

    fn ask_secret(&mut self, question: &str) -> Result<Zeroizing<String>, Silent> {
        self.ask(question).map(Zeroizing::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_asked_for_until_it_is_one() {
        let mut person = Script::new(&["x", "", "7"]);
        let number = |text: &str| text.parse::<u8>();
        assert_eq!(until_understood(&mut person, "How many", "3", number), Ok(3));
        assert_eq!(person.heard, ["How many [3]", "invalid digit found in string", "How many [3]"]);
        assert_eq!(until_understood(&mut person, "How many", "3", number), Ok(7));
        assert_eq!(until_understood(&mut person, "How many", "3", number), Err(Silent::Ended));
    }

    #[test]
    fn a_secret_is_typed_with_the_usual_keys() {
        let read = |keys: &[u8]| read_secret(keys.iter().copied().map(Ok)).map(|s| s.to_string());
        assert_eq!(read(b"wrong\x15s3cx\x7fret \r"), Ok("s3cret".into()));
        assert_eq!(read(b"s3\x03"), Err(Silent::Interrupted));
        assert_eq!(read(b"\x04"), Err(Silent::Ended));
        assert_eq!(read(b"no end"), Err(Silent::Ended));
        assert_eq!(read(b"\n"), Ok(String::new()));
        let endless = [vec![b'x'; 100_000], vec![b'\n']].concat();
        assert_eq!(read(&endless).unwrap().len(), 2 * LONGEST);
    }
}
