//! Hub → runtime, as text: what a hub of either dialect says. Pure functions.

use std::time::SystemTime;

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::protocol::Dialect;

/// Name of the id field of an endpoint.
fn id_field(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Endpoint => "endpoint_id",
        Dialect::Agent => "agent_id",
    }
}

fn envelope(kind: &str, session: Option<&str>, payload: &Value) -> String {
    let ts = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
    let mut envelope = json!({ "type": kind, "ts": ts, "payload": payload });
    if let Some(session) = session {
        envelope["session_id"] = session.into();
    }
    envelope.to_string()
}

pub(super) fn hello_ack(refusal: Option<&str>) -> String {
    let payload = match refusal {
        None => json!({ "ok": true }),
        Some(error) => json!({ "ok": false, "error": error }),
    };
    envelope("hello.ack", None, &payload)
}

pub(super) fn session_create(
    dialect: Dialect,
    session: &str,
    endpoint: &str,
    user: &str,
) -> String {
    let mut payload = json!({ "session_id": session, "user_id": user });
    payload[id_field(dialect)] = endpoint.into();
    if dialect == Dialect::Agent {
        payload["prompt_profile"] = "standard".into();
    }
    envelope("session.create", Some(session), &payload)
}

pub(super) fn session_close(session: &str, reason: &str) -> String {
    let payload = json!({ "session_id": session, "reason": reason });
    envelope("session.close", Some(session), &payload)
}

/// What a user typed.
pub(super) struct Words<'a> {
    pub session: &'a str,
    pub message: &'a str,
    pub content: &'a str,
    /// Endpoint and user, which newer hubs send along.
    pub metadata: Option<(&'a str, &'a str)>,
}

/// `user.message` or `interactive.input`.
pub(super) fn words(dialect: Dialect, kind: &str, words: &Words<'_>) -> String {
    let mut payload = json!({
        "session_id": words.session,
        "message_id": words.message,
        "content": words.content,
    });
    if let (Dialect::Agent, Some((endpoint, user))) = (dialect, words.metadata) {
        payload["agent_id"] = endpoint.into();
        payload["user_id"] = user.into();
        payload["prompt_profile"] = "standard".into();
    }
    envelope(kind, Some(words.session), &payload)
}

pub(super) fn stop_request(session: &str) -> String {
    envelope("stop.request", Some(session), &json!({ "session_id": session }))
}

pub(super) fn permission_response(
    session: &str,
    request: &str,
    approved: bool,
    always_allow: bool,
) -> String {
    let payload = json!({
        "session_id": session,
        "request_id": request,
        "approved": approved,
        "always_allow": always_allow,
    });
    envelope("permission.response", Some(session), &payload)
}

pub(super) fn file_upload(
    session: &str,
    file: &str,
    name: &str,
    mime_type: &str,
    data: &[u8],
) -> String {
    let payload = json!({
        "session_id": session,
        "metadata": { "file_id": file, "name": name, "mime_type": mime_type, "size": data.len() },
        "data": base64::engine::general_purpose::STANDARD.encode(data),
    });
    envelope("file.upload", Some(session), &payload)
}

pub(super) fn config_update(
    dialect: Dialect,
    endpoint: &str,
    security: Option<Value>,
    limits: Option<Value>,
) -> String {
    let mut payload = Map::new();
    payload.insert(id_field(dialect).to_owned(), endpoint.into());
    for (name, part) in [("security", security), ("limits", limits)] {
        if let Some(part) = part {
            payload.insert(name.to_owned(), part);
        }
    }
    let kind = match dialect {
        Dialect::Endpoint => "endpoint.config_update",
        Dialect::Agent => "agent.config_update",
    };
    envelope(kind, None, &Value::Object(payload))
}

pub(super) fn native_sessions_list(endpoint: &str, request: &str) -> String {
    let payload = json!({ "agent_id": endpoint, "request_id": request });
    envelope("native.sessions.list", None, &payload)
}

pub(super) fn token_refresh(token: &str) -> String {
    envelope("runtime.token_refresh", None, &json!({ "token": token }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str) -> Value {
        serde_json::from_str::<Value>(text).expect("JSON")["payload"].clone()
    }

    #[test]
    fn only_newer_hubs_send_metadata_with_a_message() {
        let said = Words { session: "s", message: "m", content: "hi", metadata: Some(("sh", "u")) };
        assert_eq!(
            payload(&words(Dialect::Endpoint, "user.message", &said)),
            json!({ "session_id": "s", "message_id": "m", "content": "hi" })
        );
        let newer = payload(&words(Dialect::Agent, "user.message", &said));
        assert_eq!((&newer["agent_id"], &newer["user_id"]), (&json!("sh"), &json!("u")));
    }

    #[test]
    fn a_push_holds_only_what_is_pushed() {
        let text = config_update(Dialect::Endpoint, "sh", None, Some(json!({ "max_sessions": 1 })));
        assert_eq!(payload(&text), json!({ "endpoint_id": "sh", "limits": { "max_sessions": 1 } }));
    }

    #[test]
    fn timestamps_carry_fractions_and_a_zone() {
        let ack: Value = serde_json::from_str(&hello_ack(None)).expect("JSON");
        let ts = ack["ts"].as_str().expect("text");
        assert!(ts.contains('.') && ts.ends_with('Z'), "{ts}");
    }
}
