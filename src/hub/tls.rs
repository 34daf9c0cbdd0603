//! TLS for the hub: roots, client certificate, the handshake, and what a person
//! can do when it fails.
//!
//! Certificates are read again at every connect, so a renewed one is used
//! without a restart. It knows nothing of what is said over the connection.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector, TlsStream};

use super::certificate;
use super::socket::Socket;
use crate::config::Hub;

/// Why there is no TLS.
#[derive(Debug)]
pub enum TlsError {
    /// A configured file cannot be read.
    Read { field: &'static str, path: PathBuf, error: std::io::Error },
    /// A configured file holds something else.
    Content { field: &'static str, path: PathBuf, why: String },
    /// Only one of certificate and key is configured.
    HalfAnIdentity,
    /// The library could not be set up.
    Setup(native_tls::Error),
    /// The handshake failed; with what a person can do.
    Handshake { error: String, hint: Option<String> },
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { field, path, error } => {
                write!(
                    f,
                    "{field}: {} cannot be read: {error}; correct the path, or let this user read it",
                    path.display()
                )
            }
            Self::Content { field, path, why } => write!(f, "{field}: {}: {why}", path.display()),
            Self::HalfAnIdentity => {
                f.write_str("hub.tls_client_cert and hub.tls_client_key belong together; set both")
            }
            Self::Setup(error) => {
                write!(f, "TLS cannot be set up: {error}; is this machine's TLS library whole?")
            }
            Self::Handshake { error, hint: None } => write!(f, "{error}; is hub.url right?"),
            Self::Handshake { error, hint: Some(hint) } => write!(f, "{error}; {hint}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// Makes a connector of the configuration: TLS 1.2 or newer, the system's roots
/// and those of `tls_ca_file`, the client's certificate.
///
/// # Errors
/// When a configured file is missing or holds something else.
pub fn connector(hub: &Hub) -> Result<TlsConnector, TlsError> {
    let mut builder = TlsConnector::builder();
    builder.min_protocol_version(Some(Protocol::Tlsv12));
    if let Some(path) = &hub.tls_ca_file {
        let field = "hub.tls_ca_file";
        let content = |why: String| TlsError::Content { field, path: path.clone(), why };
        let roots = Certificate::stack_from_pem(&read(field, path)?)
            .map_err(|error| content(format!("no PEM certificates: {error}; name a PEM file")))?;
        if roots.is_empty() {
            return Err(content("it holds no PEM certificate; name a PEM file".into()));
        }
        for root in roots {
            builder.add_root_certificate(root);
        }
    }
    match (&hub.tls_client_cert, &hub.tls_client_key) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            builder.identity(identity(certificate, key)?);
        }
        _ => return Err(TlsError::HalfAnIdentity),
    }
    if hub.tls_skip_verify {
        builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
    }
    builder.build().map_err(TlsError::Setup)
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let certificates = read("hub.tls_client_cert", certificate)?;
    let key_pem = zeroize::Zeroizing::new(read("hub.tls_client_key", key)?);
    Identity::from_pkcs8(&certificates, &key_pem).map_err(|error| {
        let text = String::from_utf8_lossy(&key_pem);
        let field = "hub.tls_client_key";
        let other_kind = text.contains("PRIVATE KEY-----") && !text.contains("BEGIN PRIVATE KEY");
        let why = if other_kind {
            "not a PKCS#8 key (BEGIN PRIVATE KEY); `openssl pkcs8 -topk8 -nocrypt -in old.pem -out new.pem` makes one".into()
        } else {
            format!(
                "it does not go with the certificate in {}: {error}; name the key of that one",
                certificate.display()
            )
        };
        TlsError::Content { field, path: key.to_owned(), why }
    })
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read { field, path: path.to_owned(), error })
}

/// Does the handshake with `host` on a socket that has a deadline.
///
/// # Errors
/// When it fails, with a hint where one is known.
pub fn handshake(
    connector: &TlsConnector,
    host: &str,
    socket: Socket,
) -> Result<TlsStream<Socket>, TlsError> {
    connector.connect(host, socket).map_err(|error| {
        let error = match error {
            HandshakeError::Failure(error) => error.to_string(),
            // A socket with a deadline says `TimedOut` instead.
            HandshakeError::WouldBlock(_) => "the handshake was interrupted".to_owned(),
        };
        let hint = hint(&error);
        TlsError::Handshake { error, hint }
    })
}

/// What a person can do about an error of TLS, also one that shows only when
/// something is read.
pub fn hint(error: &str) -> Option<String> {
    let has = |text: &str| error.contains(text);
    let now = || humantime::format_rfc3339_seconds(SystemTime::now());
    let hint = if has("not yet valid") {
        format!("this machine's clock is probably wrong, it says {}", now())
    } else if has("has expired") && !has("alert") {
        format!(
            "the hub's certificate has expired, or this machine's clock is wrong, it says {}",
            now()
        )
    } else if has("unable to get local issuer") || has("self-signed") || has("self signed") {
        if has_system_roots() {
            "the hub's certificate comes from an authority this machine does not know: set \
             hub.tls_ca_file to that authority's certificate"
                .into()
        } else {
            "this machine has no root certificates at all: install the package ca-certificates, or \
             set hub.tls_ca_file"
                .into()
        }
    } else if has("ostname mismatch") || has("IP address mismatch") {
        "the hub's certificate is for another name than the one in hub.url".into()
    } else if has("wrong version number") || has("packet length too long") || has("http request") {
        "what answers on that port does not speak TLS: should hub.url begin with ws:// instead?"
            .into()
    } else if has("certificate required") || has("handshake failure") || has("bad certificate") {
        "the hub asks for a client certificate that it knows: see hub.tls_client_cert and \
         hub.tls_client_key"
            .into()
    } else {
        return None;
    };
    Some(hint)
}

/// Whether the system's store of roots was found. Only where OpenSSL is used
/// can it be missing.
fn has_system_roots() -> bool {
    if cfg!(not(unix)) || cfg!(target_vendor = "apple") {
        return true;
    }
    let configured =
        |name: &str| std::env::var_os(name).is_some_and(|path| Path::new(&path).exists());
    configured("SSL_CERT_FILE")
        || configured("SSL_CERT_DIR")
        || [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
            "/usr/local/share/certs/ca-root-nss.crt",
        ]
        .iter()
        .any(|path| Path::new(path).exists())
}

/// After an error that says "not yet valid": from when the hub's certificate
/// is valid, asked for once more without verification and without saying
/// anything. `None` where that cannot be found out.
pub fn valid_from(hub: &Hub, socket: Socket, deadline: Instant) -> Option<String> {
    let mut builder = TlsConnector::builder();
    builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
    let mut socket = socket;
    socket.set_deadline(deadline);
    let stream = builder.build().ok()?.connect(&hub.url.host, socket).ok()?;
    let der = stream.peer_certificate().ok()??.to_der().ok()?;
    certificate::validity(&der).map(|validity| validity.from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_what_to_do() {
        for (error, told) in [
            (
                "certificate verify failed: (certificate is not yet valid)",
                "clock is probably wrong",
            ),
            ("certificate verify failed: (certificate has expired)", "has expired, or"),
            ("(Hostname mismatch)", "another name"),
            ("SSL routines:ssl3_get_record:wrong version number", "ws://"),
            ("tlsv13 alert certificate required", "hub.tls_client_cert"),
        ] {
            let hint = hint(error).unwrap();
            assert!(hint.contains(told), "{hint}");
        }
        assert!(hint("self-signed certificate").unwrap().contains("hub.tls_ca_file"));
        assert_eq!(hint("connection reset"), None);
    }
}
