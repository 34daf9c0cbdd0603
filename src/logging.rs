//! Where log lines go: one line per event to stderr, through a bounded queue
//! and a thread of its own, so that a stderr nobody reads never blocks anybody.
//!
//! The library logs through the `log` facade only; this is what the program
//! puts behind it. `simplelog` writes the plain text, without decoration of its
//! own: its level comes in brackets, and its time in milliseconds would need
//! the `time` crate. The two formats it does not have are written here. Lines
//! of other crates are left out: theirs hold what passes over the wire, the
//! token included.

mod lines;
mod quoted;
#[cfg(target_os = "linux")]
mod trap;

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use lines::{LineWriter, Lines, Stderr};
pub use quoted::Quoted;

use crate::timestamp;
use quoted::one_line;

/// Longest message of a line, in bytes; the rest is cut.
const LONGEST: usize = 8 * 1024;

/// Longest wait for a stderr that does not take the last lines.
const FLUSH: Duration = Duration::from_secs(1);

/// Exit code of a process that ended because of a panic (`EX_SOFTWARE`).
const INTERNAL: i32 = 70;

/// What is behind the facade, for the panic hook.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `2026-11-23T14:00:00.123Z INFO  hub connected url=…`; without the time
    /// where stderr is the journal, which adds its own.
    Text,
    /// One JSON object: `ts`, `level`, `message`.
    Json,
    /// `<6>hub connected url=…`: the journal reads the level from it and adds the time.
    Journald,
}

/// Why logging cannot begin.
#[derive(Debug)]
pub enum LogError {
    /// The system refused the "log" thread.
    Thread(io::Error),
    /// It has begun already.
    Begun,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => {
                write!(f, "cannot start the log thread: {error}; end what else uses up threads")
            }
            Self::Begun => f.write_str("logging has begun already"),
        }
    }
}

impl std::error::Error for LogError {}

/// Held for as long as the program logs. Dropping it writes what still waits,
/// for a second at most, and ends the thread.
pub struct LogGuard {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // A thread that is stuck in a write is left to the end of the process.
        if self.lines.stop(FLUSH)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Begins logging to stderr, once per process.
///
/// # Errors
/// When there is no thread for it, or when something logs already.
pub fn init(level: LevelFilter, format: LogFormat) -> Result<LogGuard, LogError> {
    let timed = !stderr_is_journal();
    let dropped = move |count: u64| {
        let message = format!("log lines dropped count={count} (stderr was not read)");
        line(format, timed, Level::Warn, &message)
    };
    let (lines, thread) = lines::start(Stderr, dropped).map_err(LogError::Thread)?;
    let guard = LogGuard { lines: lines.clone(), thread: Some(thread) };
    LOGGER.set(Logger::new(format, timed, lines)).map_err(|_| LogError::Begun)?;
    let logger = LOGGER.get().ok_or(LogError::Begun)?;
    log::set_logger(logger).map_err(|_| LogError::Begun)?;
    set_level(level);
    Ok(guard)
}

/// Changes the most detailed level that is logged, from now on.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Lines that were dropped since the start, because nobody read them.
pub fn dropped_lines() -> u64 {
    lines::dropped()
}

/// From now on a panic in any thread is logged with the thread's name and ends
/// the process with exit code 70: a gateway that lost a thread helps nobody,
/// and the service manager starts a whole one.
///
/// A build whose panics have no words (`panic = "immediate-abort"`) says where it was as
/// an address among the binary's symbols.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        panicked(panic.location().map(ToString::to_string), said)
    }));
    #[cfg(target_os = "linux")]
    if let Err(error) = trap::on_trap(|at| panicked(at.map(|at| format!("+{at:#x}")), None)) {
        log::warn!("a panic without words will not be logged error={error}");
    }
}

/// Logs the current thread's panic and ends the process.
fn panicked(place: Option<String>, said: Option<&str>) -> ! {
    let thread = std::thread::current();
    let place = place.unwrap_or_else(|| "unknown".to_owned());
    let message = format!(
        "panic thread={} at={} message={}",
        Quoted(thread.name().unwrap_or("unnamed")),
        Quoted(&place),
        Quoted(said.unwrap_or("no message"))
    );
    if let Some(logger) = LOGGER.get() {
        // Past simplelog, whose lock the panicking thread might hold.
        logger.lines.put(logger.line(Level::Error, &message));
        logger.lines.flush(FLUSH);
    } else {
        let line = line(LogFormat::Text, true, Level::Error, &message);
        let _ = writeln!(Stderr, "{line}");
    }
    std::process::exit(INTERNAL);
}

/// What stands behind the facade.
struct Logger {
    format: LogFormat,
    timed: bool,
    lines: Lines,
    /// Writes the lines of [`LogFormat::Text`].
    plain: Box<WriteLogger<LineWriter>>,
}

impl Logger {
    fn new(format: LogFormat, timed: bool, lines: Lines) -> Self {
        let mut bare = ConfigBuilder::new();
        bare.set_time_level(LevelFilter::Off)
            .set_max_level(LevelFilter::Off)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off);
        // The facade's own level decides, and may change; this one could not.
        let writer = LineWriter::new(lines.clone());
        let plain = WriteLogger::new(LevelFilter::Trace, bare.build(), writer);
        Self { format, timed, lines, plain }
    }

    fn line(&self, level: Level, message: &str) -> String {
        line(self.format, self.timed, level, message)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Formatted here and not under simplelog's lock: a value's `Display` is anybody's code.
        let message = shortened(one_line(record.args().to_string()));
        let line = self.line(record.level(), &message);
        if self.format == LogFormat::Text {
            let level = record.level();
            self.plain.log(&Record::builder().level(level).args(format_args!("{line}")).build());
        } else {
            self.lines.put(line);
        }
    }

    fn flush(&self) {
        self.lines.flush(FLUSH);
    }
}

/// A line of any format, without its newline.
fn line(format: LogFormat, timed: bool, level: Level, message: &str) -> String {
    let time = timestamp::now();
    match format {
        LogFormat::Text if timed => format!("{time} {level:<5} {message}"),
        LogFormat::Text => format!("{level:<5} {message}"),
        LogFormat::Json => {
            let level = level.as_str().to_ascii_lowercase();
            let ts = time.to_string();
            serde_json::json!({ "ts": ts, "level": level, "message": message }).to_string()
        }
        LogFormat::Journald => format!("<{}>{message}", priority(level)),
    }
}

/// The syslog priority the journal knows a level by.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn shortened(mut message: String) -> String {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
    message
}

/// Whether systemd connected stderr to the journal: `$JOURNAL_STREAM` names the
/// socket by device and inode, and may be inherited without it.
#[cfg(target_os = "linux")]
fn stderr_is_journal() -> bool {
    let Some(named) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(stat) = rustix::fs::fstat(rustix::stdio::stderr()) else { return false };
    named == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(not(target_os = "linux"))]
fn stderr_is_journal() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Output, Stdio};
    use std::sync::{Arc, Mutex};

    use super::*;

    const IN_A_PROCESS: &str = "AMURG_TEST_PANICS";
    const SOON: Duration = Duration::from_secs(30);

    #[derive(Clone, Default)]
    struct Collected(Arc<Mutex<Vec<u8>>>);

    impl Write for Collected {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What comes out when a logger of this format logs one record.
    fn logged(format: LogFormat, timed: bool, target: &str, message: &str) -> String {
        let collected = Collected::default();
        let (lines, thread) = lines::start(collected.clone(), |_| String::new()).unwrap();
        let logger = Logger::new(format, timed, lines.clone());
        let mut record = Record::builder();
        record.level(Level::Info).target(target);
        logger.log(&record.args(format_args!("{message}")).build());
        drop(LogGuard { lines, thread: Some(thread) });
        let bytes = collected.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const OWN: &str = "amurg_runtime::hub";

    #[test]
    fn text_has_time_level_and_message() {
        let line = logged(LogFormat::Text, true, OWN, "hub connected url=x");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 24, "{line}");
        assert_eq!(rest, "INFO  hub connected url=x\n");
        assert_eq!(logged(LogFormat::Text, false, OWN, "a"), "INFO  a\n");
    }

    #[test]
    fn json_and_journald_lines() {
        let line = logged(LogFormat::Json, true, OWN, "a=\"b\"");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["level"], &value["message"]), (&"info".into(), &"a=\"b\"".into()));
        assert!(humantime::parse_rfc3339(value["ts"].as_str().unwrap()).is_ok());
        assert_eq!(logged(LogFormat::Journald, false, OWN, "a"), "<6>a\n");
    }

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        assert_eq!(
            logged(LogFormat::Text, false, OWN, "a\nERROR b\u{1b}"),
            "INFO  a\\nERROR b\\u{1b}\n"
        );
        let long = logged(LogFormat::Text, false, OWN, &"é".repeat(LONGEST));
        assert!(long.len() < LONGEST + 16 && long.ends_with("…\n"));
    }

    #[test]
    fn other_crates_are_left_out() {
        assert_eq!(logged(LogFormat::Text, false, "tungstenite::handshake", "Bearer t"), "");
    }

    /// Does something only in the process that [`in_a_process`] starts.
    #[test]
    fn a_process_that_panics() {
        if std::env::var_os(IN_A_PROCESS).is_none() {
            return;
        }
        let _guard = init(LevelFilter::Info, LogFormat::Text).unwrap();
        assert!(matches!(init(LevelFilter::Info, LogFormat::Text), Err(LogError::Begun)));
        abort_on_panic();
        log::debug!("not shown");
        log::info!("shown");
        set_level(LevelFilter::Debug);
        log::debug!("shown as well");
        let ends: fn() = match std::env::var(IN_A_PROCESS).as_deref() {
            #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
            Ok("trap") => || trap::trap(),
            #[cfg(target_os = "linux")]
            Ok("kill") => || {
                let me = rustix::process::getpid();
                rustix::process::kill_process(me, rustix::process::Signal::ILL).unwrap();
            },
            _ => || panic!("boom\n{}", 7),
        };
        let _ = crate::threads::spawn("worker-7", ends).unwrap().join();
    }

    fn in_a_process(command: &mut Command, how: &str) -> Output {
        let (done, answer) = crossbeam_channel::bounded(1);
        command.args(["--exact", "logging::tests::a_process_that_panics"]);
        command.stdout(Stdio::null()).env(IN_A_PROCESS, how);
        let child = command.spawn().unwrap();
        let waiting = std::thread::spawn(move || done.send(child.wait_with_output()));
        let output = answer.recv_timeout(SOON).expect("the process ends").unwrap();
        waiting.join().unwrap().unwrap();
        output
    }

    #[test]
    fn a_panic_is_logged_with_its_thread_and_ends_the_process_with_70() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command.env_remove("JOURNAL_STREAM").stderr(Stdio::piped());
        let output = in_a_process(command, "panic");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70), "{text}");
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines[..2], ["INFO  shown", "DEBUG shown as well"]);
        assert!(lines[2].starts_with("ERROR panic thread=worker-7 at=src/logging.rs:"), "{text}");
        assert!(lines[2].ends_with(r#" message="boom\n7""#), "{text}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn a_panic_without_words_is_logged_with_its_thread_and_place() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = in_a_process(command.stderr(Stdio::piped()), "trap");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(70), "{text}");
        let last = text.lines().last().unwrap();
        let (_, said) = last.split_once("ERROR panic thread=worker-7 at=+0x").expect(&text);
        let at = said.strip_suffix(" message=\"no message\"").expect(&text);
        let at = usize::from_str_radix(at, 16).unwrap();
        let begins = trap::place_of_trap();
        assert!((begins..begins + 64).contains(&at), "{at:#x} lies in what begins at {begins:#x}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_somebody_kills_it_with_is_no_panic() {
        use std::os::unix::process::ExitStatusExt;

        let mut command = Command::new(std::env::current_exe().unwrap());
        let output = in_a_process(command.stderr(Stdio::piped()), "kill");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGILL), "{text}");
        assert!(!text.contains("panic"), "{text}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_journal_adds_the_time_itself() {
        let path = std::env::temp_dir().join(crate::ids::next_id());
        let file = std::fs::File::create_new(&path).unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let stream = format!("{}:{}", stat.st_dev, stat.st_ino);
        let mut command = Command::new(std::env::current_exe().unwrap());
        in_a_process(command.env("JOURNAL_STREAM", stream).stderr(file), "panic");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with("INFO  shown\n"), "{text}");
    }
}
