//! From an address to a registered connection: name, TCP, proxy, TLS,
//! WebSocket, hello.
//!
//! Every step has a deadline; only name resolution can take as long as the
//! system's resolver likes, and a dial that was called off in the meantime goes
//! no further. It does not know what happens on a connection afterwards, nor
//! when to dial again.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{debug, warn};
use tungstenite::WebSocket;
use tungstenite::protocol::WebSocketConfig;

use super::HubSettings;
use super::connect;
pub use super::dial_error::{DialError, DialReport};
use super::hello;
use super::proxy::{Proxy, ProxyError, ProxySettings};
use super::socket::{self, Socket, Stream, Traffic};
use super::upgrade;
use crate::config::Hub;
use crate::protocol::inbound::Inbound;
use crate::protocol::registration::Registration;
use crate::secret::Secret;

/// What a dial needs to know.
#[derive(Clone)]
pub struct DialPlan {
    /// Where, and how TLS is done.
    pub hub: Hub,
    /// Who we are.
    pub runtime_id: String,
    /// Of which organisation.
    pub org_id: Option<String>,
    /// What we have to offer.
    pub registrations: Arc<[Registration]>,
    /// The token for this hello.
    pub token: Secret,
    /// What the environment says of proxies.
    pub proxies: ProxySettings,
    /// Largest message the hub may send, in bytes.
    pub largest_message: usize,
    /// How long each step may take.
    pub limits: DialLimits,
    /// Where bytes are counted.
    pub traffic: Arc<Traffic>,
    /// Told which step begins.
    pub steps: Steps,
}

impl DialPlan {
    /// What these settings say, with that token for the hello.
    pub fn new(settings: &HubSettings, token: Secret, traffic: Arc<Traffic>) -> Self {
        Self {
            hub: settings.hub.clone(),
            runtime_id: settings.runtime_id.clone(),
            org_id: settings.org_id.clone(),
            registrations: Arc::clone(&settings.registrations),
            token,
            proxies: settings.proxies.clone(),
            largest_message: settings.largest_message,
            limits: settings.timing.dial,
            traffic,
            steps: Steps::default(),
        }
    }
}

/// A step of a dial, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Resolving the name of the hub, or of its proxy.
    Resolve,
    /// Connecting to one of the addresses.
    Connect,
    /// The proxy's CONNECT.
    Tunnel,
    /// The TLS handshake, with reading the roots.
    Tls,
    /// The WebSocket handshake.
    Upgrade,
    /// From the hello to its answer.
    Hello,
}

/// Whoever wants to know which step begins; usually nobody.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Steps {
    /// `begun` is called at the beginning of each step. It must not block.
    pub fn told_to(begun: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(begun)))
    }

    fn begin(&self, step: Step) {
        if let Some(begun) = &self.0 {
            begun(step);
        }
    }
}

/// How long each step of a dial may take.
#[derive(Clone, Copy, Debug)]
pub struct DialLimits {
    /// Connecting to one of the addresses.
    pub connect: Duration,
    /// Each of proxy, TLS and WebSocket handshake.
    pub handshake: Duration,
    /// From the hello to its answer.
    pub ack: Duration,
}

impl Default for DialLimits {
    fn default() -> Self {
        let limit = Duration::from_secs(15);
        Self { connect: limit, handshake: limit, ack: limit }
    }
}

/// A registered connection; its socket no longer blocks.
pub struct Dialed {
    /// The connection.
    pub socket: WebSocket<Stream>,
    /// What the hub sent before it answered the hello, in order.
    pub early: Vec<Inbound>,
    /// How long it took.
    pub report: DialReport,
}

/// A dial that failed.
#[derive(Debug)]
pub struct DialFailure {
    /// Why.
    pub error: DialError,
    /// What the hub sent before it failed: it had registered us and will not
    /// send it again. Empty when the hub refused us.
    pub early: Vec<Inbound>,
}

impl From<DialError> for DialFailure {
    fn from(error: DialError) -> Self {
        Self { error, early: Vec::new() }
    }
}

/// Calls a dial off from another thread.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<Cancelled>>);

#[derive(Default)]
struct Cancelled {
    called_off: bool,
    tcp: Option<Arc<TcpStream>>,
}

impl Cancel {
    /// From here on nothing more is sent; the dial ends at its next step.
    pub fn call_off(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.called_off = true;
        if let Some(tcp) = state.tcp.take() {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }

    /// Hands the socket over, so that it can be cut.
    fn guard(&self, tcp: &Arc<TcpStream>) -> Result<(), DialError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.called_off {
            return Err(DialError::Cancelled);
        }
        state.tcp = Some(Arc::clone(tcp));
        Ok(())
    }

    fn check(&self) -> Result<(), DialError> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.called_off { Err(DialError::Cancelled) } else { Ok(()) }
    }
}

/// Dials, says hello and waits for the answer.
///
/// # Errors
/// The step that failed, with what can be done; [`DialError::Cancelled`] when
/// it was called off.
pub fn dial(plan: &DialPlan, cancel: &Cancel) -> Result<Dialed, DialFailure> {
    let outcome = steps(plan, cancel);
    // What fails because its socket was cut failed because it was called off.
    cancel.check()?;
    outcome
}

fn steps(plan: &DialPlan, cancel: &Cancel) -> Result<Dialed, DialFailure> {
    let host = authority(plan);
    let Reached { mut socket, mut report } = reach(plan, cancel)?;
    let upgraded = Instant::now();
    cancel.check()?;

    plan.steps.begin(Step::Hello);
    socket.get_mut().socket_mut().set_deadline(upgraded + plan.limits.ack);
    let early = hello::register(&mut socket, plan, &host)?;
    socket.get_mut().socket_mut().set_nonblocking().map_err(|error| DialError::EndedBeforeAck {
        host: host.clone(),
        error: error.to_string(),
    })?;
    report.hello = upgraded.elapsed();
    debug!("dialled host={host} took={:?} report={report:?}", report.total());
    Ok(Dialed { socket, early, report })
}

/// A WebSocket on which nothing was said yet.
pub(super) struct Reached {
    pub socket: WebSocket<Stream>,
    /// All but the hello.
    pub report: DialReport,
}

/// Every step but the hello: whoever answers does not know yet who we are.
///
/// # Errors
/// The step that failed, with what can be done.
pub(super) fn reach(plan: &DialPlan, cancel: &Cancel) -> Result<Reached, DialError> {
    let (url, limits) = (&plan.hub.url, plan.limits);
    let proxy = plan
        .proxies
        .for_target(url.tls, &url.host, url.port)
        .map_err(|error| DialError::Proxy { proxy: "of the environment".into(), error })?;

    let route = open(plan, proxy.as_ref(), cancel)?;
    let opened = Instant::now();
    let stream = secure(plan, proxy.as_ref(), cancel, route.socket)?;
    let secured = Instant::now();
    let certificate_until = stream.peer_valid_until();

    plan.steps.begin(Step::Upgrade);
    let socket = upgrade::upgrade(stream, plan, secured + limits.handshake)?;
    let report = DialReport {
        host: proxy.as_ref().map_or_else(|| url.host.clone(), |proxy| proxy.host.clone()),
        address: route.address,
        proxy: proxy.as_ref().map(shown),
        certificate_until,
        resolve: route.resolve,
        connect: route.connect,
        tunnel: route.tunnel,
        tls: url.tls.then(|| secured - opened),
        upgrade: secured.elapsed(),
        hello: Duration::ZERO,
    };
    Ok(Reached { socket, report })
}

/// A socket to the hub, through the proxy if there is one.
struct Route {
    socket: Socket,
    address: std::net::SocketAddr,
    resolve: Duration,
    connect: Duration,
    tunnel: Option<Duration>,
}

fn open(plan: &DialPlan, proxy: Option<&Proxy>, cancel: &Cancel) -> Result<Route, DialError> {
    let (url, limits) = (&plan.hub.url, plan.limits);
    let (host, port) = proxy.map_or((&url.host, url.port), |proxy| (&proxy.host, proxy.port));
    let target =
        || proxy.map_or_else(|| authority(plan), |proxy| format!("proxy {}", shown(proxy)));

    let started = Instant::now();
    plan.steps.begin(Step::Resolve);
    let failed = |error| DialError::Connect { target: target(), error };
    let addresses = connect::resolve(host, port).map_err(failed)?;
    cancel.check()?;
    let resolved = Instant::now();
    plan.steps.begin(Step::Connect);
    let (tcp, address) = connect::connect(&addresses, resolved + limits.connect).map_err(failed)?;
    if let Err(error) = socket::set_options(&tcp) {
        warn!("socket option not set, a dead hub may be noticed late error={error}");
    }
    let connected = Instant::now();
    let mut socket = Socket::new(tcp, connected + limits.handshake, Arc::clone(&plan.traffic));
    cancel.guard(socket.tcp())?;
    let mut tunnel = None;
    if let Some(proxy) = proxy {
        plan.steps.begin(Step::Tunnel);
        proxy.tunnel(&mut socket, &url.host, url.port).map_err(|error| match error {
            ProxyError::Io(error) if super::dial_error::is_timeout(&error) => DialError::TimedOut {
                host: target(),
                step: "its answer to CONNECT",
                limit: limits.handshake,
            },
            error => DialError::Proxy { proxy: shown(proxy), error },
        })?;
        tunnel = Some(connected.elapsed());
    }
    let (resolve, connect) = (resolved - started, connected - resolved);
    Ok(Route { socket, address, resolve, connect, tunnel })
}

#[cfg(feature = "tls")]
fn secure(
    plan: &DialPlan,
    proxy: Option<&Proxy>,
    cancel: &Cancel,
    mut socket: Socket,
) -> Result<Stream, DialError> {
    use super::tls::{self, TlsError};

    let (hub, limits) = (&plan.hub, plan.limits);
    if !hub.url.tls {
        return Ok(Stream::Plain(socket));
    }
    plan.steps.begin(Step::Tls);
    if hub.tls_skip_verify {
        warn!(
            "the hub's certificate is not verified (hub.tls_skip_verify): anybody on the way can read and change everything host={}",
            authority(plan)
        );
    }
    let failed = |error| DialError::Tls { host: authority(plan), error };
    let connector = tls::connector(hub).map_err(failed)?;
    let deadline = Instant::now() + limits.handshake;
    socket.set_deadline(deadline);
    match tls::handshake(&connector, &hub.url.host, socket) {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(_) if Instant::now() >= deadline => Err(DialError::TimedOut {
            host: authority(plan),
            step: "the TLS handshake",
            limit: limits.handshake,
        }),
        Err(TlsError::Handshake { error, hint }) if error.contains("not yet valid") => {
            // Another look is no step of its own.
            let unseen = DialPlan { steps: Steps::default(), ..plan.clone() };
            let again = open(&unseen, proxy, cancel)?;
            let from = tls::valid_from(hub, again.socket, Instant::now() + limits.handshake);
            let hint = match (hint, from) {
                (Some(hint), Some(from)) => {
                    Some(format!("{hint}, and the certificate is valid from {from}"))
                }
                (hint, _) => hint,
            };
            Err(failed(TlsError::Handshake { error, hint }))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(not(feature = "tls"))]
fn secure(
    plan: &DialPlan,
    _proxy: Option<&Proxy>,
    _cancel: &Cancel,
    socket: Socket,
) -> Result<Stream, DialError> {
    if plan.hub.url.tls {
        return Err(DialError::TlsNotBuilt { host: authority(plan) });
    }
    Ok(Stream::Plain(socket))
}

/// `host:port` of the hub, as it is written in addresses and headers.
pub(super) fn authority(plan: &DialPlan) -> String {
    let url = &plan.hub.url;
    bracketed(&url.host, url.port)
}

fn shown(proxy: &Proxy) -> String {
    bracketed(&proxy.host, proxy.port)
}

fn bracketed(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Limits and buffers of a connection. Small buffers: an idle link is to cost
/// little, and what waits in them can no longer be overtaken by a pong.
pub(super) fn websocket_config(largest_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(super::link::BATCH)
        .max_write_buffer_size(super::link::BATCH * 4)
        .max_message_size(Some(largest_message))
        .max_frame_size(Some(largest_message))
}
