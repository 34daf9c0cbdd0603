//! The search for what JSON wants escaped, sixteen bytes at a time.
//!
//! Left to the compiler, a build for size looks at one byte after the other here, at
//! ten times the cost; so it is said in the processor's own words.

/// Where the first byte stands that is a control character, a quote or a backslash.
#[cfg(target_arch = "x86_64")]
pub(super) fn first_special(block: &[u8; 16]) -> Option<usize> {
    #[expect(unsafe_code, reason = "a processor's own instructions are asked for so")]
    // SAFETY: SSE2 is part of x86-64: there is none without it.
    unsafe {
        sse2(block)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn sse2(block: &[u8; 16]) -> Option<usize> {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let (words, _) = block.as_chunks::<8>();
    let [low, high] = [words[0], words[1]].map(i64::from_le_bytes);
    let bytes = _mm_set_epi64x(high, low);
    let control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    let quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"'.cast_signed()));
    let backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\'.cast_signed()));
    // One bit for each byte.
    let special = _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
    (special != 0).then(|| special.trailing_zeros() as usize)
}

/// Where the first byte stands that is a control character, a quote or a backslash.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn first_special(block: &[u8; 16]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The high bit of each special byte. A borrow may also flag bytes behind the
    // first special one; the lowest flag is always true.
    let flags = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(0x20 * ONES);
        let quote = (word ^ (u64::from(b'"') * ONES)).wrapping_sub(ONES);
        let backslash = (word ^ (u64::from(b'\\') * ONES)).wrapping_sub(ONES);
        (control | quote | backslash) & !word & HIGH
    };
    let (words, _) = block.as_chunks::<8>();
    match (flags(&words[0]), flags(&words[1])) {
        (0, 0) => None,
        (0, high) => Some(8 + high.trailing_zeros() as usize / 8),
        (low, _) => Some(low.trailing_zeros() as usize / 8),
    }
}
