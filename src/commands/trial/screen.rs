//! What a person sees: an agent's output verbatim on stdout; its stderr, what
//! the gateway says and the prompt on stderr, told apart where there are colours.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use super::super::terminal::is_coloured;

const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";
/// To the beginning of the line, which is then empty.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Text with its control characters made visible, except line feeds and tabs.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(|c: char| c.is_control() && !matches!(c, '\n' | '\t')) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() && !matches!(last, '\n' | '\t') => {
                    write!(f, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// The two streams, and what stands in the current line.
pub(super) struct Screen {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    colours: bool,
    /// Whether somebody types here and sees a prompt.
    prompts: bool,
    /// Whether both streams show in one place, where one may break the other's line.
    shared: bool,
    line: Line,
}

/// What stands in the current line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Prompt,
    /// Output that did not end with a line feed.
    Output,
}

impl Screen {
    /// The one of this process.
    pub fn of_terminal() -> Self {
        let err = io::stderr();
        let shown = err.is_terminal();
        Self {
            colours: is_coloured(&err),
            prompts: shown && io::stdin().is_terminal(),
            shared: shown && io::stdout().is_terminal(),
            out: Box::new(io::stdout()),
            err: Box::new(err),
            line: Line::Empty,
        }
    }

    /// Whether somebody types here and sees a prompt.
    pub fn prompts(&self) -> bool {
        self.prompts
    }

    /// An agent's output, verbatim.
    pub fn out(&mut self, text: &str) -> io::Result<()> {
        self.leave_prompt();
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        if self.shared {
            self.ends_with(text);
        }
        Ok(())
    }

    /// An agent's stderr, verbatim.
    pub fn err(&mut self, text: &str) {
        self.leave_prompt();
        let (colour, plain) = if self.colours { (RED, PLAIN) } else { ("", "") };
        self.write_err(&format!("{colour}{text}{plain}"));
        self.ends_with(text);
    }

    /// Something the gateway says; a line of its own.
    pub fn note(&mut self, text: &str) {
        self.begin_line();
        let (colour, plain) = if self.colours { (DIM, PLAIN) } else { ("", "") };
        let text = Escaped(text.trim_end_matches('\n'));
        self.write_err(&format!("{colour}-- {text}{plain}\n"));
        self.line = Line::Empty;
    }

    /// Shows a prompt, where somebody can see it and it does not stand there already.
    pub fn prompt(&mut self, text: &str) {
        if self.prompts && self.line != Line::Prompt {
            self.begin_line();
            self.write_err(&format!("{}> ", Escaped(text)));
            self.line = Line::Prompt;
        }
    }

    /// The person has typed a line: the terminal itself ended it.
    pub fn typed(&mut self) {
        self.line = Line::Empty;
    }

    /// The person has pressed a key that the terminal shows, such as Ctrl-C.
    pub fn echoed(&mut self) {
        self.line = Line::Output;
    }

    /// Begins a new line, whatever stands in the current one.
    pub fn begin_line(&mut self) {
        self.leave_prompt();
        if self.line == Line::Output {
            self.write_err("\n");
            self.line = Line::Empty;
        }
    }

    /// Takes a prompt away, or where that cannot be done, begins a new line.
    fn leave_prompt(&mut self) {
        if self.line == Line::Prompt {
            self.write_err(if self.colours { CLEAR_LINE } else { "\n" });
            self.line = Line::Empty;
        }
    }

    fn ends_with(&mut self, text: &str) {
        if !text.is_empty() {
            self.line = if text.ends_with('\n') { Line::Empty } else { Line::Output };
        }
    }

    fn write_err(&mut self, text: &str) {
        // Where nobody reads stderr, the agent's answer still matters.
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Condvar, Mutex};
    use std::time::Duration;

    use super::*;

    /// Both streams of a screen.
    #[derive(Clone, Default)]
    pub struct Paper(Arc<(Mutex<(String, String)>, Condvar)>);

    struct Side(Paper, bool);

    impl Paper {
        /// A screen that writes here, on a terminal (with a prompt and colours) or not.
        pub fn screen(&self, terminal: bool) -> Screen {
            Screen {
                out: Box::new(Side(self.clone(), true)),
                err: Box::new(Side(self.clone(), false)),
                colours: false,
                prompts: terminal,
                shared: terminal,
                line: Line::Empty,
            }
        }

        pub fn out(&self) -> String {
            self.0.0.lock().expect("no panic").0.clone()
        }

        /// Everything on stderr.
        pub fn err(&self) -> String {
            self.0.0.lock().expect("no panic").1.clone()
        }

        /// Waits until stderr holds `text` so many times.
        pub fn wait_for(&self, text: &str, times: usize) {
            let (sides, written) = &*self.0;
            let missing = |sides: &mut (String, String)| sides.1.matches(text).count() < times;
            let sides = sides.lock().expect("no panic");
            let patience = Duration::from_secs(20);
            let (sides, late) =
                written.wait_timeout_while(sides, patience, missing).expect("no panic");
            assert!(!late.timed_out(), "{:?}", sides.1);
        }
    }

    impl Write for Side {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (sides, written) = &*self.0.0;
            let mut sides = sides.lock().expect("no panic");
            let side = if self.1 { &mut sides.0 } else { &mut sides.1 };
            side.push_str(std::str::from_utf8(bytes).expect("whole characters"));
            written.notify_all();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(Escaped("a\tb\n").to_string(), "a\tb\n");
        assert_eq!(Escaped("\x1b]0;x\x07é\r").to_string(), "\\u{1b}]0;x\\u{7}é\\r");
    }

    #[test]
    fn output_is_verbatim_and_a_prompt_begins_a_line() {
        let paper = Paper::default();
        let mut screen = paper.screen(true);
        screen.prompt("sh");
        screen.prompt("sh");
        screen.typed();
        screen.out("\x1b[1mno newline").expect("written");
        screen.prompt("sh");
        assert_eq!(paper.out(), "\x1b[1mno newline");
        assert_eq!(paper.err(), "sh> \nsh> ");
    }

    #[test]
    fn a_note_is_a_line_of_its_own_and_nobody_prompts_a_pipe() {
        let paper = Paper::default();
        let mut screen = paper.screen(false);
        screen.prompt("sh");
        screen.err("half a line");
        screen.note("the agent\x07 ended\n");
        assert_eq!(paper.err(), "half a line\n-- the agent\\u{7} ended\n");
    }

    #[test]
    fn colours_tell_stderr_and_notes_apart() {
        let paper = Paper::default();
        let mut screen = Screen { colours: true, ..paper.screen(true) };
        screen.err("e\n");
        screen.note("n");
        assert_eq!(paper.err(), "\x1b[31me\n\x1b[0m\x1b[2m-- n\x1b[0m\n");
    }
}
