//! How long to wait before the next dial.
//!
//! Pure: it is told what happened and says a duration. Doubling from the
//! configured interval to the configured maximum, each time ±25 % so that a
//! fleet does not come back in one beat; from the start again once a connection
//! was registered and has held for one interval.

use std::time::Duration;

/// No delay is shorter, whatever is configured: dialling is work for everybody.
const SHORTEST: Duration = Duration::from_millis(10);

/// Delays between dials.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts with `first`, never beyond `longest` but for the jitter.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let first = first.min(longest).max(SHORTEST);
        Self { first, longest: longest.max(first), next: first }
    }

    /// Takes over changed settings; the delay reached stays within them.
    pub fn reconfigure(&mut self, first: Duration, longest: Duration) {
        let reached = self.next;
        *self = Self::new(first, longest);
        self.next = reached.clamp(self.first, self.longest);
    }

    /// The delay before the next dial; the one after it is twice as long.
    pub fn delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        jittered(delay)
    }

    /// The delay after refused credentials: asking often would help nobody.
    pub fn refused(&mut self) -> Duration {
        self.next = self.longest;
        jittered(self.longest)
    }

    /// A connection was registered and has held for `held`.
    pub fn held(&mut self, held: Duration) {
        if held >= self.first {
            self.next = self.first;
        }
    }
}

/// `delay` ±25 %.
fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn assert_about(delay: Duration, expected: Duration) {
        let range = expected.mul_f64(0.75)..=expected.mul_f64(1.25);
        assert!(range.contains(&delay), "{delay:?} is not {expected:?} ±25 %");
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut backoff = Backoff::new(2 * S, 60 * S);
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            assert_about(backoff.delay(), expected * S);
        }
    }

    #[test]
    fn only_a_connection_that_held_an_interval_starts_it_again() {
        let mut backoff = Backoff::new(2 * S, 60 * S);
        for _ in 0..4 {
            backoff.delay();
        }
        backoff.held(S);
        assert_about(backoff.delay(), 32 * S);
        backoff.held(2 * S);
        assert_about(backoff.delay(), 2 * S);
    }

    #[test]
    fn refused_credentials_wait_longest() {
        let mut backoff = Backoff::new(2 * S, 60 * S);
        assert_about(backoff.refused(), 60 * S);
        assert_about(backoff.delay(), 60 * S);
    }

    #[test]
    fn a_first_delay_beyond_the_longest_is_the_longest() {
        assert_about(Backoff::new(90 * S, 60 * S).delay(), 60 * S);
    }

    #[test]
    fn jitter_spreads_over_the_whole_range() {
        let delays: Vec<f64> =
            (0..1000).map(|_| Backoff::new(S, 60 * S).delay().as_secs_f64()).collect();
        assert!(delays.iter().any(|delay| *delay < 0.8) && delays.iter().any(|delay| *delay > 1.2));
    }

    #[test]
    fn changed_settings_keep_the_delay_reached_within_them() {
        let mut backoff = Backoff::new(2 * S, 60 * S);
        for _ in 0..6 {
            backoff.delay();
        }
        backoff.reconfigure(S, 10 * S);
        assert_about(backoff.delay(), 10 * S);
    }
}
