//! TLS for ureq's connections: the system's roots plus one file of our own, and
//! nothing older than TLS 1.2. (ureq's connector offers either set of roots, not
//! both, and no oldest version.)
//!
//! Loading the system's roots costs 20 ms and a few megabytes, so the loaded set
//! is shared by every session that uses the same file, for as long as one does.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use native_tls::{HandshakeError, Protocol, TlsConnector, TlsStream};
use ureq::Error;
use ureq::unversioned::transport::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::failure::TlsFailure;

/// Wraps connections to `https` in TLS, and leaves the others alone.
pub struct Tls {
    ca_file: Option<PathBuf>,
    roots: OnceLock<Arc<TlsConnector>>,
}

impl Tls {
    /// A connector that trusts the system's roots and those in `ca_file` (PEM).
    /// The file is read at the first connection.
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, roots: OnceLock::new() }
    }

    /// The same with a connector that is there already, whatever it trusts.
    pub fn made(connector: TlsConnector) -> Self {
        Self { ca_file: None, roots: OnceLock::from(Arc::new(connector)) }
    }

    fn roots(&self) -> Result<Arc<TlsConnector>, TlsFailure> {
        if let Some(roots) = self.roots.get() {
            return Ok(Arc::clone(roots));
        }
        let roots = shared_roots(self.ca_file.as_deref())?;
        Ok(Arc::clone(self.roots.get_or_init(|| roots)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let roots = self.roots().map_err(|failure| Error::Other(Box::new(failure)))?;
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut adapter =
            TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        adapter.set_timeout(remaining(details));
        let stream = roots.connect(host, adapter).map_err(|error| handshake_error(&error))?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// A connection inside TLS.
pub struct TlsTransport {
    buffers: LazyBuffers,
    stream: TlsStream<TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        // An error of the transport beneath comes through as it was.
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// What is left of the time for connecting, now that TCP is there.
fn remaining(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (Duration::Exact(after), Instant::Exact(began)) = (timeout.after, details.now) {
        timeout.after = Duration::Exact(after.saturating_sub(began.elapsed()));
    }
    timeout
}

/// What the connection beneath said (a timeout, a reset), else what TLS says.
fn handshake_error(error: &HandshakeError<TransportAdapter>) -> Error {
    let HandshakeError::Failure(error) = error else {
        // The transport beneath blocks; it never would.
        return Error::Other(Box::new(TlsFailure::new("the handshake did not end")));
    };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(io) = current.downcast_ref::<io::Error>() {
            return match io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(Error::Timeout(which)) => Error::Timeout(*which),
                _ => Error::Io(io::Error::new(io.kind(), io.to_string())),
            };
        }
        cause = current.source();
    }
    Error::Other(Box::new(TlsFailure::new(error.to_string())))
}

type Shared = Vec<(Option<PathBuf>, Weak<TlsConnector>)>;

/// The set of roots for `ca_file`, loaded unless a session already uses it.
fn shared_roots(ca_file: Option<&Path>) -> Result<Arc<TlsConnector>, TlsFailure> {
    static SHARED: Mutex<Shared> = Mutex::new(Vec::new());
    // Only looked up and stored under the lock; two who load at once merely load twice.
    let lock = || SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = lock()
        .iter()
        .find(|(file, _)| file.as_deref() == ca_file)
        .and_then(|(_, roots)| roots.upgrade());
    if let Some(roots) = known {
        return Ok(roots);
    }
    let roots = Arc::new(load(ca_file)?);
    let mut shared = lock();
    shared.retain(|(file, roots)| roots.strong_count() > 0 && file.as_deref() != ca_file);
    shared.push((ca_file.map(Path::to_owned), Arc::downgrade(&roots)));
    Ok(roots)
}

fn load(ca_file: Option<&Path>) -> Result<TlsConnector, TlsFailure> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(path) = ca_file {
        let told = |what: &dyn fmt::Display| {
            TlsFailure::new(format!("`http.tls_ca_file` {}: {what}", path.display()))
        };
        let pem = std::fs::read(path).map_err(|error| told(&error))?;
        let roots = native_tls::Certificate::stack_from_pem(&pem).map_err(|error| told(&error))?;
        if roots.is_empty() {
            return Err(told(&"holds no PEM certificate"));
        }
        for root in roots {
            builder.add_root_certificate(root);
        }
    }
    builder.build().map_err(|error| TlsFailure::new(format!("TLS cannot be set up: {error}")))
}
