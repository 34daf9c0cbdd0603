//! Dialling once more although the connection holds, for hubs that lose sight of it.
//!
//! An older hub keeps the connection that broke without a close, and when that
//! one ends at last, it removes the registration of the new one with it: the
//! runtime is connected, shown as offline and sent nothing. Such a hub never
//! pings. So after a loss in which the hub cannot have seen a close, it is
//! dialled again some minutes later, several times. An open turn puts each off,
//! but not for ever. A machine that has only just booted may have lost its power
//! before, which nobody saw either. Pure: moments are passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// When a hub that never pings is dialled again after an unclean loss.
#[derive(Clone, Debug)]
pub struct RedialTimes {
    /// After the new connection was registered.
    pub after: Vec<Duration>,
    /// How long an open turn may put one off.
    pub put_off: Duration,
    /// A first registration so soon after the machine booted follows a loss.
    pub after_boot: Duration,
}

impl Default for RedialTimes {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            after: vec![4 * minute, 15 * minute, 60 * minute],
            put_off: 5 * minute,
            after_boot: 10 * minute,
        }
    }
}

/// The dials that are still to come.
#[derive(Debug, Default)]
pub struct Redials {
    due: VecDeque<Instant>,
    put_off: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, look again then (`None`: not at all).
    Wait(Option<Instant>),
    /// Close the connection and dial again.
    Redial,
}

impl Redials {
    /// A connection was registered after a loss the hub cannot have seen.
    pub fn plan(&mut self, times: &RedialTimes, now: Instant) {
        self.due = times.after.iter().map(|after| now + *after).collect();
        self.put_off = times.put_off;
    }

    /// The hub pings, or is another: there is nothing to mend.
    pub fn cancel(&mut self) {
        self.due.clear();
    }

    /// Whether to dial again now. Looks at open turns again every `put_off` /
    /// 20, since nobody tells when the last one ended.
    pub fn check(&mut self, turn_open: bool, now: Instant) -> Verdict {
        let Some(&due) = self.due.front() else { return Verdict::Wait(None) };
        if now < due {
            return Verdict::Wait(Some(due));
        }
        let latest = due + self.put_off;
        if turn_open && now < latest {
            return Verdict::Wait(Some(latest.min(now + self.put_off / 20)));
        }
        self.due.pop_front();
        Verdict::Redial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Duration = Duration::from_secs(60);

    fn planned() -> (Redials, Instant) {
        let mut redials = Redials::default();
        let start = Instant::now();
        redials.plan(&RedialTimes::default(), start);
        (redials, start)
    }

    #[test]
    fn three_redials_after_4_15_and_60_minutes() {
        let (mut redials, start) = planned();
        for minute in [4, 15, 60] {
            let due = start + M * minute;
            assert_eq!(redials.check(false, start), Verdict::Wait(Some(due)));
            assert_eq!(redials.check(false, due), Verdict::Redial);
        }
        assert_eq!(redials.check(false, start + M * 600), Verdict::Wait(None));
    }

    #[test]
    fn an_open_turn_puts_it_off_for_five_minutes_at_most() {
        let (mut redials, start) = planned();
        let looks = redials.check(true, start + 4 * M);
        assert_eq!(looks, Verdict::Wait(Some(start + 4 * M + M / 4)));
        assert!(matches!(redials.check(true, start + 8 * M), Verdict::Wait(Some(_))));
        assert_eq!(redials.check(true, start + 9 * M), Verdict::Redial);
    }

    #[test]
    fn a_hub_that_pings_is_left_alone() {
        let (mut redials, start) = planned();
        redials.cancel();
        assert_eq!(redials.check(false, start + 4 * M), Verdict::Wait(None));
    }
}
