//! Names for the file system made from names that came from outside.
//!
//! Pure functions: whatever goes in, what comes out is one path component,
//! visible, and neither `.` nor `..`.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Longest component made here, in bytes; file systems take 255.
const LONGEST: usize = 200;
/// What a name that leaves nothing is called.
const NAMELESS: &str = "file";

/// An id as a path component, different for different ids. Plain ids stay as
/// they are; other bytes become `%XX`; a long id is cut and a hash of the whole
/// appended after `%%`.
pub fn component(id: &str) -> String {
    let mut text = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => true,
            // Where file names ignore case, two ids must not meet in one directory.
            b'A'..=b'Z' => cfg!(target_os = "linux"),
            b'.' => at > 0 && at + 1 < id.len(),
            _ => false,
        };
        if plain && !(at == 0 && is_reserved(id)) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    if text.is_empty() || text.len() > LONGEST {
        text.truncate(64);
        text.push_str("%%");
        for byte in Sha256::digest(id) {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// The base name of a file, safe to create, to show and to paste into a shell:
/// no path, no control or direction characters, no leading dot or dash, none of
/// a shell's special characters, at most 200 bytes with the extension kept.
pub fn base_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = base.chars().filter_map(harmless).collect();
    let kept = kept.trim_start_matches(['.', '-', '~', ' ']).trim_end_matches(['.', ' ']);
    let mut kept = shortened(kept);
    if kept.is_empty() {
        kept.push_str(NAMELESS);
    }
    if is_reserved(&kept) {
        kept.insert(0, '_');
    }
    kept
}

/// The character itself, `_` in its place, or nothing.
fn harmless(character: char) -> Option<char> {
    match character {
        '.' | '_' | '-' | '+' | '@' | ',' | '=' | '%' | '~' | ' ' => Some(character),
        _ if character.is_ascii_alphanumeric() => Some(character),
        // Zero-width characters, changes of direction, separators of lines, byte order mark.
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => None,
        _ if character.is_control() => None,
        _ if character.is_ascii() || character.is_whitespace() => Some('_'),
        _ => Some(character),
    }
}

/// Cut to [`LONGEST`] bytes between characters, before the extension if it is short.
fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    };
    let cut = (0..=LONGEST - extension.len()).rev().find(|at| stem.is_char_boundary(*at));
    format!("{}{extension}", stem[..cut.unwrap_or_default()].trim_end_matches(['.', ' ']))
}

/// Names that mean a device on Windows, with or without an extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_stay_as_they_are() {
        for id in ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "echo_1", "v1.2", "a"] {
            assert_eq!(component(id), id);
        }
    }

    #[test]
    fn no_id_leaves_its_directory_or_meets_another() {
        let long = "x".repeat(300);
        let longer = "x".repeat(301);
        let ids = [
            "",
            ".",
            "..",
            "../../etc",
            "/etc/passwd",
            "a/b",
            "a%2Fb",
            "a\\b",
            "a\0b",
            "a\n",
            ".a",
            "a.",
            "%",
            "%%",
            "nul",
            "NUL",
            "com1.txt",
            "é",
            " ",
            &long,
            &longer,
            "x",
        ];
        let mut made: Vec<String> = ids.iter().map(|id| component(id)).collect();
        for name in &made {
            assert!(!name.is_empty() && name.len() <= LONGEST, "{name}");
            assert!(!name.starts_with('.') && !name.ends_with('.'), "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b"%._-".contains(&b)),
                "{name}"
            );
            assert!(!is_reserved(name), "{name}");
        }
        made.sort();
        made.dedup();
        assert_eq!(made.len(), ids.len());
    }

    #[test]
    fn base_names_are_safe() {
        for (hostile, safe) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\a b.txt", "a b.txt"),
            ("/etc/", "file"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("--rf", "rf"),
            ("a\nb\0c\u{7f}.txt", "abc.txt"),
            ("\u{202e}fdp.exe", "fdp.exe"),
            ("$(touch x);`id`&|<>.txt", "__touch x___id_____.txt"),
            ("NUL.txt", "_NUL.txt"),
            ("com1", "_com1"),
            ("trailing. . ", "trailing"),
            ("naïve 日本.txt", "naïve 日本.txt"),
        ] {
            assert_eq!(base_name(hostile), safe, "{hostile:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_whole_characters() {
        let name = base_name(&format!("{}.tar.gz", "é".repeat(300)));
        assert!(name.len() <= LONGEST && name.ends_with("é.gz"), "{name}");
        let name = base_name(&"日".repeat(300));
        assert!(name.len() <= LONGEST && name.chars().all(|c| c == '日'), "{name}");
    }
}
