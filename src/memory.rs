//! Where memory comes from on Linux: one heap for all threads, which gives back what
//! it does not need.
//!
//! glibc's own gives every thread a cache and one of sixteen heaps, so that what
//! a session's threads freed while they started stayed with them: 25 KB for each
//! session. Threads here hand things on more than they compute, and meet at a lock too
//! seldom to notice. musl has one heap already. But both keep for good what a crowd of
//! sessions needed, because somewhere in each piece of it something small lives on;
//! so does this one, until [`give_back`].

#![expect(unsafe_code, reason = "an allocator's interface is unsafe, whatever it does")]

#[cfg(target_env = "gnu")]
mod c_library;

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::{Allocator, Dlmalloc};
use rustix::mm::{
    Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, munmap,
};

/// The heap of the process.
#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Dlmalloc::new_with_allocator(Pages)));

/// Whether the heap gets no more pages for now. Written and read under its lock.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// The largest and the smallest idle piece that is looked for, in bytes.
const PIECES: (usize, usize) = (1 << 20, PAGE);

const PAGE: usize = 4096;

/// std's mutex neither allocates nor blocks on anything but its other users.
struct Heap(Mutex<Dlmalloc<Pages>>);

impl Heap {
    fn lock(&self) -> MutexGuard<'_, Dlmalloc<Pages>> {
        // Nothing in there panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: dlmalloc's functions promise what `GlobalAlloc` asks for, to callers that
// keep the same rules, and the lock gives each of them the heap for itself.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller gives a size above zero.
        unsafe { self.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.lock().calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller had it from here, with this layout.
        unsafe { self.lock().free(place, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above, and the new size is above zero.
        unsafe { self.lock().realloc(place, layout.size(), layout.align(), size) }
    }
}

/// Gives the pages of the heap in which nothing lives back to the system; they come
/// again, empty, when they are needed. Takes some milliseconds for a large heap.
///
/// The heap is closed and asked for all that is idle, the largest pieces first. The
/// pages of each are given back, then the pieces: whole ones lie idle without a page.
pub fn give_back() {
    let mut heap = HEAP.lock();
    CLOSED.store(true, Ordering::Relaxed);
    let (mut size, smallest) = PIECES;
    let mut taken: *mut Piece = ptr::null_mut();
    while size >= smallest {
        // SAFETY: the size is above zero.
        let place = unsafe { heap.malloc(size, align_of::<Piece>()) };
        if place.is_null() {
            // In small steps: each piece keeps the pages at both of its ends.
            size -= size / 64;
            continue;
        }
        #[expect(clippy::cast_ptr_alignment, reason = "it was asked for with this alignment")]
        let piece = place.cast::<Piece>();
        // SAFETY: it is ours, aligned for a `Piece` and larger than one.
        unsafe { piece.write(Piece { next: taken, size }) };
        taken = piece;
        let start = (place.addr() + size_of::<Piece>()).next_multiple_of(PAGE);
        let end = (place.addr() + size) & !(PAGE - 1);
        if start < end {
            let pages = place.with_addr(start).cast();
            // SAFETY: these pages lie within the piece, behind what was written into it.
            // Refused, they stay.
            let _ = unsafe { madvise(pages, end - start, Advice::LinuxDontNeed) };
        }
    }
    while !taken.is_null() {
        // SAFETY: written above, into memory that is ours until it is freed here.
        unsafe {
            let Piece { next, size } = taken.read();
            heap.free(taken.cast(), size, align_of::<Piece>());
            taken = next;
        }
    }
    CLOSED.store(false, Ordering::Relaxed);
    // SAFETY: only what is not in use is given back.
    unsafe { heap.trim(0) };
}

/// In the first bytes of an idle piece, while it is taken.
struct Piece {
    next: *mut Piece,
    size: usize,
}

/// What the heap is made of: anonymous pages, as long as it is not closed.
struct Pages;

// SAFETY: what is mapped is new, private, and stays until it is unmapped here.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if CLOSED.load(Ordering::Relaxed) {
            return (ptr::null_mut(), 0, 0);
        }
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses a place where nothing is.
        let mapped = unsafe { mmap_anonymous(ptr::null_mut(), size, rights, MapFlags::PRIVATE) };
        mapped.map_or((ptr::null_mut(), 0, 0), |place| (place.cast(), size, 0))
    }

    fn remap(&self, place: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = if can_move { MremapFlags::MAYMOVE } else { MremapFlags::empty() };
        // SAFETY: the heap names a mapping of its own.
        let mapped = unsafe { mremap(place.cast(), old, new, flags) };
        mapped.map_or(ptr::null_mut(), <*mut _>::cast)
    }

    fn free_part(&self, place: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the heap names a mapping of its own, and does not use its end.
        unsafe { munmap(place.wrapping_add(new).cast(), old - new) }.is_ok()
    }

    fn free(&self, place: *mut u8, size: usize) -> bool {
        // SAFETY: the heap names a mapping of its own, and does not use it.
        unsafe { munmap(place.cast(), size) }.is_ok()
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_as_it_was_after_the_rest_was_given_back() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut alive: Vec<Vec<u8>> = Vec::new();
        for round in 0..20_u8 {
            let many = (0..400).map(|_| vec![round; 1 << random.u32(4..15)]);
            alive.extend(many);
            alive.retain(|_| random.u8(..8) == 0);
            give_back();
            assert!(alive.iter().all(|one| one.iter().all(|&byte| byte == one[0])), "seed {seed}");
            assert!(vec![0_u8; 1 << 15].iter().all(|&byte| byte == 0));
        }
    }
}
