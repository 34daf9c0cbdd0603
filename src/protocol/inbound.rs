//! Hub → runtime: what can arrive, and what can be wrong with it.
//!
//! Knows the messages of both dialects, not what is done about them.

use std::fmt;

use super::Dialect;
pub use super::decode::decode;
use crate::secret::Secret;

/// One message of a hub.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// `hello.ack`
    HelloAck {
        /// Whether the runtime is registered.
        ok: bool,
        /// The refusal's reason.
        error: Option<String>,
    },
    /// `session.create`
    SessionCreate(SessionCreate),
    /// `session.close`
    SessionClose {
        /// The session to end.
        session_id: String,
        /// Why, for people.
        reason: Option<String>,
    },
    /// `user.message`
    UserMessage(UserMessage),
    /// `interactive.input`: more input for the running turn.
    InteractiveInput(UserMessage),
    /// `stop.request`
    StopRequest {
        /// The session whose turn is to end.
        session_id: String,
    },
    /// `permission.response`
    PermissionResponse {
        /// The session that asked.
        session_id: String,
        /// The question's id.
        request_id: String,
        /// The decision; what does not say so is a refusal.
        approved: bool,
        /// Whether the decision holds for this tool from now on.
        always_allow: bool,
    },
    /// `file.upload`
    FileUpload(FileUpload),
    /// `endpoint.config_update` / `agent.config_update`
    ConfigUpdate(ConfigUpdate),
    /// `native.sessions.list`
    NativeSessionsList {
        /// The endpoint asked about.
        agent_id: String,
        /// The question's id.
        request_id: String,
    },
    /// `runtime.token_refresh`
    TokenRefresh {
        /// Valid for the next connection.
        token: Secret,
    },
    /// `ping`
    Ping,
    /// Any other `type`: logged and skipped.
    Unknown {
        /// The type, cut to 256 bytes.
        kind: String,
    },
}

/// `session.create`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionCreate {
    /// The hub's id of the session: opaque and hostile.
    pub session_id: String,
    /// `endpoint_id` or `agent_id`.
    pub endpoint_id: String,
    /// Whose session it is.
    pub user_id: String,
    /// Kept for profiles that can resume; none of the four does.
    pub resume_session_id: Option<String>,
    /// The user's prompt profile, passed along.
    pub prompt_profile: Option<String>,
}

/// `user.message` and `interactive.input`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserMessage {
    /// The session it belongs to.
    pub session_id: String,
    /// Its id, repeated in `in_response_to`.
    pub message_id: String,
    /// The text, verbatim.
    pub content: String,
    /// Newer hubs: enough to make a forgotten session again. Empty in the older dialect.
    pub endpoint_id: Option<String>,
    /// Newer hubs: whose session it is.
    pub user_id: Option<String>,
    /// Newer hubs: the user's prompt profile.
    pub prompt_profile: Option<String>,
}

/// `file.upload`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileUpload {
    /// The session it belongs to.
    pub session_id: String,
    /// The hub's id of the file: hostile.
    pub file_id: String,
    /// The name a browser gave: hostile.
    pub name: String,
    /// The type a browser gave: hostile.
    pub mime_type: String,
    /// Standard base64, not decoded yet.
    pub data: String,
}

/// `endpoint.config_update` / `agent.config_update`
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigUpdate {
    /// The endpoint it is for.
    pub endpoint_id: String,
    /// What its answer must speak.
    pub dialect: Dialect,
    /// The `security` object as it came; `session::push` decides about each key.
    pub security: Option<serde_json::Map<String, serde_json::Value>>,
    /// The `limits` object as it came.
    pub limits: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Why a text is not a message. Nothing of the text's content is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The text is not JSON.
    Syntax {
        /// The object that was being read.
        of: &'static str,
        /// What the parser says, with line and column.
        text: String,
    },
    /// The text is JSON, but not an object.
    NotAnObject {
        /// The object that was expected.
        of: &'static str,
        /// The type that stands there.
        found: &'static str,
    },
    /// A field is not what it must be.
    Field {
        /// The object the field belongs to: a message's type, or `envelope`.
        of: &'static str,
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It must be there.
    Missing,
    /// It must not be empty.
    Empty,
    /// It has another type.
    WrongType {
        /// The type it must have.
        expected: &'static str,
        /// The type it has.
        found: &'static str,
    },
    /// It is longer than anything sensible.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// Its text escapes half of a surrogate pair (`\ud800`), which is no character.
    Surrogate,
    /// It cannot be kept, for instance because it is nested too deeply.
    Unreadable(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { of, text } => write!(f, "{of}: not JSON: {text}"),
            Self::NotAnObject { of, found } => write!(f, "{of}: must be an object, is {found}"),
            Self::Field { of, field, problem } => write!(f, "{of}: field `{field}` {problem}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Empty => f.write_str("is empty"),
            Self::WrongType { expected, found } => write!(f, "must be {expected}, is {found}"),
            Self::TooLong { bytes, most } => write!(f, "has {bytes} bytes, more than {most}"),
            Self::Surrogate => f.write_str("escapes a lone surrogate, which is no character"),
            Self::Unreadable(text) => write!(f, "cannot be read: {text}"),
        }
    }
}

impl std::error::Error for DecodeError {}
