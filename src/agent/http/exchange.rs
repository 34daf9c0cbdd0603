//! One exchange with the service, in a thread of its own that may block: ask,
//! follow redirects within the origin, read the body.
//!
//! What comes is handed over through a bounded channel, so that nothing is read
//! from the service that nobody takes. An exchange that hangs where it cannot be
//! interrupted (resolving a name, connecting) is let go: counted, bounded, and
//! what it still finds out goes nowhere.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use ureq::http::{Response, StatusCode, header};
use ureq::{Body, Error};

use super::client::Client;
use super::failure::Failure;
use super::origin::{self, Target};
use super::request::Head;
use crate::agent::TurnMessage;
use crate::threads;
use crate::wake::Waker;

/// Bytes taken from a body at once; a chunk of output.
const CHUNK: usize = 64 * 1024;
/// Chunks read but not yet taken.
const AHEAD: usize = 1;
/// Redirects followed in a row.
const MAX_REDIRECTS: usize = 10;
/// Exchanges that may hang after they were let go, in the whole process.
const MAX_STUCK: usize = 64;

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// What came of an exchange so far.
#[derive(Debug)]
pub enum Progress {
    /// The head of the answer; redirects are followed already.
    Answer(StatusCode),
    /// A piece of its body.
    Data(Vec<u8>),
    /// The exchange is over; nothing follows.
    End(Result<(), Failure>),
}

/// The end of an exchange that its owner holds.
#[derive(Debug)]
pub struct Exchange {
    progress: Receiver<Box<Progress>>,
    thread: JoinHandle<()>,
    parting: Arc<AtomicU8>,
}

const TOGETHER: u8 = 0;
const LET_GO: u8 = 1;
const ENDED: u8 = 2;

impl Exchange {
    /// Starts asking. `waker` is woken whenever there is progress.
    ///
    /// # Errors
    /// [`Failure::Stuck`] and [`Failure::System`]: nothing was asked.
    pub fn start(
        endpoint_id: &str,
        client: Arc<Client>,
        head: Head,
        message: TurnMessage,
        waker: Waker,
    ) -> Result<Self, Failure> {
        let stuck = STUCK.load(Ordering::Relaxed);
        if stuck >= MAX_STUCK {
            return Err(Failure::Stuck(stuck));
        }
        let (sender, progress) = bounded(AHEAD);
        let parting = Arc::new(AtomicU8::new(TOGETHER));
        let parting_there = Arc::clone(&parting);
        let thread = threads::spawn_large(format!("http-io {endpoint_id}"), move || {
            let teller = Teller { sender, waker };
            let end = exchange(&client, head, message, &teller);
            teller.tell(Progress::End(end));
            drop(teller);
            if parting_there.swap(ENDED, Ordering::AcqRel) == LET_GO {
                STUCK.fetch_sub(1, Ordering::Relaxed);
            }
        })
        .map_err(Failure::System)?;
        Ok(Self { progress, thread, parting })
    }

    /// What came next, if anything has. A thread that is gone without a word
    /// has ended.
    pub fn next(&self) -> Option<Progress> {
        match self.progress.try_recv() {
            Ok(progress) => Some(*progress),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Progress::End(Err(Failure::Head(Error::ConnectionFailed))))
            }
        }
    }

    /// Waits for the thread, and lets it go if it is not over `within` that time.
    pub fn finish(self, within: Duration) {
        let deadline = Instant::now() + within;
        loop {
            match self.progress.recv_deadline(deadline) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.thread.join();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => break,
            }
        }
        let stuck = STUCK.fetch_add(1, Ordering::Relaxed) + 1;
        if self.parting.swap(LET_GO, Ordering::AcqRel) == ENDED {
            STUCK.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        log::debug!("http request let go while connecting stuck={stuck}");
    }
}

/// Exchanges that were let go and still hang, in the whole process.
pub fn stuck() -> usize {
    STUCK.load(Ordering::Relaxed)
}

struct Teller {
    sender: Sender<Box<Progress>>,
    waker: Waker,
}

impl Teller {
    /// Waits until the piece is taken over; `false` when nobody will.
    fn tell(&self, progress: Progress) -> bool {
        // The waker only after the message: who is woken looks once, and must find it.
        let told = self.sender.send(Box::new(progress)).is_ok();
        self.waker.wake();
        told
    }
}

fn exchange(
    client: &Client,
    head: Head,
    message: TurnMessage,
    teller: &Teller,
) -> Result<(), Failure> {
    let response = ask(client, head, &message.content)?;
    // The service has the content: its place among what waits is free again.
    drop(message);
    if !teller.tell(Progress::Answer(response.status())) {
        return Ok(());
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                received += count as u64;
                if !teller.tell(Progress::Data(buffer[..count].to_vec())) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Body { received, error: error.into() }),
        }
    }
}

fn ask(client: &Client, mut head: Head, content: &str) -> Result<Response<Body>, Failure> {
    for _ in 0..=MAX_REDIRECTS {
        let mut response = client.ask(&head, content)?;
        let Some(location) = location(&response) else { return Ok(response) };
        match origin::redirect(head.uri(), &location) {
            Target::Same(uri) => head = head.redirected(response.status(), uri),
            Target::Elsewhere(location) => return Err(Failure::Elsewhere(location)),
            Target::Unreadable => return Err(Failure::Unreadable),
        }
        skip_body(&mut response);
    }
    Err(Failure::Redirects(MAX_REDIRECTS))
}

/// Where the answer sends the request; `None` for an answer of its own.
fn location(response: &Response<Body>) -> Option<String> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| redirects)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// Reads a redirect's short body, so that its connection can be used again. A
/// long or slow one is left, and its connection closed.
fn skip_body(response: &mut Response<Body>) {
    let mut body = response.body_mut().as_reader();
    let mut buffer = [0; 2048];
    for _ in 0..4 {
        if !matches!(body.read(&mut buffer), Ok(1..)) {
            return;
        }
    }
}
