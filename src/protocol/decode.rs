//! One text frame of a hub to one [`Inbound`].
//!
//! A hub is outside: nothing here panics, recurses or builds more than it
//! keeps, whatever the text holds. What a message means is not known here.

use super::Dialect;
use super::fields::{Fields, MAX_ID};
use super::inbound::{ConfigUpdate, DecodeError, FileUpload, Inbound, SessionCreate, UserMessage};
use crate::secret::Secret;

/// Every field of every payload that is of interest.
const PAYLOAD: &[&str] = &[
    "session_id",
    "endpoint_id",
    "agent_id",
    "user_id",
    "message_id",
    "request_id",
    "resume_session_id",
    "prompt_profile",
    "content",
    "ok",
    "error",
    "reason",
    "approved",
    "always_allow",
    "metadata",
    "data",
    "security",
    "limits",
    "token",
];

type Read = fn(&Payload<'_>) -> Result<Inbound, DecodeError>;

/// The messages with a payload, and how each is read.
const MESSAGES: &[(&str, Read)] = &[
    ("hello.ack", hello_ack),
    ("session.create", session_create),
    ("session.close", session_close),
    ("user.message", |payload| user_message(payload).map(Inbound::UserMessage)),
    ("interactive.input", |payload| user_message(payload).map(Inbound::InteractiveInput)),
    ("stop.request", stop_request),
    ("permission.response", permission_response),
    ("file.upload", file_upload),
    ("endpoint.config_update", |payload| config_update(payload, Dialect::Endpoint)),
    ("agent.config_update", |payload| config_update(payload, Dialect::Agent)),
    ("native.sessions.list", native_sessions_list),
    ("runtime.token_refresh", token_refresh),
];

/// Reads one text frame of a hub.
///
/// Unknown fields are skipped, an unknown `type` is [`Inbound::Unknown`]. The
/// payload's `session_id` wins over the envelope's; either of `endpoint_id` and
/// `agent_id` is taken.
///
/// # Errors
/// What is no message, naming type and field. The connection need not suffer.
pub fn decode(text: &str) -> Result<Inbound, DecodeError> {
    let envelope = Fields::read("envelope", text, &["type", "session_id", "payload"])?;
    let kind = envelope.text("type")?;
    if kind == "ping" {
        return Ok(Inbound::Ping);
    }
    let Some((kind, read)) = MESSAGES.iter().find(|(known, _)| *known == kind) else {
        return Ok(Inbound::Unknown { kind: cut(kind) });
    };
    let envelope = envelope.called(kind);
    let fields = envelope.object("payload", kind, PAYLOAD)?;
    read(&Payload { fields, envelope })
}

/// The beginning of a type nobody knows, for the log.
fn cut(mut kind: String) -> String {
    let end = (0..=MAX_ID.min(kind.len())).rev().find(|end| kind.is_char_boundary(*end));
    kind.truncate(end.unwrap_or(0));
    kind
}

/// A payload and the envelope it came in.
struct Payload<'a> {
    fields: Fields<'a>,
    envelope: Fields<'a>,
}

impl Payload<'_> {
    /// The payload's, else the envelope's.
    fn session_id(&self) -> Result<String, DecodeError> {
        match self.fields.optional_id("session_id")? {
            Some(id) => Ok(id),
            None => self.envelope.id("session_id"),
        }
    }

    /// The dialect's own name of the field, else the other one's.
    fn endpoint_id(&self, own: &'static str, other: &'static str) -> Result<String, DecodeError> {
        match self.fields.optional_id(own)? {
            Some(id) => Ok(id),
            None => self.fields.optional_id(other).and_then(|id| match id {
                Some(id) => Ok(id),
                None => self.fields.id(own),
            }),
        }
    }
}

fn hello_ack(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::HelloAck {
        ok: payload.fields.flag("ok")?,
        error: payload.fields.optional_text("error")?,
    })
}

fn session_create(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::SessionCreate(SessionCreate {
        session_id: payload.session_id()?,
        endpoint_id: payload.endpoint_id("endpoint_id", "agent_id")?,
        // Told to the agent only; a hub without users leaves it empty.
        user_id: payload.fields.optional_id("user_id")?.unwrap_or_default(),
        resume_session_id: payload.fields.optional_id("resume_session_id")?,
        prompt_profile: payload.fields.optional_id("prompt_profile")?,
    }))
}

fn session_close(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::SessionClose {
        session_id: payload.session_id()?,
        reason: payload.fields.optional_text("reason")?,
    })
}

fn user_message(payload: &Payload<'_>) -> Result<UserMessage, DecodeError> {
    let endpoint_id = match payload.fields.optional_id("agent_id")? {
        Some(id) => Some(id),
        None => payload.fields.optional_id("endpoint_id")?,
    };
    Ok(UserMessage {
        session_id: payload.session_id()?,
        message_id: payload.fields.id("message_id")?,
        content: payload.fields.text("content")?,
        endpoint_id,
        user_id: payload.fields.optional_id("user_id")?,
        prompt_profile: payload.fields.optional_id("prompt_profile")?,
    })
}

fn stop_request(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::StopRequest { session_id: payload.session_id()? })
}

fn permission_response(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::PermissionResponse {
        session_id: payload.session_id()?,
        request_id: payload.fields.id("request_id")?,
        approved: payload.fields.flag_or_false("approved")?,
        always_allow: payload.fields.flag_or_false("always_allow")?,
    })
}

fn file_upload(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    const METADATA: &[&str] = &["file_id", "name", "mime_type"];
    let metadata = payload.fields.object("metadata", "file.upload metadata", METADATA)?;
    Ok(Inbound::FileUpload(FileUpload {
        session_id: payload.session_id()?,
        file_id: metadata.id("file_id")?,
        name: metadata.optional_text("name")?.unwrap_or_default(),
        mime_type: metadata.optional_text("mime_type")?.unwrap_or_default(),
        data: payload.fields.text("data")?,
    }))
}

fn config_update(payload: &Payload<'_>, dialect: Dialect) -> Result<Inbound, DecodeError> {
    let endpoint_id = match dialect {
        Dialect::Endpoint => payload.endpoint_id("endpoint_id", "agent_id")?,
        Dialect::Agent => payload.endpoint_id("agent_id", "endpoint_id")?,
    };
    Ok(Inbound::ConfigUpdate(ConfigUpdate {
        endpoint_id,
        dialect,
        security: payload.fields.tree("security")?,
        limits: payload.fields.tree("limits")?,
    }))
}

fn native_sessions_list(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::NativeSessionsList {
        agent_id: payload.endpoint_id("agent_id", "endpoint_id")?,
        request_id: payload.fields.id("request_id")?,
    })
}

fn token_refresh(payload: &Payload<'_>) -> Result<Inbound, DecodeError> {
    Ok(Inbound::TokenRefresh { token: Secret::new(payload.fields.text("token")?) })
}

#[cfg(test)]
mod tests {
    use super::super::inbound::Problem;
    use super::*;

    fn field(text: &str) -> (&'static str, &'static str, Problem) {
        match decode(text) {
            Err(DecodeError::Field { of, field, problem }) => (of, field, problem),
            other => panic!("{other:?}"),
        }
    }

    fn is_refused(text: &str) -> bool {
        decode(text).is_err_and(|error| !error.to_string().is_empty())
    }

    #[test]
    fn acknowledgements_and_tokens() {
        let ok = decode(r#"{"type":"hello.ack","ts":"x","payload":{"ok":true}}"#);
        assert_eq!(ok, Ok(Inbound::HelloAck { ok: true, error: None }));
        let refused = decode(r#"{"payload":{"error":"who?","ok":false},"type":"hello.ack"}"#);
        assert_eq!(refused, Ok(Inbound::HelloAck { ok: false, error: Some("who?".into()) }));
        let token = decode(r#"{"type":"runtime.token_refresh","payload":{"token":"t"}}"#).unwrap();
        assert_eq!(token, Inbound::TokenRefresh { token: Secret::new("t".into()) });
        assert_eq!(decode(r#"{"type":"ping","payload":{}}"#), Ok(Inbound::Ping));
        assert_eq!(decode(r#"{"type":"ping"}"#), Ok(Inbound::Ping));
    }

    #[test]
    fn a_session_is_created_in_both_dialects() {
        let expected = Inbound::SessionCreate(SessionCreate {
            session_id: "s".into(),
            endpoint_id: "sh".into(),
            user_id: "u".into(),
            resume_session_id: None,
            prompt_profile: Some("standard".into()),
        });
        for name in ["endpoint_id", "agent_id"] {
            let text = format!(
                r#"{{"type":"session.create","session_id":"s","payload":{{"session_id":"s",
                "{name}":"sh","user_id":"u","prompt_profile":"standard","resume_session_id":null}}}}"#
            );
            assert_eq!(decode(&text), Ok(expected.clone()), "{name}");
        }
    }

    #[test]
    fn messages_carry_metadata_only_in_the_newer_dialect() {
        let older = decode(
            r#"{"type":"user.message","payload":{"session_id":"s","message_id":"m","content":"é\n\u0000"}}"#,
        );
        let message = UserMessage {
            session_id: "s".into(),
            message_id: "m".into(),
            content: "é\n\0".into(),
            ..UserMessage::default()
        };
        assert_eq!(older, Ok(Inbound::UserMessage(message.clone())));
        let newer = decode(
            r#"{"type":"interactive.input","payload":{"session_id":"s","message_id":"m","content":"é\n\u0000",
            "agent_id":"sh","user_id":"u","prompt_profile":"","native_handle":{"a":[1]}}}"#,
        );
        let message =
            UserMessage { endpoint_id: Some("sh".into()), user_id: Some("u".into()), ..message };
        assert_eq!(newer, Ok(Inbound::InteractiveInput(message)));
    }

    #[test]
    fn stops_closes_and_decisions() {
        let stop = decode(r#"{"type":"stop.request","payload":{"session_id":"s"}}"#);
        assert_eq!(stop, Ok(Inbound::StopRequest { session_id: "s".into() }));
        let close =
            decode(r#"{"type":"session.close","payload":{"session_id":"s","reason":"bye"}}"#);
        let expected = Inbound::SessionClose { session_id: "s".into(), reason: Some("bye".into()) };
        assert_eq!(close, Ok(expected));
        // What does not say "approved" is a refusal.
        for (said, approved, always_allow) in
            [(r#","approved":true,"always_allow":true"#, true, true), ("", false, false)]
        {
            let decision = decode(&format!(
                r#"{{"type":"permission.response","payload":{{"session_id":"s","request_id":"r"{said}}}}}"#
            ));
            let (session_id, request_id) = ("s".into(), "r".into());
            let expected =
                Inbound::PermissionResponse { session_id, request_id, approved, always_allow };
            assert_eq!(decision, Ok(expected));
        }
    }

    #[test]
    fn files_and_native_sessions() {
        let file = decode(
            r#"{"type":"file.upload","payload":{"session_id":"s","data":"YWJj",
            "metadata":{"file_id":"f","name":"no te ü.txt","mime_type":"text/plain","size":3}}}"#,
        );
        let expected = FileUpload {
            session_id: "s".into(),
            file_id: "f".into(),
            name: "no te ü.txt".into(),
            mime_type: "text/plain".into(),
            data: "YWJj".into(),
        };
        assert_eq!(file, Ok(Inbound::FileUpload(expected)));
        let list = decode(
            r#"{"type":"native.sessions.list","payload":{"agent_id":"a","request_id":"r"}}"#,
        );
        let expected = Inbound::NativeSessionsList { agent_id: "a".into(), request_id: "r".into() };
        assert_eq!(list, Ok(expected));
    }

    #[test]
    fn a_push_keeps_its_dialect_and_its_objects_as_they_came() {
        for (name, dialect) in [("endpoint", Dialect::Endpoint), ("agent", Dialect::Agent)] {
            let push = decode(&format!(
                r#"{{"type":"{name}.config_update","payload":{{"{name}_id":"sh",
                "limits":{{"max_sessions":3,"idle_timeout":"7s"}}}}}}"#
            ));
            let Ok(Inbound::ConfigUpdate(push)) = push else { panic!("{push:?}") };
            assert_eq!(
                (push.endpoint_id.as_str(), push.dialect, push.security),
                ("sh", dialect, None)
            );
            assert_eq!(push.limits.unwrap()["max_sessions"], 3);
        }
    }

    #[test]
    fn what_is_unknown_is_skipped_and_cut() {
        let unknown = decode(r#"{"type":"new.thing","payload":[{"deep":1}],"more":{}}"#);
        assert_eq!(unknown, Ok(Inbound::Unknown { kind: "new.thing".into() }));
        let long = decode(&format!(r#"{{"type":"{}"}}"#, "€".repeat(1_000)));
        assert_eq!(long, Ok(Inbound::Unknown { kind: "€".repeat(85) }));
    }

    #[test]
    fn the_payloads_session_wins_over_the_envelopes() {
        let both =
            r#"{"type":"stop.request","session_id":"outer","payload":{"session_id":"inner"}}"#;
        assert_eq!(decode(both), Ok(Inbound::StopRequest { session_id: "inner".into() }));
        for payload in [r"{}", r#"{"session_id":null}"#, r#"{"session_id":""}"#] {
            let text =
                format!(r#"{{"type":"stop.request","session_id":"outer","payload":{payload}}}"#);
            assert_eq!(decode(&text), Ok(Inbound::StopRequest { session_id: "outer".into() }));
        }
    }

    #[test]
    fn errors_name_the_message_and_the_field() {
        let number = r#"{"type":"stop.request","payload":{"session_id":7}}"#;
        assert_eq!(
            decode(number).unwrap_err().to_string(),
            "stop.request: field `session_id` must be a string, is a number"
        );
        let missing = ("stop.request", "payload", Problem::Missing);
        assert_eq!(field(r#"{"type":"stop.request"}"#), missing);
        assert_eq!(field(r#"{"type":"stop.request","payload":null}"#), missing);
        assert_eq!(field(r"{}"), ("envelope", "type", Problem::Missing));
        let wrong = |expected, found| Problem::WrongType { expected, found };
        let payload = field(r#"{"type":"stop.request","payload":[]}"#);
        assert_eq!(payload, ("stop.request", "payload", wrong("an object", "an array")));
        let ok = field(r#"{"type":"hello.ack","payload":{"ok":"true"}}"#);
        assert_eq!(ok, ("hello.ack", "ok", wrong("a boolean", "a string")));
        let huge = field(r#"{"type":"hello.ack","payload":{"ok":1e999999999999}}"#);
        assert_eq!(huge, ("hello.ack", "ok", wrong("a boolean", "a number")));
        let name = field(
            r#"{"type":"file.upload","payload":{"session_id":"s","data":"","metadata":{"file_id":"f","name":{}}}}"#,
        );
        assert_eq!(name, ("file.upload metadata", "name", wrong("a string", "an object")));
        let limits =
            field(r#"{"type":"agent.config_update","payload":{"agent_id":"a","limits":"x"}}"#);
        assert_eq!(limits, ("agent.config_update", "limits", wrong("an object", "a string")));
    }

    #[test]
    fn ids_have_between_1_and_256_bytes() {
        let stop =
            |id: &str| format!(r#"{{"type":"stop.request","payload":{{"session_id":"{id}"}}}}"#);
        assert!(decode(&stop(&"x".repeat(256))).is_ok());
        let problem = Problem::TooLong { bytes: 258, most: 256 };
        assert_eq!(field(&stop(&"é".repeat(129))), ("stop.request", "session_id", problem));
        assert!(is_refused(&stop("")));
        let empty =
            r#"{"type":"user.message","payload":{"session_id":"s","message_id":"","content":""}}"#;
        assert_eq!(field(empty), ("user.message", "message_id", Problem::Empty));
    }

    #[test]
    fn text_that_is_no_text_is_refused() {
        let message = |content: &str| {
            format!(
                r#"{{"type":"user.message","payload":{{"session_id":"s","message_id":"m","content":"{content}"}}}}"#
            )
        };
        let lone = ("user.message", "content", Problem::Surrogate);
        for half in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\ud800x"] {
            assert_eq!(field(&message(half)), lone, "{half}");
        }
        assert!(decode(&message(r"\ud83d\ude00")).is_ok());
        // Control characters must be escaped in JSON.
        assert!(is_refused(&message("\0")) && is_refused(&message("\n")));
        // In a name nothing can be said but that it is broken.
        assert!(is_refused(r#"{"type":"ping","\ud800":1}"#));
    }

    #[test]
    fn garbage_is_refused_and_never_quoted() {
        let garbage = [
            "",
            " ",
            "{",
            "}",
            "[]",
            "null",
            "7",
            "-",
            "\"hunter2\"",
            "true",
            "{\"type\"}",
            "{\"type\":}",
            "{\"type\":\"ping\"} hunter2",
            "{\"type\":\"ping\",}",
            "{type:1}",
            "\u{feff}{}",
            "\0",
            "{\"type\":7}",
            "{\"type\":{\"a\":[]}}",
            "{\"type\":\"stop.request\",\"payload\":\"hunter2\"}",
        ];
        for text in garbage {
            let error = decode(text).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn of_a_repeated_field_the_last_counts() {
        let twice = r#"{"type":"ping","type":"stop.request","payload":{"session_id":"a","session_id":"b"}}"#;
        assert_eq!(decode(twice), Ok(Inbound::StopRequest { session_id: "b".into() }));
    }

    #[test]
    fn deep_nesting_neither_overflows_the_stack_nor_ends_up_in_a_tree() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let skipped = format!(
            r#"{{"x":{deep},"type":"stop.request","payload":{{"session_id":"s","y":{deep}}}}}"#
        );
        assert_eq!(decode(&skipped), Ok(Inbound::StopRequest { session_id: "s".into() }));
        assert!(is_refused(&deep));
        assert!(is_refused(&deep[..1_000_000]));
        let objects = "{\"a\":".repeat(1_000_000);
        assert!(is_refused(&objects));
        let push = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(
                r#"{{"type":"agent.config_update","payload":{{"agent_id":"a","security":{{"x":{open}{close}}}}}}}"#
            )
        };
        assert!(decode(&push(100)).is_ok());
        for levels in [200, 100_000] {
            assert!(matches!(
                field(&push(levels)),
                ("agent.config_update", "security", Problem::Unreadable(_))
            ));
        }
    }

    #[test]
    fn a_tree_is_bounded_by_its_text() {
        let wide = "0,".repeat(200_000);
        let text = format!(
            r#"{{"type":"agent.config_update","payload":{{"agent_id":"a","limits":{{"x":[{wide}0]}}}}}}"#
        );
        assert!(matches!(field(&text), ("agent.config_update", "limits", Problem::TooLong { .. })));
    }

    #[test]
    fn the_largest_message_is_read_without_more_room_than_it_needs() {
        let data = "YWJj".repeat(8 << 20);
        let text = format!(
            r#"{{"type":"file.upload","payload":{{"session_id":"s","data":"{data}","metadata":{{"file_id":"f"}}}}}}"#
        );
        let Ok(Inbound::FileUpload(file)) = decode(&text) else { panic!("refused") };
        assert_eq!((file.data.len(), file.data.capacity()), (data.len(), data.len()));
        // Five million unknown fields are not kept, either.
        let many = format!(r#"{{{}"type":"ping"}}"#, "\"a\":1,".repeat(5 << 20));
        assert_eq!(decode(&many), Ok(Inbound::Ping));
    }

    #[test]
    fn every_truncation_of_a_message_is_refused() {
        let text = r#"{"type":"user.message","id":"é","payload":{"session_id":"s","message_id":"m\u00e9","content":"x\n"}}"#;
        assert!(decode(text).is_ok());
        let ends = (0..text.len()).filter(|end| text.is_char_boundary(*end));
        assert!(ends.map(|end| &text[..end]).all(is_refused));
    }
}
