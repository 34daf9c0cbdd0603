//! Registration against an HTTP server of this process.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::agent::http::test_server::{Server, serve};
use crate::config::{FixedEnvironment, Hub, Options, parse};

const OFFER: &str = r#"{"user_code": "ABCD-EF23",
    "verification_url": "https://hub.example/connect?code=ABCD-EF23",
    "polling_token": "0123abcd", "expires_in": 300, "interval": 5}"#;
const BUSY: (&str, &str) = ("429 Too Many Requests", "");
const PENDING: (&str, &str) = ("200 OK", r#"{"status": "pending"}"#);
const APPROVED: (&str, &str) = (
    "200 OK",
    r#"{"status": "approved", "token": "s3cret", "runtime_id": "runtime-1a2b", "org_id": "default"}"#,
);

/// A hub that gives these answers, one after the other, and then hangs up.
fn hub(answers: &'static [(&'static str, &'static str)]) -> Server {
    let next = AtomicUsize::new(0);
    serve(move |conversation| {
        while conversation.request().is_some() {
            let Some((status, body)) = answers.get(next.fetch_add(1, Ordering::SeqCst)) else {
                return;
            };
            conversation.answer(status, body);
        }
    })
}

fn settings(server: &Server, more: &str) -> Hub {
    let url = server.url.replacen("http", "ws", 1);
    let text = format!(
        r#"{{"hub": {{"url": "{url}/ws/runtime"{more}}}, "runtime": {{"id": "x", "state_dir": "/x"}},
            "endpoints": [{{"id": "a", "profile": "generic-cli", "cli": {{"command": "cat"}}}}]}}"#
    );
    let options = Options { token_optional: true };
    parse(&text, "test.json", &FixedEnvironment::new([]), options).unwrap().config.hub
}

/// Writes down what happens; no time passes.
#[derive(Default)]
struct Notes {
    shown: Vec<String>,
    news: Vec<String>,
    waits: Vec<u64>,
    kept: Vec<String>,
    patience: Option<usize>,
}

impl Surroundings for Notes {
    fn show(&mut self, offer: &Offer) {
        self.shown.push(format!("{} {} {:?}", offer.code, offer.address, offer.expires_in));
    }

    fn waits_for(&mut self, what: &str) {
        self.news.push(what.to_owned());
    }

    fn wait(&mut self, pause: Duration) -> bool {
        self.waits.push(pause.as_secs());
        self.patience.is_none_or(|patience| self.waits.len() < patience)
    }
}

fn run(server: &Server, notes: &mut Notes) -> Result<Granted, RegisterError> {
    let client = Client::new(&settings(server, "")).expect("a client");
    let mut kept = Vec::new();
    let result = register(&client, notes, &mut |token| {
        kept.push(token.to_owned());
        Ok(())
    });
    notes.kept = kept;
    result
}

fn fails(answers: &'static [(&'static str, &'static str)]) -> (RegisterError, Notes) {
    let mut notes = Notes::default();
    (run(&hub(answers), &mut notes).expect_err("no token"), notes)
}

#[test]
fn a_code_is_shown_confirmed_and_becomes_id_and_token() {
    let server = hub(&[("200 OK", OFFER), PENDING, PENDING, APPROVED]);
    let mut notes = Notes::default();
    let granted = run(&server, &mut notes).unwrap();
    assert_eq!(granted, Granted { runtime_id: "runtime-1a2b".into(), org_id: None });
    assert_eq!(notes.kept, ["s3cret"]);
    assert_eq!(notes.waits, [5, 5, 5]);
    assert_eq!(notes.shown, ["ABCD-EF23 https://hub.example/connect?code=ABCD-EF23 300s"]);
    let requests: Vec<String> = server.requests.try_iter().collect();
    assert!(requests[0].starts_with("POST /api/runtime/register HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].to_lowercase().contains("content-length: 0\r\n"), "{requests:?}");
    for poll in &requests[1..] {
        assert!(poll.starts_with("POST /api/runtime/register/poll HTTP/1.1\r\n"), "{poll}");
        assert!(poll.to_lowercase().contains("content-type: application/json"), "{poll}");
        assert!(poll.ends_with(r#"{"polling_token":"0123abcd"}"#), "{poll}");
    }
}

#[test]
fn an_organisation_of_its_own_is_told() {
    let server = hub(&[
        ("200 OK", OFFER),
        ("200 OK", r#"{"status": "approved", "token": "t", "runtime_id": "r", "org_id": "lab"}"#),
    ]);
    let granted = run(&server, &mut Notes::default()).unwrap();
    assert_eq!(granted.org_id.as_deref(), Some("lab"));
}

#[test]
fn an_older_hub_is_told_with_what_to_do_instead() {
    let (error, notes) = fails(&[("404 Not Found", "404 page not found")]);
    assert!(matches!(error, RegisterError::OlderHub), "{error:?}");
    assert!(error.to_string().contains("--token-stdin"), "{error}");
    assert!(notes.shown.is_empty() && notes.kept.is_empty());
}

#[test]
fn a_busy_hub_is_asked_more_slowly() {
    let mut notes = Notes::default();
    let server = hub(&[BUSY, BUSY, ("200 OK", OFFER), BUSY, BUSY, PENDING, APPROVED]);
    run(&server, &mut notes).unwrap();
    assert_eq!(notes.waits, [1, 2, 5, 10, 20, 20]);
    let (error, notes) = fails(&[BUSY; 6]);
    assert!(matches!(error, RegisterError::Busy), "{error:?}");
    assert_eq!(notes.waits, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn what_ends_it_is_told_in_words() {
    for (last, words) in [
        (("200 OK", r#"{"status": "expired"}"#), "in time"),
        (("200 OK", r#"{"status": "denied"}"#), "refused this runtime: denied"),
        (("200 OK", r#"{"status": "\u001b[2J\n"}"#), "refused this runtime: \"\\u{1b}[2J\\n\""),
        (("200 OK", r#"{"status": "approved", "token": ""}"#), "given the token out already"),
        (("200 OK", r#"{"status": "approved", "token": "t"}"#), "but no id"),
        (("404 Not Found", ""), "does not know this registration"),
        (("400 Bad Request", ""), "status 400"),
        (("200 OK", "<html>"), "not a JSON object"),
    ] {
        let answers = Box::leak(Box::new([("200 OK", OFFER), last]));
        let (error, _) = fails(answers);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_token_is_kept_whatever_else_is_wrong_with_the_answer() {
    let (error, notes) = fails(&[
        ("200 OK", OFFER),
        ("200 OK", r#"{"status": "approved", "token": "s3cret", "runtime_id": 7, "org_id": []}"#),
    ]);
    assert!(matches!(error, RegisterError::NoId), "{error:?}");
    assert_eq!(notes.kept, ["s3cret"]);
}

#[test]
fn a_token_that_cannot_be_kept_is_not_told() {
    let client = Client::new(&settings(&hub(&[("200 OK", OFFER), APPROVED]), "")).unwrap();
    let full = |_: &str| Err(io::ErrorKind::StorageFull.into());
    let error = register(&client, &mut Notes::default(), &mut { full }).unwrap_err();
    assert!(matches!(error, RegisterError::Keep(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[test]
fn an_answer_that_is_none_is_not_shown() {
    for (answer, words) in [
        ("<html>", "not a JSON object"),
        ("{}", "no verification_url"),
        (r#"{"verification_url": "javascript:x"}"#, "no address"),
        (r#"{"verification_url": "https://x/\u001b[2J"}"#, "no verification_url"),
        (r#"{"verification_url": "https://x/", "user_code": "A\nB"}"#, "no user_code"),
        (r#"{"verification_url": "https://x/", "user_code": "AB"}"#, "no polling_token"),
    ] {
        let answers = Box::leak(Box::new([("200 OK", answer)]));
        let (error, notes) = fails(answers);
        assert!(error.to_string().contains(words), "{error}");
        assert!(notes.shown.is_empty());
    }
    let (error, _) = fails(&[("500 Internal Server Error", "")]);
    assert!(error.to_string().contains("status 500"), "{error}");
}

#[test]
fn a_hub_that_is_elsewhere_is_told_but_not_followed() {
    let server = serve(|conversation| {
        conversation.request();
        conversation.say(
            "HTTP/1.1 301 Moved Permanently\r\nLocation: https://new.example/\r\n\
             Content-Length: 0\r\n\r\n",
        );
    });
    let error = run(&server, &mut Notes::default()).unwrap_err();
    assert!(error.to_string().contains("https://new.example/"), "{error}");
}

#[test]
fn a_hub_that_breaks_down_meanwhile_is_waited_for() {
    let next = AtomicUsize::new(0);
    let server = serve(move |conversation| {
        while conversation.request().is_some() {
            match next.fetch_add(1, Ordering::SeqCst) {
                0 => conversation.answer("200 OK", OFFER),
                1 => conversation.answer("502 Bad Gateway", ""),
                // Cut without an answer.
                2 => return,
                _ => conversation.answer(APPROVED.0, APPROVED.1),
            }
        }
    });
    let mut notes = Notes::default();
    run(&server, &mut notes).unwrap();
    assert!(notes.news.iter().any(|news| news == "a hub that has a problem"), "{:?}", notes.news);
    assert_eq!(notes.kept, ["s3cret"]);
}

#[test]
fn a_hub_that_never_decides_is_given_up() {
    let server = serve(|conversation| {
        while let Some(request) = conversation.request() {
            let body = if request.contains("/poll") { PENDING.1 } else { OFFER };
            conversation.answer("200 OK", body);
        }
    });
    let mut notes = Notes::default();
    let error = run(&server, &mut notes).unwrap_err();
    assert!(matches!(error, RegisterError::Expired), "{error:?}");
    assert_eq!(notes.waits.iter().sum::<u64>(), 360);
}

#[test]
fn an_interrupt_ends_the_wait() {
    let server = hub(&[("200 OK", OFFER), PENDING, PENDING]);
    let mut notes = Notes { patience: Some(2), ..Notes::default() };
    let error = run(&server, &mut notes).unwrap_err();
    assert!(matches!(error, RegisterError::Interrupted), "{error:?}");
    assert_eq!(notes.waits.len(), 2);
}

#[test]
fn a_hub_that_is_not_there_is_told_with_its_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = hub(&[]);
    server.url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = run(&server, &mut Notes::default()).unwrap_err().to_string();
    assert!(error.contains(&server.url) && error.contains("refused"), "{error}");
}

#[cfg(feature = "tls")]
#[test]
fn the_hub_s_certificate_is_verified_unless_nobody_wants_that() {
    use crate::agent::http::tls_tests::{authority, serve_tls};
    let (directory, identity) = authority();
    let server = serve_tls(identity);
    let ask = |more: &str| {
        let client = Client::new(&settings(&server, more)).expect("a client");
        client.post("/", None).map(|reply| reply.body.to_string()).map_err(|error| error.told())
    };
    let error = ask("").unwrap_err();
    assert!(error.contains("hub.tls_ca_file"), "{error}");
    let ca_file = directory.path().join("ca.pem");
    assert_eq!(ask(&format!(", \"tls_ca_file\": {ca_file:?}")).as_deref(), Ok("secret"));
    assert_eq!(ask(", \"tls_skip_verify\": true").as_deref(), Ok("secret"));
}
