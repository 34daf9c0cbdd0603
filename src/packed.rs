//! Many small records in one allocation: what is kept of sessions that are over.
//!
//! Thousands of them are kept for long, each a few short strings. Allocated one by
//! one, between what a session needs while it lives, each would hold on to a page
//! of memory of which everything else is free again. Here they lie one behind
//! another in one buffer, in the order in which they were put in.
//!
//! Looking one up walks over all of them: 20 microseconds for four thousand, paid
//! when a session begins or ends, not by messages. What a record says is its
//! owner's business.

use std::mem;

/// Length of a key and of a value, in front of both.
const HEADER: usize = 2 * mem::size_of::<u32>();

/// Set in the length of a key whose record was taken out.
const GONE: u32 = 1 << 31;

/// Bytes of records that were taken out which are not worth moving the others.
const NOT_WORTH_IT: usize = 4096;

/// Records by key, oldest first.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Records that are there.
    count: usize,
    /// Bytes of those that are not any more.
    gone: usize,
}

/// Where a record lies.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    key: usize,
    value: usize,
    gone: bool,
}

impl Place {
    fn value_at(self) -> usize {
        self.at + HEADER + self.key
    }

    fn end(self) -> usize {
        self.value_at() + self.value
    }
}

impl Packed {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Puts a record behind all others. There must be none of that key: of two, only
    /// the older one is found. A record of two gigabytes and more is not kept.
    pub fn push(&mut self, key: &str, value: &[u8]) {
        let lengths = (u32::try_from(key.len()), u32::try_from(value.len()));
        let (Ok(key_length @ ..GONE), Ok(value_length @ ..GONE)) = lengths else { return };
        let needed = HEADER + key.len() + value.len();
        if self.bytes.capacity() - self.bytes.len() < needed {
            // A quarter at a time: doubled, half of it would lie idle.
            self.bytes.reserve_exact(needed.max(self.bytes.len() / 4));
        }
        self.bytes.extend_from_slice(&key_length.to_ne_bytes());
        self.bytes.extend_from_slice(&value_length.to_ne_bytes());
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(value);
        self.count += 1;
    }

    /// What is kept under that key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.find(key).map(|place| self.value(place))
    }

    /// Takes a record out. Whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some(place) = self.find(key) else { return false };
        let length = u32::from_ne_bytes(self.word(place.at)) | GONE;
        self.bytes[place.at..place.at + mem::size_of::<u32>()]
            .copy_from_slice(&length.to_ne_bytes());
        self.count -= 1;
        self.gone += place.end() - place.at;
        if self.gone > NOT_WORTH_IT.max(self.bytes.len() / 4) {
            self.close_gaps();
        }
        true
    }

    /// All records, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places().filter(|place| !place.gone).map(|place| {
            let key = str::from_utf8(self.key(place)).expect("a key is put in as a string");
            (key, self.value(place))
        })
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let mut at = 0;
        std::iter::from_fn(move || {
            if at == self.bytes.len() {
                return None;
            }
            let key = u32::from_ne_bytes(self.word(at));
            let value = u32::from_ne_bytes(self.word(at + mem::size_of::<u32>()));
            let place = Place {
                at,
                key: (key & !GONE) as usize,
                value: value as usize,
                gone: key & GONE != 0,
            };
            at = place.end();
            Some(place)
        })
    }

    fn find(&self, key: &str) -> Option<Place> {
        self.places().find(|place| !place.gone && self.key(*place) == key.as_bytes())
    }

    fn key(&self, place: Place) -> &[u8] {
        &self.bytes[place.at + HEADER..place.value_at()]
    }

    fn value(&self, place: Place) -> &[u8] {
        &self.bytes[place.value_at()..place.end()]
    }

    fn word(&self, at: usize) -> [u8; mem::size_of::<u32>()] {
        self.bytes[at..at + mem::size_of::<u32>()].try_into().expect("four bytes")
    }

    fn close_gaps(&mut self) {
        let kept = self.bytes.len() - self.gone;
        let mut bytes = Vec::with_capacity(kept);
        for place in self.places().filter(|place| !place.gone) {
            bytes.extend_from_slice(&self.bytes[place.at..place.end()]);
        }
        self.bytes = bytes;
        self.gone = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(packed: &Packed) -> Vec<(&str, &[u8])> {
        packed.iter().collect()
    }

    #[test]
    fn records_come_back_in_the_order_in_which_they_were_put_in() {
        let mut packed = Packed::default();
        packed.push("a", b"1");
        packed.push("", b"");
        packed.push("ä\0", b"\xff\0");
        assert!(packed.remove("a"));
        packed.push("a", b"22");
        assert_eq!(all(&packed), [("", &b""[..]), ("ä\0", b"\xff\0"), ("a", b"22")]);
        assert_eq!((packed.len(), packed.get("a")), (3, Some(&b"22"[..])));
        assert!(packed.remove("") && !packed.remove("") && packed.get("").is_none());
        assert_eq!(all(&packed), [("ä\0", &b"\xff\0"[..]), ("a", b"22")]);
    }

    #[test]
    fn what_was_taken_out_takes_no_room_for_long() {
        let mut packed = Packed::default();
        for round in 0..100 {
            for key in 0..50 {
                let key = format!("key{key}");
                packed.remove(&key);
                packed.push(&key, &[round; 100]);
            }
        }
        let one = HEADER + "key10".len() + 100;
        assert!(packed.bytes.len() <= 50 * one * 4 / 3 + NOT_WORTH_IT + one);
        assert!(all(&packed).iter().all(|(_, value)| *value == [99; 100]));
        (0..50).for_each(|key| assert!(packed.remove(&format!("key{key}"))));
        assert_eq!((packed.len(), packed.iter().next()), (0, None));
    }
}
