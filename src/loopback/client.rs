//! Somebody who uses the hub: makes sessions, writes messages, waits for what
//! the runtime says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::frame::Frame;
use super::history::{Event, Timeout};
use super::sessions::{Session, SessionState};
use super::shared::Shared;
use super::speech::{self, Words};
use crate::ids;

/// A user, or all of them. Cheap to clone.
///
/// Nothing here fails when the runtime is away: the hub drops what is addressed
/// to it, as real hubs do, and says so in its history.
#[derive(Clone)]
pub struct Client {
    hub: Arc<Shared>,
}

/// One `agent.output`, as a browser would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it came from: `stdout`, `stderr`, `system`, …
    pub channel: String,
    /// What was said.
    pub content: String,
    /// Its own id: the same again is the same entry, replaced.
    pub message_id: String,
}

impl Client {
    pub(super) fn new(hub: Arc<Shared>) -> Self {
        Self { hub }
    }

    /// Makes a session and says `session.create`; answers its id.
    pub fn create_session(&self, endpoint: &str, user: &str) -> String {
        let session = ids::next_id();
        self.create_session_as(&session, endpoint, user);
        session
    }

    /// The same with an id of the caller's choice, which may exist already.
    pub fn create_session_as(&self, session: &str, endpoint: &str, user: &str) {
        self.know_session(session, endpoint, user);
        let dialect = self.hub.options.dialect;
        let text = speech::session_create(dialect, session, endpoint, user);
        self.hub.say_to(endpoint, text);
    }

    /// A session from before: in the hub's database, unknown to the runtime.
    pub fn know_session(&self, session: &str, endpoint: &str, user: &str) {
        self.hub.add_session(session, Session::new(endpoint, user));
    }

    /// What the hub shows of a session.
    pub fn session_state(&self, session: &str) -> Option<SessionState> {
        self.hub.session(session).map(|session| session.state)
    }

    /// Says `user.message`; answers the message's id.
    pub fn send_message(&self, session: &str, content: &str) -> String {
        let message = ids::next_id();
        self.send_message_as(session, &message, content);
        message
    }

    /// The same with an id of the caller's choice, which may have been used.
    pub fn send_message_as(&self, session: &str, message: &str, content: &str) {
        self.say_words("user.message", session, message, content);
    }

    /// Says `interactive.input`; answers the message's id. Only newer hubs have it.
    pub fn interactive_input(&self, session: &str, content: &str) -> String {
        let message = ids::next_id();
        self.say_words("interactive.input", session, &message, content);
        message
    }

    fn say_words(&self, kind: &str, session: &str, message: &str, content: &str) {
        let known = self.hub.session(session);
        let metadata = known.as_ref().map(|known| (known.endpoint.as_str(), known.user.as_str()));
        let words = Words { session, message, content, metadata };
        self.say_in(session, speech::words(self.hub.options.dialect, kind, &words));
    }

    /// Says `stop.request`.
    pub fn stop(&self, session: &str) {
        self.say_in(session, speech::stop_request(session));
    }

    /// Says `session.close`. In the protocol, though no hub sends it today.
    pub fn close_session(&self, session: &str, reason: &str) {
        self.say_in(session, speech::session_close(session, reason));
    }

    /// Says `file.upload`; answers the file's id.
    pub fn upload(&self, session: &str, name: &str, mime_type: &str, data: &[u8]) -> String {
        let file = ids::next_id();
        self.say_in(session, speech::file_upload(session, &file, name, mime_type, data));
        file
    }

    /// Says `permission.response`.
    pub fn permission_response(
        &self,
        session: &str,
        request: &str,
        approved: bool,
        always_allow: bool,
    ) {
        let text = speech::permission_response(session, request, approved, always_allow);
        self.say_in(session, text);
    }

    /// Pushes `security` and `limits` for an endpoint.
    pub fn config_update(&self, endpoint: &str, security: Option<Value>, limits: Option<Value>) {
        let dialect = self.hub.options.dialect;
        self.hub.say_to(endpoint, speech::config_update(dialect, endpoint, security, limits));
    }

    /// Asks for an agent's own sessions; answers the request's id. Only newer hubs have it.
    pub fn native_sessions_list(&self, endpoint: &str) -> String {
        let request = ids::next_id();
        self.hub.say_to(endpoint, speech::native_sessions_list(endpoint, &request));
        request
    }

    /// Gives every registered runtime a new token, which the hub accepts from now on.
    pub fn token_refresh(&self, token: &str) {
        self.hub.allow_token(token);
        self.raw(&speech::token_refresh(token));
    }

    /// Says any text to every registered runtime, envelope or not.
    pub fn raw(&self, text: &str) {
        for peer in self.hub.registered_peers() {
            self.hub.say(&peer, text.to_owned());
        }
    }

    /// Puts bytes on the wire of every registered runtime that need be no
    /// valid WebSocket frame.
    pub fn raw_bytes(&self, bytes: &[u8]) {
        for peer in self.hub.registered_peers() {
            peer.say_bytes(bytes.to_vec());
        }
    }

    fn say_in(&self, session: &str, text: String) {
        let known = self.hub.session(session);
        let endpoint = known.map(|session| session.endpoint).unwrap_or_default();
        self.hub.say_to(&endpoint, text);
    }

    /// Waits until some runtime is registered.
    ///
    /// # Errors
    /// At the deadline, with everything that happened instead.
    pub fn wait_registered(&self, deadline: Instant) -> Result<(), Timeout> {
        self.hub.wait_registered(true, deadline)
    }

    /// Waits until no runtime is registered.
    ///
    /// # Errors
    /// As [`Client::wait_registered`].
    pub fn wait_offline(&self, deadline: Instant) -> Result<(), Timeout> {
        self.hub.wait_registered(false, deadline)
    }

    /// Gives every text message, either way and from the first on, to `pick`
    /// until it picks one.
    ///
    /// # Errors
    /// As [`Client::wait_registered`].
    pub fn wait_for<T>(
        &self,
        deadline: Instant,
        mut pick: impl FnMut(&Arc<Frame>) -> Option<T>,
    ) -> Result<T, Timeout> {
        self.wait_for_event(deadline, |event| event.frame().and_then(&mut pick))
    }

    /// The same with every event: pings, connections that come and go.
    ///
    /// # Errors
    /// As [`Client::wait_registered`].
    pub fn wait_for_event<T>(
        &self,
        deadline: Instant,
        pick: impl FnMut(&Event) -> Option<T>,
    ) -> Result<T, Timeout> {
        self.hub.history.wait_for(deadline, pick)
    }

    /// What a browser would show of a session so far: repeated entries once.
    pub fn output(&self, session: &str) -> Vec<Output> {
        let mut shown = HashSet::new();
        let events = self.hub.history.events();
        let frames = events.iter().filter_map(Event::frame);
        frames
            .filter(|frame| frame.is("agent.output") && frame.session() == Some(session))
            .map(|frame| Output {
                channel: frame.text_of("channel").to_owned(),
                content: frame.text_of("content").to_owned(),
                message_id: frame.text_of("message_id").to_owned(),
            })
            .filter(|output| shown.insert(output.message_id.clone()))
            .collect()
    }
}
