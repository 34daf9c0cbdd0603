//! The checksum of a record: CRC-32 as in zip and Ethernet.
//!
//! A byte at a time and by a table of one KiB: records are short, and a faster
//! way brings tables and instructions that outweigh all the rest of a journal.

/// What each value of a byte makes of a remainder of zero.
static REMAINDERS: [u32; 256] = remainders();

const fn remainders() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut remainder = byte;
        let mut bit = 0;
        while bit < 8 {
            // The polynomial, its bits the other way around.
            let divided = if remainder & 1 == 1 { 0xedb8_8320 } else { 0 };
            remainder = (remainder >> 1) ^ divided;
            bit += 1;
        }
        table[byte as usize] = remainder;
        byte += 1;
    }
    table
}

/// The checksum of `bytes`.
pub fn of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |remainder, byte| {
        let [low, ..] = remainder.to_le_bytes();
        REMAINDERS[usize::from(low ^ byte)] ^ (remainder >> 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_everybody_means() {
        for (bytes, expected) in [
            (&b""[..], 0),
            (b"a", 0xe8b7_be43),
            (b"123456789", 0xcbf4_3926),
            (b"The quick brown fox jumps over the lazy dog", 0x414f_a339),
        ] {
            assert_eq!(of(bytes), expected, "{bytes:?}");
        }
    }
}
