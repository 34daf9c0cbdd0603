//! The link writer's work: takes commands, decides, writes, tells.
//!
//! It lies on a desk. The writer's own thread does it, and sleeps when nothing is
//! left; a session that has a few words does it itself meanwhile, which saves the
//! change of threads. Whoever is at it has it alone, never blocks, and leaves either
//! when everything is done and the writer's sleep is right as it is, or has the
//! writer woken. Nobody waits for the desk but the writer.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use log::info;
use rustix::event::PollFlags;

use super::clock;
use super::end::LinkEnd;
use super::link::Link;
use super::liveness::{Gone, Patience};
use super::outbox::Command;
use super::sending::Sending;
use super::status::Shared;
use super::window::{Undelivered, Window};
use super::writer::{LinkCommand, WriterEvent};
use crate::wake::doorbell::{Attention, Desk};

/// Commands taken before something is sent again.
const BURST: usize = 1024;

/// What there is to work with.
pub struct WorkArgs {
    /// What sessions and the connection's side say.
    pub commands: Receiver<Command>,
    /// Everything unconfirmed.
    pub window: Window,
    /// When a hub is given up.
    pub patience: Patience,
    /// How long a hub may take to end a connection after our farewell.
    pub farewell: Duration,
    /// The way to the supervisor. Must not block.
    pub tell: Box<dyn Fn(WriterEvent) + Send>,
    /// Counters.
    pub shared: Arc<Shared>,
}

/// See the module's head.
pub struct WriterDesk {
    /// `None`: there is no writer any more.
    work: Mutex<Option<Work>>,
    attention: Attention,
}

impl WriterDesk {
    /// A desk whose writer does not sleep yet.
    pub fn new(args: WorkArgs, attention: Attention) -> Self {
        let work = Work { args, sending: None, draining: false, quitting: false, sleep: None };
        Self { work: Mutex::new(Some(work)), attention }
    }

    /// The writer is up: does everything there is to do. `slept` is how long this
    /// machine did since the last time, if it did.
    pub fn work(&self, slept: Option<Duration>) -> Next {
        let mut place = self.place();
        self.attention.wake_up();
        let Some(work) = &mut *place else { return Next::Leave(Undelivered::default()) };
        work.step(slept);
        if work.quitting && work.sending.is_none() {
            let left = work.args.window.undelivered();
            *place = None;
            return Next::Leave(left);
        }
        self.attention.doze();
        if !work.is_done() {
            return Next::GoOn;
        }
        let until = work.deadline();
        let socket = work.sending.as_ref().and_then(Sending::blocked);
        let watches = socket.as_ref().map(|(link, flags)| (link.generation, *flags));
        work.sleep = Some(Sleep { until, suspended: clock::time_asleep(), watches });
        Next::Sleep { until, socket }
    }

    /// The writer has seen that the socket is ready again.
    pub fn socket_is_ready(&self) {
        if let Some(sending) = self.place().as_mut().and_then(|work| work.sending.as_mut()) {
            sending.must_flush();
        }
    }

    fn place(&self) -> MutexGuard<'_, Option<Work>> {
        // A panic ends the process; until then there is nothing to protect.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk for WriterDesk {
    fn stand_in(&self) -> bool {
        let Ok(mut place) = self.work.try_lock() else { return false };
        let Some(work) = &mut *place else { return true };
        work.step(None);
        self.attention.doze();
        work.is_done() && work.may_sleep_on()
    }
}

/// What the writer does next.
pub enum Next {
    /// The same again: something came.
    GoOn,
    /// Sleep until its doorbell rings.
    Sleep {
        /// Or until then.
        until: Option<Instant>,
        /// Or until this is ready.
        socket: Option<(Arc<Link>, PollFlags)>,
    },
    /// It was told to quit; this could not be delivered.
    Leave(Undelivered),
}

/// How the writer sleeps.
struct Sleep {
    until: Option<Instant>,
    /// How long this machine had slept before.
    suspended: Duration,
    /// The connection it watches as well, and for what.
    watches: Option<(u64, PollFlags)>,
}

struct Work {
    args: WorkArgs,
    sending: Option<Sending>,
    draining: bool,
    quitting: bool,
    /// `None`: it has not slept yet.
    sleep: Option<Sleep>,
}

impl Work {
    fn step(&mut self, slept: Option<Duration>) {
        let now = Instant::now();
        self.take_commands(now);
        self.work(slept, now);
        self.report();
    }

    /// Whether nothing new has come.
    fn is_done(&mut self) -> bool {
        self.args.commands.is_empty() && !self.args.window.release_held()
    }

    /// When there is something to do, if nothing comes before.
    fn deadline(&self) -> Option<Instant> {
        let deadline =
            self.sending.as_ref().and_then(|sending| sending.deadline(&self.args.window));
        [deadline, self.args.window.next_repeat()].into_iter().flatten().min()
    }

    /// Whether a sleeping writer need not be woken for what has become of its work.
    fn may_sleep_on(&self) -> bool {
        let Some(sleep) = &self.sleep else { return false };
        let in_time = self
            .deadline()
            .is_none_or(|deadline| sleep.until.is_some_and(|until| until <= deadline));
        let full = self.sending.as_ref().and_then(Sending::blocked);
        let watched =
            full.is_none_or(|(link, flags)| sleep.watches == Some((link.generation, flags)));
        in_time && watched && clock::suspend(sleep.suspended, clock::time_asleep()).is_none()
    }

    fn take_commands(&mut self, now: Instant) {
        for command in self.args.commands.clone().try_iter().take(BURST) {
            match command {
                Command::Send { lane, entry } => self.args.window.push(&lane, entry),
                Command::NeedRoom { lane, waker } => self.args.window.need_room(&lane, waker),
                Command::LimitChanged => self.args.window.limit_changed(),
                Command::Release { lane } => self.args.window.release(&lane),
                Command::Answer(frame) => {
                    if self.args.window.answer(frame).is_err()
                        && let Some(sending) = &mut self.sending
                    {
                        sending.give_up(LinkEnd::GivenUp(Gone::OnlyAsking));
                    }
                }
                Command::Link(command) => self.take_link_command(command, now),
            }
        }
    }

    fn take_link_command(&mut self, command: LinkCommand, now: Instant) {
        match command {
            LinkCommand::Attach(link) => {
                self.args.window.connect(now);
                self.sending = Some(Sending::new(link, self.args.patience));
            }
            LinkCommand::Pong { generation, payload, at } => {
                if self.is_current(generation) {
                    self.args.window.pong(&payload, at);
                }
            }
            LinkCommand::Flush { generation } => {
                if self.is_current(generation)
                    && let Some(sending) = &mut self.sending
                {
                    sending.must_flush();
                }
            }
            LinkCommand::ReaderEnded { generation, end } => {
                if self.is_current(generation) {
                    self.detach(end, now);
                }
            }
            LinkCommand::Close { by } => self.close(by),
            LinkCommand::Drain => {
                self.args.window.hurry();
                self.draining = true;
            }
            LinkCommand::Quit { by } => {
                self.quitting = true;
                self.close(by);
            }
        }
    }

    fn close(&mut self, by: Instant) {
        if let Some(sending) = &mut self.sending {
            self.args.window.pause();
            sending.close_by(by);
        }
    }

    fn is_current(&self, generation: u64) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.generation() == generation)
    }

    /// The reader has ended: the connection is over.
    fn detach(&mut self, end: LinkEnd, now: Instant) {
        let Some(sending) = self.sending.take() else { return };
        let generation = sending.generation();
        let end = sending.into_end(end);
        let (entries, bytes) = self.args.window.unconfirmed();
        self.args.window.lost(end.loss(), now);
        if entries > 0 {
            info!("unconfirmed messages will be sent again entries={entries} bytes={bytes}");
        }
        (self.args.tell)(WriterEvent::Ended { generation, end });
    }

    fn work(&mut self, slept: Option<Duration>, now: Instant) {
        // What these two bring back is sent at once.
        self.args.window.release_held();
        let hub_pings = self.args.shared.hub_pings.load(Ordering::Relaxed);
        self.args.window.repeat_due(!hub_pings, now);
        if let Some(sending) = &mut self.sending {
            if let Some(slept) = slept {
                info!(
                    "this machine was suspended, asking the hub whether it is still there for={slept:?}"
                );
                sending.resumed(now);
            }
            sending.work(&mut self.args.window, &self.args.shared, self.args.farewell);
        }
        if self.draining && self.args.window.is_drained() {
            self.draining = false;
            (self.args.tell)(WriterEvent::Drained);
        }
    }

    fn report(&self) {
        let (window, shared) = (&self.args.window, &self.args.shared);
        let (entries, bytes) = window.unconfirmed();
        shared.unconfirmed.store(entries, Ordering::Relaxed);
        shared.unconfirmed_bytes.store(bytes, Ordering::Relaxed);
        shared.window.store(window.limit(), Ordering::Relaxed);
        shared.pending.store(window.pending(), Ordering::Relaxed);
        shared.open_turns.store(window.open_turns(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use crossbeam_channel::unbounded;
    use socket2::SockRef;
    use tungstenite::protocol::Role;
    use tungstenite::{Message, WebSocket};

    use super::super::dial;
    use super::super::outbox::{Budget, Entry, EntryKind, Lane, Outbox};
    use super::super::socket::{Socket, Stream, Traffic};
    use super::super::window::pace::PingTimes;
    use super::*;
    use crate::protocol::outbound::Frame;
    use crate::wake::doorbell::Doorbell;
    use crate::wake::{self, WakeFd};

    const LONG: Duration = Duration::from_secs(600);

    /// A registered connection, and the writer's work without its thread.
    struct Scene {
        desk: Arc<WriterDesk>,
        bell: WakeFd,
        outbox: Outbox,
        lane: Lane,
        hub: WebSocket<TcpStream>,
    }

    impl Scene {
        fn new() -> Self {
            Self::with_repeat(LONG)
        }

        fn with_repeat(repeat: Duration) -> Self {
            let (commands, said) = unbounded();
            let (waker, bell) = wake::pair().unwrap();
            let (doorbell, attention) = Doorbell::new(waker);
            let total = Arc::new(Budget::new(1 << 30));
            let pings = PingTimes { soon: LONG / 20, waiting: LONG / 30, idle: LONG };
            let args = WorkArgs {
                commands: said,
                window: Window::new(Arc::clone(&total), pings, repeat),
                patience: Patience::default(),
                farewell: LONG,
                tell: Box::new(|_| ()),
                shared: Arc::new(Shared::new(Arc::clone(&total))),
            };
            let desk = Arc::new(WriterDesk::new(args, attention));
            let outbox = Outbox::new(commands, doorbell.with_desk(desk.clone()), total);
            let lane = outbox.lane("s".into(), 1 << 30);
            let (link, hub) = connection(1);
            outbox.tell(Command::Link(LinkCommand::Attach(link)));
            let mut scene = Self { desk, bell, outbox, lane, hub };
            assert!(scene.bell.take_wake_up(), "what comes with a connection is the writer's");
            scene.sleeps();
            assert!(matches!(scene.hears(), Message::Ping(_)), "every connection begins with one");
            // When to ask whether this has arrived is news for the writer.
            scene.say("the first");
            assert!(scene.bell.take_wake_up());
            assert_eq!(scene.hears(), Message::text("the first"));
            scene.sleeps();
            scene
        }

        /// The writer does what there is to do, and sleeps.
        fn sleeps(&self) {
            loop {
                match self.desk.work(None) {
                    Next::GoOn => {}
                    Next::Sleep { .. } => return,
                    Next::Leave(left) => panic!("the writer left: {left:?}"),
                }
            }
        }

        fn say(&self, text: &str) {
            self.lane.send(entry(EntryKind::Output, text));
        }

        fn hears(&mut self) -> Message {
            self.hub.read().expect("the writer's words")
        }
    }

    fn entry(kind: EntryKind, text: &str) -> Entry {
        let frame = Frame { id: String::new(), text: text.to_owned() };
        Entry { frame, kind, after: None, on_confirmed: None }
    }

    fn connection(generation: u64) -> (Arc<Link>, WebSocket<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Little goes into it while nobody reads.
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        SockRef::from(&ours).set_send_buffer_size(4096).unwrap();
        let (theirs, _) = listener.accept().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut socket = Socket::new(ours, Instant::now() + LONG, Arc::new(Traffic::default()));
        socket.set_nonblocking().unwrap();
        let config = Some(dial::websocket_config(1 << 20));
        let ours = WebSocket::from_raw_socket(Stream::Plain(socket), Role::Client, config);
        let hub = WebSocket::from_raw_socket(theirs, Role::Server, None);
        (Arc::new(Link::new(ours, generation)), hub)
    }

    #[test]
    fn a_few_words_go_out_while_the_writer_sleeps() {
        let mut scene = Scene::new();
        for text in ["one", "two"] {
            scene.say(text);
            assert!(!scene.bell.is_woken());
            assert_eq!(scene.hears(), Message::text(text));
        }
    }

    #[test]
    fn what_is_large_is_left_to_the_writer() {
        let mut scene = Scene::new();
        let text = "x".repeat(5000);
        scene.say(&text);
        assert!(scene.bell.take_wake_up());
        scene.sleeps();
        assert_eq!(scene.hears(), Message::text(text));
    }

    #[test]
    fn whoever_finds_the_desk_taken_wakes_the_writer() {
        let mut scene = Scene::new();
        let taken = scene.desk.place();
        scene.say("one");
        drop(taken);
        assert!(scene.bell.take_wake_up());
        scene.sleeps();
        assert_eq!(scene.hears(), Message::text("one"));
    }

    #[test]
    fn what_comes_while_somebody_is_at_it_is_not_left_lying() {
        let mut scene = Scene::new();
        scene.desk.attention.wake_up();
        scene.say("one");
        assert!(!scene.bell.is_woken(), "whoever is at it looks once more");
        assert!(scene.desk.stand_in());
        assert_eq!(scene.hears(), Message::text("one"));
    }

    #[test]
    fn what_one_turn_at_the_desk_leaves_wakes_the_writer() {
        let scene = Scene::new();
        for _ in 0..=BURST {
            scene.lane.send_later(entry(EntryKind::Output, ""));
        }
        assert!(!scene.bell.is_woken());
        scene.lane.hasten();
        let place = scene.desk.place();
        assert!(place.as_ref().unwrap().may_sleep_on(), "what is left is the only reason");
        assert!(scene.bell.take_wake_up());
    }

    #[test]
    fn an_end_of_turn_that_is_due_again_goes_out_at_once() {
        let mut scene = Scene::with_repeat(Duration::ZERO);
        scene.lane.send(entry(EntryKind::TurnStarted, "started"));
        scene.lane.send(entry(EntryKind::TurnCompleted, "completed"));
        let end = LinkEnd::Closed(None);
        scene.outbox.tell(Command::Link(LinkCommand::ReaderEnded { generation: 1, end }));
        let (link, hub) = connection(2);
        scene.hub = hub;
        scene.outbox.tell(Command::Link(LinkCommand::Attach(link)));
        scene.sleeps();
        let texts = std::iter::repeat_with(|| scene.hears()).filter(Message::is_text).take(4);
        let heard: Vec<_> = texts.map(|text| text.into_text().unwrap()).collect();
        assert_eq!(heard, ["the first", "started", "completed", "completed"]);
    }

    #[test]
    fn only_the_writer_waits_for_a_full_socket() {
        let mut scene = Scene::new();
        let mut said = 0;
        while !scene.bell.is_woken() {
            scene.say("a few words");
            said += 1;
            assert!(said < 100_000, "the hub does not read");
        }
        scene.bell.drain();
        let Next::Sleep { socket: Some(_), .. } = scene.desk.work(None) else {
            panic!("the socket is full");
        };
        scene.say("a few words");
        assert!(!scene.bell.is_woken(), "it watches the socket already");
        for _ in 0..=said {
            while scene.hears() != Message::text("a few words") {}
            scene.desk.socket_is_ready();
            scene.sleeps();
        }
    }

    #[test]
    fn after_the_writer_nobody_works() {
        let scene = Scene::new();
        scene
            .outbox
            .tell(Command::Link(LinkCommand::ReaderEnded { generation: 1, end: LinkEnd::Planned }));
        scene.outbox.tell(Command::Link(LinkCommand::Quit { by: Instant::now() }));
        assert!(matches!(scene.desk.work(None), Next::Leave(_)));
        scene.bell.drain();
        scene.desk.attention.doze();
        scene.say("too late");
        assert!(!scene.bell.is_woken());
    }
}
