//! When to ping, what a pong proves, and how much may be on the wire.
//!
//! A hub handles one connection strictly in order, control frames included: the
//! pong for a ping proves that everything sent before that ping was handled.
//! A hub may drop pongs, so a later one proves what earlier ones would have.
//!
//! How much may be unconfirmed follows the link: 1.5 times what is delivered in
//! the shortest time a pong ever took. Where that is more than is on the wire,
//! each round carries half as much again as the one before, until the link is
//! full. The *shortest* time is used because a queue at the hub makes pongs
//! late: following those would make the queue longer still. On a short link
//! even the shortest time may be that of a busy hub, so there it stays at the
//! floor, which carries more than a hub takes.
//!
//! Pure: knows numbers and moments, neither entries nor sockets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Unconfirmed bytes that are always allowed: three frames of 64 KiB.
pub const FLOOR: usize = 256 * 1024;

/// Unconfirmed bytes that are never exceeded by more than a lone entry: fills
/// 80 MB/s over 200 ms, and is the most that a cut can make us send twice.
pub const CEILING: usize = 16 * 1024 * 1024;

/// A link with a shorter pong time is short: the floor carries 32 MB/s over it.
const SHORT: Duration = Duration::from_millis(8);

/// A steady trickle of small entries is pinged ten times a second and not fifty:
/// so many times [`PingTimes::soon`] lie between two pings at least.
const SPREAD: u32 = 5;

/// How long a measured rate counts before a lower one replaces it.
const RATE_MEMORY: Duration = Duration::from_secs(5);

/// When pings are sent.
#[derive(Clone, Copy, Debug)]
pub struct PingTimes {
    /// After the first entry that no ping covers yet, so that entries close
    /// together share one.
    pub soon: Duration,
    /// Between pings while something is unconfirmed.
    pub waiting: Duration,
    /// Between pings of an idle link.
    pub idle: Duration,
}

impl Default for PingTimes {
    fn default() -> Self {
        Self {
            soon: Duration::from_millis(20),
            waiting: Duration::from_secs(1),
            idle: Duration::from_secs(30),
        }
    }
}

/// A ping that was sent and not answered yet.
#[derive(Debug)]
struct Mark {
    number: u64,
    covers: u64,
    at: Instant,
    delivered: u64,
}

/// What a pong proved.
#[derive(Debug)]
pub struct Proof {
    /// Number of the ping it answered.
    pub number: u64,
    /// How many entries of this connection are handled.
    pub covers: u64,
    at: Instant,
    delivered: u64,
}

/// Pings and measurements of one connection at a time.
#[derive(Debug)]
pub struct Pace {
    times: PingTimes,
    /// Somebody waits for everything to be confirmed: no ping is put off.
    hurried: bool,
    /// Of the latest ping. Never starts again, so that an answer can only be
    /// taken for one to a ping of its own connection.
    number: u64,
    connected: Option<Instant>,
    marks: VecDeque<Mark>,
    finished: u64,
    unpinged: usize,
    unpinged_since: Option<Instant>,
    /// What no ping covers yet is to be covered at once.
    urgent: bool,
    last_ping: Option<Instant>,
    delivered: u64,
    shortest: Option<Duration>,
    rate: Fastest,
}

impl Pace {
    /// Without a connection.
    pub fn new(times: PingTimes) -> Self {
        Self {
            times,
            hurried: false,
            number: 0,
            connected: None,
            marks: VecDeque::new(),
            finished: 0,
            unpinged: 0,
            unpinged_since: None,
            urgent: false,
            last_ping: None,
            delivered: 0,
            shortest: None,
            rate: Fastest::default(),
        }
    }

    /// A new connection. A first ping is due at once: on an idle link it shows
    /// the shortest time there is.
    pub fn connected(&mut self, now: Instant) {
        self.disconnected();
        self.connected = Some(now);
    }

    /// No connection any more: no pong can prove anything about it.
    pub fn disconnected(&mut self) {
        let (number, hurried) = (self.number, self.hurried);
        *self = Self { hurried, number, ..Self::new(self.times) };
    }

    /// From now on every entry is pinged at once.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    /// Whether every entry is pinged at once.
    pub fn is_hurried(&self) -> bool {
        self.hurried
    }

    /// Entries handed whole to this connection so far.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// An entry was handed whole to the connection. Its ping is not put off
    /// where that is `urgent`.
    pub fn finish(&mut self, bytes: usize, urgent: bool, now: Instant) {
        self.finished += 1;
        self.urgent |= urgent;
        self.unpinged += bytes;
        self.unpinged_since.get_or_insert(now);
    }

    /// When the next ping is due; `None` without a connection.
    pub fn next_ping(&self, unconfirmed: bool) -> Option<Instant> {
        let connected = self.connected?;
        let soon = self.unpinged_since.map(|since| {
            let at_once = self.hurried || self.urgent || self.unpinged >= self.limit() / 4;
            let spread = self.last_ping.map_or(since, |last| last + SPREAD * self.times.soon);
            if at_once { since } else { spread.max(since + self.times.soon) }
        });
        let Some(last) = self.last_ping else { return Some(connected) };
        let again = last + if unconfirmed { self.times.waiting } else { self.times.idle };
        Some(soon.map_or(again, |soon| soon.min(again)))
    }

    /// A ping is being sent behind everything that was finished; its payload.
    pub fn ping(&mut self, now: Instant) -> [u8; 8] {
        self.number += 1;
        self.marks.push_back(Mark {
            number: self.number,
            covers: self.finished,
            at: now,
            delivered: self.delivered,
        });
        self.unpinged = 0;
        self.unpinged_since = None;
        self.urgent = false;
        self.last_ping = Some(now);
        self.number.to_be_bytes()
    }

    /// Number of the latest ping.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The moment of the oldest ping that is not answered.
    pub fn unanswered_since(&self) -> Option<Instant> {
        self.marks.front().map(|mark| mark.at)
    }

    /// A pong came. `None` when it answers no ping of this connection that is
    /// still open.
    pub fn pong(&mut self, payload: &[u8], now: Instant) -> Option<Proof> {
        let number = u64::from_be_bytes(payload.try_into().ok()?);
        let index = self.marks.iter().position(|mark| mark.number == number)?;
        let mark = self.marks.drain(..=index).next_back()?;
        let took = now.saturating_duration_since(mark.at).max(Duration::from_micros(1));
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        Some(Proof { number, covers: mark.covers, at: mark.at, delivered: mark.delivered })
    }

    /// `bytes` were confirmed by that pong.
    pub fn delivered(&mut self, proof: &Proof, bytes: usize, now: Instant) {
        self.delivered += bytes as u64;
        let took = micros(now.saturating_duration_since(proof.at)).max(1);
        let rate = (self.delivered - proof.delivered).saturating_mul(1_000_000) / took;
        self.rate.add(rate, now);
    }

    /// Bytes that may be on the wire unconfirmed.
    pub fn limit(&self) -> usize {
        let shortest = self.shortest.filter(|shortest| *shortest >= SHORT).map_or(0, micros);
        let in_flight = self.rate.get().saturating_mul(shortest) / 1_000_000;
        let wanted = in_flight.saturating_add(in_flight / 2);
        usize::try_from(wanted).unwrap_or(CEILING).clamp(FLOOR, CEILING)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The fastest rate of the last five to ten seconds, in bytes a second. A pause
/// of the agents says nothing about the link, so lower rates count only with time.
#[derive(Debug, Default)]
struct Fastest {
    since: Option<Instant>,
    current: u64,
    before: u64,
}

impl Fastest {
    fn add(&mut self, rate: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= RATE_MEMORY {
            self.since = Some(now);
            self.before = std::mem::take(&mut self.current);
        }
        self.current = self.current.max(rate);
    }

    fn get(&self) -> u64 {
        self.current.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn connected() -> (Pace, Instant) {
        let mut pace = Pace::new(PingTimes::default());
        let now = Instant::now();
        pace.connected(now);
        pace.ping(now);
        (pace, now)
    }

    #[test]
    fn entries_close_together_share_one_ping_after_20_ms() {
        let (mut pace, start) = connected();
        pace.finish(100, false, start + 105 * MS);
        pace.finish(100, false, start + 115 * MS);
        assert_eq!(pace.next_ping(true), Some(start + 125 * MS));
        pace.ping(start + 125 * MS);
        assert_eq!(pace.next_ping(true), Some(start + 125 * MS + Duration::from_secs(1)));
        assert_eq!(pace.next_ping(false), Some(start + 125 * MS + Duration::from_secs(30)));
    }

    #[test]
    fn a_trickle_is_pinged_ten_times_a_second() {
        let (mut pace, start) = connected();
        for n in 1..=100 {
            let now = start + 10 * n * MS;
            if pace.next_ping(true).is_some_and(|at| at <= now) {
                pace.ping(now);
            }
            pace.finish(100, false, now);
        }
        assert_eq!(pace.number(), 11, "the first one came with the connection");
    }

    #[test]
    fn a_quarter_of_the_window_is_pinged_at_once() {
        let (mut pace, start) = connected();
        pace.finish(FLOOR / 4, false, start + 5 * MS);
        assert_eq!(pace.next_ping(true), Some(start + 5 * MS));
    }

    #[test]
    fn what_is_urgent_is_pinged_at_once() {
        let (mut pace, start) = connected();
        pace.finish(1, true, start + MS);
        pace.finish(1, false, start + 2 * MS);
        assert_eq!(pace.next_ping(true), Some(start + MS));
    }

    #[test]
    fn a_later_pong_proves_what_earlier_pings_covered() {
        let (mut pace, start) = connected();
        pace.finish(10, false, start);
        let first = pace.ping(start);
        pace.finish(10, false, start);
        let second = pace.ping(start);
        assert_eq!(pace.pong(&second, start + MS).unwrap().covers, 2);
        assert!(pace.pong(&first, start + MS).is_none(), "already proven");
        assert!(pace.unanswered_since().is_none());
    }

    #[test]
    fn foreign_and_old_pongs_prove_nothing() {
        let (mut pace, start) = connected();
        pace.finish(10, false, start);
        let old = pace.ping(start);
        pace.disconnected();
        pace.connected(start);
        pace.ping(start);
        for payload in [&old[..], b"", b"hello", &[0xff; 8]] {
            assert!(pace.pong(payload, start + MS).is_none());
        }
    }

    /// A link that carries `per_ms` bytes in a millisecond and answers after
    /// `round_trip`, kept busy for two hundred round trips: the window in the
    /// end, and how busy the link was in the second half, in percent.
    fn saturate(round_trip: Duration, per_ms: u64) -> (usize, u64) {
        const CHUNK: usize = 64 * 1024;
        let (mut pace, start) = connected();
        let mut now = start;
        let mut link_free = start;
        let mut wire = 0;
        let mut unpinged = 0;
        let mut pongs: VecDeque<(Instant, [u8; 8], usize)> = VecDeque::new();
        let half = start + round_trip * 100;
        let mut carried = 0;
        while now < start + round_trip * 200 {
            while wire + CHUNK <= pace.limit() {
                wire += CHUNK;
                unpinged += CHUNK;
                pace.finish(CHUNK, false, now);
                link_free =
                    link_free.max(now) + Duration::from_micros(CHUNK as u64 * 1000 / per_ms);
                if pace.next_ping(true).is_some_and(|at| at <= now) {
                    pongs.push_back((
                        link_free + round_trip,
                        pace.ping(now),
                        std::mem::take(&mut unpinged),
                    ));
                }
            }
            let (at, payload, bytes) = match pongs.pop_front() {
                Some(pong) => pong,
                None => (now + 20 * MS, pace.ping(now), std::mem::take(&mut unpinged)),
            };
            now = now.max(at);
            let proof = pace.pong(&payload, now).unwrap();
            pace.delivered(&proof, bytes, now);
            wire -= bytes;
            carried += if now > half { bytes as u64 } else { 0 };
        }
        let possible = per_ms * micros(now - half) / 1000;
        (pace.limit(), carried * 100 / possible)
    }

    #[test]
    fn a_link_with_200_ms_of_delay_is_filled() {
        let (limit, busy) = saturate(200 * MS, 20_000);
        assert!(busy >= 95, "{busy} % of 20 MB/s, with a window of {limit}");
        assert!(limit <= 7 << 20, "the window follows the link: {limit}");
    }

    #[test]
    fn a_short_link_stays_at_the_floor() {
        assert_eq!(saturate(MS * 7, 100_000).0, FLOOR);
    }

    #[test]
    fn the_window_is_capped() {
        assert_eq!(saturate(1000 * MS, 60_000).0, CEILING);
    }

    #[test]
    fn a_busy_hub_that_answers_late_does_not_widen_the_window() {
        let (mut pace, mut now) = connected();
        let first = pace.ping(now);
        pace.pong(&first, now + MS * 10).unwrap();
        for _ in 0..100 {
            let sent = pace.limit();
            pace.finish(sent, false, now);
            let ping = pace.ping(now);
            now += 400 * MS;
            let proof = pace.pong(&ping, now).unwrap();
            pace.delivered(&proof, sent, now);
        }
        assert_eq!(pace.limit(), FLOOR);
    }
}
