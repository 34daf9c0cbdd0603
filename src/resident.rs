//! Memory of this process that was used once and is not needed any more: it
//! goes back to the kernel, and comes again by itself if it is touched.
//!
//! Three things. What a session's start needed of its thread's stack would stay for
//! as long as the session lives. What it needed of the heap lies idle between what
//! is still used. What a start, or a crowd of sessions, needed of the program's code
//! would stay for as long as the process does; the kernel keeps it in its page cache,
//! where it can take it away when memory is short. Nothing here knows what for anything
//! was needed. Linux only, but for tables; elsewhere nothing is done.

mod settler;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

#[cfg(target_os = "linux")]
use rustix::mm::{Advice, madvise};

#[cfg(target_os = "linux")]
use crate::threads::STACK;

pub use self::settler::Settler;

thread_local! {
    /// An address in the first frame of a thread of ours; 0 in others.
    static TOP: Cell<usize> = const { Cell::new(0) };
}

/// No deeper than this below the first frame is anything given back, in bytes:
/// what the smallest stack has.
#[cfg(target_os = "linux")]
const DEEPEST: usize = 64 * 1024;

/// Notes where this thread's stack begins. For the first frame of a thread that
/// has a stack of [`crate::threads::STACK`] bytes at least.
pub fn stack_begins() {
    let here = 0u8;
    TOP.set((&raw const here).expose_provenance());
}

/// Gives back what this thread's stack needed deeper than it is now: four KiB,
/// or eight, of which a thread that waits has five to eight. Costs two
/// microseconds with the page fault that brings it again.
pub fn give_back_stack() {
    #[cfg(target_os = "linux")]
    {
        let here = 0u8;
        let (start, end) = unused_stack(TOP.get(), (&raw const here).expose_provenance());
        if start < end {
            // Below everything this thread has on its stack: nobody reads it
            // before writing it again.
            advise(start, end, Advice::LinuxDontNeed);
        }
    }
}

/// What of a stack that begins below `top` lies below `here`: without what the
/// call from here needs, and without the last sixteen KiB, for which what lies
/// above `top` could be the reason.
#[cfg(target_os = "linux")]
fn unused_stack(top: usize, here: usize) -> (usize, usize) {
    const PAGE: usize = 4096;
    // The one call is inlined down to the system call, some hundred bytes; not
    // so in a build without optimisation.
    const CALL: usize = if cfg!(debug_assertions) { PAGE } else { 512 };
    let lowest = top.saturating_sub(STACK.min(DEEPEST)) + 16 * 1024;
    if top == 0 || here > top {
        return (0, 0);
    }
    (lowest.next_multiple_of(PAGE), (here - CALL) & !(PAGE - 1))
}

/// Gives back what a table grew for a crowd, once three quarters of it have gone.
pub fn shrink<K: Eq + Hash, V, S: BuildHasher>(table: &mut HashMap<K, V, S>) {
    if is_for_a_crowd(table.len(), table.capacity()) {
        table.shrink_to(table.len() * 2);
    }
}

/// As [`shrink`].
pub fn shrink_set<K: Eq + Hash, S: BuildHasher>(table: &mut HashSet<K, S>) {
    if is_for_a_crowd(table.len(), table.capacity()) {
        table.shrink_to(table.len() * 2);
    }
}

fn is_for_a_crowd(length: usize, capacity: usize) -> bool {
    const SMALL: usize = 64;
    capacity > SMALL && length * 4 < capacity
}

/// Gives back what of the heap is idle. Takes some milliseconds where that is much.
pub fn give_back_heap() {
    #[cfg(target_os = "linux")]
    crate::memory::give_back();
}

/// Gives back the program's code and constants, of which the kernel has a copy.
pub fn give_back_code() {
    #[cfg(target_os = "linux")]
    {
        let parts = code();
        for (start, end) in parts {
            // Where it lies in huge pages it would come again whole, two megabytes at once.
            advise(start, end, Advice::LinuxNoHugepage);
        }
        // What runs from here on comes back at once, 64 KB and more for each place: it
        // is as little as can be, and frees nothing.
        for (start, end) in parts {
            advise(start, end, Advice::LinuxDontNeed);
        }
    }
}

/// Where code and constants lie; nothing where that cannot be told.
#[cfg(target_os = "linux")]
#[inline(never)]
fn code() -> Parts {
    use std::io::BufRead;
    let Ok(program) = std::fs::read_link("/proc/self/exe") else { return Parts::default() };
    let Ok(maps) = std::fs::File::open("/proc/self/maps") else { return Parts::default() };
    let maps = std::io::BufReader::new(maps).lines().map_while(Result::ok);
    unwritten(maps, &program.to_string_lossy())
}

/// Parts of the address space, each from its start to its end; empty ones fill up.
#[cfg(target_os = "linux")]
type Parts = [(usize, usize); 4];

/// Where the program's code lies, and what lies before it in the file. Nothing
/// ever writes there; what is relocated lies behind the code. A program with a loader
/// comes first in the list; a static one, where it was put.
#[cfg(target_os = "linux")]
fn unwritten(maps: impl Iterator<Item = String>, program: &str) -> Parts {
    let mut found = Parts::default();
    let mut free = found.iter_mut();
    for line in maps {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { break };
        if words.nth(3) != Some(program) {
            continue;
        }
        if !matches!(rights, "r--p" | "r-xp") {
            break;
        }
        let hex = |digits: &str| usize::from_str_radix(digits, 16).ok();
        let Some((Some(start), Some(end))) =
            range.split_once('-').map(|(start, end)| (hex(start), hex(end)))
        else {
            break;
        };
        let Some(part) = free.next() else { break };
        *part = (start, end);
        if rights == "r-xp" {
            return found;
        }
    }
    Parts::default()
}

#[cfg(target_os = "linux")]
#[expect(clippy::inline_always, reason = "what it keeps on the stack must be little")]
#[inline(always)]
fn advise(start: usize, end: usize, advice: Advice) {
    let place = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range is either stack that nothing is kept in (`unused_stack`:
    // below the frames of this very thread, above the end of its stack, which
    // begins at most 16 KiB above `top`), or pages of a file that were never
    // written (`unwritten`), which read the same when they come again.
    #[expect(unsafe_code, reason = "no safe crate gives memory back")]
    // Refused, it stays.
    let _ = unsafe { madvise(place, end - start, advice) };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_usable_after_its_unused_part_was_given_back() {
        fn deep(levels: u64) -> u64 {
            let here = std::hint::black_box([levels; 64]);
            if levels == 0 { 0 } else { here[63] + deep(levels - 1) }
        }
        let sums = crate::threads::spawn("test", || {
            let before = deep(20);
            let kept = std::hint::black_box([7u8; 512]);
            give_back_stack();
            (before, deep(20), kept.iter().map(|byte| u32::from(*byte)).sum::<u32>())
        });
        assert_eq!(sums.unwrap().join().unwrap(), (210, 210, 7 * 512));
    }

    #[test]
    fn only_what_lies_within_the_stack_and_below_is_given_back() {
        let top = 0x7000_0000;
        let (start, end) = unused_stack(top, top - 5000);
        assert!(start >= top - STACK.min(DEEPEST) + 16 * 1024 && end < top - 5000);
        assert_eq!((start % 4096, end % 4096), (0, 0));
        assert_eq!(unused_stack(0, 5000), (0, 0), "not a thread of ours");
        let (start, end) = unused_stack(top, top - 60 * 1024);
        assert!(start >= end, "too deep already");
    }

    #[test]
    fn code_and_what_lies_before_it_is_never_written() {
        let unwritten = |maps: &str, program| unwritten(maps.lines().map(String::from), program);
        let maps = "\
            0800-1000 rw-p 00000000 00:00 0\n\
            1000-2000 r--p 00000000 08:01 7 /opt/amurg\n\
            2000-9000 r-xp 00001000 08:01 7 /opt/amurg\n\
            9000-a000 r--p 00008000 08:01 7 /opt/amurg\n\
            a000-b000 rw-p 00009000 08:01 7 /opt/amurg\n";
        let code = [(0x1000, 0x2000), (0x2000, 0x9000), (0, 0), (0, 0)];
        assert_eq!(unwritten(maps, "/opt/amurg"), code);
        let nothing = Parts::default();
        assert_eq!(unwritten(maps, "/opt/other"), nothing);
        assert_eq!(unwritten("1000-2000 rw-p 0 08:01 7 /opt/amurg\n", "/opt/amurg"), nothing);
        give_back_code();
    }
}
