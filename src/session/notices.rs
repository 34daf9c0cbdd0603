//! What a user may read as a `system` line: every sentence in one place, so
//! that they speak with one voice. Each says what happened, and what to do
//! where there is something to do.
//!
//! Names from outside are cut and freed of control characters before they
//! appear here; nothing here ever holds a secret.

use std::time::Duration;

use crate::logging::Quoted;

fn words(limit: Duration) -> String {
    humantime::format_duration(limit).to_string()
}

/// The endpoint of a `session.create` or message is not configured here.
pub fn unknown_endpoint(id: &str) -> String {
    format!(
        "This runtime has no agent {}. It may have been renamed or removed; choose another one.",
        Quoted(id)
    )
}

/// `runtime.max_sessions` is reached and no session can make room.
pub fn runtime_full(max: usize) -> String {
    format!(
        "This runtime already has {max} sessions, the most it may have (runtime.max_sessions), and all are in use. Try again later."
    )
}

/// Sessions that were closed still have processes, too many for another one.
pub fn still_ending(count: usize) -> String {
    format!("{count} sessions of this runtime are still ending. Try again in a few seconds.")
}

/// The endpoint's `max_sessions` is reached and no session can make room.
pub fn endpoint_full(id: &str, max: usize) -> String {
    format!(
        "Agent {} already has {max} sessions, the most it may have (limits.max_sessions), and all are in use. Try again later.",
        Quoted(id)
    )
}

/// A thread or descriptor could not be had.
pub fn out_of_resources(error: &std::io::Error) -> String {
    format!(
        "The session could not be started: {error}. The machine is short of resources; try again later."
    )
}

/// The runtime is about to stop.
pub fn shutting_down() -> String {
    "This runtime is stopping and takes no new work. Try again in a moment.".into()
}

/// A message for a session nobody remembers.
pub fn unknown_session() -> String {
    "This runtime does not know this session and cannot make it again. Start a new one.".into()
}

/// The session was given another endpoint than it has.
pub fn other_endpoint(id: &str) -> String {
    format!("This session already exists with the agent {}. Start a new one.", Quoted(id))
}

/// The queue of messages behind the running turn is full.
pub fn queue_full(max: usize) -> String {
    format!(
        "{max} messages are waiting already; this one was not taken. Wait for the running one, or stop it."
    )
}

/// Too much input waits to be taken by the agent.
pub fn input_full() -> String {
    "The agent has not taken its earlier input; this message was not taken. Wait for it, or stop it.".into()
}

/// The session had no activity for its limit.
pub fn inactive(limit: Duration) -> String {
    format!(
        "The session was ended after {} without activity (session_timeout). Its next message starts it again.",
        words(limit)
    )
}

/// The session made room for another one.
pub fn reclaimed() -> String {
    "The session was quiet and made room for another one (max_sessions). Its next message starts it again."
        .into()
}

/// The session's endpoint is gone, or another kind of agent now.
pub fn removed() -> String {
    "The session was ended: its agent was taken out of the configuration, or changed in kind."
        .into()
}

/// A turn did not end within its grace after a stop.
pub fn stop_forced(grace: Duration) -> String {
    format!("The agent did not stop within {}; its processes were ended.", words(grace))
}

/// A permission request was not answered in time.
pub fn permission_expired(tool: &str, limit: Duration) -> String {
    format!(
        "The request to use {} was denied: nobody answered within {}.",
        Quoted(tool),
        words(limit)
    )
}

/// A turn was open when an earlier run of this runtime was killed.
pub fn interrupted_by_restart() -> String {
    "The runtime was restarted while this was running; what was still to come is lost. Send it again if needed."
        .into()
}

/// A queued message had not run when an earlier run of this runtime was killed.
pub fn queued_at_restart() -> String {
    "The runtime was restarted before this message could run. Send it again.".into()
}

/// Messages that could not be delivered at the end of the last run.
pub fn undelivered(entries: u64) -> String {
    format!(
        "{entries} message(s) of this session could not be delivered before the runtime was stopped."
    )
}

/// Queued messages of a session that ends are not run.
pub fn queue_dropped() -> String {
    "The session ended before this message could run. Send it again.".into()
}

/// An uploaded file was refused.
pub fn upload_refused(name: &str, reason: &str) -> String {
    format!("The file {} was not taken: {}.", Quoted(name), reason.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_forge_a_line() {
        let notice = unknown_endpoint("x\n\u{1b}[31mroot");
        assert!(!notice.contains('\n') && !notice.contains('\u{1b}'), "{notice:?}");
    }
}
