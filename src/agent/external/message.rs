//! The adapter protocol: what each line means, both ways.
//!
//! Lines of JSON with a `type` and a `session_id`. Pure functions; whether a
//! session is the adapter's own is decided elsewhere.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::agent::PermissionRequest;
use crate::files::Offer;
use crate::protocol::outbound::Channel;

/// Longest id an adapter may give a question, in bytes.
const LONGEST_ID: usize = 256;
/// Longest description of a question, in bytes; what is longer is cut.
const LONGEST_TEXT: usize = 16 * 1024;
/// Longest name of a channel, in bytes.
const LONGEST_CHANNEL: usize = 64;

/// Runtime → adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum ToAdapter<'a> {
    /// A session begins.
    #[serde(rename = "session.start")]
    SessionStart {
        /// Its id.
        session_id: &'a str,
        /// Whose it is.
        user_id: &'a str,
    },
    /// A message, or more input for the running turn.
    #[serde(rename = "user.input")]
    UserInput {
        /// The session.
        session_id: &'a str,
        /// The text, verbatim.
        content: &'a str,
    },
    /// The running turn is to end.
    #[serde(rename = "stop")]
    Stop {
        /// The session.
        session_id: &'a str,
    },
    /// The session is over.
    #[serde(rename = "session.close")]
    SessionClose {
        /// The session.
        session_id: &'a str,
    },
    /// A file was uploaded.
    #[serde(rename = "file.input")]
    FileInput {
        /// The session.
        session_id: &'a str,
        /// Its safe base name.
        file_name: &'a str,
        /// Its type.
        file_mime_type: &'a str,
        /// Where it lies.
        file_path: &'a str,
    },
    /// The answer to a question.
    #[serde(rename = "permission.response")]
    PermissionResponse {
        /// The session.
        session_id: &'a str,
        /// The question.
        request_id: &'a str,
        /// The answer.
        approved: bool,
    },
}

impl ToAdapter<'_> {
    /// The message as a line, newline included.
    pub fn line(&self) -> Vec<u8> {
        // Strings and bools in a flat object: there is nothing that could fail.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// Adapter → runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromAdapter {
    /// Something to show.
    Output {
        /// Where.
        channel: Channel,
        /// What.
        content: String,
    },
    /// The turn is over.
    TurnComplete {
        /// Its exit code, if the adapter has one.
        exit_code: Option<i32>,
    },
    /// A file for the user.
    FileOutput(Offer),
    /// A question to the user.
    PermissionRequest(PermissionRequest),
}

/// A message and the session it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The session, as the adapter says.
    pub session_id: String,
    /// What it says there.
    pub message: FromAdapter,
}

/// Why a line was not understood.
#[derive(Debug)]
pub enum Malformed {
    /// It is no JSON object, or a field is of another type.
    Json(serde_json::Error),
    /// A field this type of message needs is not there, or out of bounds.
    Field(&'static str),
    /// No type of message is called this.
    Type(String),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::Field(name) => write!(f, "{name} is missing or out of bounds"),
            Self::Type(name) => write!(f, "unknown type {name}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// All fields any message has. Flat, so that a long text is read once and not
/// through a tree of values.
#[derive(Deserialize)]
struct Fields {
    r#type: String,
    session_id: Option<String>,
    content: Option<String>,
    channel: Option<String>,
    #[serde(default)]
    exit_code: ExitCode,
    file_path: Option<String>,
    file_name: Option<String>,
    file_mime_type: Option<String>,
    request_id: Option<String>,
    tool: Option<String>,
    description: Option<String>,
    resource: Option<String>,
}

/// A small integer, or none: a turn that ends with an odd code ends all the same.
/// Whatever else stands there is passed over and never built, since a tree of
/// values takes forty times its text.
#[derive(Default)]
struct ExitCode(Option<i32>);

impl<'de> Deserialize<'de> for ExitCode {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ExitCodeVisitor)
    }
}

struct ExitCodeVisitor;

impl<'de> Visitor<'de> for ExitCodeVisitor {
    type Value = ExitCode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exit code")
    }

    fn visit_i64<E>(self, code: i64) -> Result<ExitCode, E> {
        Ok(ExitCode(code.try_into().ok()))
    }

    fn visit_u64<E>(self, code: u64) -> Result<ExitCode, E> {
        Ok(ExitCode(code.try_into().ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<ExitCode, E> {
        Ok(ExitCode(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<ExitCode, E> {
        Ok(ExitCode(None))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<ExitCode, E> {
        Ok(ExitCode(None))
    }

    fn visit_unit<E>(self) -> Result<ExitCode, E> {
        Ok(ExitCode(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<ExitCode, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| ExitCode(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<ExitCode, A::Error> {
        IgnoredAny.visit_map(members).map(|_| ExitCode(None))
    }
}

/// Reads one line.
///
/// # Errors
/// [`Malformed`]: the line is to be skipped.
pub fn parse(line: &[u8]) -> Result<Addressed, Malformed> {
    // What is no UTF-8 becomes U+FFFD, as in the output of every other agent.
    let line = String::from_utf8_lossy(line);
    let fields: Fields = serde_json::from_str(&line).map_err(Malformed::Json)?;
    let message = match fields.r#type.as_str() {
        "output" => FromAdapter::Output {
            channel: channel(fields.channel),
            content: fields.content.ok_or(Malformed::Field("content"))?,
        },
        "turn.complete" => FromAdapter::TurnComplete { exit_code: fields.exit_code.0 },
        "file.output" => FromAdapter::FileOutput(Offer {
            path: fields.file_path.ok_or(Malformed::Field("file_path"))?,
            name: fields.file_name,
            mime_type: fields.file_mime_type,
        }),
        "permission.request" => FromAdapter::PermissionRequest(PermissionRequest {
            request_id: id(fields.request_id).ok_or(Malformed::Field("request_id"))?,
            tool: id(fields.tool).ok_or(Malformed::Field("tool"))?,
            description: cut(fields.description.unwrap_or_default()),
            resource: fields.resource.map(cut),
        }),
        _ => return Err(Malformed::Type(fields.r#type)),
    };
    let session_id = fields.session_id.ok_or(Malformed::Field("session_id"))?;
    Ok(Addressed { session_id, message })
}

fn id(text: Option<String>) -> Option<String> {
    text.filter(|text| (1..=LONGEST_ID).contains(&text.len()))
}

fn cut(mut text: String) -> String {
    let end = (0..=text.len().min(LONGEST_TEXT)).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    text
}

/// The channel of that name. Names no channel may have become `stdout`, and so
/// does `file`: what a browser finds there, only a hub may put there.
fn channel(name: Option<String>) -> Channel {
    let Some(name) = name else { return Channel::Stdout };
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    match name.as_str() {
        "stderr" => Channel::Stderr,
        "system" => Channel::System,
        "tool" => Channel::Tool,
        "question" => Channel::Question,
        "stdout" | "file" | "" => Channel::Stdout,
        other if other.len() <= LONGEST_CHANNEL && other.bytes().all(plain) => Channel::Other(name),
        _ => Channel::Stdout,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn message(line: &str) -> FromAdapter {
        let addressed = parse(line.as_bytes()).unwrap();
        assert_eq!(addressed.session_id, "s");
        addressed.message
    }

    #[test]
    fn what_adapters_say_is_read() {
        assert_eq!(
            message(r#"{"type":"output","session_id":"s","content":"a\nb","extra":[{}]}"#),
            FromAdapter::Output { channel: Channel::Stdout, content: "a\nb".into() }
        );
        assert_eq!(
            message("{\"type\":\"turn.complete\",\"session_id\":\"s\"}\r"),
            FromAdapter::TurnComplete { exit_code: None }
        );
        assert_eq!(
            message(r#"{"type":"file.output","session_id":"s","file_path":"a.txt"}"#),
            FromAdapter::FileOutput(Offer { path: "a.txt".into(), name: None, mime_type: None })
        );
        let request = PermissionRequest {
            request_id: "r".into(),
            tool: "Bash".into(),
            description: "d".into(),
            resource: Some("ls".into()),
        };
        assert_eq!(
            message(
                r#"{"type":"permission.request","session_id":"s","request_id":"r","tool":"Bash","description":"d","resource":"ls"}"#
            ),
            FromAdapter::PermissionRequest(request)
        );
    }

    #[test]
    fn a_turn_ends_with_whatever_code() {
        let odd = ["4294967296", "-4294967296", "1.5", "\"3\"", "true", "null"];
        let built = ["[]", "[[0],[0,{}]]", "{\"a\":[3],\"b\":{\"c\":3}}"];
        let none = odd.into_iter().chain(built).map(|code| (code, None));
        for (code, read) in [("3", Some(3)), ("-1", Some(-1))].into_iter().chain(none) {
            let line = format!(r#"{{"type":"turn.complete","session_id":"s","exit_code":{code}}}"#);
            assert_eq!(message(&line), FromAdapter::TurnComplete { exit_code: read }, "{code}");
        }
    }

    #[test]
    fn a_channel_is_a_plain_name_and_never_the_hub_s_own() {
        let named = |name: &str| channel(Some(name.into()));
        assert_eq!(named("tool"), Channel::Tool);
        assert_eq!(named("my-plan.2"), Channel::Other("my-plan.2".into()));
        for wrong in ["file", "", "a b", "<script>", "File", "\u{e9}", &"x".repeat(65)] {
            assert_eq!(named(wrong), Channel::Stdout, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_told_apart() {
        for (line, told) in [
            ("nonsense", "expected"),
            ("[]", "invalid"),
            (r#"{"session_id":"s"}"#, "type"),
            (r#"{"type":"output","session_id":"s"}"#, "content is missing"),
            (r#"{"type":"output","content":"x"}"#, "session_id is missing"),
            (r#"{"type":"output","session_id":7,"content":"x"}"#, "invalid type"),
            (r#"{"type":"dance","session_id":"s"}"#, "unknown type dance"),
            (
                r#"{"type":"permission.request","session_id":"s","request_id":"","tool":"t"}"#,
                "request_id",
            ),
        ] {
            let error = parse(line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
        let deep =
            format!(r#"{{"type":"output","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        parse(deep.as_bytes()).unwrap_err();
        parse(b"\xff\xfe").unwrap_err();
    }

    #[test]
    fn a_line_is_one_line_whatever_the_text() {
        let line = ToAdapter::UserInput { session_id: "s\n", content: "a\nb\u{2028}\0" }.line();
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        let back: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(back["type"], "user.input");
        assert_eq!(back["content"], "a\nb\u{2028}\0");
    }

    #[test]
    fn a_long_description_is_cut_between_characters() {
        let text = cut("é".repeat(LONGEST_TEXT));
        assert_eq!(text.len(), LONGEST_TEXT);
    }
}
