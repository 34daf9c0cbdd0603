//! Text from outside, made safe for one value of one log line.

use std::fmt::{self, Write as _};

/// Most characters that are shown.
const SHOWN: usize = 256;

/// Shows a text so that it can neither end its line nor look like another
/// `key=value`: bare when it is a plain word, else in quotes with everything
/// unprintable escaped, and cut at 256 characters (`…`).
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        if !text.is_empty() && text.len() <= SHOWN && text.bytes().all(is_plain) {
            return f.write_str(text);
        }
        f.write_char('"')?;
        let mut rest = text.chars();
        for c in rest.by_ref().take(SHOWN) {
            match c {
                '\'' => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        if rest.next().is_some() {
            f.write_char('…')?;
        }
        f.write_char('"')
    }
}

/// What identifiers, paths and addresses are made of.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:/@+%#,~".contains(&byte)
}

/// The words of a whole line, which are our own, with what could end or hide
/// the line escaped all the same.
pub(super) fn one_line(text: String) -> String {
    let is_harmful = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    // Most lines have nothing but words, and a turn writes two.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text;
    }
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Quoted(text).to_string()
    }

    #[test]
    fn plain_words_stay_bare() {
        for word in ["sh", "255130c3-7176-49d2", "wss://hub.example:443/ws/runtime?x"] {
            let expected = if word.contains('?') { format!("\"{word}\"") } else { word.to_owned() };
            assert_eq!(shown(word), expected);
        }
    }

    #[test]
    fn nothing_can_forge_a_line_or_a_key() {
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("a b=c"), "\"a b=c\"");
        assert_eq!(shown("a\nINFO  forged"), "\"a\\nINFO  forged\"");
        assert_eq!(shown("a\" session=\"b\\"), "\"a\\\" session=\\\"b\\\\\"");
        assert_eq!(shown("\u{1b}[2J\0\u{7f}\u{85}"), "\"\\u{1b}[2J\\0\\u{7f}\\u{85}\"");
        assert_eq!(shown("\u{202e}\u{2028}\u{200b}"), "\"\\u{202e}\\u{2028}\\u{200b}\"");
        assert_eq!(shown("no té 世界 it's"), "\"no té 世界 it's\"");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(shown(&"x".repeat(256)), "x".repeat(256));
        assert_eq!(shown(&"x".repeat(257)), format!("\"{}…\"", "x".repeat(256)));
        assert_eq!(shown(&"é".repeat(300)).chars().count(), 259);
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("words=\"only\" ~".into()), "words=\"only\" ~");
        assert_eq!(
            one_line("a=\"b\" c\r\n\u{1b}d\u{2028}é".into()),
            "a=\"b\" c\\r\\n\\u{1b}d\\u{2028}é"
        );
    }
}
