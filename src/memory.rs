//! Where memory comes from with glibc: one heap for all threads.
//!
//! glibc's own gives every thread a cache and one of sixteen heaps, so that what
//! a session's threads freed while they started stayed with them: 25 KB for each
//! session, of which 7 are in use. Threads here hand things on more than they
//! compute, and meet at a lock too seldom to notice. musl has one heap already.

/// The heap of the process.
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
