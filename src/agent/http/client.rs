//! One session's HTTP client: a ureq agent with its pool of connections, which
//! another thread can cancel.
//!
//! ureq follows no redirect here, decompresses nothing and takes no proxy from
//! the environment: the request thread and [`proxy`](super::proxy) decide those.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, NextTimeout, TcpConnector};
use ureq::{Agent, Body, Error, Proxy};

use super::failure::Failure;
use super::request::Head;
use crate::config::Http;

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// ureq's buffer for what comes, in bytes; a head, and one byte too many, must fit.
const INPUT_BUFFER: usize = 64 * 1024;
/// ureq's buffer for what goes, in bytes.
const OUTPUT_BUFFER: usize = 16 * 1024;
/// How long a connection is kept for a session's next turn. Whether it is still
/// open is looked at before it is used.
const IDLE: Duration = Duration::from_secs(60);

/// A client for one service. Once cancelled it is spent, and another is made.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    resolving: Arc<AtomicBool>,
    spent: AtomicBool,
}

impl Client {
    /// A client for `http`, through `proxy` where there is one. Opens and loads
    /// nothing yet.
    pub fn new(http: &Http, proxy: Option<Proxy>) -> Self {
        let timeout = Some(http.timeout);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .proxy(proxy)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout)
            .max_response_header_size(MAX_HEAD)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_connections(1)
            .max_idle_age(IDLE)
            .build();
        let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
        #[cfg(feature = "tls")]
        let connector = connector.chain(super::tls::Tls::new(http.tls_ca_file.clone()));
        let resolving = Arc::new(AtomicBool::new(false));
        let resolver = BlockingResolver { resolving: Arc::clone(&resolving) };
        let agent = Agent::with_parts(config, connector, resolver);
        Self { agent, resolving, spent: AtomicBool::new(false) }
    }

    /// Sends the request and waits for the head of its answer. Blocks; ended by
    /// [`Client::cancel`] from another thread, except while a name is resolved
    /// or TCP connects.
    pub fn ask(&self, head: &Head, content: &str) -> Result<Response<Body>, Failure> {
        let answer = if head.has_body() {
            self.agent.run(head.with_body(content)?)
        } else {
            self.agent.run(head.without_body()?)
        };
        answer.map_err(Failure::Head)
    }

    /// Shuts every connection down, so that whoever reads or writes one returns
    /// at once. A body that lasts until its connection closes then looks whole:
    /// ask [`Client::is_spent`].
    pub fn cancel(&self) {
        self.spent.store(true, Ordering::Release);
        self.agent.clone().shutdown();
    }

    /// Whether it was cancelled; it then asks for nothing any more.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Whether a name is being resolved just now: the one step without a timeout
    /// of its own.
    pub fn is_resolving(&self) -> bool {
        self.resolving.load(Ordering::Acquire)
    }
}

/// Resolves in the calling thread. ureq's own would start a thread for a
/// deadline, and panic where the system gives none.
#[derive(Debug)]
struct BlockingResolver {
    resolving: Arc<AtomicBool>,
}

impl Resolver for BlockingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.resolving.store(true, Ordering::Release);
        let addresses = DefaultResolver::default().resolve(uri, config, NextTimeout::default());
        self.resolving.store(false, Ordering::Release);
        addresses
    }
}
