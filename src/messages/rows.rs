//! The table: a row for each case, made with harmless and with hostile contents.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::agent::http::HttpFailure;
use crate::agent::locate::{NoDirectory, NotFound};
use crate::agent::process::launch::LaunchError;
use crate::agent::process::plan::PlanError;
use crate::agent::process::{self, start};
use crate::commands::init::{Failure, RegisterError};
use crate::config::token::TokenError;
use crate::config::{self, FixedEnvironment};
use crate::control::AskError;
use crate::files::Refusal;
use crate::hub::dial::DialError;
use crate::hub::proxy::ProxyError;
use crate::hub::{ConnectError, Gone, LinkEnd};
use crate::logging::LogError;
use crate::runtime;
use crate::session::notices;
use crate::state::dir::OpenError;
use crate::state::{Held, StateError};

/// What an outsider may have written: it must neither move a cursor nor end a line.
const OUTSIDE: &str = "name\u{1b}[2J\r\nforged: line";
/// A row for each case, each with how it is made. Cases that are no error of
/// their own are named behind `not`.
macro_rules! rows {
    ($kind:ty { $($(#[$on:meta])* $case:pat => $made:expr),+ $(,)? } $(not $other:pat)?) => {{
        let _complete = |error: &$kind| match error {
            $($(#[$on])* $case => {})+
            $($other => {})?
        };
        let mut rows: Vec<String> = Vec::new();
        $($(#[$on])* { rows.push(<$kind as ToString>::to_string(&$made)); })+
        rows
    }};
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn path() -> PathBuf {
    "/home/ann/file".into()
}

fn denied() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

/// Lines, as commands and the log show them.
pub fn errors() -> Vec<String> {
    [hub(), programs(), state_and_control(), init()].concat()
}

fn hub() -> Vec<String> {
    let host = || text("hub.example:443");
    let connect = |error| DialError::Connect { target: host(), error };
    let through = |error| DialError::Proxy { proxy: text("proxy:3128"), error };
    let limit = Duration::from_secs(15);
    let mut all = rows!(DialError {
        DialError::Connect { .. } => connect(ConnectError::NoAddress),
        DialError::Proxy { .. } => through(ProxyError::Io(denied())),
        #[cfg(feature = "tls")]
        DialError::Tls { .. } => DialError::Tls {
            host: host(),
            error: crate::hub::tls::TlsError::HalfAnIdentity,
        },
        #[cfg(not(feature = "tls"))]
        DialError::TlsNotBuilt { .. } => DialError::TlsNotBuilt { host: host() },
        DialError::Upgrade { .. } =>
            DialError::Upgrade { host: host(), error: text("status 500"), hint: None },
        DialError::Unauthorized { .. } => DialError::Unauthorized { host: host(), status: 401 },
        DialError::Refused { .. } => DialError::Refused { host: host(), error: text(OUTSIDE) },
        DialError::NoAck { .. } => DialError::NoAck { host: host(), waited: limit },
        DialError::EndedBeforeAck { .. } =>
            DialError::EndedBeforeAck { host: host(), error: text(OUTSIDE) },
        DialError::TooMuchBeforeAck { .. } => DialError::TooMuchBeforeAck { host: host() },
        DialError::TimedOut { .. } =>
            DialError::TimedOut { host: host(), step: "the TLS handshake", limit },
    } not DialError::Cancelled);
    let address = "192.0.2.1:443".parse().expect("an address");
    all.extend(rows!(DialError {
        DialError::Connect { error: ConnectError::Resolve(_), .. } =>
            connect(ConnectError::Resolve(denied())),
        DialError::Connect { error: ConnectError::NoAddress, .. } =>
            connect(ConnectError::NoAddress),
        DialError::Connect { error: ConnectError::Unreachable(_), .. } =>
            connect(ConnectError::Unreachable(vec![(address, denied())])),
        DialError::Proxy { error: ProxyError::Setting { .. }, .. } =>
            through(ProxyError::Setting { variable: "HTTPS_PROXY", why: "holds no host and port" }),
        DialError::Proxy { error: ProxyError::Refused { status: 407, .. }, .. } =>
            through(ProxyError::Refused { status: 407, reason: text(OUTSIDE) }),
        DialError::Proxy { error: ProxyError::Refused { .. }, .. } =>
            through(ProxyError::Refused { status: 403, reason: text(OUTSIDE) }),
        DialError::Proxy { error: ProxyError::Answer(_), .. } =>
            through(ProxyError::Answer("its answer is not HTTP")),
    } not _));
    #[cfg(feature = "tls")]
    all.extend(tls());
    all
}

#[cfg(feature = "tls")]
fn tls() -> Vec<String> {
    use crate::hub::tls::{TlsError, hint};
    let field = "hub.tls_ca_file";
    let mut all = rows!(TlsError {
        TlsError::Read { .. } => TlsError::Read { field, path: path(), error: denied() },
        TlsError::Content { .. } => TlsError::Content {
            field, path: path(), why: text("it holds no PEM certificate; name a PEM file"),
        },
        TlsError::HalfAnIdentity => TlsError::HalfAnIdentity,
        TlsError::Handshake { .. } =>
            TlsError::Handshake { error: text("unexpected EOF"), hint: None },
    } not TlsError::Setup(_));
    for error in ["not yet valid", "has expired", "self-signed", "Hostname mismatch"] {
        let error = text(error);
        all.push(TlsError::Handshake { hint: hint(&error), error }.to_string());
    }
    // As they are shown: behind the name of the hub.
    all.into_iter().map(|why| format!("no TLS with hub.example:443: {why}")).collect()
}

fn programs() -> Vec<String> {
    let command = || text("make");
    let mut all = rows!(NotFound {
        NotFound::NotInPath { .. } =>
            NotFound::NotInPath { program: command(), path: "/bin".into() },
        NotFound::Missing(_) => NotFound::Missing(path()),
        NotFound::NotAFile(_) => NotFound::NotAFile(path()),
        NotFound::NotExecutable(_) => NotFound::NotExecutable(path()),
        NotFound::NoInterpreter { .. } =>
            NotFound::NoInterpreter { script: path(), interpreter: "/bin/none".into() },
    });
    all.extend(rows!(NoDirectory {
        NoDirectory::NoHome => NoDirectory::NoHome,
        NoDirectory::Unusable { .. } => NoDirectory::Unusable {
            directory: path(), configured: true, why: text("permission denied"),
        },
    }));
    all.extend(rows!(PlanError {
        PlanError::Directory { .. } =>
            PlanError::Directory { setting: "work_dir", path: path(), source: denied() },
        PlanError::NoHome => PlanError::NoHome,
        PlanError::NotFound { .. } =>
            PlanError::NotFound { command: command(), looked: vec![path()], cwd: path() },
        PlanError::NotExecutable { .. } =>
            PlanError::NotExecutable { command: command(), place: path() },
    }));
    let failure = process::Failure {
        step: text("exec"),
        errno: None,
        text: text("it is for another processor; install the right one"),
    };
    all.extend(rows!(LaunchError {
        LaunchError::Scarce { .. } => LaunchError::Scarce { what: "a pipe", source: denied() },
        LaunchError::Launcher { .. } =>
            LaunchError::Launcher { program: path(), source: denied() },
        LaunchError::Failed { .. } => LaunchError::Failed { command: command(), failure },
        LaunchError::Died { .. } => LaunchError::Died { status: None },
        LaunchError::TimedOut => LaunchError::TimedOut,
        LaunchError::Broken { .. } => LaunchError::Broken { source: denied() },
    }));
    all.extend(rows!(start::StartError {
        start::StartError::Descriptors(_) => start::StartError::Descriptors(denied()),
    } not _));
    all
}

fn state_and_control() -> Vec<String> {
    let held = || Held { path: path(), pid: Some(7) };
    let mut all = rows!(OpenError {
        OpenError::Held(_) => OpenError::Held(held()),
        OpenError::Unusable { .. } =>
            OpenError::Unusable { path: path(), step: "opening it", error: denied() },
    });
    all.extend(rows!(runtime::StartError {
        runtime::StartError::State(StateError::Held(_)) =>
            runtime::StartError::State(StateError::Held(held())),
        runtime::StartError::State(StateError::Thread(_)) =>
            runtime::StartError::State(StateError::Thread(denied())),
        runtime::StartError::Files { .. } =>
            runtime::StartError::Files { path: path(), source: denied() },
        runtime::StartError::Resources(_) => runtime::StartError::Resources(denied()),
    }));
    all.extend(rows!(AskError {
        AskError::NotRunning { .. } => AskError::NotRunning { looked: vec![path()] },
        AskError::Denied { .. } => AskError::Denied { path: path() },
        AskError::Broken { .. } => AskError::Broken { path: path(), source: denied() },
    }));
    all.extend(rows!(LogError {
        LogError::Thread(_) => LogError::Thread(denied()),
    } not LogError::Begun));
    let nowhere = FixedEnvironment::new([("HOME", "/nonexistent")]);
    all.extend(config::find(None, &nowhere).err().map(|none| none.to_string()));
    all
}

fn init() -> Vec<String> {
    let mut all = rows!(Failure {
        Failure::NoTerminal => Failure::NoTerminal,
        Failure::Ended => Failure::Ended,
        Failure::Interrupted => Failure::Interrupted,
        Failure::Exists(_) => Failure::Exists(path()),
        Failure::TwoTokens(..) => Failure::TwoTokens("--token", "--register"),
        Failure::NoToken => Failure::NoToken,
        Failure::Token(_) => Failure::Token(TokenError::Empty),
        Failure::Address(_) => Failure::Address(text("has no host; name the host after ://")),
        Failure::Agent(..) =>
            Failure::Agent(text(OUTSIDE), text("is none of bash, sh; write ID=COMMAND")),
        Failure::NoAgents => Failure::NoAgents,
        Failure::NoPlace => Failure::NoPlace,
        Failure::Path(..) => Failure::Path(path(), text("is empty; name a path")),
        Failure::Unwritable(..) => Failure::Unwritable(path(), denied()),
        Failure::Register(_) => Failure::Register(RegisterError::Busy),
    } not Failure::Problems(_) | Failure::AfterToken { .. });
    all.extend(rows!(RegisterError {
        RegisterError::OlderHub => RegisterError::OlderHub,
        RegisterError::Unreachable(..) =>
            RegisterError::Unreachable(text("http://hub"), text("connection refused")),
        RegisterError::Moved(_) => RegisterError::Moved(text(OUTSIDE)),
        RegisterError::Odd(_) => RegisterError::Odd(text("it is not a JSON object")),
        RegisterError::Busy => RegisterError::Busy,
        RegisterError::Expired => RegisterError::Expired,
        RegisterError::Refused(_) => RegisterError::Refused(text(OUTSIDE)),
        RegisterError::Forgotten => RegisterError::Forgotten,
        RegisterError::GivenOut => RegisterError::GivenOut,
        RegisterError::Keep(_) => RegisterError::Keep(denied()),
        RegisterError::NoId => RegisterError::NoId,
        RegisterError::Interrupted => RegisterError::Interrupted,
    }));
    for error in [
        TokenError::Unreadable(path(), denied()),
        TokenError::NotAFile(path()),
        TokenError::NotText(path()),
        TokenError::NoCredentials,
        TokenError::TooLong,
        TokenError::BadCharacter,
    ] {
        all.push(Failure::Token(error).to_string());
    }
    all
}

/// Sentences, as users read them in their session.
pub fn sentences() -> Vec<String> {
    let limit = Duration::from_secs(90);
    let refusals = rows!(Refusal {
        Refusal::TooLarge(_) => Refusal::TooLarge(1),
        Refusal::SessionFull(_) => Refusal::SessionFull(1),
        Refusal::StoreFull(_) => Refusal::StoreFull(1),
        Refusal::NoBase64 => Refusal::NoBase64,
        Refusal::NotAllowed(_) => Refusal::NotAllowed(text("it is a link")),
        Refusal::NoFile(_) => Refusal::NoFile(text("a directory")),
        Refusal::System(_) => Refusal::System(denied()),
    });
    let refused = refusals.iter().map(|reason| notices::upload_refused(OUTSIDE, reason));
    let mut all = vec![
        notices::unknown_endpoint(OUTSIDE),
        notices::runtime_full(3),
        notices::still_ending(3),
        notices::endpoint_full(OUTSIDE, 3),
        notices::out_of_resources(&denied()),
        notices::shutting_down(),
        notices::unknown_session(),
        notices::other_endpoint(OUTSIDE),
        notices::queue_full(64),
        notices::input_full(),
        notices::inactive(limit),
        notices::reclaimed(),
        notices::stop_forced(limit),
        notices::permission_expired(OUTSIDE, limit),
        notices::interrupted_by_restart(),
        notices::queued_at_restart(),
        notices::undelivered(2),
        notices::queue_dropped(),
    ];
    all.extend(refused);
    for failure in [
        HttpFailure::Request(text("`http.method` is none")),
        HttpFailure::Elsewhere(text("https://other.example")),
        HttpFailure::Redirects(5),
        HttpFailure::Unreadable,
        HttpFailure::Resolving,
        HttpFailure::Head(denied().into()),
        HttpFailure::Body { received: 7, error: denied().into() },
        HttpFailure::Stuck(4),
        HttpFailure::System(denied()),
    ] {
        all.push(failure.told("http://agent/chat", limit));
    }
    all
}

/// Why a connection ended: part of a longer line, which says when the next try is.
pub fn link_ends() -> Vec<String> {
    let limit = Duration::from_secs(60);
    rows!(LinkEnd {
        LinkEnd::Closed(_) => LinkEnd::Closed(Some((1001, text(OUTSIDE)))),
        LinkEnd::Broken(_) => LinkEnd::Broken(text("reset")),
        LinkEnd::Lost(_) => LinkEnd::Lost(text("timed out")),
        LinkEnd::GivenUp(Gone::Silent(_)) => LinkEnd::GivenUp(Gone::Silent(limit)),
        LinkEnd::GivenUp(Gone::NotReading(_)) => LinkEnd::GivenUp(Gone::NotReading(limit)),
        LinkEnd::GivenUp(Gone::AfterSuspend(_)) => LinkEnd::GivenUp(Gone::AfterSuspend(limit)),
        LinkEnd::GivenUp(Gone::OnlyAsking) => LinkEnd::GivenUp(Gone::OnlyAsking),
        LinkEnd::Planned => LinkEnd::Planned,
    })
}
