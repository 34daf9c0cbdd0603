//! Hub → runtime: what can arrive.

use super::Dialect;

/// One message of a hub.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// `hello.ack`; `error` is the refusal's reason.
    HelloAck { ok: bool, error: Option<String> },
    /// `session.create`
    SessionCreate(SessionCreate),
    /// `session.close`
    SessionClose { session_id: String, reason: Option<String> },
    /// `user.message`
    UserMessage(UserMessage),
    /// `interactive.input`: more input for the running turn.
    InteractiveInput(UserMessage),
    /// `stop.request`
    StopRequest { session_id: String },
    /// `permission.response`
    PermissionResponse {
        session_id: String,
        request_id: String,
        approved: bool,
        always_allow: bool,
    },
    /// `file.upload`
    FileUpload(FileUpload),
    /// `endpoint.config_update` / `agent.config_update`
    ConfigUpdate(ConfigUpdate),
    /// `native.sessions.list`
    NativeSessionsList { agent_id: String, request_id: String },
    /// `runtime.token_refresh`
    TokenRefresh { token: crate::secret::Secret },
    /// `ping`
    Ping,
    /// Any other `type`: logged and skipped.
    Unknown { kind: String },
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
