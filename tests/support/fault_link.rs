//! One proxied connection: a thread that polls both sockets and a waker.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use amurg_runtime::wake::WakeFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fault_proxy::{Command, Commands, Cut, Faults, Toward, Way, reset_on_close};

/// Bytes on their way in one direction; beyond that nothing is read. Enough to
/// keep a delayed fast link full.
const IN_FLIGHT: usize = 32 << 20;
/// The same where nothing is delayed: the proxy is no buffer.
const IN_FLIGHT_UNDELAYED: usize = 64 << 10;
/// What is read at once, in bytes.
const READ: usize = 64 << 10;
/// A throttled direction writes what it may in a two-hundredth of a second, then pauses.
const SLICES: u64 = 200;

/// Both directions of a connection.
pub(super) struct Link {
    runtime: TcpStream,
    hub: TcpStream,
    to_hub: Flow,
    to_runtime: Flow,
    silenced: bool,
}

/// One direction.
struct Flow {
    way: Way,
    rng: fastrand::Rng,
    queue: VecDeque<Chunk>,
    queued: usize,
    /// Bytes that may still pass, and what happens then.
    cut: Option<(u64, Cut)>,
    /// A throttled direction pauses until then.
    pause: Option<Instant>,
    source: Source,
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Open,
    /// It said FIN, or RST; the other side hears of it when all before it has passed.
    Ended {
        reset: bool,
    },
    /// The other side has heard of it.
    Told,
}

/// What becomes of the connection.
enum Fate {
    Goes,
    Cut(Cut),
}

impl Link {
    pub fn new(
        runtime: TcpStream,
        hub: TcpStream,
        faults: &Faults,
        cut: Option<(Toward, u64, Cut)>,
        mut rng: fastrand::Rng,
    ) -> Self {
        for socket in [&runtime, &hub] {
            socket.set_nonblocking(true).expect("non-blocking");
            socket.set_nodelay(true).expect("no delay");
        }
        let mut flow = |way: &Way, toward| Flow {
            way: way.clone(),
            rng: rng.fork(),
            queue: VecDeque::new(),
            queued: 0,
            cut: cut.filter(|cut| cut.0 == toward).map(|(_, bytes, cut)| (bytes, cut)),
            pause: None,
            source: Source::Open,
        };
        let to_hub = flow(&faults.to_hub, Toward::Hub);
        let to_runtime = flow(&faults.to_runtime, Toward::Runtime);
        Self { runtime, hub, to_hub, to_runtime, silenced: false }
    }

    pub fn run(mut self, commands: &Commands, woken: &WakeFd) {
        let mut buffer = vec![0; READ];
        loop {
            woken.drain();
            while let Ok((command, _done)) = commands.try_recv() {
                match command {
                    Command::Faults(faults) => {
                        self.to_hub.way = faults.to_hub;
                        self.to_runtime.way = faults.to_runtime;
                    }
                    Command::Cut(Cut::Silence) => self.silenced = true,
                    Command::Cut(Cut::Fin) | Command::End => return drop(self),
                    Command::Cut(Cut::Reset) => return self.reset(),
                    Command::Bury if self.silenced => return drop(self),
                    Command::Bury => {}
                }
            }
            if !self.silenced {
                let there = self.to_hub.move_on(&self.runtime, &self.hub, &mut buffer);
                let back = self.to_runtime.move_on(&self.hub, &self.runtime, &mut buffer);
                match (there, back) {
                    (Fate::Cut(cut), _) | (_, Fate::Cut(cut)) => match cut {
                        Cut::Fin => return,
                        Cut::Reset => return self.reset(),
                        Cut::Silence => self.silenced = true,
                    },
                    (Fate::Goes, Fate::Goes) => {}
                }
                if self.to_hub.source == Source::Told && self.to_runtime.source == Source::Told {
                    return;
                }
            }
            self.wait(woken);
        }
    }

    fn reset(self) {
        reset_on_close(&self.runtime);
        reset_on_close(&self.hub);
    }

    /// Sleeps until something can move. A socket from which nothing is wanted is
    /// left out: its hang-up would be reported again and again.
    fn wait(&self, woken: &WakeFd) {
        let now = Instant::now();
        let mut fds = vec![PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN)];
        let mut until = None;
        if !self.silenced {
            let sides = [
                (&self.runtime, &self.to_hub, &self.to_runtime),
                (&self.hub, &self.to_runtime, &self.to_hub),
            ];
            for (socket, out_of, into) in sides {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, out_of.wants_to_read());
                flags.set(PollFlags::OUT, into.may_write(now));
                if !flags.is_empty() {
                    fds.push(PollFd::from_borrowed_fd(socket.as_fd(), flags));
                }
                until = [until, into.next_write(now)].into_iter().flatten().min();
            }
        }
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(now);
            Timespec::try_from(left).expect("a short time")
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}

impl Flow {
    fn wants_to_read(&self) -> bool {
        let bound = if self.way.delay.is_zero() { IN_FLIGHT_UNDELAYED } else { IN_FLIGHT };
        self.source == Source::Open && !self.way.stalled && self.queued < bound
    }

    /// Whether something is due and may go now.
    fn may_write(&self, now: Instant) -> bool {
        !self.way.stalled
            && self.pause.is_none_or(|pause| pause <= now)
            && self.queue.front().is_some_and(|chunk| chunk.due <= now)
    }

    /// When something that is not due yet may go.
    fn next_write(&self, now: Instant) -> Option<Instant> {
        let due = self.queue.front().filter(|_| !self.way.stalled)?.due;
        Some(self.pause.map_or(due, |pause| pause.max(due))).filter(|at| *at > now)
    }

    fn move_on(&mut self, source: &TcpStream, sink: &TcpStream, buffer: &mut [u8]) -> Fate {
        while self.wants_to_read() {
            match (&mut &*source).read(buffer) {
                Ok(0) => self.source = Source::Ended { reset: false },
                Ok(count) => {
                    let due = Instant::now() + self.way.delay;
                    self.queue.push_back(Chunk {
                        due,
                        bytes: buffer[..count].to_vec(),
                        written: 0,
                    });
                    self.queued += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.source = Source::Ended { reset: true },
            }
        }
        if let Fate::Cut(cut) = self.write(sink) {
            return Fate::Cut(cut);
        }
        if let (Source::Ended { reset }, true) = (self.source, self.queue.is_empty()) {
            if reset {
                return Fate::Cut(Cut::Reset);
            }
            // It may have been closed from its side already.
            let _ = sink.shutdown(Shutdown::Write);
            self.source = Source::Told;
        }
        Fate::Goes
    }

    fn write(&mut self, sink: &TcpStream) -> Fate {
        let now = Instant::now();
        while self.may_write(now) {
            let Some(chunk) = self.queue.front_mut() else { break };
            let rest = &chunk.bytes[chunk.written..];
            let mut most = rest.len();
            if let Some(pieces_of) = self.way.pieces_of {
                most = most.min(self.rng.usize(1..=pieces_of.max(1)));
            }
            if let Some(rate) = self.way.rate {
                most = most.min(usize::try_from(rate / SLICES).unwrap_or(most).max(1));
            }
            if let Some((left, cut)) = self.cut {
                if left == 0 {
                    return Fate::Cut(cut);
                }
                most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
            }
            match (&mut &*sink).write(&rest[..most]) {
                Ok(count) => {
                    chunk.written += count;
                    self.queued -= count;
                    if chunk.written == chunk.bytes.len() {
                        self.queue.pop_front();
                    }
                    if let Some(rate) = self.way.rate {
                        let cost = Duration::from_nanos(count as u64 * 1_000_000_000 / rate);
                        let from = self.pause.unwrap_or(now).max(now);
                        self.pause = Some(from + cost);
                    } else {
                        self.pause = None;
                    }
                    if let Some((left, cut)) = &mut self.cut {
                        *left -= count as u64;
                        if *left == 0 {
                            return Fate::Cut(*cut);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Fate::Cut(Cut::Reset),
            }
        }
        Fate::Goes
    }
}
