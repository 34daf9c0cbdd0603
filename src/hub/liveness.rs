//! Whether the hub at the other end is still there.
//!
//! | what is seen                                             | verdict                    |
//! |----------------------------------------------------------|----------------------------|
//! | a pong is late, anything else arrives                    | alive: slow is not dead    |
//! | a ping unanswered and nothing arrived for `give_up`      | gone: it answers nothing   |
//! | a write made no progress for `give_up`                   | gone: it does not read     |
//! | this machine was suspended, nothing arrived in `resume`  | gone: nobody is there      |
//!
//! A host that is gone altogether is found earlier by the kernel (see
//! `socket::USER_TIMEOUT`). Pure: moments are passed in.

use std::fmt;
use std::time::{Duration, Instant};

/// After how long a hub is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A hub that answers nothing, or does not read.
    pub give_up: Duration,
    /// A hub that is pinged after this machine was suspended.
    pub resume: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { give_up: Duration::from_secs(5 * 60), resume: Duration::from_secs(15) }
    }
}

/// Why a hub was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Pings and everything else stayed unanswered.
    Silent(Duration),
    /// It took nothing of what was written.
    NotReading(Duration),
    /// After a suspend nothing came.
    AfterSuspend(Duration),
    /// It asked more than it read answers.
    OnlyAsking,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(limit) => write!(f, "the hub answered nothing for {limit:?}"),
            Self::NotReading(limit) => write!(f, "the hub read nothing for {limit:?}"),
            Self::AfterSuspend(limit) => {
                write!(f, "this machine was suspended, and the hub sent nothing {limit:?} after")
            }
            Self::OnlyAsking => f.write_str("the hub asks, but does not read the answers"),
        }
    }
}

/// What is known of one connection at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The last time anything arrived.
    pub heard: Instant,
    /// Since when a ping waits for its answer.
    pub unanswered: Option<Instant>,
    /// Since when a write makes no progress.
    pub stuck: Option<Instant>,
}

/// The watch over one connection.
#[derive(Debug)]
pub struct Liveness {
    patience: Patience,
    resumed: Option<Instant>,
}

impl Liveness {
    /// A connection that has just been registered.
    pub fn new(patience: Patience) -> Self {
        Self { patience, resumed: None }
    }

    /// This machine was suspended until now; the hub is being pinged.
    pub fn resumed(&mut self, now: Instant) {
        self.resumed = Some(now);
    }

    /// Looks at the signs.
    ///
    /// # Errors
    /// When the hub is to be given up.
    pub fn check(&mut self, signs: Signs, now: Instant) -> Result<(), Gone> {
        if self.resumed.is_some_and(|resumed| signs.heard > resumed) {
            self.resumed = None;
        }
        let passed = self.limits(signs).into_iter().find(|(at, _)| at.is_some_and(|at| at <= now));
        passed.map_or(Ok(()), |(_, gone)| Err(gone))
    }

    /// When to look again, if the signs stay what they are.
    pub fn next_check(&self, signs: Signs) -> Option<Instant> {
        self.limits(signs).into_iter().filter_map(|(at, _)| at).min()
    }

    fn limits(&self, signs: Signs) -> [(Option<Instant>, Gone); 3] {
        let Patience { give_up, resume } = self.patience;
        let silent = signs.unanswered.map(|since| since.max(signs.heard) + give_up);
        let stuck = signs.stuck.map(|since| since + give_up);
        let suspended = self.resumed.map(|since| since + resume);
        [
            (suspended, Gone::AfterSuspend(resume)),
            (silent, Gone::Silent(give_up)),
            (stuck, Gone::NotReading(give_up)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn watch() -> (Liveness, Instant) {
        (Liveness::new(Patience::default()), Instant::now())
    }

    fn signs(heard: Instant) -> Signs {
        Signs { heard, unanswered: None, stuck: None }
    }

    #[test]
    fn a_late_pong_alone_never_costs_the_connection() {
        let (mut watch, start) = watch();
        for minute in 1..100 {
            let now = start + 60 * S * minute;
            let signs = Signs { unanswered: Some(start), ..signs(now) };
            assert!(watch.check(signs, now + S).is_ok());
        }
    }

    #[test]
    fn a_hub_that_answers_nothing_is_given_up_after_five_minutes() {
        let (mut watch, start) = watch();
        let signs = Signs { unanswered: Some(start + 30 * S), ..signs(start) };
        assert_eq!(watch.check(signs, start + 60 * S), Ok(()));
        assert_eq!(watch.next_check(signs), Some(start + 330 * S));
        assert_eq!(watch.check(signs, start + 330 * S), Err(Gone::Silent(300 * S)));
    }

    #[test]
    fn a_hub_that_does_not_read_is_given_up_even_if_it_talks() {
        let (mut watch, start) = watch();
        let now = start + 300 * S;
        let signs = Signs { stuck: Some(start), ..signs(now) };
        assert_eq!(watch.check(signs, now), Err(Gone::NotReading(300 * S)));
    }

    #[test]
    fn after_a_suspend_the_hub_has_fifteen_seconds() {
        let (mut watch, start) = watch();
        let (before, awake) = (signs(start), start + 60 * S);
        watch.resumed(awake);
        assert_eq!(watch.check(before, awake), Ok(()));
        assert_eq!(watch.next_check(before), Some(awake + 15 * S));
        assert!(watch.check(before, awake + 15 * S).is_err());
        let heard = signs(awake + S);
        assert_eq!(watch.check(heard, awake + 15 * S), Ok(()), "it was heard");
        assert_eq!(watch.next_check(heard), None, "and that is over");
    }

    #[test]
    fn an_idle_link_needs_no_look() {
        let (watch, start) = watch();
        assert_eq!(watch.next_check(signs(start)), None);
    }
}
