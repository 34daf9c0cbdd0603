//! A queue that many threads put into and one takes from, which is woken by other
//! means (a [`Sleeper`](crate::receive::Sleeper), a [`Waker`](crate::wake::Waker)).
//!
//! For what every session has: a channel takes a kilobyte from its first message
//! on and never gives it back, which is a fifteenth of a session.
//! This one keeps four places. Where there are only a few, a channel does more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places that are kept when it is empty.
const KEPT: usize = 4;

/// See the module's head. Without a bound: whoever puts in is bounded by other means.
#[derive(Debug)]
pub struct Queue<T>(Mutex<Places<T>>);

#[derive(Debug)]
struct Places<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Mutex::new(Places { items: VecDeque::new(), closed: false }))
    }
}

impl<T> Queue<T> {
    /// Puts an item behind the others; `false`: it is closed, and the item is dropped.
    pub fn push(&self, item: T) -> bool {
        let mut places = self.places();
        let open = !places.closed;
        if open {
            places.items.push_back(item);
        }
        open
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        let mut places = self.places();
        let item = places.items.pop_front();
        if places.items.is_empty() {
            places.items.shrink_to(KEPT);
        }
        item
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.places().items.is_empty()
    }

    /// Nothing more is taken; what is in it is dropped.
    pub fn close(&self) {
        let mut places = self.places();
        places.closed = true;
        let items = std::mem::take(&mut places.items);
        // What an item does when it is dropped is nothing to do under a lock.
        drop(places);
        drop(items);
    }

    fn places(&self) -> MutexGuard<'_, Places<T>> {
        // No code under the lock can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn items_come_out_as_they_went_in_and_a_crowd_leaves_no_room_behind() {
        let queue = Queue::default();
        assert!((0..1000).all(|number| queue.push(number)));
        assert!(!queue.is_empty());
        assert!((0..1000).all(|number| queue.pop() == Some(number)));
        assert!(queue.is_empty() && queue.pop().is_none());
        assert!(queue.places().items.capacity() <= KEPT);
    }

    #[test]
    fn closed_it_drops_what_is_in_it_and_what_comes() {
        let queue = Queue::default();
        let item = Arc::new(());
        assert!(queue.push(Arc::clone(&item)));
        queue.close();
        assert!(!queue.push(Arc::clone(&item)));
        assert_eq!((Arc::strong_count(&item), queue.pop()), (1, None));
    }
}
