//! The journal with its threads: on real files, on a full disk, on a hung one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::fake_store::FakeStore;
use super::fixtures::{frame, message};
use super::records::{RememberedSession, Run, Undelivered};
use super::store::Store;
use super::{Health, Journal, JournalThread, Recovery, start};
use crate::state::disk::DiskThread;
use crate::state::testing::TestDir;
use crate::state::{Held, State, StateError};

const LONG: Duration = Duration::from_secs(10);

fn run(number: u32) -> Run {
    Run { nonce: format!("nonce-{number}"), pid: number }
}

fn soon() -> Instant {
    Instant::now() + LONG
}

/// One process's life on `path`; what it found is returned.
fn life(path: &Path, number: u32, live: impl FnOnce(&Journal)) -> Recovery {
    let (state, recovery) = State::open(path, run(number)).unwrap();
    live(&state.journal());
    state.shutdown(soon());
    recovery
}

fn with_fake(store: &FakeStore) -> (Journal, JournalThread, DiskThread) {
    let disk = DiskThread::start().unwrap();
    let store: Arc<dyn Store> = Arc::new(store.clone());
    let (journal, thread, _) = start(Some(store), disk.handle(), run(1)).unwrap();
    (journal, thread.unwrap(), disk)
}

/// As far as the disk lets it, the record is written.
fn opened(journal: &Journal, message_id: &str) {
    journal.turn_opened("s", message_id, "e", || {});
    journal.flush();
}

#[test]
fn the_next_process_knows_what_the_last_one_left() {
    let place = TestDir::new();
    let session = RememberedSession {
        session_id: "s".into(),
        endpoint_id: "e".into(),
        user_id: "u".into(),
        prompt_profile: Some("p".into()),
        uncertain: true,
    };
    let first = life(place.path(), 1, |journal| {
        journal.session_remembered(session.clone());
        journal.turn_opened("s", "m1", "e", || {});
        journal.turn_ended("s", "m1", None, &frame("f1"), || {});
        journal.turn_confirmed("s", "m1");
        journal.turn_opened("s", "m2", "e", || {});
        journal.turn_ended("s", "m2", Some(&frame("note")), &frame("f2"), || {});
        journal.turn_opened("s", "m3", "e", || {});
        journal.queued("s", "m4");
        journal.undelivered(Undelivered { entries: 7, sessions: 2 });
    });
    assert_eq!(first, Recovery::default());

    let second = life(place.path(), 2, |journal| journal.run_over("nonce-1"));
    assert_eq!(second.runs, [run(1)]);
    assert_eq!(second.sessions, [session]);
    assert_eq!(second.open_turns[0].message_id, "m3");
    assert_eq!(second.ended_turns[0].note, Some(frame("note")));
    assert_eq!(second.ended_turns[0].completed, frame("f2"));
    assert_eq!(second.queued, [message("s", "m4")]);
    assert_eq!(second.recent[0].1, ["m1", "m2", "m3"]);
    assert_eq!(second.undelivered, Some(Undelivered { entries: 7, sessions: 2 }));

    let third = life(place.path(), 3, |_| {});
    assert_eq!(third, Recovery { runs: vec![run(2)], undelivered: None, ..second });
}

#[test]
fn an_opened_turn_is_in_the_file_when_that_is_told() {
    let place = TestDir::new();
    let (state, _) = State::open(place.path(), run(1)).unwrap();
    for number in 0..100 {
        let (told, wait) = bounded(1);
        let tell = move || told.send(()).unwrap();
        state.journal().turn_opened("s", &format!("message-{number}"), "e", tell);
        wait.recv_timeout(LONG).unwrap();
        let message = format!("\"message-{number}\"");
        let files = std::fs::read_dir(place.path()).unwrap();
        // One may just have been superseded and removed.
        let texts = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
        assert!(texts.into_iter().any(|text| text.contains(&message)), "{message}");
    }
    state.shutdown(soon());
}

#[test]
fn the_lock_is_held_until_shutdown() {
    let place = TestDir::new();
    let (state, _) = State::open(place.path(), run(1)).unwrap();
    let Err(StateError::Held(Held { pid, .. })) = State::open(place.path(), run(2)) else {
        panic!("two at once")
    };
    assert_eq!(pid, Some(std::process::id()));
    state.shutdown(soon());
    life(place.path(), 2, |_| {});
}

#[test]
fn without_a_directory_the_service_runs_without_a_journal() {
    let place = TestDir::new();
    let path = place.path().join("file");
    std::fs::write(&path, "").unwrap();
    let found = life(&path, 1, |journal| {
        let (told, wait) = bounded(1);
        journal.turn_opened("s", "m", "e", move || told.send(()).unwrap());
        assert_eq!(wait.try_recv(), Ok(()));
        assert_eq!(journal.health(), Health::Off);
    });
    assert_eq!(found, Recovery::default());
}

#[test]
fn a_hung_disk_holds_one_turn_briefly_and_others_not_at_all() {
    let store = FakeStore::default();
    let (journal, thread, disk) = with_fake(&store);
    let (began, writing) = bounded(100_000);
    let (release, hang) = bounded::<()>(0);
    store.stall_with(Some((began, hang)));

    let before = Instant::now();
    opened(&journal, "m");
    let held = before.elapsed();
    assert!(held >= Duration::from_millis(190) && held < Duration::from_secs(2), "{held:?}");
    writing.recv_timeout(LONG).unwrap();
    assert_eq!(journal.health(), Health::Slow);

    // More than is kept unwritten: none of it may block or be lost.
    let before = Instant::now();
    let (told, tellings) = bounded(10_000);
    let tell = || {
        let told = told.clone();
        move || told.send(()).unwrap()
    };
    for number in 0..5000 {
        journal.turn_opened("s", &number.to_string(), "e", tell());
        journal.turn_ended("s", &number.to_string(), None, &frame("f"), tell());
    }
    journal.flush();
    let took = before.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(tellings.len(), 10_000);

    store.stall_with(None);
    drop(release);
    assert!(thread.finish(soon()));
    assert!(disk.finish(soon()));
    let disk = DiskThread::start().unwrap();
    let (_, thread, recovery) = start(Some(Arc::new(store)), disk.handle(), run(2)).unwrap();
    assert_eq!(recovery.ended_turns.len(), 5000);
    assert_eq!(recovery.open_turns.len(), 1);
    assert!(thread.unwrap().finish(soon()));
}

#[test]
fn a_failing_disk_is_told_and_holds_nobody() {
    let store = FakeStore::default();
    let (journal, thread, disk) = with_fake(&store);
    store.break_with(Some(io::ErrorKind::StorageFull));
    opened(&journal, "m");
    assert_eq!(journal.health(), Health::Failing);
    store.break_with(None);
    assert!(thread.finish(soon()));
    // At the end it is tried once more, whatever the time.
    assert_eq!(journal.health(), Health::Good);
    assert!(disk.finish(soon()));
}

#[test]
fn a_hung_disk_is_let_go_at_shutdown() {
    let store = FakeStore::default();
    let (journal, thread, disk) = with_fake(&store);
    let (began, writing) = bounded(10);
    let (release, hang) = bounded::<()>(0);
    store.stall_with(Some((began, hang)));
    journal.queued("s", "m");
    writing.recv_timeout(LONG).unwrap();
    assert!(!thread.finish(Instant::now() + Duration::from_millis(50)));
    drop(release);
    drop(disk);
}

/// A file system of 256 KiB, where the test may mount one.
#[cfg(target_os = "linux")]
struct SmallDisk(TestDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount() -> Option<Self> {
        use rustix::mount::{MountFlags, mount};
        let place = TestDir::new();
        match mount("none", place.path(), "tmpfs", MountFlags::empty(), c"size=256k") {
            Ok(()) => Some(Self(place)),
            Err(error) => {
                eprintln!("skipped: mounting a small tmpfs: {error}");
                None
            }
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = std::fs::File::create(self.0.path().join("filler"))?;
        loop {
            io::Write::write_all(&mut file, &[1; 512])?;
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_really_full_disk_costs_nothing_that_comes_after_it() {
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.0.path().join("state");
    life(&path, 1, |journal| {
        opened(journal, "before");
        assert_eq!(disk.fill().unwrap_err().kind(), io::ErrorKind::StorageFull);
        for number in 0..200 {
            opened(journal, &format!("full-{number}"));
        }
        assert_eq!(journal.health(), Health::Failing);
        std::fs::remove_file(disk.0.path().join("filler")).unwrap();
        // Its end writes everything once more.
    });
    let found = life(&path, 2, |_| {});
    assert_eq!(found.open_turns.len(), 201);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_disk_is_read_and_harms_nobody() {
    use rustix::mount::{MountFlags, mount_remount};
    let Some(disk) = SmallDisk::mount() else { return };
    let path = disk.0.path().join("state");
    life(&path, 1, |journal| journal.turn_opened("s", "m", "e", || {}));
    mount_remount(disk.0.path(), MountFlags::RDONLY, c"").unwrap();
    for number in 2..4 {
        let found = life(&path, number, |journal| {
            opened(journal, "other");
            assert_eq!(journal.health(), Health::Failing);
        });
        assert_eq!(found.open_turns.len(), 1);
    }
}
