//! Text as roff, the language of man pages. Knows nothing of what is written.

use std::fmt::Write as _;

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    /// Whether a heading was the last line: a paragraph begins by itself then.
    after_heading: bool,
}

impl Page {
    /// Begins a page of section 1.
    pub fn new(name: &str, version: &str, title: &str) -> Self {
        let mut page = Self::default();
        let (name, version) = (name.to_ascii_uppercase(), escaped(version));
        page.line(&format!(".TH {} 1 \"\" \"{version}\" \"{}\"", escaped(&name), escaped(title)));
        // Commands are copied from it: no hyphenation, no justified gaps.
        page.line(".nh");
        page.line(".ad l");
        page
    }

    /// A section's heading.
    pub fn section(&mut self, heading: &str) {
        self.line(&format!(".SH {}", escaped(&heading.to_ascii_uppercase())));
        self.after_heading = true;
    }

    /// A heading within a section.
    pub fn subsection(&mut self, heading: &str) {
        self.line(&format!(".SS \"{}\"", quotable(heading)));
        self.after_heading = true;
    }

    /// A paragraph; `` `words` `` are bold.
    pub fn paragraph(&mut self, text: &str) {
        if !self.after_heading {
            self.line(".PP");
        }
        self.text(text);
    }

    /// An entry of a list: its term, and what there is to say about it.
    pub fn entry(&mut self, term: &str, about: &str) {
        self.line(".TP");
        self.text(term);
        self.text(about);
    }

    /// Lines that stay as they are.
    pub fn example(&mut self, lines: &[&str]) {
        self.line(".RS 4");
        self.line(".nf");
        for line in lines {
            self.text(line);
        }
        self.line(".fi");
        self.line(".RE");
    }

    /// The whole page.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
        self.after_heading = false;
    }

    fn text(&mut self, text: &str) {
        let mut marked = String::with_capacity(text.len() + 16);
        for (index, part) in text.split('`').enumerate() {
            match index % 2 {
                0 => marked.push_str(&escaped(part)),
                _ => {
                    let _ = write!(marked, "\\fB{}\\fR", escaped(part));
                }
            }
        }
        // A line that begins like a request is none.
        let is_request = marked.starts_with(['.', '\'']);
        self.line(&format!("{}{marked}", if is_request { "\\&" } else { "" }));
    }
}

/// Text whose characters mean themselves: a hyphen that can be copied, ASCII quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '"' => escaped.push_str("\\(dq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '…' => escaped.push_str("..."),
            '\n' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The same for an argument in double quotes.
fn quotable(text: &str) -> String {
    escaped(&text.replace('`', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_taken_for_a_request() {
        let mut page = Page::default();
        page.entry(".SH `-x`", "'a' \\fB \"q\" ~/x^");
        let page = page.finish();
        let mut lines = page.lines().skip(1);
        assert_eq!(lines.next(), Some("\\&.SH \\fB\\-x\\fR"));
        assert_eq!(lines.next(), Some("\\(aqa\\(aq \\efB \\(dqq\\(dq \\(ti/x\\(ha"));
    }
}
