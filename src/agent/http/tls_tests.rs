//! Turns against a server with a certificate of its own authority, made with
//! the `openssl` command.

use std::path::Path;
use std::process::Command;

use native_tls::{Identity, TlsAcceptor};
use tempfile::TempDir;

use super::test_server::{Server, http, scene, serve_through};
use crate::agent::Agent;

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(arguments.split(' '))
        .output()
        .expect("the openssl command, which these tests need");
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority in `ca.pem`, and a certificate of it for 127.0.0.1.
pub fn authority() -> (TempDir, Identity) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(path, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"));
    openssl(path, &format!("req {key} -keyout key.pem -out request.pem -subj /CN=server"));
    std::fs::write(path.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    openssl(
        path,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out cert.pem",
    );
    let read = |name| std::fs::read(path.join(name)).unwrap();
    let identity = Identity::from_pkcs8(&read("cert.pem"), &read("key.pem")).unwrap();
    (directory, identity)
}

pub fn serve_tls(identity: Identity) -> Server {
    let acceptor = TlsAcceptor::new(identity).unwrap();
    serve_through(
        "https",
        move |stream| Some(Box::new(acceptor.accept(stream).ok()?)),
        |conversation| {
            while let Some(request) = conversation.request() {
                if request.ends_with("drip") {
                    conversation.say("HTTP/1.1 200 OK\r\n\r\ndrip");
                    conversation.until_closed();
                } else {
                    conversation.answer("200 OK", "secret");
                }
            }
        },
    )
}

#[test]
fn a_root_of_one_s_own_is_trusted_where_configured() {
    let (directory, identity) = authority();
    let server = serve_tls(identity);
    let mut trusting = http(&server.url);
    trusting.tls_ca_file = Some(directory.path().join("ca.pem"));
    let mut scene = scene(trusting);
    for _ in 0..2 {
        assert_eq!(scene.turn("go"), ("secret".into(), None));
    }
    assert_eq!(server.accepted.try_iter().count(), 1);
    scene.message("drip");
    assert_eq!(scene.heard(), "drip");
    let asked = std::time::Instant::now();
    scene.agent.stop();
    assert_eq!(scene.end().note, None);
    assert!(asked.elapsed() < std::time::Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn an_unknown_authority_is_refused_with_a_reason() {
    let (_directory, identity) = authority();
    let server = serve_tls(identity);
    let (said, note) = scene(http(&server.url)).turn("go");
    assert_eq!(said, "");
    let note = note.unwrap();
    assert!(note.contains("certificate verify failed"), "{note}");
    assert!(note.contains("`http.tls_ca_file` adds roots"), "{note}");
}

#[test]
fn a_missing_file_of_roots_is_told_by_its_path() {
    let mut missing = http("https://127.0.0.1:1/");
    missing.tls_ca_file = Some("/nowhere/ca.pem".into());
    // Something must accept before TLS begins.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    missing.base_url = format!("https://{}", listener.local_addr().unwrap());
    let note = scene(missing).turn("go").1.unwrap();
    assert!(note.contains("`http.tls_ca_file` /nowhere/ca.pem: No such file"), "{note}");
}

#[test]
fn plain_http_where_tls_is_expected_is_told() {
    let server = super::test_server::serve(|conversation| {
        conversation.say("HTTP/1.1 400 Bad Request\r\n\r\n");
        conversation.until_closed();
    });
    let note = scene(http(&server.url.replace("http:", "https:"))).turn("go").1.unwrap();
    assert!(note.starts_with("No answer from https://127.0.0.1:"), "{note}");
}
