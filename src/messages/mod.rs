//! Every message a person can see, in one table, read for its tone and for what
//! must not be in it. A new case of any of these errors does not compile until
//! it has a row.
//!
//! One voice: what happened, to what, what to do. An error is a line that begins
//! in lower case and ends without a full stop, its advice behind a semicolon or
//! as a question; what users read in a session are sentences.
//!
//! What a configuration's problems say, with path and hint, is a table of its own
//! in `config/tests/wrong.rs`.

mod rows;

use crate::config::{self, FixedEnvironment, Options};
use crate::hub::proxy::ProxySettings;

/// What nobody may read.
const SECRET: &str = "hunter2";

/// Words of a program that speaks to itself, or grovels.
const NO_WORDS: [&str; 14] = [
    "panicked",
    "unwrap",
    "None",
    "Some(",
    "Err(",
    "Error",
    "Os {",
    "please",
    "Please",
    "sorry",
    "Oops",
    "invalid",
    "failed to",
    "!",
];

fn read(message: &str) {
    assert!(!message.chars().any(char::is_control), "it moves the cursor: {message:?}");
    assert!(message.len() < 330, "too long to read: {message}");
    for word in NO_WORDS {
        assert!(!message.contains(word), "{word}: {message}");
    }
    assert!(!message.contains("  ") && message.trim() == message, "{message:?}");
}

#[test]
fn every_error_says_what_happened_to_what_and_what_to_do() {
    let errors = rows::errors();
    assert!(errors.len() > 70, "{}", errors.len());
    for message in errors {
        read(&message);
        let first = message.chars().next().unwrap_or(' ');
        assert!(!first.is_uppercase() && first != ' ', "begins otherwise: {message}");
        assert!(!message.ends_with('.') && !message.contains(". "), "a sentence: {message}");
        let advises = message.contains("; ") || message.ends_with('?');
        assert!(advises, "nothing to do: {message}");
    }
}

#[test]
fn every_notice_is_a_sentence_a_person_can_read() {
    for message in rows::sentences() {
        read(&message);
        assert!(message.ends_with(['.', '?']), "no full stop: {message}");
        assert!(message.starts_with(|c: char| c.is_uppercase() || c.is_numeric() || c == 'h'));
    }
}

#[test]
fn the_end_of_a_connection_is_told_in_the_same_voice() {
    for message in rows::link_ends() {
        read(&message);
        assert!(message.starts_with(char::is_lowercase) && !message.ends_with('.'), "{message}");
    }
}

#[test]
fn no_message_tells_what_it_was_given_in_confidence() {
    let mut all = Vec::new();
    for value in ["socks5://me:hunter2@proxy", "http://me:hunter2@", "http://me:hunter2@:x"] {
        let settings =
            ProxySettings::from_lookup(|name| (name == "HTTPS_PROXY").then(|| value.to_owned()));
        all.extend(settings.for_target(true, "hub", 443).err().map(|error| error.to_string()));
    }
    assert_eq!(all.len(), 3, "{all:?}");
    for hub in [
        r#"{"token": "hunter2\u0007"}"#,
        r#"{"token": "hunter2", "url": "ws://me:hunter2@hub/"}"#,
        r#"{"token": "hunter2", "tls_ca_file": 7}"#,
        r#"{"token_file": "/nonexistent", "token": "hunter2"}"#,
    ] {
        let file = format!(
            r#"{{"hub": {hub}, "endpoints": [{{"id": "a", "profile": "generic-http", "http":
               {{"base_url": "http://me:hunter2@h/", "headers": {{"A": "hunter2\n"}}}}}}]}}"#
        );
        let environment = FixedEnvironment::new([("HOME", "/home/ann")]);
        let problems = config::parse(&file, "config.json", &environment, Options::default());
        all.push(problems.expect_err(&file).to_string());
    }
    for message in all {
        assert!(!message.contains(SECRET), "{message}");
    }
}
