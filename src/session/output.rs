//! What an agent writes into: its session's lane, with the running number and
//! the moment of the last output.

use std::sync::Arc;

use crate::hub::outbox::Lane;

/// One session's output. Shared by its worker and the threads that read its agent.
#[derive(Debug)]
pub struct SessionOutput {
    session_id: Arc<str>,
    lane: Lane,
}
