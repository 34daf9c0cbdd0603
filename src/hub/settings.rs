//! What the connection is made from, decided: configuration, identity, and every
//! duration that is not configured.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::TokenStore;
use super::dial::DialLimits;
use super::liveness::Patience;
use super::proxy::ProxySettings;
use super::redial::RedialTimes;
use super::window::pace::PingTimes;
use crate::config::{self, Config};
use crate::protocol::registration::Registration;
use crate::secret::Secret;

/// Largest message a hub may send at least, in bytes: above any hub's own limit
/// for files of the default size.
const LARGEST_MESSAGE: usize = 33 * 1024 * 1024;

/// Everything the connection is made from.
#[derive(Clone)]
pub struct HubSettings {
    /// Where the hub is and how it is reached.
    pub hub: config::Hub,
    /// The operator's token.
    pub token: Secret,
    /// Who we are.
    pub runtime_id: String,
    /// Of which organisation.
    pub org_id: Option<String>,
    /// What we have to offer.
    pub registrations: Arc<[Registration]>,
    /// Keeps the token a hub gives for the next connection.
    pub tokens: Arc<dyn TokenStore>,
    /// What the environment says of proxies.
    pub proxies: ProxySettings,
    /// Largest message the hub may send, in bytes.
    pub largest_message: usize,
    /// Every duration that is not configured.
    pub timing: Timing,
}

/// The durations that are not configured.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    /// Steps of a dial.
    pub dial: DialLimits,
    /// When pings are sent.
    pub pings: PingTimes,
    /// When a hub is given up.
    pub patience: Patience,
    /// When a hub that never pings is dialled again.
    pub redials: RedialTimes,
    /// Farewells and repetitions.
    pub moments: Moments,
}

/// Short waits.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// How long a hub may take to end a connection after our farewell.
    pub farewell: Duration,
    /// How long a planned close waits for confirmations.
    pub confirm: Duration,
    /// After a loss, when an end of turn is said once more.
    pub repeat: Duration,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            farewell: Duration::from_millis(300),
            confirm: Duration::from_secs(2),
            repeat: Duration::from_secs(120),
        }
    }
}

impl HubSettings {
    /// What a configuration says, with the environment's proxies.
    pub fn new(config: &Config, tokens: Arc<dyn TokenStore>) -> Self {
        let registrations = config.endpoints.iter().map(|endpoint| Registration::of(endpoint));
        // Base64 makes a file a third larger; its envelope is small.
        let file = config.runtime.max_file_bytes;
        Self {
            hub: config.hub.clone(),
            token: config.hub.token.clone().unwrap_or_else(|| Secret::new(String::new())),
            runtime_id: config.runtime.id.clone(),
            org_id: config.runtime.org_id.clone(),
            registrations: registrations.collect(),
            tokens,
            proxies: ProxySettings::from_env(),
            largest_message: LARGEST_MESSAGE.max(file.saturating_add(file / 2)),
            timing: Timing::default(),
        }
    }
    /// Whether these settings are for another hub, or another runtime in it.
    pub fn is_other_hub(&self, than: &Self) -> bool {
        self.hub.url != than.hub.url || self.runtime_id != than.runtime_id
    }

    /// Whether a connection made with those others must be made anew: what the
    /// hub was told has changed, or how it is reached.
    pub fn needs_other_connection(&self, than: &Self) -> bool {
        let (new, old) = (&self.hub, &than.hub);
        self.is_other_hub(than)
            || self.org_id != than.org_id
            || self.registrations != than.registrations
            || new.tls_skip_verify != old.tls_skip_verify
            || new.tls_ca_file != old.tls_ca_file
            || new.tls_client_cert != old.tls_client_cert
            || new.tls_client_key != old.tls_client_key
    }
}
