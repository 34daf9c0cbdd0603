//! A session's thread for an agent that has none of its own: it does what the test
//! asks for, and attends to the agent otherwise.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use amurg_runtime::agent::{Agent, FileUse, StoredFile, TurnMessage};
use amurg_runtime::config::Endpoint;
use amurg_runtime::queue::Queue;
use amurg_runtime::receive::{Nap, Sleeper};
use amurg_runtime::session::admission::Permit;
use crossbeam_channel::bounded;

type Act = Box<dyn FnOnce(&mut dyn Agent) + Send>;

/// The agent, as the test's thread reaches it.
struct Lent {
    mailbox: Arc<Mailbox>,
    interrupts: bool,
    announces: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Mailbox {
    /// `None`: the test is over.
    acts: Queue<Option<Act>>,
    sleeper: Sleeper,
}

/// Puts an agent that wants to be attended to into a thread that does so.
pub fn lend(agent: Box<dyn Agent>) -> Box<dyn Agent> {
    let Some(waker) = agent.waker() else { return agent };
    let mailbox = Arc::new(Mailbox::default());
    let (interrupts, announces) = (agent.interrupts(), agent.announces());
    let reads = Arc::clone(&mailbox);
    let run = move || {
        let mut agent = agent;
        let attention = reads.sleeper.polls(waker);
        let nothing_came = || reads.acts.is_empty();
        loop {
            match reads.acts.pop() {
                Some(Some(act)) => act(&mut *agent),
                Some(None) => return,
                None => agent.attend(None, Nap::new(&attention, &nothing_came)),
            }
        }
    };
    let thread = thread::Builder::new().name("session test".into()).spawn(run).expect("a thread");
    Box::new(Lent { mailbox, interrupts, announces, thread: Some(thread) })
}

impl Lent {
    fn put(&self, act: Option<Act>) {
        self.mailbox.acts.push(act);
        self.mailbox.sleeper.wake();
    }

    fn act(&self, act: impl FnOnce(&mut dyn Agent) + Send + 'static) {
        self.put(Some(Box::new(act)));
    }

    fn ask<T: Send + 'static>(&self, act: impl FnOnce(&mut dyn Agent) -> T + Send + 'static) -> T {
        let (answer, answered) = bounded(1);
        self.act(move |agent| answer.send(act(agent)).expect("the test waits"));
        answered.recv_timeout(super::PATIENCE).expect("the agent answers in time")
    }
}

impl Agent for Lent {
    fn ready(&mut self) {
        self.act(|agent| agent.ready());
    }

    fn message(&mut self, message: TurnMessage) {
        self.act(|agent| agent.message(message));
    }

    fn announces(&self) -> bool {
        self.announces
    }

    fn input(&mut self, content: String, permit: Permit) {
        self.act(|agent| agent.input(content, permit));
    }

    fn stop(&mut self) {
        self.act(|agent| agent.stop());
    }

    fn force_stop(&mut self) -> bool {
        self.ask(|agent| agent.force_stop())
    }

    fn idle_expired(&mut self, turn: u64) {
        self.act(move |agent| agent.idle_expired(turn));
    }

    fn time_expired(&mut self, turn: u64) {
        self.act(move |agent| agent.time_expired(turn));
    }

    fn file(&mut self, file: &StoredFile) -> FileUse {
        let file = file.clone();
        self.ask(move |agent| agent.file(&file))
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        self.act(|agent| agent.reconfigure(endpoint));
    }

    fn close(&mut self) {
        self.act(|agent| agent.close());
    }

    fn interrupts(&self) -> bool {
        self.interrupts
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.put(None);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the session's thread panicked");
        }
    }
}
