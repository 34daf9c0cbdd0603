//! Which token the next hello carries.
//!
//! The operator configures one; a hub may give another for the next connection.
//! The given one is tried first. *Any* failure to register with it makes the
//! configured one the next try, and a refusal makes it forgotten. It does not
//! know how tokens are kept: that is the [`TokenStore`] of its caller.

use std::fmt;
use std::sync::Arc;

use crate::secret::Secret;

/// Longest token a hub may give, in bytes.
const LONGEST: usize = 8192;

/// Keeps the token a hub gave for the next connection, bound to what it was
/// given for. Its calls must not wait for a sick disk.
pub trait TokenStore: Send + Sync {
    /// The token kept, if there is one for these settings.
    fn current(&self) -> Option<Secret>;
    /// Keeps a token in place of any other.
    fn store(&self, token: &Secret);
    /// The token was refused.
    fn forget(&self);
}

/// Keeps nothing beyond the process.
#[derive(Debug, Default)]
pub struct NoStore;

impl TokenStore for NoStore {
    fn current(&self) -> Option<Secret> {
        None
    }
    fn store(&self, _token: &Secret) {}
    fn forget(&self) {}
}

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The operator's.
    Configured,
    /// Given by the hub.
    Refreshed,
}

/// What a failed try means for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another token is left to try: as after any other failure.
    Other,
    /// The same, and nothing else is left.
    Same,
}

/// The two tokens and whose turn it is.
pub struct Credentials {
    configured: Secret,
    refreshed: Option<Secret>,
    store: Arc<dyn TokenStore>,
    turn: Origin,
}

impl Credentials {
    /// The configured token and whatever the store kept.
    pub fn new(configured: Secret, store: Arc<dyn TokenStore>) -> Self {
        let refreshed = store.current().filter(acceptable);
        Self { configured, refreshed, store, turn: Origin::Refreshed }
    }

    /// The token for the next hello.
    pub fn next(&self) -> (Secret, Origin) {
        match (&self.refreshed, self.turn) {
            (Some(token), Origin::Refreshed) => (token.clone(), Origin::Refreshed),
            _ => (self.configured.clone(), Origin::Configured),
        }
    }

    /// It was registered with: the given token is tried first again.
    pub fn registered(&mut self) {
        self.turn = Origin::Refreshed;
    }

    /// It could not be registered with a token of that origin.
    pub fn failed(&mut self, origin: Origin, refused: bool) -> Next {
        if refused && origin == Origin::Refreshed {
            self.refreshed = None;
            self.store.forget();
        }
        self.turn = match origin {
            Origin::Refreshed => Origin::Configured,
            Origin::Configured => Origin::Refreshed,
        };
        if self.next().1 == origin { Next::Same } else { Next::Other }
    }

    /// The hub gave an [`acceptable`] token for the next connection.
    pub fn refresh(&mut self, token: Secret) {
        self.store.store(&token);
        self.refreshed = Some(token);
        self.turn = Origin::Refreshed;
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// Visible ASCII that fits: anything else could not be sent in a header, nor
/// be meant as a token.
pub fn acceptable(token: &Secret) -> bool {
    let text = token.expose();
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Option<Secret>>);

    impl TokenStore for Memory {
        fn current(&self) -> Option<Secret> {
            self.0.lock().unwrap().clone()
        }
        fn store(&self, token: &Secret) {
            *self.0.lock().unwrap() = Some(token.clone());
        }
        fn forget(&self) {
            *self.0.lock().unwrap() = None;
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn with_kept(kept: Option<&str>) -> (Credentials, Arc<Memory>) {
        let memory = Arc::new(Memory(Mutex::new(kept.map(secret))));
        (Credentials::new(secret("configured"), memory.clone()), memory)
    }

    fn next(credentials: &Credentials) -> String {
        credentials.next().0.expose().to_owned()
    }

    #[test]
    fn the_kept_token_is_tried_first_and_any_failure_makes_the_configured_one_next() {
        let (mut credentials, memory) = with_kept(Some("kept"));
        assert_eq!(next(&credentials), "kept");
        assert_eq!(credentials.failed(Origin::Refreshed, false), Next::Other);
        assert_eq!(next(&credentials), "configured");
        assert!(memory.current().is_some(), "a hub that is away refuses nothing");
        assert_eq!(credentials.failed(Origin::Configured, false), Next::Other);
        assert_eq!(next(&credentials), "kept");
    }

    #[test]
    fn a_refused_kept_token_is_forgotten() {
        let (mut credentials, memory) = with_kept(Some("kept"));
        assert_eq!(credentials.failed(Origin::Refreshed, true), Next::Other);
        assert!(memory.current().is_none());
        assert_eq!(credentials.failed(Origin::Configured, true), Next::Same);
        assert_eq!(next(&credentials), "configured");
    }

    #[test]
    fn the_configured_token_refused_leaves_the_kept_one_to_try() {
        let (mut credentials, _) = with_kept(Some("kept"));
        credentials.failed(Origin::Refreshed, false);
        assert_eq!(credentials.failed(Origin::Configured, true), Next::Other);
        assert_eq!(next(&credentials), "kept");
    }

    #[test]
    fn a_refresh_is_kept_and_used_next() {
        let (mut credentials, memory) = with_kept(None);
        assert_eq!(next(&credentials), "configured");
        credentials.refresh(secret("given"));
        assert_eq!(next(&credentials), "given");
        assert_eq!(memory.current(), Some(secret("given")));
    }

    #[test]
    fn what_cannot_be_a_token_is_not_acceptable() {
        for bad in ["", "two words", "new\nline", "ä", "\u{0}", &"x".repeat(LONGEST + 1)] {
            assert!(!acceptable(&secret(bad)));
        }
        assert!(acceptable(&secret(&"x".repeat(LONGEST))));
    }

    #[test]
    fn a_kept_token_that_cannot_be_one_is_not_tried() {
        let (credentials, _) = with_kept(Some("two words"));
        assert_eq!(next(&credentials), "configured");
    }
}
