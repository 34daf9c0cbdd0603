//! From when until when a certificate is valid, read out of its DER.
//!
//! Only for telling a person; nothing is decided by it. It walks to that one
//! field and knows no other.

/// Certificate fields on the way: SEQUENCE, INTEGER, `[0]` (the version).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Both ends of a certificate's time, as `2026-01-31T12:00:00Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`
    pub from: String,
    /// `notAfter`
    pub until: String,
}

/// From when until when a certificate is valid, if that can be read.
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (SEQUENCE, certificate, _) = element(der)? else { return None };
    let (SEQUENCE, fields, _) = element(certificate)? else { return None };
    // version (optional), serial number, algorithm and issuer come before validity.
    let (tag, _, after) = element(fields)?;
    let mut rest = if tag == VERSION { element(after)?.2 } else { after };
    for _ in 0..2 {
        rest = element(rest)?.2;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (from, rest) = time(validity)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

/// The time at the beginning, and what follows.
fn time(der: &[u8]) -> Option<(String, &[u8])> {
    let (tag, time, rest) = element(der)?;
    let digits = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = match (tag, digits.len()) {
        // Two digits of the year: 50 to 99 are of the last century.
        (UTC_TIME, 12) if digits >= "50" => format!("19{digits}"),
        (UTC_TIME, 12) => format!("20{digits}"),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| &digits[from..to];
    let (date, clock) =
        ([part(0, 4), part(4, 6), part(6, 8)], [part(8, 10), part(10, 12), part(12, 14)]);
    Some((format!("{}T{}Z", date.join("-"), clock.join(":")), rest))
}

/// Tag, content and what follows of the first element.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    fn certificate(version: bool, times: &[u8]) -> Vec<u8> {
        let mut fields = if version { wrap(VERSION, &[2, 1, 2]) } else { Vec::new() };
        fields.extend([2, 1, 7]);
        fields.extend(wrap(SEQUENCE, b"algorithm"));
        fields.extend(wrap(SEQUENCE, &[b'i'; 300]));
        fields.extend(wrap(SEQUENCE, times));
        wrap(SEQUENCE, &wrap(SEQUENCE, &fields))
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let times = [wrap(UTC_TIME, b"260131120000Z"), wrap(GENERALIZED_TIME, b"20510131120001Z")];
        let expected =
            Validity { from: "2026-01-31T12:00:00Z".into(), until: "2051-01-31T12:00:01Z".into() };
        for version in [true, false] {
            let certificate = certificate(version, &times.concat());
            assert_eq!(validity(&certificate).as_ref(), Some(&expected));
        }
    }

    #[test]
    fn anything_else_is_no_time_and_no_panic() {
        let utc = wrap(UTC_TIME, b"260131120000Z");
        let whole = certificate(true, &[&utc[..], &utc].concat());
        for end in 0..whole.len() {
            assert_eq!(validity(&whole[..end]), None);
        }
        for index in 0..whole.len() {
            let mut bent = whole.clone();
            bent[index] ^= 0xff;
            let _ = validity(&bent);
        }
        let odd = wrap(UTC_TIME, b"2601311200ab\xffZ");
        assert_eq!(validity(&certificate(true, &[&odd[..], &utc].concat())), None);
        assert_eq!(validity(&certificate(true, &[&utc[..], &odd].concat())), None);
    }
}
