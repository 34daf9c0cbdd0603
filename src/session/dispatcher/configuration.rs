//! What a hub pushed, and a file that was read again.

use std::sync::Arc;

use log::{info, warn};

use super::{Dispatcher, by_id};
use crate::config::{Config, Endpoint};
use crate::logging::Quoted;
use crate::protocol::inbound::ConfigUpdate;
use crate::protocol::outbound;
use crate::session::event::{Ending, Event};
use crate::session::{notices, push};

impl Dispatcher {
    pub(super) fn config_update(&mut self, update: &ConfigUpdate) {
        let outcome = match self.disk.get(&update.endpoint_id) {
            Some(disk) => push::apply(disk, &self.config.runtime, update).map(|endpoint| {
                self.replace_endpoint(Arc::new(endpoint));
            }),
            None => Err(notices::unknown_endpoint(&update.endpoint_id)),
        };
        let endpoint = Quoted(&update.endpoint_id);
        match &outcome {
            Ok(()) => info!("config push taken endpoint={endpoint}"),
            Err(reason) => {
                warn!("config push refused endpoint={endpoint} reason={}", Quoted(reason));
            }
        }
        let answer = outcome.as_ref().copied().map_err(String::as_str);
        self.outbox.answer(outbound::config_ack(update.dialect, &update.endpoint_id, answer));
    }

    fn replace_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        if self.endpoints.get(&endpoint.id) == Some(&endpoint) {
            return;
        }
        for (_, live) in self.registry.iter() {
            if *live.identity.endpoint_id == *endpoint.id {
                live.handle.inbox.tell(Event::Reconfigure(Arc::clone(&endpoint)));
            }
        }
        self.endpoints.insert(endpoint.id.clone(), endpoint);
    }

    pub(super) fn reload(&mut self, config: Config) {
        let disk = by_id(&config);
        let removed: Vec<Arc<str>> = self
            .registry
            .iter()
            .filter(|(_, live)| !disk.contains_key(&*live.identity.endpoint_id))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for session_id in removed {
            self.end(&session_id, Ending::Removed);
        }
        self.endpoints.retain(|id, _| disk.contains_key(id));
        for (id, endpoint) in &disk {
            if self.disk.get(id) != Some(endpoint) {
                self.replace_endpoint(Arc::clone(endpoint));
            }
        }
        self.disk = disk;
        self.config = config;
    }
}
