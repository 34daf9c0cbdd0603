//! The window's promises, one by one. Random sequences are in `model`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::hub::latch::Latch;
use crate::wake::{self, WakeFd};

const REPEAT: Duration = Duration::from_secs(120);

/// A window, its clock, and what a test needs to speak to it.
struct Bench {
    window: Window,
    total: Arc<Budget>,
    now: Instant,
    confirmed: Arc<AtomicUsize>,
}

impl Bench {
    fn new() -> Self {
        Self::with_total(64 << 20)
    }

    fn with_total(limit: usize) -> Self {
        let total = Arc::new(Budget::new(limit));
        let window = Window::new(Arc::clone(&total), PingTimes::default(), REPEAT);
        Self { window, total, now: Instant::now(), confirmed: Arc::default() }
    }

    fn connect(&mut self) {
        self.window.connect(self.now);
    }

    fn say(&mut self, lane: &Arc<LaneShared>, kind: EntryKind, text: &str) {
        self.say_after(None, lane, kind, text);
    }

    fn say_after(
        &mut self,
        after: Option<&Latch>,
        lane: &Arc<LaneShared>,
        kind: EntryKind,
        text: &str,
    ) {
        let after = after.cloned();
        if kind.counts() {
            lane.budget.take(text.len());
            self.total.take(text.len());
        }
        let confirmed = Arc::clone(&self.confirmed);
        let on_confirmed = Box::new(move || {
            confirmed.fetch_add(1, Ordering::Relaxed);
        });
        let frame = Frame { id: String::new(), text: text.to_owned() };
        self.window.push(lane, Entry { frame, kind, after, on_confirmed: Some(on_confirmed) });
    }

    /// Sends everything that may be sent.
    fn send(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        self.window.release_held();
        while let Some(outgoing) = self.window.begin_next() {
            if outgoing.careful {
                let ping = self.window.ask(self.now);
                assert!(!self.window.is_in_hand());
                self.window.pong(&ping, self.now);
                assert!(self.window.is_in_hand());
            }
            self.window.finish(self.now);
            sent.push(outgoing.text.to_string());
        }
        sent
    }

    /// Begins one entry and leaves it there.
    fn begin(&mut self) -> Option<String> {
        self.window.begin_next().map(|outgoing| outgoing.text.to_string())
    }

    /// Everything sent so far is handled.
    fn confirm(&mut self) {
        let ping = self.window.ping(self.now);
        assert!(self.window.pong(&ping, self.now));
    }

    fn lose(&mut self) {
        self.window.lost(Loss::Broken, self.now);
    }

    fn confirmed(&self) -> usize {
        self.confirmed.load(Ordering::Relaxed)
    }
}

fn lane(session: &str) -> Arc<LaneShared> {
    limited_lane(session, 1 << 20)
}

fn limited_lane(session: &str, limit: usize) -> Arc<LaneShared> {
    Arc::new(LaneShared::new(session.into(), limit))
}

use EntryKind::{Control, File, Output, Permission, TurnCompleted, TurnStarted};

#[test]
fn nothing_is_sent_without_a_connection() {
    let mut bench = Bench::new();
    bench.say(&lane("a"), Output, "a1");
    assert!(bench.send().is_empty());
    bench.connect();
    assert_eq!(bench.send(), ["a1"]);
}

#[test]
fn lanes_take_turns_by_entry() {
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    for text in ["a1", "a2", "a3"] {
        bench.say(&a, Output, text);
    }
    bench.say(&b, Output, "b1");
    bench.connect();
    assert_eq!(bench.send(), ["a1", "b1", "a2", "a3"]);
}

#[test]
fn an_entry_waits_for_its_latch_with_all_that_follows_and_holds_up_nobody_else() {
    let (waker, bell) = wake::pair().unwrap();
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    let latches = [(); 2].map(|()| Latch::new(waker.clone().into()));
    bench.connect();
    bench.say(&a, Output, "a1");
    bench.say_after(Some(&latches[0]), &a, TurnStarted, "a2");
    bench.say_after(Some(&latches[1]), &a, TurnCompleted, "a3");
    bench.say(&b, Output, "b1");
    assert_eq!(bench.send(), ["a1", "b1"]);
    bench.say(&a, Output, "a4");
    bench.say(&b, Output, "b2");
    assert_eq!(bench.send(), ["b2"]);
    assert!(!bell.take_wake_up());
    // Held as well over a loss: it has never been on the wire.
    bench.confirm();
    bench.lose();
    bench.connect();
    assert!(bench.send().is_empty());
    latches[0].open();
    assert!(bell.take_wake_up(), "the writer is asked to look again");
    assert_eq!(bench.send(), ["a2"]);
    latches[1].open();
    assert!(bell.take_wake_up());
    assert_eq!(bench.send(), ["a3", "a4"]);
    bench.lose();
    bench.connect();
    assert_eq!(bench.send(), ["a2", "a3", "a4"]);
    bench.confirm();
    assert!(bench.window.is_drained());
}

#[test]
fn a_pong_confirms_what_was_finished_before_its_ping_and_nothing_else() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.connect();
    bench.say(&a, Output, "a1");
    bench.say(&a, Output, "a2");
    assert_eq!(bench.begin().as_deref(), Some("a1"));
    bench.window.finish(bench.now);
    assert_eq!(bench.begin().as_deref(), Some("a2"));
    // The second is still being sent in fragments.
    let ping = bench.window.ping(bench.now);
    bench.window.finish(bench.now);
    assert!(bench.window.pong(&ping, bench.now));
    assert_eq!(bench.confirmed(), 1);
    assert_eq!(a.budget.used(), 2);
    bench.confirm();
    assert_eq!((bench.confirmed(), a.budget.used(), bench.total.used()), (2, 0, 0));
    assert!(bench.window.is_drained());
}

#[test]
fn a_loss_sends_the_unconfirmed_again_before_anything_newer() {
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    bench.connect();
    bench.say(&a, Output, "a1");
    bench.send();
    bench.confirm();
    bench.say(&a, Output, "a2");
    bench.say(&a, Output, "a3");
    bench.send();
    bench.say(&b, Output, "b1");
    bench.lose();
    bench.say(&a, Output, "a4");
    bench.connect();
    assert_eq!(bench.send(), ["a2", "a3", "b1", "a4"]);
    bench.confirm();
    assert_eq!(bench.confirmed(), 5);
}

#[test]
fn a_second_loss_in_the_middle_of_the_repetition_keeps_the_order() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.connect();
    for text in ["a1", "a2", "a3"] {
        bench.say(&a, Output, text);
    }
    bench.send();
    bench.lose();
    bench.connect();
    assert_eq!(bench.begin().as_deref(), Some("a1"));
    bench.window.lost(Loss::Planned, bench.now);
    bench.connect();
    assert_eq!(bench.send(), ["a1", "a2", "a3"]);
}

#[test]
fn permission_requests_are_dropped_at_a_loss_whether_sent_or_not() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.connect();
    bench.say(&a, Permission, "sent");
    bench.say(&a, Output, "a1");
    bench.send();
    bench.say(&a, Permission, "pending");
    bench.say(&a, Output, "a2");
    bench.lose();
    bench.connect();
    assert_eq!(bench.send(), ["a1", "a2"]);
    bench.confirm();
    assert_eq!(bench.confirmed(), 2, "what was dropped is never confirmed");
    assert!(bench.window.is_drained());
    assert!(bench.window.lanes.is_empty());
}

#[test]
fn answers_are_dropped_at_a_loss_and_without_a_connection() {
    let answer = |text: &str| Frame { id: String::new(), text: text.to_owned() };
    let mut bench = Bench::new();
    bench.window.answer(answer("early")).unwrap();
    bench.connect();
    bench.window.answer(answer("sent")).unwrap();
    assert_eq!(bench.send(), ["sent"]);
    bench.window.answer(answer("queued")).unwrap();
    bench.lose();
    bench.connect();
    assert!(bench.send().is_empty());
    bench.window.answer(answer("new")).unwrap();
    assert_eq!(bench.send(), ["new"]);
}

#[test]
fn unsent_answers_are_bounded() {
    let mut bench = Bench::new();
    bench.connect();
    let big = || Frame { id: String::new(), text: "x".repeat(ANSWERS_LIMIT / 2) };
    assert_eq!(bench.window.answer(big()), Ok(()));
    assert_eq!(bench.window.answer(big()), Ok(()));
    assert_eq!(bench.window.answer(big()), Err(TooManyAnswers));
    bench.lose();
    bench.connect();
    assert_eq!(bench.window.answer(big()), Ok(()));
}

#[test]
fn the_wire_is_bounded_and_a_lone_entry_may_exceed_the_bound() {
    let mut bench = Bench::new();
    let (a, b) = (limited_lane("a", 100 << 20), lane("b"));
    bench.connect();
    let chunk = "x".repeat(66 * 1024);
    for _ in 0..5 {
        bench.say(&a, Output, &chunk);
    }
    assert_eq!(bench.send().len(), 3, "three frames of 64 KiB and their envelopes");
    bench.confirm();
    assert_eq!(bench.send().len(), 2);
    bench.say(&a, File, &"y".repeat(14 << 20));
    bench.say(&b, Output, "b1");
    assert!(bench.send().is_empty(), "the file waits until nothing is unconfirmed");
    bench.confirm();
    assert_eq!(bench.send().len(), 1);
    bench.confirm();
    assert_eq!(bench.send(), ["b1"]);
}

#[test]
fn an_entry_the_hub_dies_of_is_set_aside_at_the_third_loss() {
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    bench.say(&a, Output, "poison");
    bench.say(&a, Output, "a2");
    bench.say(&b, Output, "b1");
    for _ in 0..2 {
        bench.connect();
        assert_eq!(bench.send(), ["poison", "b1", "a2"]);
        bench.lose();
    }
    bench.connect();
    assert_eq!(bench.send(), ["poison"], "a suspect is sent alone");
    bench.lose();
    bench.connect();
    let sent = bench.send();
    assert!(sent[0].contains("system") && sent[0].contains("6 bytes"), "{}", sent[0]);
    assert_eq!(sent[1..], ["b1", "a2"]);
    bench.confirm();
    assert_eq!(bench.confirmed(), 3, "also what was set aside is called back");
    assert_eq!((a.budget.used(), bench.total.used()), (0, 0));
}

#[test]
fn an_innocent_entry_in_front_of_a_poisonous_one_is_delivered() {
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    bench.say(&a, Output, "innocent");
    bench.say(&b, Output, "poison");
    for _ in 0..2 {
        bench.connect();
        assert_eq!(bench.send(), ["innocent", "poison"]);
        bench.lose();
    }
    bench.connect();
    assert_eq!(bench.send(), ["innocent"]);
    bench.confirm();
    assert_eq!(bench.send(), ["poison"]);
}

#[test]
fn a_bad_network_costs_no_entry() {
    let mut bench = Bench::new();
    bench.say(&lane("a"), Output, "innocent");
    for _ in 0..19 {
        bench.connect();
        assert_eq!(bench.begin().as_deref(), Some("innocent"));
        bench.lose();
    }
    bench.connect();
    assert_eq!(bench.send(), ["innocent"]);
    bench.confirm();
    assert_eq!(bench.confirmed(), 1);
}

#[test]
fn an_entry_too_large_for_the_hub_is_set_aside_at_the_third_loss() {
    for (size, end, left_out) in
        [(2 << 20, Loss::Broken, true), (2_000, Loss::Rejected, true), (2_000, Loss::Broken, false)]
    {
        let mut bench = Bench::new();
        bench.say(&lane("a"), File, &"x".repeat(size));
        for _ in 0..3 {
            bench.connect();
            assert_eq!(bench.begin().unwrap().len(), size);
            bench.window.lost(end, bench.now);
        }
        bench.connect();
        assert_eq!(bench.begin().unwrap().contains("left out"), left_out, "{size} {end:?}");
    }
}

#[test]
fn what_is_repeated_is_pinged_at_once() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.say(&a, Output, "a1");
    bench.connect();
    bench.send();
    bench.lose();
    bench.connect();
    bench.window.ping(bench.now);
    bench.send();
    assert_eq!(bench.window.next_ping(), Some(bench.now));
}

#[test]
fn a_connection_we_close_ourselves_is_held_against_nobody() {
    let mut bench = Bench::new();
    bench.say(&lane("a"), Output, "a1");
    for _ in 0..5 {
        bench.connect();
        assert_eq!(bench.send(), ["a1"]);
        bench.window.lost(Loss::Planned, bench.now);
    }
}

#[test]
fn a_session_that_comes_back_continues_behind_its_old_entries() {
    let mut bench = Bench::new();
    let (old, new) = (lane("a"), lane("a"));
    bench.say(&old, Output, "old1");
    bench.window.release(&old);
    bench.say(&new, Output, "new1");
    bench.window.release(&old);
    bench.connect();
    assert_eq!(bench.send(), ["old1", "new1"]);
    bench.confirm();
    assert_eq!((old.budget.used(), new.budget.used(), bench.total.used()), (0, 0, 0));
    assert!(bench.window.lanes.is_empty(), "nothing is kept of an idle session");
}

#[test]
fn open_turns_are_counted_and_end_with_their_session() {
    let mut bench = Bench::new();
    let (a, b) = (lane("a"), lane("b"));
    bench.connect();
    bench.say(&a, TurnStarted, "start");
    bench.say(&b, TurnStarted, "start");
    bench.send();
    bench.confirm();
    assert_eq!(bench.window.open_turns(), 2);
    bench.say(&a, TurnCompleted, "end");
    bench.window.release(&b);
    assert_eq!(bench.window.open_turns(), 0);
    bench.send();
    bench.confirm();
    assert!(bench.window.lanes.is_empty());
}

#[test]
fn who_waits_for_its_lane_is_woken_when_a_quarter_is_free() {
    let mut bench = Bench::new();
    let a = limited_lane("a", 100);
    let (waker, bell) = wake::pair().unwrap();
    bench.connect();
    bench.window.need_room(&a, waker.clone());
    assert!(bell.take_wake_up(), "there is room now");
    for _ in 0..10 {
        bench.say(&a, Output, &"x".repeat(10));
    }
    bench.window.need_room(&a, waker);
    assert!(!bell.take_wake_up());
    for left in (0..10).rev() {
        assert!(bench.window.begin_next().is_some());
        bench.window.finish(bench.now);
        bench.confirm();
        assert_eq!(bell.take_wake_up(), left == 7, "{left} entries left");
    }
}

#[test]
fn the_line_for_the_total_is_served_in_order_and_never_forgotten() {
    let mut bench = Bench::with_total(2 * 1024 * 1024);
    let hog = limited_lane("hog", 100 << 20);
    bench.connect();
    for _ in 0..32 {
        bench.say(&hog, Output, &"x".repeat(64 * 1024));
    }
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let (waker, bell) = wake::pair().unwrap();
            bench.window.need_room(&lane(&format!("waiting{number}")), waker);
            bell
        })
        .collect();
    assert!(!waiting.iter().any(WakeFd::take_wake_up));
    let mut served = Vec::new();
    while !bench.window.is_drained() {
        assert!(bench.window.begin_next().is_some());
        bench.window.finish(bench.now);
        bench.confirm();
        served.extend((0..8).filter(|number| waiting[*number].take_wake_up()));
    }
    assert_eq!(served, (0..8).collect::<Vec<_>>());
    assert!(bench.window.lanes.is_empty());
}

#[test]
fn who_asks_again_waits_once_and_a_released_lane_keeps_no_descriptor() {
    let mut bench = Bench::with_total(10);
    let a = limited_lane("a", 10);
    bench.say(&a, Output, &"x".repeat(20));
    let (waker, _bell) = wake::pair().unwrap();
    for _ in 0..3 {
        bench.window.need_room(&a, waker.clone());
    }
    assert_eq!(bench.window.lanes["a"].waiters.len(), 1);
    bench.window.release(&a);
    assert!(bench.window.lanes["a"].waiters.is_empty());
}

#[test]
fn a_raised_bound_wakes_who_waited() {
    let mut bench = Bench::with_total(10);
    let a = limited_lane("a", 10);
    bench.say(&a, Output, &"x".repeat(20));
    let (waker, bell) = wake::pair().unwrap();
    bench.window.need_room(&a, waker);
    a.budget.set_limit(100);
    bench.window.limit_changed();
    assert!(!bell.take_wake_up(), "the total is still full");
    bench.total.set_limit(100);
    bench.window.limit_changed();
    assert!(bell.take_wake_up());
}

#[test]
fn an_end_of_turn_is_said_once_more_where_its_start_was_unconfirmed() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.connect();
    bench.say(&a, TurnStarted, "start");
    bench.send();
    bench.lose();
    bench.connect();
    bench.say(&a, TurnCompleted, "end");
    assert_eq!(bench.send(), ["start", "end"]);
    bench.confirm();
    assert_eq!(bench.window.next_repeat(), Some(bench.now + REPEAT));
    bench.window.repeat_due(true, bench.now + REPEAT / 2);
    assert!(bench.send().is_empty());
    bench.window.repeat_due(true, bench.now + REPEAT);
    assert_eq!(bench.send(), ["end"]);
    bench.confirm();
    assert_eq!(bench.window.next_repeat(), None);
    assert!(bench.window.lanes.is_empty());
}

#[test]
fn no_end_of_turn_is_repeated_under_a_newer_turn_or_for_a_hub_that_pings() {
    for wanted in [true, false] {
        let mut bench = Bench::new();
        let a = lane("a");
        bench.connect();
        bench.say(&a, TurnStarted, "start");
        bench.send();
        bench.lose();
        bench.connect();
        bench.say(&a, TurnCompleted, "end");
        if wanted {
            bench.say(&a, TurnStarted, "newer");
        }
        bench.send();
        bench.confirm();
        bench.window.repeat_due(wanted, bench.now + REPEAT);
        assert!(bench.send().is_empty());
    }
}

#[test]
fn a_paused_window_sends_nothing_more_on_this_connection() {
    let mut bench = Bench::new();
    let a = lane("a");
    bench.connect();
    bench.say(&a, Control, "a1");
    bench.window.pause();
    assert!(bench.send().is_empty());
    bench.window.lost(Loss::Planned, bench.now);
    bench.connect();
    assert_eq!(bench.send(), ["a1"]);
    assert_eq!(bench.window.undelivered(), Undelivered { entries: 1, sessions: 1 });
}
