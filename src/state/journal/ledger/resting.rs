//! Sessions that are over and owe nothing, as they are packed: when they were used
//! last, in eight bytes, then as JSON what is remembered of them and the ids of their
//! newest messages. A session's own id is not among it: it is what finds the rest.

use std::collections::VecDeque;

use super::Session;
use crate::json;
use crate::state::journal::records::RememberedSession;

/// Endpoint, user, prompt profile, whether a command may still run, message ids.
type Content<Text, Ids> = (Text, Text, Option<Text>, bool, Ids);

/// Packs a session; `None` for one that is not remembered.
pub(super) fn pack(session: &Session) -> Option<Vec<u8>> {
    let known = session.remembered.as_ref()?;
    let content: Content<&str, &VecDeque<String>> = (
        &known.endpoint_id,
        &known.user_id,
        known.prompt_profile.as_deref(),
        known.uncertain,
        &session.recent,
    );
    let mut packed = session.used.to_ne_bytes().to_vec();
    serde_json::to_writer(&mut packed, &content).ok()?;
    Some(packed)
}

/// When a packed session was used last.
pub(super) fn used(packed: &[u8]) -> u64 {
    packed.first_chunk().copied().map_or(0, u64::from_ne_bytes)
}

/// The session that was packed.
pub(super) fn unpack(id: &str, packed: &[u8]) -> Option<Session> {
    let text = packed.get(size_of::<u64>()..)?;
    let content: Content<String, VecDeque<String>> = json::from_bytes(text).ok()?;
    let (endpoint_id, user_id, prompt_profile, uncertain, recent) = content;
    let remembered = RememberedSession {
        session_id: id.to_owned(),
        endpoint_id,
        user_id,
        prompt_profile,
        uncertain,
    };
    Some(Session {
        remembered: Some(remembered),
        used: used(packed),
        recent,
        at_rest: true,
        ..Session::default()
    })
}
