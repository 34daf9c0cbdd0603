//! The C library's own allocations, from the heap of the process as well.
//!
//! glibc takes 1.4 KB for each thread: what it is known by, and a cache of sixty
//! sizes because something was allocated in it once. That is a tenth of a session.
//! The names are those that the manual asks for (glibc, "Replacing malloc"): the
//! linker prefers them to the library's.

use std::ffi::{c_int, c_void};
use std::ptr;

use super::{HEAP, PAGE};

/// What `malloc` says where there is nothing left.
fn told(place: *mut u8) -> *mut c_void {
    if place.is_null() {
        // SAFETY: it is this thread's own.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
    }
    place.cast()
}

#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    told(unsafe { HEAP.lock().c_malloc(size) })
}

#[unsafe(no_mangle)]
extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else { return told(ptr::null_mut()) };
    let place = malloc(size);
    if !place.is_null() {
        // SAFETY: so many bytes were asked for.
        unsafe { place.write_bytes(0, size) };
    }
    place
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(place: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller had it from here.
    told(unsafe { HEAP.lock().c_realloc(place.cast(), size) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(place: *mut c_void) {
    // SAFETY: the caller had it from here.
    unsafe { HEAP.lock().c_free(place.cast()) };
}

#[unsafe(no_mangle)]
extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    let Some(align) = align.checked_next_power_of_two() else { return told(ptr::null_mut()) };
    // SAFETY: it is a power of two.
    told(unsafe { HEAP.lock().c_memalign(align, size) })
}

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    memalign(align, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<*mut c_void>()) {
        return libc::EINVAL;
    }
    let place = memalign(align, size);
    if place.is_null() {
        return libc::ENOMEM;
    }
    // SAFETY: the caller says where the answer goes.
    unsafe { to.write(place) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn valloc(size: usize) -> *mut c_void {
    memalign(PAGE, size)
}

#[unsafe(no_mangle)]
extern "C" fn pvalloc(size: usize) -> *mut c_void {
    memalign(PAGE, size.next_multiple_of(PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_c_library_asks_for_comes_from_the_heap_of_the_process() {
        // SAFETY: each piece is used within its size and freed once.
        unsafe {
            let zeros = libc::calloc(3, 1000).cast::<u8>();
            assert!((0..3000).all(|at| *zeros.add(at) == 0));
            zeros.write_bytes(7, 3000);
            let larger = libc::realloc(zeros.cast(), 100_000).cast::<u8>();
            assert!((0..3000).all(|at| *larger.add(at) == 7));
            libc::free(larger.cast());
            assert!(libc::calloc(usize::MAX, 2).is_null());
            let mut page = ptr::null_mut();
            assert_eq!(libc::posix_memalign(&raw mut page, PAGE, 10), 0);
            assert_eq!(page.addr() % PAGE, 0);
            // The heap's own: a pointer of the library's would end the process here.
            HEAP.lock().c_free(page.cast());
            assert_eq!(libc::posix_memalign(&raw mut page, 3, 10), libc::EINVAL);
            let text = libc::strdup(c"text".as_ptr());
            HEAP.lock().c_free(text.cast());
        }
    }
}
