//! From options or answers to files, and back through the reader.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::ask::Script;
use super::done::Done;
use super::failure::Failure;
use super::register::{Offer, RegisterError, Surroundings};
use super::*;
use crate::agent::http::test_server::{Server, serve};
use crate::config::{self, Config, FixedEnvironment, Options};

/// A home with nothing in it.
struct Home {
    dir: TempDir,
    environment: FixedEnvironment,
}

impl Home {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = std::env::var("PATH").unwrap();
        let home = dir.path().to_str().unwrap();
        let mut environment = FixedEnvironment::new([("HOME", home), ("PATH", &path)]);
        environment.current_dir = dir.path().into();
        environment.host_name = Some("lab".into());
        Self { dir, environment }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.variables.insert(name.into(), value.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, options: &Init) -> Result<Done, Failure> {
        self.write_with(options, "", None, &mut Silence::default())
    }

    fn asked(&self, options: &Init, person: &mut Script) -> Result<Done, Failure> {
        self.write_with(options, "", Some(person), &mut Silence::default())
    }

    fn write_with(
        &self,
        options: &Init,
        stdin: &str,
        person: Option<&mut Script>,
        around: &mut Silence,
    ) -> Result<Done, Failure> {
        let mut stdin = stdin.as_bytes();
        let sources = Sources {
            options,
            environment: &self.environment,
            stdin: &mut stdin,
            person: person.map(|person| person as &mut dyn Person),
        };
        writing::write(sources, around)
    }

    fn read(&self, name: &str) -> Config {
        config::load(&self.path(name), &self.environment, Options::default()).unwrap().config
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Registration without a terminal; no time passes.
#[derive(Default)]
struct Silence {
    codes: Vec<String>,
}

impl Surroundings for Silence {
    fn show(&mut self, offer: &Offer) {
        self.codes.push(offer.code.clone());
    }

    fn waits_for(&mut self, _: &str) {}

    fn wait(&mut self, _: Duration) -> bool {
        true
    }
}

fn silent(home: &Home) -> Init {
    Init {
        yes: true,
        output: Some(home.path("config.json")),
        token: Some("s3cret".into()),
        agent: vec!["echo=cat".into()],
        ..Init::default()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn options_alone_write_what_can_be_used() {
    let home = Home::new();
    let done = home.write(&silent(&home)).unwrap();
    let config = home.read("config.json");
    assert_eq!(config.hub.url.text, "ws://localhost:8090/ws/runtime");
    assert_eq!(config.hub.token.unwrap().expose(), "s3cret");
    assert_eq!((config.runtime.id.as_str(), config.runtime.id_configured), ("lab", true));
    assert_eq!(config.endpoints[0].id, "echo");
    assert_eq!((mode(&home.path("config.json")), mode(&home.path("token"))), (0o640, 0o600));
    assert_eq!(home.names(), ["config.json", "token"]);
    assert!(!fs::read_to_string(home.path("config.json")).unwrap().contains("s3cret"));
    // ./config.json is found without being named.
    let told = done.to_string();
    assert!(told.ends_with(" run\n") && !told.contains("s3cret"), "{told}");
}

#[test]
fn a_token_comes_from_wherever_it_is() {
    let given = |home: &Home, options: Init, stdin: &str| {
        let options = Init { token: None, ..options };
        home.write_with(&options, stdin, None, &mut Silence::default()).map(drop)
    };
    let home = Home::new();
    let options = Init { token_stdin: true, ..silent(&home) };
    given(&home, options, " piped\r\n").unwrap();
    assert_eq!(home.read("config.json").hub.token.unwrap().expose(), "piped");

    let home = Home::new().with("AMURG_TOKEN", "from-variable");
    given(&home, silent(&home), "").unwrap();
    assert_eq!(home.read("config.json").hub.token.unwrap().expose(), "from-variable");

    let home = Home::new();
    fs::write(home.path("mine"), "from-file").unwrap();
    let options = Init { token_file: Some("mine".into()), ..silent(&home) };
    // Looked at before anything is written.
    assert!(matches!(given(&home, options, ""), Err(Failure::Token(_))));
    let options = Init { token_file: Some(home.path("mine")), ..silent(&home) };
    given(&home, options, "").unwrap();
    assert_eq!(home.read("config.json").hub.token.unwrap().expose(), "from-file");
    assert_eq!(home.names(), ["config.json", "mine"]);
}

#[test]
fn a_credential_is_named_and_the_next_steps_are_systemd_s() {
    let home = Home::new();
    let done = home.write(&Init { credential: true, ..silent(&home) }).unwrap();
    let text = fs::read_to_string(home.path("config.json")).unwrap();
    assert!(text.contains("\"token_credential\": \"amurg-token\"") && !text.contains("token_file"));
    assert!(done.to_string().contains("LoadCredential=amurg-token:"), "{done}");

    let home = Home::new();
    home.write(&Init { credential: true, token: None, ..silent(&home) }).unwrap();
    assert_eq!(home.names(), ["config.json"]);
}

#[test]
fn what_is_there_is_replaced_only_by_force() {
    let home = Home::new();
    for name in ["config.json", "token"] {
        fs::write(home.path(name), "mine").unwrap();
        assert!(
            matches!(home.write(&silent(&home)), Err(Failure::Exists(path)) if path == home.path(name))
        );
        assert_eq!(fs::read_to_string(home.path(name)).unwrap(), "mine");
        fs::remove_file(home.path(name)).unwrap();
    }
    home.write(&silent(&home)).unwrap();
    home.write(&Init { force: true, id: Some("two".into()), ..silent(&home) }).unwrap();
    assert_eq!(home.read("config.json").runtime.id, "two");
    let other = Init { output: Some(home.path("other.json")), ..silent(&home) };
    let done = home.write(&other).unwrap();
    assert_eq!(home.names(), ["config.json", "other.json", "other.token", "token"]);
    assert!(done.to_string().contains("run --config "), "{done}");
}

#[test]
fn nothing_is_written_that_would_not_work() {
    let home = Home::new();
    let cases: [(Init, &str); 10] = [
        (
            Init { agent: vec!["x=no-such-program".into()], ..silent(&home) },
            "endpoints[0].cli.command",
        ),
        (Init { agent: vec!["x=cat".into(), "x=sh".into()], ..silent(&home) }, "already the id"),
        (Init { agent: vec!["x=http://".into()], ..silent(&home) }, "base_url"),
        (Init { agent: vec!["perl".into()], ..silent(&home) }, "ID=COMMAND"),
        (Init { work_dir: Some("/no/such".into()), ..silent(&home) }, "work_dir"),
        (Init { hub_url: Some("ws://u:p@hub".into()), ..silent(&home) }, "password"),
        (Init { id: Some("a\nb".into()), ..silent(&home) }, "runtime.id"),
        (Init { token: Some("a\nb".into()), ..silent(&home) }, "control character"),
        (Init { token: None, ..silent(&home) }, "--token-stdin"),
        (Init { register: true, ..silent(&home) }, "--token and --register"),
    ];
    for (options, words) in cases {
        let failure = home.write(&options).unwrap_err();
        assert_eq!(failure.code(), exit::USAGE);
        assert!(failure.to_string().contains(words), "{failure}");
        assert!(home.names().is_empty(), "{:?}", home.names());
    }
}

#[test]
fn somebody_is_asked_for_what_no_option_says() {
    let home = Home::new();
    let options = Init { output: Some(home.path("config.json")), ..Init::default() };
    let mut person = Script::new(&[
        "me@hub",
        "hub.example:8090/ws/runtime?x=1",
        "s3\ncret",
        "s3cret",
        "",
        "perl",
        "echo=cat 'http=http://localhost:1/'",
        "/no/such",
        "",
    ]);
    home.asked(&options, &mut person).unwrap();
    let config = home.read("config.json");
    let scheme = if cfg!(feature = "tls") { "wss" } else { "ws" };
    assert_eq!(config.hub.url.text, format!("{scheme}://hub.example:8090/ws/runtime"));
    assert_eq!(config.hub.token.unwrap().expose(), "s3cret");
    assert_eq!(config.runtime.id, "lab");
    let ids: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect();
    assert_eq!(ids, ["echo", "http"]);
    assert!(person.answers.is_empty(), "{:?}", person.heard);
    assert!(!person.heard.concat().contains("s3cret"), "{:?}", person.heard);

    let home = Home::new();
    let options = Init { output: Some(home.path("config.json")), ..Init::default() };
    assert!(matches!(home.asked(&options, &mut Script::new(&[""])), Err(Failure::Ended)));
    assert!(matches!(home.write(&options), Err(Failure::NoTerminal)));
    assert!(home.names().is_empty());
}

#[test]
fn a_token_that_would_travel_in_the_clear_is_warned_of() {
    for (hub_url, warned) in [("ws://far.example", true), ("ws://[::1]:80", false)] {
        let home = Home::new();
        let options = Init { hub_url: Some(hub_url.into()), ..silent(&home) };
        let told = home.write(&options).unwrap().to_string();
        assert_eq!(told.contains("Warning: hub.url: token and messages"), warned, "{told}");
    }
}

#[test]
fn agents_of_this_machine_bear_its_name() {
    let home = Home::new();
    home.write(&Init { agent: vec!["sh".into()], ..silent(&home) }).unwrap();
    let config = home.read("config.json");
    assert_eq!(config.endpoints[0].id, "lab-sh");
    assert_eq!(config.endpoints[0].name, "Shell on lab");
}

/// A hub that approves at once.
fn approving(answer: &'static str) -> Server {
    let next = AtomicUsize::new(0);
    serve(move |conversation| {
        while conversation.request().is_some() {
            let body = match next.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    r#"{"user_code": "ABCD-EF23", "verification_url": "https://hub/c",
                        "polling_token": "p", "expires_in": 300, "interval": 1}"#
                }
                _ => answer,
            };
            conversation.answer("200 OK", body);
        }
    })
}

#[test]
fn registration_brings_id_organisation_and_token() {
    let home = Home::new();
    let server = approving(
        r#"{"status": "approved", "token": "given", "runtime_id": "runtime-1a2b", "org_id": "lab"}"#,
    );
    let options = Init {
        register: true,
        token: None,
        hub_url: Some(server.url.clone()),
        agent: vec!["sh".into()],
        ..silent(&home)
    };
    let mut around = Silence::default();
    home.write_with(&options, "", None, &mut around).unwrap();
    assert_eq!(around.codes, ["ABCD-EF23"]);
    let config = home.read("config.json");
    assert_eq!(config.hub.token.unwrap().expose(), "given");
    assert_eq!(config.runtime.id, "runtime-1a2b");
    assert_eq!(config.runtime.org_id.as_deref(), Some("lab"));
    assert_eq!(config.endpoints[0].id, "runtime-1a2b-sh");
    assert_eq!(mode(&home.path("token")), 0o600);
    assert_eq!(home.names(), ["config.json", "token"]);
}

#[test]
fn a_registration_that_cannot_be_used_keeps_the_token_and_says_where() {
    let home = Home::new();
    let server = approving(r#"{"status": "approved", "token": "given", "runtime_id": "a\nb"}"#);
    let options =
        Init { register: true, token: None, hub_url: Some(server.url.clone()), ..silent(&home) };
    let failure = home.write(&options).unwrap_err().to_string();
    assert!(failure.contains("--token-file") && !failure.contains("given"), "{failure}");
    assert_eq!(home.names(), ["token"]);
    assert_eq!(fs::read_to_string(home.path("token")).unwrap(), "given\n");
}

#[test]
fn a_hub_without_registration_leaves_nothing_behind_or_asks_for_a_token() {
    let home = Home::new();
    let server = serve(|conversation| {
        while conversation.request().is_some() {
            conversation.answer("404 Not Found", "404 page not found");
        }
    });
    let options = Init { token: None, hub_url: Some(server.url.clone()), ..silent(&home) };
    let registering = Init { register: true, ..options };
    let failure = home.write(&registering).unwrap_err();
    assert!(matches!(failure, Failure::Register(RegisterError::OlderHub)), "{failure}");
    assert_eq!(failure.code(), exit::UNAVAILABLE);
    assert!(home.names().is_empty());

    let asking = Init { yes: false, register: false, ..registering };
    let mut person = Script::new(&["", "", "typed"]);
    home.asked(&asking, &mut person).unwrap();
    assert_eq!(home.read("config.json").hub.token.unwrap().expose(), "typed");
}
