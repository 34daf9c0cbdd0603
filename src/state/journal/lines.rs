//! How records lie in a file, so that damage costs no more than what it hits.
//!
//! Each is a line: `<CRC-32, 8 hex digits> <length of the JSON, 8 hex digits>
//! <JSON>\n`. The length lets a reader go on where a newline is damaged, the
//! newline where a length is; the checksum tells which of both to believe.
//! Nothing here does I/O or knows what a record says.

use std::io::Write;

use serde::Serialize;

use super::checksum;

/// A longer line is damaged, in bytes of JSON: no record comes near it.
const LONGEST: usize = 4 << 20;

/// Appends one line with `value` to `out`.
pub fn encode(value: &impl Serialize, out: &mut Vec<u8>) {
    // Room for the prefix is made first and filled last: the JSON is written once.
    const PREFIX: usize = 18;
    let start = out.len();
    out.extend_from_slice(&[b' '; PREFIX]);
    if serde_json::to_writer(&mut *out, value).is_err() {
        // Strings and numbers into memory: cannot fail.
        out.truncate(start);
        return;
    }
    let json = &out[start + PREFIX..];
    let (checksum, length) = (checksum::of(json), json.len());
    // Both are 8 digits: the prefix is filled exactly.
    let _ = write!(&mut out[start..start + PREFIX], "{checksum:08x} {length:08x} ");
    out.push(b'\n');
}

/// The intact lines of a file, as JSON; what is damaged is skipped and counted.
#[derive(Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    damaged: usize,
    torn: bool,
}

impl<'a> Lines<'a> {
    /// Begins at the start of a file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, damaged: 0, torn: false }
    }

    /// Lines that were skipped so far.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Whether the file ended within a line: writing was interrupted.
    pub fn torn(&self) -> bool {
        self.torn
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = &self.bytes[self.at..];
            let blank = rest.iter().take_while(|byte| **byte == b'\n').count();
            let rest = &rest[blank..];
            self.at += blank;
            if rest.is_empty() {
                return None;
            }
            if let Some((json, used)) = intact(rest) {
                // The newline, even if it is damaged.
                self.at = (self.at + used + 1).min(self.bytes.len());
                return Some(json);
            }
            if let Some(newline) = rest.iter().position(|byte| *byte == b'\n') {
                self.damaged += 1;
                self.at += newline + 1;
            } else {
                self.torn = true;
                self.at = self.bytes.len();
            }
        }
    }
}

/// The JSON at the start of `bytes` and where it ends, if length and checksum agree.
fn intact(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let hex = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let checksum = hex(bytes.get(..8)?)?;
    let length = hex(bytes.get(9..17)?)? as usize;
    let json = bytes.get(18..)?.get(..length.min(LONGEST))?;
    (checksum::of(json) == checksum).then_some((json, 18 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three lines of the same length.
    fn three() -> (Vec<u8>, [&'static str; 3]) {
        let values = ["first\n", "other\n", "third\n"];
        let mut bytes = Vec::new();
        for value in values {
            encode(&value, &mut bytes);
        }
        (bytes, values)
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        Lines::new(bytes).map(|json| serde_json::from_slice(json).unwrap()).collect()
    }

    #[test]
    fn each_is_one_line() {
        let (bytes, values) = three();
        assert_eq!(read(&bytes), values);
        assert_eq!(bytes.split_inclusive(|byte| *byte == b'\n').count(), 3);
    }

    #[test]
    fn a_flipped_bit_costs_at_most_its_own_line() {
        let (bytes, values) = three();
        for position in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            let left = read(&damaged);
            assert!(left.len() >= 2, "bit {position}: {left:?}");
            assert!(left.iter().all(|value| values.contains(&value.as_str())), "bit {position}");
        }
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let (bytes, values) = three();
        let line = bytes.len() / 3;
        for end in 0..bytes.len() {
            let mut lines = Lines::new(&bytes[..end]);
            let left = lines.by_ref().count();
            assert_eq!(read(&bytes[..end]), values[..left]);
            assert!(left >= end / line, "at {end}");
            assert_eq!(
                (lines.damaged(), lines.torn()),
                (0, left * line < end && end % line < line - 1)
            );
        }
    }

    #[test]
    fn zeros_and_noise_between_lines_are_skipped() {
        let (bytes, values) = three();
        let line = bytes.len() / 3;
        for noise in [&[0; 40][..], b"\n\n\n", b"\xff\xfe", b"00000000 ffffffff "] {
            let mut damaged = bytes[..line].to_vec();
            damaged.extend_from_slice(noise);
            damaged.push(b'\n');
            damaged.extend_from_slice(&bytes[line..]);
            assert_eq!(read(&damaged), values);
        }
    }
}
