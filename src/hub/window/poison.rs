//! Messages that end the connection: found out, and set aside.
//!
//! A hub that dies of a message would be given it again for ever. What was
//! first in line when a connection ended is counted, but a bad network also
//! ends connections, and nothing innocent may be lost to it:
//!
//! | losses while first | how it is sent next                                    |
//! |--------------------|--------------------------------------------------------|
//! | none, one          | like any other                                         |
//! | two or more        | alone, and its second half only when a pong has proven |
//! |                    | that the hub got the first and is well                 |
//!
//! From the third loss on it is set aside if it must have been the cause: the
//! hub had it in hand, or gave an error as it closed, or it is so large that a
//! hub may refuse its size. Otherwise only after twenty losses.

use log::error;

use super::{Loss, Window};
use crate::hub::outbox::EntryKind;
use crate::logging::Quoted;
use crate::protocol::outbound::{self, Channel};

/// Losses first in line that make a message suspect.
const SUSPECT: u8 = 2;

/// Losses after which even a message that could be innocent is set aside.
const HOPELESS: u8 = 20;

/// No hub refuses a message up to this size, in bytes.
const ALWAYS_TAKEN: usize = 1024 * 1024;

/// Whether a suspect is on the wire, and what is known of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// None is.
    No,
    /// Its first part is being sent.
    Begun,
    /// That ping's pong proves that the first part arrived.
    Asked(u64),
    /// The first part arrived; what happens now is the message's own doing.
    InHand,
}

/// Whether a message with so many losses is to be sent alone.
pub fn is_suspect(losses: u8) -> bool {
    losses >= SUSPECT
}

impl Alone {
    /// A pong came.
    pub fn answered(&mut self, number: u64) {
        if matches!(self, Self::Asked(asked) if number >= *asked) {
            *self = Self::InHand;
        }
    }
}

impl Window {
    /// Counts the loss against what was first in line, and sets it aside if it
    /// was the cause.
    pub(super) fn strike_first(&mut self, loss: Loss) {
        let Some(session) = self.wire.front().and_then(|place| place.session.clone()) else {
            return;
        };
        let Some(item) = self.lanes.get_mut(&session).and_then(|queue| queue.entries.front_mut())
        else {
            return;
        };
        let was_alone = is_suspect(item.losses);
        item.losses += 1;
        let (bytes, losses, kind) = (item.text.len(), item.losses, item.kind);
        let is_cause =
            loss == Loss::Rejected || self.alone == Alone::InHand || bytes > ALWAYS_TAKEN;
        if losses < HOPELESS && !(was_alone && is_cause) {
            return;
        }
        let told = format!(
            "A message of {bytes} bytes could not be delivered: the connection to the hub broke \
             {losses} times while it was being sent. It was left out."
        );
        error!(
            "message set aside session={} kind={kind:?} bytes={bytes} losses={losses}",
            Quoted(&session)
        );
        item.give_back(&self.total);
        // The number is the hub's to give; `Control` because a notice must get through.
        item.text = outbound::output(&session, 0, &Channel::System, &told).text.into();
        item.kind = EntryKind::Control;
        item.losses = 0;
        self.room_in(&session);
        self.serve_line();
    }
}
