//! Bytes of an agent to the inside of a JSON string.
//!
//! A byte costs 2.6 instructions, for 80-byte lines of ASCII: `from_utf8` looks at it
//! once, the search for the next character that needs escaping once more ([`special`],
//! 16 bytes at a time), and a clean run is copied as one. Both looks together are
//! cheaper than one loop that does both and stores as it goes (two to three times the
//! time of both), because each is so simple. The output is a `String` that grows by
//! validated runs only: building bytes instead and validating them at the end
//! costs text that is not ASCII twice (0.8 instead of 0.4 ns).
//!
//! It does not know what the string is for.

mod special;

use self::special::first_special;

/// Appends `bytes` to `out` as the inside of a JSON string: one pass that
/// replaces what is not UTF-8 exactly as [`String::from_utf8_lossy`] does and
/// escapes what JSON demands. Returns how many bytes were taken: all, but for
/// a character at the very end that is not complete yet (at most three bytes).
pub fn escape_json(bytes: &[u8], out: &mut String) -> usize {
    let whole = &bytes[..bytes.len() - incomplete_tail(bytes)];
    if let Ok(text) = std::str::from_utf8(whole) {
        escape_str(text, out);
    } else {
        for chunk in whole.utf8_chunks() {
            escape_str(chunk.valid(), out);
            if !chunk.invalid().is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }
    whole.len()
}

/// Appends `text` to `out` as the inside of a JSON string.
pub fn escape_str(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        let stop = find_special(bytes, start);
        if stop > start {
            out.push_str(&text[start..stop]);
        }
        // Special characters often come in a row ("\r\n", control bytes).
        start = stop;
        while start < bytes.len() && push_escaped(bytes[start], out) {
            start += 1;
        }
    }
}

/// How many bytes at the end of `bytes` begin a UTF-8 character without
/// completing it: 0 to 3. What follows may still make a character of them.
pub fn incomplete_tail(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let tail = &bytes[bytes.len() - length..];
        match tail[0] {
            // A continuation: its lead byte is further left.
            0x80..0xc0 => {}
            0xc0.. => {
                let open = std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
                return if open { length } else { 0 };
            }
            _ => return 0,
        }
    }
    0
}

/// Whether JSON wants this byte escaped.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The first special byte at or after `from`, or the end.
fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    let (blocks, rest) = bytes[from..].as_chunks::<16>();
    for block in blocks {
        if let Some(first) = first_special(block) {
            return at + first;
        }
        at += block.len();
    }
    at + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

/// Appends the escape of a special byte; anything else is refused and left alone.
fn push_escaped(byte: u8, out: &mut String) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // Literals, so that each push is a store of known width and not a call.
    match byte {
        b'\n' => out.push_str("\\n"),
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\t' => out.push_str("\\t"),
        b'\r' => out.push_str("\\r"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        0x00..0x20 => {
            out.push_str(if byte < 0x10 { "\\u000" } else { "\\u001" });
            out.push(char::from(HEX[usize::from(byte & 0x0f)]));
        }
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `escape_json` must do, said with others' means.
    fn expected(bytes: &[u8]) -> String {
        let quoted = serde_json::to_string(&String::from_utf8_lossy(bytes)).unwrap();
        quoted[1..quoted.len() - 1].to_owned()
    }

    fn escaped(bytes: &[u8]) -> (String, usize) {
        let mut out = String::new();
        let taken = escape_json(bytes, &mut out);
        (out, taken)
    }

    #[test]
    fn each_byte_at_each_place_of_a_block_is_escaped_like_serde_json() {
        for byte in 0..0x80 {
            for place in 0..40 {
                let mut bytes = vec![b'x'; 40];
                bytes[place] = byte;
                assert_eq!(escaped(&bytes), (expected(&bytes), 40), "byte {byte} at {place}");
            }
        }
    }

    #[test]
    fn an_incomplete_character_at_the_end_is_left() {
        for text in ["é", "€", "😀", "a€", "\n😀"] {
            let bytes = text.as_bytes();
            let last = text.chars().last().unwrap().len_utf8();
            for cut in 1..last {
                let part = &bytes[..bytes.len() - cut];
                assert_eq!(incomplete_tail(part), last - cut, "{text:?} without {cut}");
                assert_eq!(escaped(part).1, bytes.len() - last);
            }
            assert_eq!(incomplete_tail(bytes), 0);
        }
    }

    #[test]
    fn what_can_never_become_a_character_is_not_waited_for() {
        // Overlong, surrogate, beyond U+10FFFF, stray continuations, bytes UTF-8 never uses.
        let hopeless: [&[u8]; 8] = [
            b"\xc0",
            b"\xc1",
            b"\xe0\x80",
            b"\xed\xa0",
            b"\xf4\x90",
            b"\xf5",
            b"\xff",
            b"\x80\x80\x80",
        ];
        for bytes in hopeless {
            assert_eq!(escaped(bytes), (expected(bytes), bytes.len()), "{bytes:x?}");
        }
    }

    #[test]
    fn random_bytes_come_out_as_serde_json_and_from_utf8_lossy_would_have_it() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let parts: [&[u8]; 12] = [
            b"plain text of some length, as most of it is",
            b"\n",
            b"\r\n",
            b"\"",
            b"\\",
            b"\x00\x1b[31m",
            "é".as_bytes(),
            "世界".as_bytes(),
            "😀".as_bytes(),
            b"\xff",
            b"\xe2\x82",
            b"\xf0\x9f",
        ];
        for _ in 0..4_000 {
            let mut bytes = Vec::new();
            for _ in 0..random.usize(..24) {
                if random.bool() {
                    bytes.extend_from_slice(random.choice(parts).unwrap_or_default());
                } else {
                    bytes.push(random.u8(..));
                }
            }
            let (out, taken) = escaped(&bytes);
            assert_eq!(taken, bytes.len() - incomplete_tail(&bytes), "seed {seed}");
            assert_eq!(out, expected(&bytes[..taken]), "seed {seed}: {bytes:x?}");
            let rest = String::from_utf8_lossy(&bytes[taken..]);
            assert!(
                rest.is_empty() || rest == "\u{fffd}",
                "seed {seed}: one open character at most"
            );
        }
    }
}
