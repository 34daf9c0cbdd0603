//! A TCP proxy between runtime and hub that breaks connections: cuts them,
//! delays, throttles and splits what passes, or stalls a direction.
//!
//! It never invents, repeats or reorders a byte. What is random comes from a
//! seed and the connection's number, so a run can be repeated. One thread
//! accepts, one serves each connection; both sleep in `poll`.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use amurg_runtime::wake::{self, WakeFd, Waker};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustix::event::{PollFd, PollFlags, poll};

use super::fault_link::Link;

/// A direction of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// Runtime → hub.
    Hub,
    /// Hub → runtime.
    Runtime,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides get a FIN.
    Fin,
    /// Both sides get a RST.
    Reset,
    /// Neither side hears anything ever again, as with a pulled cable. Until
    /// [`FaultProxy::bury`] the hub does not even learn that the runtime closed.
    Silence,
}

/// What a direction suffers.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Every byte arrives this much later.
    pub delay: Duration,
    /// Bytes per second at most.
    pub rate: Option<u64>,
    /// Largest piece written at once, in bytes; the size of each is random from 1.
    pub pieces_of: Option<usize>,
    /// Nothing is read or written.
    pub stalled: bool,
}

/// What both directions suffer.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub to_hub: Way,
    pub to_runtime: Way,
}

/// What happens to somebody who connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// Is connected to the hub.
    #[default]
    Open,
    /// Is reset at once.
    Reset,
    /// Is accepted, and hears nothing.
    Deaf,
}

/// Where a new connection will be cut: after exactly so many bytes of a
/// direction. Asked once for each, with its number from 1 and its own randomness.
pub type Cuts = Box<dyn FnMut(usize, &mut fastrand::Rng) -> Option<(Toward, u64, Cut)> + Send>;

/// What a connection's thread is told.
pub(super) enum Command {
    Faults(Faults),
    Cut(Cut),
    /// A silenced connection ends; others do not care.
    Bury,
    End,
}

/// A running proxy. Dropping it ends every connection with a FIN.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Waker,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    hub: SocketAddr,
    seed: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    faults: Faults,
    door: Door,
    cuts: Option<Cuts>,
    connections: usize,
    links: Vec<LinkHandle>,
    deaf: Vec<TcpStream>,
    stopping: bool,
}

struct LinkHandle {
    commands: Sender<(Command, Sender<Infallible>)>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl LinkHandle {
    /// Returns when it is done. A link that has ended drops the command, which is as good.
    fn tell(&self, command: Command) {
        let (done, is_done) = bounded(0);
        let _ = self.commands.send((command, done));
        self.waker.wake();
        let _ = is_done.recv_timeout(super::PATIENCE);
    }
}

impl FaultProxy {
    /// A proxy to `hub` that does nothing yet. The seed is printed, so that a
    /// failing run can be repeated.
    pub fn start(hub: SocketAddr, seed: u64) -> Self {
        println!("fault proxy seed={seed}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = wake::pair().expect("a waker");
        let state = Mutex::default();
        let shared = Arc::new(Shared { hub, seed, state, changed: Condvar::new() });
        let thread = thread::Builder::new()
            .name("fault-proxy".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.accept(&listener, &stopped)
            })
            .expect("a thread");
        Self { address, shared, stop, thread: Some(thread) }
    }

    /// Where the runtime connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the runtime configures as `hub.url`.
    pub fn url(&self) -> String {
        format!("ws://{}/ws/runtime", self.address)
    }

    /// What connections suffer from now on, those that exist included.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.shared.lock();
        for link in &state.links {
            link.tell(Command::Faults(faults.clone()));
        }
        state.faults = faults;
    }

    /// What happens to whoever connects from now on. Opening the door lets go
    /// of those that were left deaf.
    pub fn set_door(&self, door: Door) {
        let mut state = self.shared.lock();
        state.door = door;
        state.deaf.clear();
    }

    /// Where connections that are made from now on are cut.
    pub fn set_cuts(
        &self,
        cuts: impl FnMut(usize, &mut fastrand::Rng) -> Option<(Toward, u64, Cut)> + Send + 'static,
    ) {
        self.shared.lock().cuts = Some(Box::new(cuts));
    }

    /// Cuts every connection, and returns when it is done.
    pub fn cut(&self, how: Cut) {
        self.tell_all(|| Command::Cut(how));
    }

    /// Ends what was silenced: now the hub sees the close of each.
    pub fn bury(&self) {
        self.tell_all(|| Command::Bury);
    }

    fn tell_all(&self, command: impl Fn() -> Command) {
        for link in &self.shared.lock().links {
            link.tell(command());
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Waits until there were so many connections in all.
    pub fn wait_connections(&self, count: usize, deadline: Instant) {
        let mut state = self.shared.lock();
        while state.connections < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} connections came", state.connections);
            state = self.shared.changed.wait_timeout(state, left).expect("no panic").0;
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // A test that failed has panicked already; here nothing may panic again.
        if let Ok(mut state) = self.shared.state.lock() {
            state.stopping = true;
        }
        self.stop.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let links = match self.shared.state.lock() {
            Ok(mut state) => std::mem::take(&mut state.links),
            Err(_) => return,
        };
        for link in links {
            link.tell(Command::End);
            let _ = link.thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the proxy panicked")
    }

    fn accept(&self, listener: &TcpListener, stopped: &WakeFd) {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(stopped.as_fd(), PollFlags::IN),
            ];
            poll(&mut fds, None).expect("poll");
            if self.lock().stopping {
                return;
            }
            match listener.accept() {
                Ok((runtime, _)) => self.welcome(runtime),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("accept: {error}"),
            }
        }
    }

    fn welcome(&self, runtime: TcpStream) {
        let door = self.lock().door;
        let hub = match door {
            Door::Open => TcpStream::connect(self.hub),
            Door::Reset => Err(io::ErrorKind::ConnectionRefused.into()),
            Door::Deaf => {
                self.lock().deaf.push(runtime);
                return;
            }
        };
        let Ok(hub) = hub else {
            reset_on_close(&runtime);
            return;
        };
        let (commands, told) = unbounded();
        let (waker, woken) = wake::pair().expect("a waker");
        let mut state = self.lock();
        state.connections += 1;
        let number = state.connections;
        let mut rng = fastrand::Rng::with_seed(self.seed ^ (number as u64) << 32);
        let cut = state.cuts.as_mut().and_then(|cuts| cuts(number, &mut rng));
        let link = Link::new(runtime, hub, &state.faults, cut, rng);
        let thread = thread::Builder::new()
            .name(format!("fault-link-{number}"))
            .spawn(move || link.run(&told, &woken))
            .expect("a thread");
        state.links.push(LinkHandle { commands, waker, thread });
        self.changed.notify_all();
    }
}

/// Lets the socket's close be a reset.
pub(super) fn reset_on_close(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
}

/// The commands of a link, as its thread reads them; each sender is dropped when it is done.
pub(super) type Commands = Receiver<(Command, Sender<Infallible>)>;
