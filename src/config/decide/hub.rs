//! `hub.*`

use std::time::Duration;

use crate::config::checked::Checked;
use crate::config::token::{self, TokenError};
use crate::config::types::{Hub, HubUrl};
use crate::config::{duration, url};
use crate::secret::Secret;

use super::Decider;

/// Where a token can come from, best first.
const TOKEN_SOURCES: [&str; 3] = ["token", "token_file", "token_credential"];

impl Decider<'_, '_> {
    pub(super) fn hub(&mut self, hub: &Checked) -> Option<Hub> {
        let url = self.hub_url(hub);
        let token = self.token(hub);
        let ca_file = self.readable(hub, "tls_ca_file");
        let client_cert = self.readable(hub, "tls_client_cert");
        let client_key = self.readable(hub, "tls_client_key");
        for (one, other) in
            [("tls_client_cert", "tls_client_key"), ("tls_client_key", "tls_client_cert")]
        {
            if hub.configured(one) && !hub.configured(other) {
                let message = format!("needs hub.{other}");
                let hint = "a client certificate and its key belong together";
                self.findings.error(&hub.place_of(one), message, hint);
            }
        }
        if url.as_ref().is_some_and(|url| !url.tls) {
            for key in ["tls_skip_verify", "tls_ca_file", "tls_client_cert", "tls_client_key"] {
                if hub.configured(key) && hub.flag(key) != Some(false) {
                    let message = "has no effect: hub.url is ws://, which has no TLS";
                    self.findings.warning(&hub.place_of(key), message, "use wss://, or remove it");
                }
            }
        }
        let (reconnect_interval, max_reconnect_delay) = self.reconnect(hub)?;
        Some(Hub {
            url: url?,
            token: token.map(Some).or(self.options.token_optional.then_some(None))?,
            tls_skip_verify: hub.flag("tls_skip_verify")?,
            tls_ca_file: ca_file.ok()?,
            tls_client_cert: client_cert.ok()?,
            tls_client_key: client_key.ok()?,
            reconnect_interval,
            max_reconnect_delay,
        })
    }

    fn hub_url(&mut self, hub: &Checked) -> Option<HubUrl> {
        let text = hub.text("url")?;
        match url::parse_hub(&text.value) {
            Ok(url) => {
                if url.path == "/" {
                    let hint = format!("hubs listen at {}", url::HUB_PATH);
                    self.findings.warning(&text.place, "has no path", hint);
                }
                Some(url)
            }
            Err(error) => {
                self.findings.error(&text.place, error.message, error.hint);
                None
            }
        }
    }

    fn reconnect(&mut self, hub: &Checked) -> Option<(Duration, Duration)> {
        let first = hub.duration("reconnect_interval")?;
        let longest = hub.duration("max_reconnect_delay")?;
        if first > longest && hub.configured("max_reconnect_delay") {
            let message = format!("is less than hub.reconnect_interval, {}", duration::show(first));
            let hint = "make it at least as long";
            self.findings.error(&hub.place_of("max_reconnect_delay"), message, hint);
            return None;
        }
        Some((first, longest.max(first)))
    }

    /// `None`: there is none, which was told where one is needed.
    fn token(&mut self, hub: &Checked) -> Option<Secret> {
        let sources: Vec<&str> =
            TOKEN_SOURCES.into_iter().filter(|key| hub.configured(key)).collect();
        let token = match sources[..] {
            [] => self.no_token(hub),
            [source] => self.token_from(hub, source),
            [first, ..] => {
                for key in &sources[1..] {
                    let message = format!("is a second source of the token, beside hub.{first}");
                    self.findings.error(&hub.place_of(key), message, "keep one of them");
                }
                None
            }
        };
        if self.options.token_optional {
            self.findings.forget(&TOKEN_SOURCES.map(|key| hub.place_of(key).path));
        }
        token
    }

    fn no_token(&mut self, hub: &Checked) -> Option<Secret> {
        let hint = "set hub.token (for instance to \"${AMURG_TOKEN}\"), hub.token_file or hub.token_credential";
        self.findings.error(&hub.place_of("token"), "is missing", hint);
        None
    }

    fn token_from(&mut self, hub: &Checked, source: &str) -> Option<Secret> {
        let result = match source {
            "token" => token::accept(hub.str(source)?),
            "token_file" => token::read(&hub.path(source)?),
            _ => self.environment.credential(hub.str(source)?),
        };
        let place = hub.place_of(source);
        match result {
            Ok(token) => {
                if source == "token_file"
                    && hub.path(source).is_some_and(|path| token::readable_by_others(&path))
                {
                    let message = "everybody on this machine can read the token";
                    self.findings.warning(&place, message, "chmod 600 the file");
                }
                if token.expose().trim() != token.expose() {
                    let message = "the token begins or ends with a space";
                    self.findings.warning(&place, message, "remove it unless it belongs there");
                }
                Some(token)
            }
            Err(error) => {
                let (message, hint) = TokenError::explain(&error);
                self.findings.error(&place, message, hint);
                None
            }
        }
    }
}
