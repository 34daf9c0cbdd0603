//! The desk without the writer's thread: who does what, and who is woken.

use std::net::{TcpListener, TcpStream};

use crossbeam_channel::unbounded;
use socket2::SockRef;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use super::*;
use crate::hub::dial;
use crate::hub::outbox::{Budget, Entry, EntryKind, Lane, Outbox};
use crate::hub::socket::{Socket, Stream, Traffic};
use crate::hub::window::pace::PingTimes;
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
        let outbox = Outbox::new(commands, doorbell, total).with_desk(desk.clone());
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
            match self.desk.work() {
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
    let Next::Sleep { socket: Some(_), .. } = scene.desk.work() else {
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
    assert!(matches!(scene.desk.work(), Next::Leave(_)));
    scene.bell.drain();
    scene.desk.attention.doze();
    scene.say("too late");
    assert!(!scene.bell.is_woken());
}

#[test]
fn a_writer_that_shall_quit_is_woken_whoever_hears_of_it() {
    let scene = Scene::new();
    let end = LinkEnd::Planned;
    scene.outbox.tell(Command::Link(LinkCommand::ReaderEnded { generation: 1, end }));
    scene.sleeps();
    // Somebody is at the desk, so nobody is rung for.
    scene.bell.drain();
    scene.desk.attention.wake_up();
    scene.outbox.tell(Command::Link(LinkCommand::Quit { by: Instant::now() }));
    assert!(!scene.bell.is_woken());
    assert!(!scene.desk.stand_in(), "only the writer can leave");
}
