//! What the terminal can do, and what its user wants of it.

use std::io::IsTerminal;

/// Whether what stands there may be written over: the stream is a terminal that
/// can move its cursor.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    let can = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    stream.is_terminal() && can
}

/// Whether escape sequences may be written to the stream: it is a terminal that
/// knows them, and `NO_COLOR` (<https://no-color.org>) does not ask for none.
pub fn is_coloured(stream: &impl IsTerminal) -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    can_redraw(stream) && !plain
}

/// Columns and rows of the terminal on stdout; `None` where there is none.
#[cfg(unix)]
pub fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Columns and rows of the terminal on stdout: the least a console has.
#[cfg(not(unix))]
pub fn size() -> Option<(usize, usize)> {
    std::io::stdout().is_terminal().then_some((80, 24))
}

/// Columns of the terminal on stdout; `None` where there is none.
pub fn columns() -> Option<usize> {
    size().map(|(columns, _)| columns)
}

/// Whether the locale writes UTF-8, so that block characters can be shown.
pub fn is_utf8() -> bool {
    // The first that is set decides, as in the C library.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty());
    cfg!(windows)
        || locale.is_some_and(|locale| {
            let locale = locale.to_string_lossy().to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

/// Puts weight and colours on words, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether the stream shows them.
    pub colours: bool,
}

impl Paint {
    /// Nothing: for pipes and files.
    pub const PLAIN: Self = Self { colours: false };

    /// What has to be changed.
    pub fn error(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// What one should know.
    pub fn warning(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// A heading.
    pub fn heading(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What guides the eye only.
    pub fn label(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text without anything that moves a cursor: control characters are written out.
pub fn escaped(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(escaped("it's \u{1b}[2J\nü"), "it's \\u{1b}[2J\\nü");
    }
}
