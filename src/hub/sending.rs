//! Writing to one connection: what goes next, what happens when the socket is
//! full, and when the hub at the other end is given up.
//!
//! Owned by the writer, from a connection's registration to its end. What was
//! sent and whether it arrived is the window's business.
//!
//! Cost of a byte: tungstenite copies it into its buffer and masks it there, 4
//! bytes at a time (1.3 instructions), and the kernel copies it out: one `sendto`
//! for 128 KiB. Cost of a small message: that `sendto`, which runs the hub's side
//! of a loopback connection as well, and the writer's wake-up where its session does not
//! do that itself ([`desk`](super::desk)). So what can go together does: see [`Lane::send_later`](super::outbox::Lane::send_later).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use log::{debug, warn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tungstenite::error::ProtocolError;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Error, Utf8Bytes};

use super::end::LinkEnd;
use super::link::{Link, WriteOutcome};
use super::liveness::{Liveness, Patience, Signs};
use super::socket::{USER_TIMEOUT, USER_TIMEOUT_BLOCKED, set_user_timeout};
use super::status::Shared;
use super::window::{Outgoing, Window};

/// Longest frame, in bytes of payload. Longer messages go out in fragments, so
/// that a pong need not wait for 14 MiB on a slow link.
const FRAGMENT: usize = 64 * 1024;

/// A write blocked for this long is more than a busy moment: the kernel must
/// not end the connection for it.
const BLOCKED_IN_EARNEST: Duration = Duration::from_secs(30);

/// See the module's head.
pub struct Sending {
    link: Arc<Link>,
    liveness: Liveness,
    begun: Option<Begun>,
    /// A frame the buffer had no room for.
    postponed: Option<Frame>,
    buffer: Buffer,
    /// The socket was full; what to poll for.
    full: Option<PollFlags>,
    stuck: Option<Stuck>,
    patient_kernel: bool,
    ping_now: bool,
    closing: Option<Closing>,
    /// Why the connection is over, although its reader has not ended yet.
    over: Option<LinkEnd>,
}

/// A message of which a part was sent.
struct Begun {
    text: Utf8Bytes,
    sent: usize,
    /// Where to stop until the hub has shown that it got so far.
    hold_at: Option<usize>,
    /// Whether it was asked.
    asked: bool,
}

impl Begun {
    fn new(Outgoing { text, careful }: Outgoing) -> Self {
        let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at));
        let hold_at = middle.filter(|at| careful && *at > 0);
        Self { text, sent: 0, hold_at, asked: false }
    }
}

/// What stands between us and the socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Buffer {
    /// Nothing.
    Flushed,
    /// Frames that are not in the socket yet.
    Filled,
    /// The same, and the socket was full: nothing may be added before they are out.
    FlushFirst,
}

/// A write that makes no progress.
struct Stuck {
    since: Instant,
    sent: u64,
}

/// A connection that is to be closed.
struct Closing {
    by: Instant,
    /// When it is cut, once the farewell was said.
    cut_at: Option<Instant>,
}

impl Sending {
    /// Nothing was sent yet.
    pub fn new(link: Arc<Link>, patience: Patience) -> Self {
        Self {
            link,
            liveness: Liveness::new(patience),
            begun: None,
            postponed: None,
            buffer: Buffer::Flushed,
            full: None,
            stuck: None,
            patient_kernel: false,
            ping_now: false,
            closing: None,
            over: None,
        }
    }

    /// Which connection it is.
    pub fn generation(&self) -> u64 {
        self.link.generation
    }

    /// The socket must be flushed: there is room again, or the reader left something.
    pub fn must_flush(&mut self) {
        self.full = None;
        self.buffer = Buffer::FlushFirst;
    }

    /// The machine was suspended: the hub is asked whether it is there.
    pub fn resumed(&mut self, now: Instant) {
        self.liveness.resumed(now);
        self.ping_now = true;
    }

    /// Close it once nothing is unconfirmed on the wire, at the latest by then.
    pub fn close_by(&mut self, by: Instant) {
        self.closing = Some(Closing { by, cut_at: None });
    }

    /// Ends the connection for that reason. What has arrived is still read.
    pub fn give_up(&mut self, end: LinkEnd) {
        if self.over.is_none() {
            debug!("connection cut reason={end}");
            self.over = Some(end);
            self.link.cut();
        }
    }

    /// How it ended, of what the reader saw and what was known before.
    pub fn into_end(self, seen: LinkEnd) -> LinkEnd {
        match (self.over, seen) {
            // The reader saw why writing failed.
            (Some(LinkEnd::Broken(_) | LinkEnd::Closed(_)), LinkEnd::Closed(Some(farewell))) => {
                LinkEnd::Closed(Some(farewell))
            }
            (Some(over), _) => over,
            (None, _) if self.closing.is_some_and(|closing| closing.cut_at.is_some()) => {
                LinkEnd::Planned
            }
            (None, seen) => seen,
        }
    }

    /// The socket and what to poll it for, while it is full.
    pub fn blocked(&self) -> Option<(Arc<Link>, PollFlags)> {
        let flags = self.full.filter(|_| self.over.is_none())?;
        Some((Arc::clone(&self.link), flags))
    }

    /// When to look again, if nothing happens before.
    pub fn deadline(&self, window: &Window) -> Option<Instant> {
        if self.over.is_some() {
            return None;
        }
        let closing = self.closing.as_ref().map(|closing| closing.cut_at.unwrap_or(closing.by));
        let ping =
            if self.full.is_none() && !self.said_farewell() { window.next_ping() } else { None };
        let earnest = (self.stuck.as_ref())
            .filter(|_| !self.patient_kernel)
            .map(|stuck| stuck.since + BLOCKED_IN_EARNEST);
        let alive = self.liveness.next_check(self.signs(window));
        [closing, ping, earnest, alive].into_iter().flatten().min()
    }

    fn said_farewell(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.cut_at.is_some())
    }

    fn signs(&self, window: &Window) -> Signs {
        Signs {
            heard: self.link.heard(),
            unanswered: window.unanswered_since(),
            stuck: self.stuck.as_ref().map(|stuck| stuck.since),
        }
    }

    /// Sends what may be sent, looks whether the hub is alive, and closes what
    /// is to be closed.
    pub fn work(&mut self, window: &mut Window, shared: &Shared, farewell: Duration) {
        if self.over.is_none() && !self.said_farewell() {
            self.send(window, shared);
        }
        let now = Instant::now();
        self.look_after(window, now);
        self.close_if_due(window, farewell, now);
        self.link.set_awaits_pong(window.wants_pong());
    }

    /// Writes until nothing is left to write or the socket is full.
    fn send(&mut self, window: &mut Window, shared: &Shared) {
        while self.full.is_none() && self.over.is_none() {
            if self.buffer == Buffer::FlushFirst {
                self.flush();
            } else if let Some(frame) = self.next_frame(window, shared) {
                self.buffer = Buffer::Filled;
                let outcome = self.link.write(frame);
                self.note(outcome);
            } else if self.buffer == Buffer::Filled {
                self.flush();
            } else {
                return;
            }
        }
    }

    fn flush(&mut self) {
        self.buffer = Buffer::Flushed;
        let outcome = self.link.flush();
        self.note(outcome);
    }

    fn note(&mut self, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Done => {}
            WriteOutcome::Blocked(flags) => {
                self.full = Some(flags);
                self.buffer = Buffer::FlushFirst;
            }
            WriteOutcome::Full(frame) => {
                self.postponed = Some(*frame);
                self.buffer = Buffer::FlushFirst;
            }
            WriteOutcome::Failed(Error::Io(error)) => self.give_up(LinkEnd::failed(&error)),
            WriteOutcome::Failed(Error::Protocol(ProtocolError::SendAfterClosing)) => {
                self.give_up(LinkEnd::Closed(None));
            }
            WriteOutcome::Failed(error) => self.give_up(LinkEnd::Broken(error.to_string())),
        }
    }

    /// The next frame: what had no room, a ping that is due, the next fragment.
    fn next_frame(&mut self, window: &mut Window, shared: &Shared) -> Option<Frame> {
        if let Some(frame) = self.postponed.take() {
            return Some(frame);
        }
        let now = Instant::now();
        if self.ping_now || window.next_ping().is_some_and(|at| at <= now) {
            self.ping_now = false;
            return Some(self.ping(window.ping(now)));
        }
        let mut begun = match self.begun.take() {
            Some(begun) => begun,
            None => Begun::new(window.begin_next()?),
        };
        if window.is_in_hand() {
            begun.hold_at = None;
        }
        if begun.hold_at == Some(begun.sent) {
            let ask = !std::mem::replace(&mut begun.asked, true);
            self.begun = Some(begun);
            return ask.then(|| self.ping(window.ask(now)));
        }
        let (text, from) = (&begun.text, begun.sent);
        let to = fragment_end(text, from, begun.hold_at.unwrap_or(text.len()));
        let (whole, last): (&Bytes, bool) = (text.as_ref(), to == text.len());
        let opcode = OpCode::Data(if from == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(whole.slice(from..to), opcode, last);
        if last {
            window.finish(now);
            shared.messages_out.fetch_add(1, Ordering::Relaxed);
        } else {
            begun.sent = to;
            self.begun = Some(begun);
        }
        Some(frame)
    }

    fn ping(&self, payload: [u8; 8]) -> Frame {
        self.link.pongs.asked(payload);
        Frame::ping(payload.to_vec())
    }

    fn look_after(&mut self, window: &Window, now: Instant) {
        if self.over.is_some() {
            return;
        }
        self.note_progress(now);
        self.tell_kernel(window, now);
        if let Err(gone) = self.liveness.check(self.signs(window), now) {
            warn!("hub given up reason={gone}");
            self.give_up(LinkEnd::GivenUp(gone));
        }
    }

    fn note_progress(&mut self, now: Instant) {
        let sent = self.link.bytes_sent();
        match (&self.stuck, self.full) {
            (_, None) => self.stuck = None,
            (Some(stuck), Some(_)) if stuck.sent == sent => {}
            (_, Some(_)) => self.stuck = Some(Stuck { since: now, sent }),
        }
    }

    /// The kernel ends a connection whose data is not acknowledged in two
    /// minutes, also one to a living hub that does not read for a while.
    fn tell_kernel(&mut self, window: &Window, now: Instant) {
        let for_long = |since: Instant| now >= since + BLOCKED_IN_EARNEST;
        let stuck = self.stuck.as_ref().is_some_and(|stuck| for_long(stuck.since));
        let unread = window.unanswered_since().is_some_and(for_long) && !self.has_room_to_write();
        let patient = stuck || unread;
        if patient == self.patient_kernel {
            return;
        }
        self.patient_kernel = patient;
        let timeout = if patient { USER_TIMEOUT_BLOCKED } else { USER_TIMEOUT };
        if let Err(error) = set_user_timeout(self.link.tcp(), timeout) {
            debug!("TCP_USER_TIMEOUT not changed error={error}");
        }
    }

    fn has_room_to_write(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&*self.link, PollFlags::OUT)], Some(&now)) == Ok(1)
    }

    fn close_if_due(&mut self, window: &Window, farewell: Duration, now: Instant) {
        let idle = window.wire_is_empty() && self.begun.is_none();
        let Some(closing) = &mut self.closing else { return };
        match closing.cut_at {
            None if idle || now >= closing.by => {
                closing.cut_at = Some(closing.by.min(now + farewell));
                self.link.close("");
            }
            Some(at) if now >= at && self.over.is_none() => {
                self.over = Some(LinkEnd::Planned);
                self.link.cut();
            }
            _ => {}
        }
    }
}

/// Where the fragment that begins at `from` ends, at most at `limit`: never
/// inside a character.
fn fragment_end(text: &str, from: usize, limit: usize) -> usize {
    let mut to = limit.min(from + FRAGMENT);
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_64_kib_and_never_cut_a_character() {
        let text = "ä".repeat(FRAGMENT) + "x";
        let mut from = 0;
        let mut lengths = Vec::new();
        while from < text.len() {
            let to = fragment_end(&text, from, text.len());
            assert!(text.is_char_boundary(to));
            lengths.push(to - from);
            from = to;
        }
        assert_eq!(lengths, [FRAGMENT, FRAGMENT, 1]);
        let odd = format!("x{text}");
        assert_eq!(fragment_end(&odd, 0, odd.len()), FRAGMENT - 1);
        assert_eq!(fragment_end("short", 0, 5), 5);
        assert_eq!(fragment_end("short", 1, 3), 3);
    }
}
