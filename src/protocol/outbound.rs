//! Runtime → hub: a frame for each thing the runtime can say.
//!
//! Every frame has an `id` of its own. When a thing is said, and whether it is
//! said again, is decided elsewhere.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::Dialect;
use super::envelope::{Envelope, push_string};
use super::output_frame::OutputFrame;
use super::registration::Registration;
use crate::agent::PermissionRequest;
use crate::secret::Secret;

/// One text frame, ready for the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// The envelope's `id`, the same whenever the frame is sent again.
    pub id: String,
    /// The whole envelope as JSON text.
    pub text: String,
}

/// Shows the length only: a text may hold a token, or what a user wrote.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("id", &self.id).field("bytes", &self.text.len()).finish()
    }
}

/// Where a browser shows an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The agent's standard output, or its answer.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// The runtime's own words: a small centred line.
    System,
    /// The use of a tool.
    Tool,
    /// A question to the user.
    Question,
    /// An adapter's own, passed along; its length is its adapter's to bound.
    Other(String),
}

impl Channel {
    /// The channel's name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::System => "system",
            Self::Tool => "tool",
            Self::Question => "question",
            Self::Other(name) => name,
        }
    }
}

/// What `file.available` says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileMeta<'a> {
    /// Unique id.
    pub file_id: &'a str,
    /// Name to show.
    pub name: &'a str,
    /// Media type.
    pub mime_type: &'a str,
    /// Length in bytes, before base64.
    pub size: usize,
}

/// `runtime.hello`: who is calling, with every endpoint under both dialects' names.
pub fn hello(
    runtime_id: &str,
    token: &Secret,
    org_id: Option<&str>,
    registrations: &[Registration],
) -> Frame {
    #[derive(Serialize)]
    struct Hello<'a> {
        runtime_id: &'a str,
        token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        org_id: Option<&'a str>,
        endpoints: &'a [Registration],
        agents: &'a [Registration],
    }
    let (endpoints, agents) = (registrations, registrations);
    let hello = Hello { runtime_id, token: token.expose(), org_id, endpoints, agents };
    frame("runtime.hello", None, &hello)
}

/// `session.created`: the session stands, or why it does not.
pub fn session_created(session_id: &str, outcome: Result<(), &str>) -> Frame {
    frame("session.created", Some(session_id), &SessionOutcome::of(session_id, outcome))
}

/// `stop.ack`: the stop was taken up, or why not.
pub fn stop_ack(session_id: &str, outcome: Result<(), &str>) -> Frame {
    frame("stop.ack", Some(session_id), &SessionOutcome::of(session_id, outcome))
}

/// `turn.started` for the message with the id `in_response_to`.
pub fn turn_started(session_id: &str, in_response_to: &str) -> Frame {
    frame("turn.started", Some(session_id), &Turn { session_id, in_response_to, exit_code: None })
}

/// `turn.completed` for the message with the id `in_response_to`.
pub fn turn_completed(session_id: &str, in_response_to: &str, exit_code: Option<i32>) -> Frame {
    frame("turn.completed", Some(session_id), &Turn { session_id, in_response_to, exit_code })
}

/// `agent.output` with a whole text. Content of 64 KiB at most stays below what
/// every hub accepts, whatever has to be escaped.
pub fn output(session_id: &str, seq: u64, channel: &Channel, content: &str) -> Frame {
    let mut frame = OutputFrame::begin(session_id, seq, channel, content.len());
    frame.push(content.as_bytes());
    frame.finish()
}

/// `permission.request`.
pub fn permission_request(session_id: &str, request: &PermissionRequest) -> Frame {
    #[derive(Serialize)]
    struct Permission<'a> {
        session_id: &'a str,
        request_id: &'a str,
        tool: &'a str,
        description: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<&'a str>,
    }
    let permission = Permission {
        session_id,
        request_id: &request.request_id,
        tool: &request.tool,
        description: &request.description,
        resource: request.resource.as_deref(),
    };
    frame("permission.request", Some(session_id), &permission)
}

/// `file.available`, with the file's bytes.
pub fn file_available(session_id: &str, metadata: &FileMeta<'_>, data: &[u8]) -> Frame {
    // The base64 goes straight into the frame: it needs no escaping, and a file is large.
    let metadata = json(metadata);
    let payload_len = 64 + session_id.len() + metadata.len() + data.len().div_ceil(3) * 4;
    let mut envelope = Envelope::open("file.available", Some(session_id), payload_len);
    let text = &mut envelope.text;
    text.push_str("{\"session_id\":");
    push_string(text, session_id);
    text.push_str(",\"metadata\":");
    text.push_str(&metadata);
    text.push_str(",\"data\":\"");
    STANDARD.encode_string(data, text);
    text.push_str("\"}");
    envelope.close()
}

/// `endpoint.config_ack` or `agent.config_ack`, as the push was spelled.
pub fn config_ack(dialect: Dialect, endpoint_id: &str, outcome: Result<(), &str>) -> Frame {
    #[derive(Serialize)]
    struct ConfigAck<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        endpoint_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_id: Option<&'a str>,
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
    }
    let (kind, endpoint_id, agent_id) = match dialect {
        Dialect::Endpoint => ("endpoint.config_ack", Some(endpoint_id), None),
        Dialect::Agent => ("agent.config_ack", None, Some(endpoint_id)),
    };
    let ack = ConfigAck { endpoint_id, agent_id, ok: outcome.is_ok(), error: reason(outcome) };
    frame(kind, None, &ack)
}

/// `native.sessions.response`: no profile has sessions of its own, the list is empty.
pub fn native_sessions_response(agent_id: &str, request_id: &str) -> Frame {
    #[derive(Serialize)]
    struct Response<'a> {
        agent_id: &'a str,
        request_id: &'a str,
        sessions: [(); 0],
    }
    frame("native.sessions.response", None, &Response { agent_id, request_id, sessions: [] })
}

/// `pong`.
pub fn pong() -> Frame {
    #[derive(Serialize)]
    struct Pong {}
    frame("pong", None, &Pong {})
}

#[derive(Serialize)]
struct SessionOutcome<'a> {
    session_id: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> SessionOutcome<'a> {
    fn of(session_id: &'a str, outcome: Result<(), &'a str>) -> Self {
        Self { session_id, ok: outcome.is_ok(), error: reason(outcome) }
    }
}

#[derive(Serialize)]
struct Turn<'a> {
    session_id: &'a str,
    in_response_to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

/// The text of a refusal. Hubs take only one that is not empty for a refusal.
fn reason(outcome: Result<(), &str>) -> Option<&str> {
    outcome.err().map(|text| if text.is_empty() { "refused" } else { text })
}

fn frame(kind: &str, session_id: Option<&str>, payload: &impl Serialize) -> Frame {
    let payload = json(payload);
    let mut envelope = Envelope::open(kind, session_id, payload.len() + 1);
    envelope.text.push_str(&payload);
    envelope.close()
}

/// The payloads above are structs of texts, numbers and booleans, which always serialise.
fn json(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_else(|error| unreachable!("own payload: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Takes a frame apart and checks what every envelope must have.
    fn parts(frame: &Frame) -> (String, Value, Value) {
        let mut value: Value = serde_json::from_str(&frame.text).unwrap();
        assert_eq!(value["id"], frame.id);
        assert!(humantime::parse_rfc3339(value["ts"].as_str().unwrap()).is_ok());
        let kind = value["type"].as_str().unwrap().to_owned();
        (kind, value["session_id"].take(), value["payload"].take())
    }

    #[test]
    fn hello_lists_the_endpoints_under_both_names_and_is_never_shown() {
        let token = Secret::new("tok\"en".into());
        let frame = hello("lab", &token, None, &[]);
        let (kind, session, payload) = parts(&frame);
        assert_eq!((kind.as_str(), session), ("runtime.hello", Value::Null));
        let expected =
            json!({"runtime_id": "lab", "token": "tok\"en", "endpoints": [], "agents": []});
        assert_eq!(payload, expected);
        assert_eq!(parts(&hello("lab", &token, Some("o"), &[])).2["org_id"], "o");
        assert!(!format!("{frame:?}").contains("tok"));
    }

    #[test]
    fn session_frames_have_the_shapes_hubs_accept() {
        let question = PermissionRequest {
            request_id: "r".into(),
            tool: "Bash".into(),
            description: "Run".into(),
            resource: None,
        };
        let expected = [
            (session_created("s", Ok(())), "session.created", json!({"ok": true})),
            (
                session_created("s", Err("full")),
                "session.created",
                json!({"ok": false, "error": "full"}),
            ),
            (stop_ack("s", Ok(())), "stop.ack", json!({"ok": true})),
            (stop_ack("s", Err("")), "stop.ack", json!({"ok": false, "error": "refused"})),
            (turn_started("s", "m"), "turn.started", json!({"in_response_to": "m"})),
            (turn_completed("s", "m", None), "turn.completed", json!({"in_response_to": "m"})),
            (
                turn_completed("s", "m", Some(0)),
                "turn.completed",
                json!({"in_response_to": "m", "exit_code": 0}),
            ),
            (
                permission_request("s", &question),
                "permission.request",
                json!({"request_id": "r", "tool": "Bash", "description": "Run"}),
            ),
        ];
        for (frame, expected_kind, mut expected_payload) in expected {
            expected_payload["session_id"] = json!("s");
            let (kind, session, payload) = parts(&frame);
            assert_eq!(
                (kind.as_str(), session, payload),
                (expected_kind, json!("s"), expected_payload)
            );
        }
    }

    #[test]
    fn answers_speak_the_dialect_of_the_question() {
        let answers = [
            (
                config_ack(Dialect::Endpoint, "e", Ok(())),
                "endpoint.config_ack",
                json!({"endpoint_id": "e", "ok": true}),
            ),
            (
                config_ack(Dialect::Agent, "e", Err("no")),
                "agent.config_ack",
                json!({"agent_id": "e", "ok": false, "error": "no"}),
            ),
            (
                native_sessions_response("e", "r"),
                "native.sessions.response",
                json!({"agent_id": "e", "request_id": "r", "sessions": []}),
            ),
            (pong(), "pong", json!({})),
        ];
        for (frame, expected_kind, expected_payload) in answers {
            let (kind, session, payload) = parts(&frame);
            assert_eq!(
                (kind.as_str(), session, payload),
                (expected_kind, Value::Null, expected_payload)
            );
        }
    }

    #[test]
    fn a_file_is_carried_as_standard_base64_without_growing_the_text() {
        let metadata =
            FileMeta { file_id: "f", name: "a \"b\".txt", mime_type: "text/plain", size: 3 };
        let (kind, session, payload) = parts(&file_available("s", &metadata, b"abc"));
        assert_eq!((kind.as_str(), session), ("file.available", json!("s")));
        let expected = json!({
            "session_id": "s", "data": "YWJj",
            "metadata": {"file_id": "f", "name": "a \"b\".txt", "mime_type": "text/plain", "size": 3}
        });
        assert_eq!(payload, expected);

        let data: Vec<u8> = (0..=255).cycle().take(100_001).collect();
        let frame = file_available("s", &metadata, &data);
        let encoded = parts(&frame).2["data"].as_str().unwrap().to_owned();
        assert_eq!(STANDARD.decode(encoded).unwrap(), data);
        assert!(frame.text.capacity() < data.len() * 4 / 3 + 1_024);
    }

    #[test]
    fn every_output_has_its_own_message_id() {
        let frames = [1, 2].map(|seq| output("s", seq, &Channel::Other("mine".into()), "x"));
        let payloads = frames.map(|frame| parts(&frame).2);
        assert_eq!(payloads[0]["channel"], "mine");
        assert_ne!(payloads[0]["message_id"], payloads[1]["message_id"]);
    }
}
