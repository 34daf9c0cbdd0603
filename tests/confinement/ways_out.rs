//! Every way out that is known, tried from inside by a real process: as whoever
//! runs the tests, as nobody, and from a session of its own. What is tried is
//! also tried with the door open, so that a refusal means something.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Instant;

use amurg_runtime::agent::process::plan::Stdio;
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use serde_json::{Value, json};

use crate::children::{LONG, Scene};
use crate::room::{Room, User, contents, users};

const PRELUDE: &str = include_str!("prelude.py");

/// What came of the attempts of one script.
struct Attempts(Vec<Vec<String>>);

impl Attempts {
    /// Runs a script in the cell.
    fn of(room: &Room, script: &str, places: &Value, arguments: &[&str], stdio: Stdio) -> Self {
        fs::write(room.at("own/attempts.py"), [PRELUDE, script].concat()).unwrap();
        let places = places.to_string();
        let command = [&["python3", "attempts.py", &places], arguments].concat();
        let mut scene = Scene::with(&room.launcher, &room.plan(&command, stdio).unwrap());
        let said = scene.rest();
        assert_eq!(scene.code(), 0, "{said}");
        let told = said.lines().map(|line| line.split('\t').map(str::to_owned).collect());
        let told = Self(told.collect());
        assert!(!told.0.is_empty(), "nothing was tried");
        told
    }

    /// Each ended with the refusal it must end with.
    fn all_refused(&self, how: &str) {
        let others: Vec<_> = self.0.iter().filter(|line| line[0] != "OUT").collect();
        assert!(others.is_empty(), "{how}: {others:#?}");
    }

    /// Each works, but for those marked with `?`: whether there is such a way
    /// at all, is the machine's.
    fn all_work(&self) {
        let failed = |line: &&Vec<String>| line[0] != "IN" && !line[1].starts_with('?');
        let others: Vec<_> = self.0.iter().filter(failed).collect();
        assert!(others.is_empty(), "with the door open: {others:#?}");
    }
}

/// Whether the cell is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

/// Tries a script in every way there is, each time in a room made by `prepare`;
/// `look` is for what no error tells.
fn nobody_gets_out<T>(
    script: &str,
    prepare: impl Fn(&mut Room) -> (Value, T),
    look: impl Fn(T, Door),
) {
    if geteuid().is_root() {
        let mut room = Room::of(User::Own).open();
        let (places, kept) = prepare(&mut room);
        Attempts::of(&room, script, &places, &[], Stdio::Pipes).all_work();
        look(kept, Door::Open);
    }
    for &user in users() {
        for arguments in [&[][..], &["setsid"]] {
            let how = format!("{user:?} {arguments:?}");
            let mut room = Room::of(user);
            let (places, kept) = prepare(&mut room);
            let before = contents(&room.at("outside"));
            Attempts::of(&room, script, &places, arguments, Stdio::Pipes).all_refused(&how);
            look(kept, Door::Closed);
            assert_eq!(contents(&room.at("outside")), before, "{how}");
        }
    }
}

#[test]
fn to_files() {
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
            .unwrap();
    rustix::pty::unlockpt(&terminal).unwrap();
    let terminal = rustix::pty::ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let disk = disks.map(|disk| format!("/dev/{}", disk.file_name().display())).next();
    let prepare = |room: &mut Room| {
        let places = json!({
            "outside": room.at("outside"),
            "neighbour": room.at("neighbour"),
            "config": room.at("config.json"),
            "terminal": terminal,
            "disk": disk.clone().unwrap_or_default(),
        });
        (places, ())
    };
    nobody_gets_out(include_str!("files.py"), prepare, |(), _| ());
}

/// What other processes there are.
struct Neighbours {
    /// Closed to its own user, as the runtime is.
    _runtime: Option<Scene>,
    living: [Scene; 2],
    _rooms: [Room; 2],
}

fn neighbours(room: &mut Room) -> (Value, Neighbours) {
    let waits = ["cat"];
    let [free, caged] = [Room::of(room.user).open(), Room::of(room.user)];
    let living = [free.start(&waits), caged.start(&waits)];
    let closed = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0); print(1, flush=True); time.sleep(1000)";
    let runtime = (room.user == User::Nobody).then(|| free.start(&["python3", "-c", closed]));
    let runtime = runtime.map(|mut runtime| {
        runtime.line();
        runtime
    });
    if runtime.is_none() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap();
    }
    let victims = BTreeMap::from([
        ("the runtime", runtime.as_ref().map_or(std::process::id(), pid)),
        ("a free process", pid(&living[0])),
        ("another session", pid(&living[1])),
    ]);
    (json!({ "victims": victims }), Neighbours { _runtime: runtime, living, _rooms: [free, caged] })
}

#[test]
fn to_processes() {
    let look = |neighbours: Neighbours, door: Door| {
        for mut neighbour in neighbours.living {
            if door == Door::Open {
                assert!(neighbour.exit.wait(Instant::now() + LONG).is_some(), "it lives");
                continue;
            }
            neighbour.write("still here\n");
            assert_eq!(neighbour.line(), "still here");
        }
    };
    nobody_gets_out(include_str!("processes.py"), neighbours, look);
}

fn pid(scene: &Scene) -> u32 {
    u32::try_from(scene.exit.pid().as_raw_nonzero().get()).unwrap()
}

#[test]
fn to_capabilities_of_another_namespace() {
    let prepare = |_: &mut Room| (json!({}), ());
    nobody_gets_out(include_str!("namespaces.py"), prepare, |(), _| ());
}

/// What listens outside.
struct Listeners {
    tcp: [TcpListener; 2],
    _stream: [UnixListener; 2],
    datagrams: UnixDatagram,
}

/// Opens them; the cell may use one port.
fn listeners(room: &mut Room) -> (Value, Listeners) {
    let tcp = [0, 1].map(|_: usize| TcpListener::bind("127.0.0.1:0").unwrap());
    let [allowed, other] = [0, 1].map(|which: usize| tcp[which].local_addr().unwrap().port());
    let (stream, datagram) = (room.at("own/stream"), room.at("outside/datagram"));
    let name = format!("amurg-test-{allowed}");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let stream_listeners =
        [UnixListener::bind(&stream).unwrap(), UnixListener::bind_addr(&address).unwrap()];
    let datagrams = UnixDatagram::bind(&datagram).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    room.give("");
    room.security.allowed_tcp_ports = Some(vec![allowed]);
    let places = json!({
        "stream": stream, "datagram": datagram, "abstract": name,
        "allowed_port": allowed, "other_port": other,
    });
    (places, Listeners { tcp, _stream: stream_listeners, datagrams })
}

const NETWORK: &str = include_str!("network.py");

#[test]
fn to_the_network() {
    let look = |listeners: Listeners, door: Door| {
        let [_, other] = &listeners.tcp;
        other.set_nonblocking(true).unwrap();
        let came = [listeners.datagrams.recv(&mut [0; 8]).is_ok(), other.accept().is_ok()];
        assert_eq!(came, [door == Door::Open; 2], "a datagram, a connection");
    };
    nobody_gets_out(NETWORK, listeners, look);
}

#[test]
fn to_the_network_from_a_terminal() {
    for &user in users() {
        let mut room = Room::of(user);
        let (places, _listening) = listeners(&mut room);
        let attempts = Attempts::of(&room, NETWORK, &places, &[], Stdio::TERMINAL);
        attempts.all_refused(&format!("{user:?}"));
    }
}

/// Allowed sockets are those with a place in the file system; the abstract ones
/// belong to whoever made them.
#[test]
fn to_abstract_sockets_where_sockets_are_allowed() {
    let script = "attempt('connect', connects(unix, '\\0' + PLACES['abstract']))";
    let defined = NETWORK.split("attempt(").next().unwrap();
    for &user in users() {
        let mut room = Room::of(user);
        room.security.allow_unix_sockets = true;
        let (places, _listening) = listeners(&mut room);
        let script = format!("{defined}unix = socket.AF_UNIX\n{script}");
        Attempts::of(&room, &script, &places, &[], Stdio::Pipes).all_refused(&format!("{user:?}"));
    }
}
