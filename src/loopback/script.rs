//! Where a test may step in: each message is judged before the hub handles it.
//!
//! A judgement is a value; all waiting it asks for is the hub's, which ends it
//! when the connection ends. So no script can leave a thread behind.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::frame::Frame;
use super::peer::Peer;
use super::shared::Shared;

/// Decides about each message of a runtime. Called by the reader of its
/// connection, in order, and must not block.
pub type Script = Arc<dyn Fn(&Incoming<'_>) -> Verdict + Send + Sync>;

/// A message that was read and is not handled yet.
pub struct Incoming<'a> {
    /// Number of its connection, counted from 1.
    pub connection: u64,
    /// What came.
    pub what: Received<'a>,
    pub(super) hub: &'a Shared,
    pub(super) peer: &'a Peer,
}

/// What came.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// A text message.
    Frame(&'a Frame),
    /// A WebSocket ping with this content.
    Ping(&'a [u8]),
}

impl Incoming<'_> {
    /// Says `text` on the same connection at once: before the message is
    /// handled, so also before a hello is acknowledged.
    pub fn reply(&self, text: &str) {
        self.hub.say(self.peer, text.to_owned());
    }

    /// Whether it is a text message of this `type`.
    pub fn is(&self, kind: &str) -> bool {
        matches!(self.what, Received::Frame(frame) if frame.kind() == kind)
    }
}

/// What the hub does with a message.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// What real hubs do.
    Handle,
    /// It was read, and that is all: no ack, no pong.
    Ignore,
    /// A hello is refused with this error; any other message is handled.
    Refuse(String),
    /// Handled once the channel yields or is closed; until then nothing more of
    /// the connection is read. A late pong, and a hub that stopped reading.
    Hold(Receiver<()>),
    /// Handled after this time; until then nothing more of the connection is read.
    Delay(Duration),
    /// Not handled; the connection ends, with a reset or with a plain close.
    Cut {
        /// RST instead of FIN.
        reset: bool,
    },
}
