//! What a hub pushed, and a file that was read again.

use std::sync::Arc;

use log::{info, warn};

use super::{Dispatcher, by_id};
use crate::config::{Config, Endpoint};
use crate::futexes;
use crate::logging::Quoted;
use crate::protocol::inbound::ConfigUpdate;
use crate::protocol::outbound;
use crate::session::event::{Ending, Event};
use crate::session::notices;
use crate::session::push::{self, Pushed};

impl Dispatcher {
    pub(super) fn config_update(&mut self, update: &ConfigUpdate) {
        let outcome = self.push(update);
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

    fn push(&mut self, update: &ConfigUpdate) -> Result<(), String> {
        let id = &update.endpoint_id;
        let disk = self.disk.get(id).ok_or_else(|| notices::unknown_endpoint(id))?;
        let earlier = self.pushed.get(id).cloned().unwrap_or_default();
        let pushed = Pushed::read(update)?.over(earlier);
        let endpoint = Arc::new(push::apply(disk, &self.runtime, &pushed)?);
        self.pushed.insert(id.clone(), pushed);
        if self.endpoints.get(id) != Some(&endpoint) {
            self.replace_endpoint(endpoint);
        }
        Ok(())
    }

    fn replace_endpoint(&mut self, endpoint: Arc<Endpoint>) {
        for (_, live) in self.registry.iter() {
            if *live.identity.endpoint_id == *endpoint.id {
                let (endpoint, runtime) = (Arc::clone(&endpoint), Arc::clone(&self.runtime));
                live.handle.inbox.tell(Event::Reconfigure(endpoint, runtime));
            }
        }
        self.endpoints.insert(endpoint.id.clone(), endpoint);
    }

    pub(super) fn reload(&mut self, config: Config) {
        let disk = by_id(&config);
        let stays = |id: &str| match (self.disk.get(id), disk.get(id)) {
            (Some(old), Some(new)) => old.profile.is_run_like(&new.profile),
            _ => false,
        };
        let removed: Vec<Arc<str>> = self
            .registry
            .iter()
            .filter(|(_, live)| !stays(&live.identity.endpoint_id))
            .map(|(id, _)| Arc::clone(id))
            .collect();
        self.shared.agents.keep(stays);
        for session_id in removed {
            self.end(&session_id, Ending::Removed);
        }
        self.endpoints.retain(|id, _| disk.contains_key(id));
        self.pushed.retain(|id, _| disk.contains_key(id));
        let all = config.runtime != *self.runtime;
        futexes::make_room(config.runtime.max_sessions);
        self.runtime = Arc::new(config.runtime);
        for (id, endpoint) in &disk {
            let endpoint = self.with_pushed(endpoint);
            if all || self.endpoints.get(id) != Some(&endpoint) {
                self.replace_endpoint(endpoint);
            }
        }
        self.disk = disk;
    }

    /// The endpoint of a file that was read again, with what was pushed of it.
    fn with_pushed(&mut self, disk: &Arc<Endpoint>) -> Arc<Endpoint> {
        let Some(pushed) = self.pushed.get(&disk.id) else { return Arc::clone(disk) };
        match push::apply(disk, &self.runtime, pushed) {
            Ok(endpoint) => Arc::new(endpoint),
            Err(reason) => {
                warn!(
                    "config push dropped, the file no longer allows it endpoint={} reason={}",
                    Quoted(&disk.id),
                    Quoted(&reason)
                );
                self.pushed.remove(&disk.id);
                Arc::clone(disk)
            }
        }
    }
}
