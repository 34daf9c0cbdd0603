//! Permission requests of one session that wait for a person, and what was
//! allowed for good. Knows nothing of agents or hubs.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::agent::PermissionRequest;

/// A request nobody answered for this long is denied.
pub const TIMEOUT: Duration = Duration::from_secs(120);
/// Requests that may wait at once; an agent that asks more is denied unasked.
pub const MAX_PENDING: usize = 32;
/// Tools that may be allowed for good in one session.
const MAX_ALWAYS: usize = 256;

/// Pending requests, in the order they were asked, and tools always allowed.
#[derive(Debug, Default)]
pub struct Permissions {
    pending: Vec<Pending>,
    always: HashSet<String>,
}

#[derive(Debug)]
struct Pending {
    request_id: String,
    tool: String,
    deadline: Instant,
}

/// A request whose time is over.
#[derive(Debug, PartialEq, Eq)]
pub struct Expired {
    /// The adapter's id of the question.
    pub request_id: String,
    /// What it wanted to use.
    pub tool: String,
    /// How long it waited.
    pub limit: Duration,
}

impl Permissions {
    /// Takes a question. `Some` is the answer at once (allowed for good, asked
    /// twice, or too many pending); `None`: a person must be asked.
    pub fn ask(&mut self, request: &PermissionRequest, now: Instant) -> Option<bool> {
        if self.always.contains(&request.tool) {
            return Some(true);
        }
        let known = self.pending.iter().any(|pending| pending.request_id == request.request_id);
        if known || self.pending.len() >= MAX_PENDING {
            return Some(false);
        }
        self.pending.push(Pending {
            request_id: request.request_id.clone(),
            tool: request.tool.clone(),
            deadline: now + TIMEOUT,
        });
        None
    }

    /// Takes an answer; false when nobody asked (any more).
    pub fn answered(&mut self, request_id: &str, always: bool) -> bool {
        let Some(at) = self.pending.iter().position(|pending| pending.request_id == request_id)
        else {
            return false;
        };
        let pending = self.pending.remove(at);
        if always && self.always.len() < MAX_ALWAYS {
            self.always.insert(pending.tool);
        }
        true
    }

    /// Takes out what has waited too long.
    pub fn expire(&mut self, now: Instant) -> Vec<Expired> {
        let expired = self.pending.extract_if(.., |pending| pending.deadline <= now);
        expired
            .map(|Pending { request_id, tool, .. }| Expired { request_id, tool, limit: TIMEOUT })
            .collect()
    }

    /// Takes out everything pending: a lost connection denies it.
    pub fn take_all(&mut self) -> Vec<String> {
        std::mem::take(&mut self.pending).into_iter().map(|pending| pending.request_id).collect()
    }

    /// When the next request runs out.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.deadline).min()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str, tool: &str) -> PermissionRequest {
        PermissionRequest {
            request_id: id.into(),
            tool: tool.into(),
            description: String::new(),
            resource: None,
        }
    }

    #[test]
    fn always_allow_holds_for_that_tool_only() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        assert_eq!(permissions.ask(&request("1", "Bash"), now), None);
        assert!(permissions.answered("1", true));
        assert_eq!(permissions.ask(&request("2", "Bash"), now), Some(true));
        assert_eq!(permissions.ask(&request("3", "Write"), now), None);
    }

    #[test]
    fn an_unanswered_request_expires_once() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        permissions.ask(&request("1", "Bash"), now);
        assert!(permissions.expire(now).is_empty());
        assert_eq!(permissions.expire(now + TIMEOUT).len(), 1);
        assert!(!permissions.answered("1", false), "a late answer finds nobody");
    }

    #[test]
    fn an_agent_that_asks_for_ever_is_denied() {
        let (mut permissions, now) = (Permissions::default(), Instant::now());
        for n in 0..MAX_PENDING {
            assert_eq!(permissions.ask(&request(&n.to_string(), "Bash"), now), None);
        }
        assert_eq!(permissions.ask(&request("one more", "Bash"), now), Some(false));
    }
}
