//! TLS with an authority of the tests' own, made with the `openssl` command,
//! and the way through an HTTP proxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use amurg_runtime::hub::HubSettings;
use amurg_runtime::hub::dial::Step;
use amurg_runtime::hub::probe::{Extent, probe};
use amurg_runtime::hub::proxy::ProxySettings;
use native_tls::{Identity, TlsAcceptor};
use serde_json::json;
use tempfile::TempDir;

use crate::fake::{FakeHub, LIMIT, Peer, Runtime, logged, number_of, output, settings};

/// An authority, and certificates of it for `127.0.0.1` and `hub.test`:
/// `server`, `client`, and `future`, which is not valid before 2090.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(tempfile::tempdir().expect("a directory"));
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        authority
            .run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
        authority.write("names", "subjectAltName=IP:127.0.0.1,DNS:hub.test");
        authority.write(
            "ca.cnf",
            "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n\
             default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n",
        );
        authority.write("index", "");
        authority.write("serial", "01");
        for (name, dates) in [
            ("server", "-days 2"),
            ("client", "-days 2"),
            ("future", "-startdate 20900101000000Z -enddate 20910101000000Z"),
        ] {
            authority
                .run(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            authority.run(&format!(
                "ca -config ca.cnf -batch -notext {dates} -cert ca.pem -keyfile ca.key \
                 -extfile names -in {name}.csr -out {name}.pem"
            ));
        }
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    fn run(&self, arguments: &str) {
        let arguments = arguments.split_whitespace();
        let output = Command::new("openssl").current_dir(self.0.path()).args(arguments).output();
        let output = output.expect("the openssl command, which these tests need");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let read = |end: &str| std::fs::read(self.path(&format!("{name}.{end}"))).expect("a file");
        TlsAcceptor::new(Identity::from_pkcs8(&read("pem"), &read("key")).expect("a pair"))
            .expect("an acceptor")
    }

    fn settings(&self, address: SocketAddr) -> HubSettings {
        let mut settings = settings(address);
        settings.hub.url.tls = true;
        settings.hub.tls_ca_file = Some(self.path("ca.pem"));
        settings
    }
}

fn error_of(runtime: &Runtime) -> String {
    runtime.until("an error", |status| status.last_error.is_some());
    runtime.hub.status().last_error.unwrap()
}

#[test]
fn both_directions_carry_megabytes_at_once_in_order() {
    const MESSAGES: usize = 300;
    let authority = Authority::new();
    let hub = FakeHub::new();
    let runtime = Runtime::start(authority.settings(hub.address));
    let stream = authority.acceptor("server").accept(hub.tcp()).unwrap();
    let mut peer = Peer::registered(stream);
    runtime.expect_registered();
    let lane = runtime.lane("s");
    for number in 0..MESSAGES {
        lane.send(output("s", number, 60_000));
    }
    let talking = thread::spawn(move || {
        for number in 0..MESSAGES {
            peer.say("user.message", json!({
                "session_id": "s", "message_id": format!("m{number}"), "content": "y".repeat(20_000)
            }));
            assert_eq!(number_of(&peer.read().unwrap()), number);
        }
        peer.read_to_end()
    });
    for number in 0..MESSAGES {
        let amurg_runtime::protocol::inbound::Inbound::UserMessage(message) =
            runtime.expect_message()
        else {
            panic!("not a message")
        };
        assert_eq!(message.message_id, format!("m{number}"));
    }
    runtime.until("everything is confirmed", |status| status.pending == 0);
    runtime.hub.shutdown(std::time::Instant::now() + LIMIT);
    assert!(talking.join().unwrap().is_empty());
}

#[test]
fn a_hub_that_cannot_be_verified_is_not_spoken_to_and_the_hint_says_what_to_do() {
    let authority = Authority::new();
    for (certificate, change, told) in [
        ("server", None, "tls_ca_file"),
        ("server", Some("localhost"), "another name"),
        ("future", Some("127.0.0.1"), "valid from 2090-01-01T00:00:00Z"),
    ] {
        let hub = FakeHub::new();
        let mut settings = authority.settings(hub.address);
        match change {
            None => settings.hub.tls_ca_file = None,
            Some(host) => settings.hub.url.host = host.into(),
        }
        let runtime = Runtime::start(settings);
        let acceptor = authority.acceptor(certificate);
        let attempts = thread::spawn(move || {
            // A second one asks from when the certificate is valid.
            for _ in 0..2 {
                let Ok(mut stream) = acceptor.accept(hub.tcp()) else { continue };
                assert_eq!(stream.read(&mut [0; 8]).unwrap_or(0), 0, "something was said");
            }
        });
        let error = error_of(&runtime);
        assert!(error.contains(told), "{error}");
        if certificate == "future" {
            assert!(error.contains("this machine's clock is probably wrong, it says 2"), "{error}");
        }
        attempts.join().unwrap();
    }
}

#[test]
fn verification_can_be_skipped_with_a_warning_at_every_connect() {
    let authority = Authority::new();
    let hub = FakeHub::new();
    let mut settings = authority.settings(hub.address);
    settings.hub.tls_ca_file = None;
    settings.hub.tls_skip_verify = true;
    let _runtime = Runtime::start(settings);
    for expected in 1..=2 {
        let stream = authority.acceptor("future").accept(hub.tcp()).unwrap();
        drop(Peer::registered(stream));
        let warned = |line: &&String| {
            line.contains("not verified") && line.contains(&hub.address.to_string())
        };
        assert_eq!(logged().iter().filter(warned).count(), expected);
    }
}

#[test]
fn a_server_without_tls_is_told_as_such() {
    let hub = FakeHub::new();
    let mut settings = settings(hub.address);
    settings.hub.url.tls = true;
    let runtime = Runtime::start(settings);
    hub.tcp().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let error = error_of(&runtime);
    assert!(error.contains("ws://"), "{error}");
}

#[test]
fn files_that_do_not_fit_are_named_with_their_field() {
    let authority = Authority::new();
    authority.run("ec -in client.key -out old.key");
    authority.write("empty.pem", "nothing");
    let hub = FakeHub::new();
    for (certificate, key, ca, told) in [
        (None, None, "missing.pem", "hub.tls_ca_file"),
        (None, None, "empty.pem", "hub.tls_ca_file"),
        (Some("client.pem"), None, "ca.pem", "belong together"),
        (Some("client.pem"), Some("old.key"), "ca.pem", "openssl pkcs8 -topk8"),
        (Some("empty.pem"), Some("client.key"), "ca.pem", "hub.tls_client_key"),
    ] {
        let mut settings = authority.settings(hub.address);
        settings.hub.tls_client_cert = certificate.map(|name| authority.path(name));
        settings.hub.tls_client_key = key.map(|name| authority.path(name));
        settings.hub.tls_ca_file = Some(authority.path(ca));
        let runtime = Runtime::start(settings);
        let error = error_of(&runtime);
        assert!(error.contains(told), "{error}");
    }
}

/// `openssl s_server`, which can ask for a client's certificate.
struct Verifying {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Verifying {
    fn start(authority: &Authority) -> (Self, SocketAddr) {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new("openssl")
            .current_dir(authority.0.path())
            .args([
                "s_server",
                "-quiet",
                "-Verify",
                "1",
                "-verify_return_error",
                "-CAfile",
                "ca.pem",
            ])
            .args(["-cert", "server.pem", "-key", "server.key", "-accept", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        (Self { child, input, output }, address)
    }
}

impl Read for Verifying {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for Verifying {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.input.write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.input.flush()
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_client_certificate_is_shown_and_its_lack_is_told() {
    let authority = Authority::new();
    let (server, address) = Verifying::start(&authority);
    let mut settings = authority.settings(address);
    settings.hub.tls_client_cert = Some(authority.path("client.pem"));
    settings.hub.tls_client_key = Some(authority.path("client.key"));
    let runtime = Runtime::start(settings);
    let _peer = Peer::registered(server);
    runtime.expect_registered();

    let (_server, address) = Verifying::start(&authority);
    let runtime = Runtime::start(authority.settings(address));
    runtime.until("a refusal", |status| {
        status.last_error.as_deref().is_some_and(|error| error.contains("hub.tls_client_cert"))
    });
}

/// A proxy that leads everything to one address; what it was asked.
fn proxy_to(target: SocketAddr) -> (SocketAddr, thread::JoinHandle<String>) {
    let proxy = FakeHub::new();
    let address = proxy.address;
    let asked = thread::spawn(move || {
        let mut client = proxy.tcp();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let server = TcpStream::connect(target).unwrap();
        for (mut from, mut to) in
            [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
        {
            thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
        String::from_utf8(head).unwrap()
    });
    (address, asked)
}

fn environment(variable: &str, value: &str) -> ProxySettings {
    ProxySettings::from_lookup(|name| (name == variable).then(|| value.to_owned()))
}

#[test]
fn the_proxy_of_the_environment_leads_to_the_hub_with_and_without_tls() {
    let authority = Authority::new();
    for tls in [true, false] {
        let hub = FakeHub::new();
        let (proxy, asked) = proxy_to(hub.address);
        let mut settings = authority.settings(hub.address);
        settings.hub.url.tls = tls;
        settings.hub.url.host = "hub.test".into();
        let variable = if tls { "HTTPS_PROXY" } else { "http_proxy" };
        settings.proxies = environment(variable, &format!("http://me:secret@{proxy}"));
        let runtime = Runtime::start(settings);
        let stream = hub.tcp();
        let port = hub.address.port();
        if tls {
            drop(Peer::registered(authority.acceptor("server").accept(stream).unwrap()));
        } else {
            drop(Peer::registered(stream));
        }
        runtime.expect_registered();
        let asked = asked.join().unwrap();
        assert!(asked.starts_with(&format!("CONNECT hub.test:{port} HTTP/1.1\r\n")), "{asked}");
        assert!(asked.contains("Proxy-Authorization: Basic "), "{asked}");
    }
}

#[test]
fn a_proxy_that_refuses_is_told_without_its_password() {
    let proxy = FakeHub::new();
    let mut settings = settings(proxy.address);
    settings.hub.url.host = "hub.test".into();
    settings.proxies = environment("HTTP_PROXY", &format!("http://me:secret@{}", proxy.address));
    let runtime = Runtime::start(settings);
    let mut client = proxy.tcp();
    let _ = client.read(&mut [0; 1024]).unwrap();
    client.write_all(b"HTTP/1.1 403 Not allowed here\r\n\r\n").unwrap();
    let error = error_of(&runtime);
    assert!(error.contains("403") && error.contains("Not allowed here"), "{error}");
    assert!(error.contains(&proxy.address.to_string()) && !error.contains("secret"), "{error}");
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    let mut settings = settings("127.0.0.1:1".parse().unwrap());
    settings.hub.url.host = "no-such-host.invalid".into();
    let runtime = Runtime::start(settings);
    let error = error_of(&runtime);
    assert!(error.contains("no-such-host.invalid:1: the name could not be resolved"), "{error}");
}

#[test]
fn a_probe_tells_of_proxy_and_certificate() {
    let authority = Authority::new();
    let hub = FakeHub::new();
    let (proxy, asked) = proxy_to(hub.address);
    let mut settings = authority.settings(hub.address);
    settings.hub.url.host = "hub.test".into();
    settings.proxies = environment("HTTPS_PROXY", &format!("http://{proxy}"));
    let probing = thread::spawn(move || probe(&settings, Extent::Hello, |_| {}));
    drop(Peer::registered(authority.acceptor("server").accept(hub.tcp()).unwrap()));
    let probed = probing.join().unwrap();
    let report = probed.outcome.unwrap();
    assert_eq!(report.proxy, Some(proxy.to_string()));
    let until = report.certificate_until.expect("a certificate");
    assert!(until.starts_with("20") && until.ends_with('Z'), "{until}");
    let steps: Vec<Step> = probed.steps.iter().map(|(step, _)| *step).collect();
    let all = [Step::Resolve, Step::Connect, Step::Tunnel, Step::Tls, Step::Upgrade, Step::Hello];
    assert_eq!(steps, all);
    asked.join().unwrap();
}
