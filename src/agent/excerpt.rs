//! The start of a text from outside, fit to stand within one line for the user.

/// At most `most` characters of the text without the space around it; control
/// characters are escaped, and `…` says that there was more.
pub fn excerpt(text: &str, most: usize) -> String {
    let mut characters = text.trim().chars();
    let mut line = String::new();
    for character in characters.by_ref().take(most) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_line() {
        let text = "  {\n\t\"error\": \"x\x1b[2J\"}\n";
        assert_eq!(excerpt(text, 512), r#"{\n\t"error": "x\u{1b}[2J"}"#);
        assert_eq!(excerpt("ééééé", 4), "éééé…");
        assert_eq!(excerpt("éééé", 4), "éééé");
    }
}
