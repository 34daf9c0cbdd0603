//! The writer's alarm: deadlines that also hold while the machine sleeps.
//!
//! Near deadlines are a `poll` timeout and cost nothing. Far ones are a timer on
//! `CLOCK_BOOTTIME`, which goes on during a suspend: the alarm of an idle link
//! rings as soon as the machine is awake again. It is set again only when it
//! would ring too late. It does not know what a deadline is for. [`Suspends`] tells of a
//! sleep afterwards.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
#[cfg(target_os = "linux")]
use rustix::fd::{AsFd, OwnedFd};
#[cfg(target_os = "linux")]
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::wake::timeout;

/// Deadlines nearer than this are a `poll` timeout.
const NEAR: Duration = Duration::from_secs(2);

/// A suspend shorter than this is none.
const SHORTEST_SUSPEND: Duration = Duration::from_secs(5);

/// See the module's head.
#[derive(Debug)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: OwnedFd,
    /// When the timer rings.
    #[cfg(target_os = "linux")]
    set_to: Option<Instant>,
}

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(target_os = "linux")]
            timer: timerfd_create(
                TimerfdClockId::Boottime,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
            #[cfg(target_os = "linux")]
            set_to: None,
        })
    }

    /// Gets ready to wait until `deadline`: the `poll` timeout to wait with,
    /// beside the timer.
    pub fn set(&mut self, deadline: Option<Instant>, now: Instant) -> Option<Timespec> {
        let left = deadline?.saturating_duration_since(now);
        if left < NEAR {
            return timeout(left);
        }
        self.set_far(now + left, now)
    }

    #[cfg(target_os = "linux")]
    fn set_far(&mut self, deadline: Instant, now: Instant) -> Option<Timespec> {
        if self.set_to.is_some_and(|set_to| set_to <= deadline) {
            return None;
        }
        let left = timeout(deadline.saturating_duration_since(now))?;
        let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval: never_again, it_value: left };
        match timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time) {
            Ok(_) => {
                self.set_to = Some(deadline);
                None
            }
            // Without the timer a suspend is noticed late, but no deadline is missed.
            Err(_) => Some(left),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn set_far(&mut self, deadline: Instant, now: Instant) -> Option<Timespec> {
        timeout(deadline.saturating_duration_since(now))
    }

    /// What to poll for readability, where there is something.
    #[allow(clippy::unnecessary_wraps, reason = "elsewhere there is no such descriptor")]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        #[cfg(target_os = "linux")]
        return Some(self.timer.as_fd());
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// The timer was readable: it has rung and is not set any more.
    pub fn rang(&mut self) {
        #[cfg(target_os = "linux")]
        {
            let _ = rustix::io::read(&self.timer, &mut [0; 8]);
            self.set_to = None;
        }
    }
}

/// Notices that the machine was suspended.
#[derive(Debug)]
pub struct Suspends {
    /// How long it had slept at the last look.
    before: Duration,
}

impl Suspends {
    /// Looks for the first time.
    pub fn new() -> Self {
        Self { before: time_asleep() }
    }

    /// How long the machine slept since the last look, if it did.
    pub fn since_last_look(&mut self) -> Option<Duration> {
        let before = std::mem::replace(&mut self.before, time_asleep());
        suspend(before, self.before)
    }
}

/// The suspend between two looks at how long the machine slept, if there was one.
fn suspend(before: Duration, after: Duration) -> Option<Duration> {
    after.checked_sub(before).filter(|slept| *slept >= SHORTEST_SUSPEND)
}

/// How long ago this machine booted, where that can be told.
pub fn since_boot() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return Duration::try_from(clock_gettime(ClockId::Boottime)).ok();
    #[cfg(not(target_os = "linux"))]
    None
}

/// How long this machine has slept since it booted.
#[cfg(target_os = "linux")]
fn time_asleep() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    let awake = read(ClockId::Monotonic);
    read(ClockId::Boottime).saturating_sub(awake)
}

#[cfg(not(target_os = "linux"))]
fn time_asleep() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn near_deadlines_are_a_timeout_and_none_waits_for_ever() {
        let mut alarm = Alarm::new().unwrap();
        let now = Instant::now();
        assert!(alarm.set(None, now).is_none());
        let timeout = alarm.set(Some(now + Duration::from_millis(20)), now).unwrap();
        assert_eq!((timeout.tv_sec, timeout.tv_nsec), (0, 20_000_000));
        let timeout = alarm.set(Some(now), now + Duration::from_secs(1)).unwrap();
        assert_eq!((timeout.tv_sec, timeout.tv_nsec), (0, 0), "a deadline that has passed");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn far_deadlines_are_a_timer_that_is_set_again_only_when_needed() {
        let mut alarm = Alarm::new().unwrap();
        let now = Instant::now();
        assert!(alarm.set(Some(now + Duration::from_secs(30)), now).is_none());
        let first = alarm.set_to;
        assert!(alarm.set(Some(now + Duration::from_secs(60)), now).is_none());
        assert_eq!(alarm.set_to, first, "it rings early enough");
        alarm.set(Some(now + Duration::from_secs(10)), now);
        assert_eq!(alarm.set_to, Some(now + Duration::from_secs(10)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_timer_rings() {
        let mut alarm = Alarm::new().unwrap();
        let start = Instant::now();
        alarm.set_far(start + Duration::from_millis(30), start);
        let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
        let fd = alarm.fd().unwrap();
        assert_eq!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&limit)), Ok(1));
        assert!(start.elapsed() >= Duration::from_millis(29));
        alarm.rang();
        assert_eq!(alarm.set_to, None);
    }

    #[test]
    fn only_a_real_suspend_is_one() {
        let s = Duration::from_secs;
        assert_eq!(suspend(s(100), s(100)), None);
        assert_eq!(suspend(s(100), s(104)), None);
        assert_eq!(suspend(s(100), s(160)), Some(s(60)));
        assert_eq!(suspend(s(100), s(99)), None);
        assert_eq!(Suspends::new().since_last_look(), None);
    }
}
