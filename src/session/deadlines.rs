//! One session's deadlines at the watchdog.

use std::time::Instant;

use super::event::{Event, Inbox};
use crate::watchdog::{Reason, WatchdogHandle};

/// Arms and disarms for one session; a deadline that passes lands in its inbox.
pub struct Deadlines {
    watchdog: WatchdogHandle,
    session: u64,
    inbox: Inbox,
}
