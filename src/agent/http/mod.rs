//! `generic-http`: a request for each message, its answer streamed as it arrives.
//!
//! A turn costs two threads while it lasts and none afterwards: one blocks in
//! the request ([`exchange`]), one forwards and can be cancelled at any moment
//! ([`turn`]). Between turns a session keeps its [`client`], with the connection
//! where the service lets it stay open.
//!
//! Neither thread knows of hubs or of what the service says.

#[cfg(test)]
mod cancel_tests;
mod client;
mod exchange;
mod failure;
mod origin;
pub(crate) mod proxy;
mod request;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(all(test, feature = "tls"))]
pub(crate) mod tls_tests;
mod turn;

#[cfg(test)]
pub(crate) use failure::Failure as HttpFailure;

use std::sync::Arc;

use self::client::Client;
use self::failure::Failure;
use self::turn::Turn;
use super::{Agent, AgentContext, AgentEvent, FileUse, StoredFile, TurnEnd, TurnMessage};
use crate::config::{Endpoint, Http, Profile};
use crate::hub::proxy::ProxySettings;
use crate::session::admission::Permit;

pub use self::exchange::stuck;

/// A session with an HTTP service.
pub struct HttpAgent {
    context: AgentContext,
    client: Option<Arc<Client>>,
    turn: Option<Turn>,
}

impl HttpAgent {
    /// A session that has asked nothing yet. Needs an endpoint of profile
    /// `generic-http`; any other is told at the first message.
    pub fn new(context: AgentContext) -> Self {
        Self { context, client: None, turn: None }
    }

    /// The block of the profile, as it is now.
    fn http(&self) -> Option<&Http> {
        match &self.context.endpoint.profile {
            Profile::Http(http) => Some(http),
            _ => None,
        }
    }

    /// The client of the last turn, unless it was cancelled.
    fn client(&mut self, http: &Http) -> Result<Arc<Client>, Failure> {
        match &self.client {
            Some(client) if !client.is_spent() => Ok(Arc::clone(client)),
            _ => {
                let proxy = proxy::of(&ProxySettings::from_env(), &http.base_url)?;
                let client = Arc::new(Client::new(http, proxy));
                self.client = Some(Arc::clone(&client));
                Ok(client)
            }
        }
    }

    fn start(&mut self, message: TurnMessage) -> Result<(), Failure> {
        let Some(http) = self.http().cloned() else {
            let what =
                format!("endpoint {} is not of profile generic-http", self.context.endpoint.id);
            return Err(Failure::Request(what));
        };
        let client = self.client(&http)?;
        self.turn = Some(Turn::start(self.context.clone(), http, client, message)?);
        Ok(())
    }
}

impl Agent for HttpAgent {
    fn message(&mut self, message: TurnMessage) {
        // The last turn has told its end: its thread is gone, or just going.
        if let Some(last) = self.turn.take() {
            last.join();
        }
        let turn = message.turn;
        if let Err(failure) = self.start(message) {
            let timeout = self.http().map(|http| http.timeout).unwrap_or_default();
            let note = Some(failure.told("", timeout));
            self.context.events.tell(AgentEvent::TurnEnded(TurnEnd {
                turn,
                exit_code: None,
                note,
                running: false,
            }));
        }
    }

    fn input(&mut self, _content: String, _permit: Permit) {
        let text = "This agent takes no input while it answers; the text was not sent.";
        self.context.events.tell(AgentEvent::Note(text.into()));
    }

    fn stop(&mut self) {
        if let Some(turn) = &self.turn {
            turn.stop();
        }
    }

    fn file(&mut self, _file: &StoredFile) -> FileUse {
        FileUse::Refused("an HTTP agent takes no files".into())
    }

    fn reconfigure(&mut self, endpoint: Arc<Endpoint>) {
        if self.context.endpoint.profile != endpoint.profile {
            self.client = None;
        }
        self.context.endpoint = endpoint;
    }

    fn close(&mut self) {
        match &self.turn {
            Some(turn) if turn.close() => {}
            _ => self.context.events.tell(AgentEvent::Closed),
        }
        self.client = None;
    }
}
