//! The store from outside: hostile uploads, limits, the end of sessions.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;

const NEVER: &dyn Fn() -> bool = &|| false;
const DAY: Duration = Duration::from_secs(86_400);

struct Scene {
    place: tempfile::TempDir,
    files: Files,
}

fn limits() -> FileLimits {
    FileLimits { max_file_bytes: 10_000, max_stored_bytes: 1 << 20, retention: DAY }
}

fn scene(limits: FileLimits) -> Scene {
    let place = tempfile::tempdir().unwrap();
    let files = Files::open(&place.path().join("files"), limits).unwrap();
    Scene { place, files }
}

fn upload(session_id: &str, file_id: &str, name: &str, data: &[u8]) -> FileUpload {
    FileUpload {
        session_id: session_id.into(),
        file_id: file_id.into(),
        name: name.into(),
        mime_type: "text/plain".into(),
        data: STANDARD.encode(data),
    }
}

impl Scene {
    fn store(&self, session_id: &str, file_id: &str, data: &[u8]) -> Result<StoredFile, Refusal> {
        self.files.store("echo", &upload(session_id, file_id, "a.txt", data))
    }

    /// Begins a session that has a directory from the beginning.
    fn begin(&self, session_id: &str) -> PathBuf {
        self.files.make_session_dir("echo", session_id).unwrap();
        self.files.session_begins("echo", session_id)
    }

    fn root(&self) -> PathBuf {
        self.place.path().canonicalize().unwrap().join("files")
    }

    /// Opens the store anew, as a restarted runtime does.
    fn reopened(&self, limits: FileLimits) -> Files {
        Files::open(&self.root(), limits).unwrap()
    }
}

#[test]
fn an_upload_lies_where_it_should_and_only_its_owner_may_see_it() {
    let scene = scene(limits());
    let stored = scene.files.store("echo", &upload("s1", "f1", "Résumé.txt", b"hello")).unwrap();
    assert_eq!(stored.path, scene.root().join("echo/s1/f1/Résumé.txt"));
    assert_eq!((stored.name.as_str(), stored.mime_type.as_str()), ("Résumé.txt", "text/plain"));
    assert_eq!(fs::read(&stored.path).unwrap(), b"hello");
    assert_eq!(fs::metadata(&stored.path).unwrap().mode() & 0o777, 0o600);
    for directory in ["", "echo", "echo/s1", "echo/s1/f1"] {
        let mode = fs::metadata(scene.root().join(directory)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700, "{directory}");
    }
}

#[test]
fn hostile_names_and_ids_stay_inside() {
    let scene = scene(limits());
    let hostile = [
        "../../../evil",
        "/etc/evil",
        "..",
        ".",
        "",
        "a/b",
        "a\\..\\b",
        "nul\0byte",
        "-rf",
        "\n",
        ".hidden",
        "CON",
        "%2e%2e%2f",
    ];
    for text in hostile {
        for (session, file, name) in [(text, "f", "n"), ("s", text, "n"), ("s", "f", text)] {
            let stored = scene.files.store("echo", &upload(session, file, name, b"x")).unwrap();
            assert_eq!(stored.path.canonicalize().unwrap(), stored.path, "{text:?}");
            let inside = stored.path.strip_prefix(scene.root()).unwrap();
            assert_eq!(inside.components().count(), 4, "{text:?}: {inside:?}");
        }
    }
    let outside: Vec<_> = fs::read_dir(scene.place.path()).unwrap().collect();
    assert_eq!(outside.len(), 1, "{outside:?}");
}

#[test]
fn a_planted_link_gains_nothing() {
    let scene = scene(limits());
    let session = scene.begin("s1");
    let victim = scene.place.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("a.txt"), "mine").unwrap();
    symlink(&victim, session.join("f1")).unwrap();
    assert!(matches!(scene.store("s1", "f1", b"x"), Err(Refusal::System(_))));
    // In the place of the file itself: the link is replaced, what it points to is not.
    fs::create_dir(session.join("f2")).unwrap();
    symlink(victim.join("a.txt"), session.join("f2/a.txt")).unwrap();
    let stored = scene.store("s1", "f2", b"new").unwrap();
    assert!(fs::symlink_metadata(&stored.path).unwrap().is_file());
    assert_eq!(fs::read(victim.join("a.txt")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    // In the place of the session.
    fs::remove_dir_all(&session).unwrap();
    symlink(&victim, &session).unwrap();
    assert!(scene.store("s1", "f3", b"x").is_err());
    assert!(scene.files.make_session_dir("echo", "s1").is_err());
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

#[test]
fn the_same_file_again_replaces_it() {
    let scene = scene(limits());
    scene.store("s1", "f1", b"old").unwrap();
    let stored = scene.store("s1", "f1", b"new").unwrap();
    assert_eq!(fs::read(&stored.path).unwrap(), b"new");
    assert_eq!(fs::read_dir(stored.path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_too_large_or_no_base64_is_refused_and_not_counted() {
    let scene = scene(limits());
    assert!(matches!(scene.store("s1", "f", &[0; 10_001]), Err(Refusal::TooLarge(10_000))));
    assert!(matches!(scene.store("s1", "f", &vec![0; 20_000]), Err(Refusal::TooLarge(10_000))));
    let mut broken = upload("s1", "f", "n", b"");
    broken.data = "no base64!".into();
    assert!(matches!(scene.files.store("echo", &broken), Err(Refusal::NoBase64)));
    assert_eq!(scene.files.stored_bytes(), 0);
    scene.store("s1", "f", &[0; 10_000]).unwrap();
    assert_eq!(scene.files.stored_bytes(), 10_000);
}

#[test]
fn a_session_and_all_together_are_bounded_also_for_empty_files() {
    let scene = scene(FileLimits { max_stored_bytes: 200_000, ..limits() });
    // 160,000 bytes for a session, 4,096 for an empty file.
    for number in 0..39 {
        scene.store("s1", &number.to_string(), b"").unwrap();
    }
    assert!(matches!(scene.store("s1", "one more", b""), Err(Refusal::SessionFull(160_000))));
    for number in 0..9 {
        scene.store("s2", &number.to_string(), b"").unwrap();
    }
    assert!(matches!(scene.store("s2", "one more", b""), Err(Refusal::StoreFull(200_000))));
}

#[test]
fn files_go_a_retention_after_their_session_and_no_earlier() {
    let scene = scene(limits());
    let stored = scene.store("s1", "f1", b"x").unwrap();
    scene.begin("s2");
    scene.files.session_ended("echo", "s1");
    scene.files.session_ended("echo", "s2");
    assert!(!scene.root().join("echo/s2").exists(), "an empty directory goes at once");
    let now = SystemTime::now();
    assert!(scene.files.sweep(now, NEVER).is_some_and(|left| left <= DAY));
    assert!(stored.path.exists());
    assert_eq!(scene.files.sweep(now + DAY, NEVER), None);
    assert!(!scene.root().join("echo").exists());
    assert_eq!(scene.files.stored_bytes(), 0);
    assert_eq!(fs::read_dir(scene.root().join(TRASH)).unwrap().count(), 0);
}

#[test]
fn a_session_without_files_has_no_directory() {
    let scene = scene(limits());
    let directory = scene.files.session_begins("echo", "s1");
    assert_eq!(directory, scene.root().join("echo/s1"));
    scene.files.session_ended("echo", "s1");
    assert!(!scene.root().join("echo").exists());
    // One that gets a file after all has one, and keeps it for as long as it should.
    scene.files.session_begins("echo", "s2");
    let stored = scene.store("s2", "f1", b"x").unwrap();
    scene.files.session_ended("echo", "s2");
    assert!(stored.path.exists());
    assert!(scene.files.sweep(SystemTime::now(), NEVER).is_some());
}

#[test]
fn a_private_tmpdir_goes_with_its_session() {
    let scene = scene(limits());
    let kept = scene.store("s1", "f1", b"x").unwrap();
    for session in ["s1", "s2"] {
        let tmp = scene.begin(session).join(PRIVATE_TMP);
        fs::create_dir(&tmp).unwrap();
        fs::write(tmp.join("scratch"), "x").unwrap();
        scene.files.session_ended("echo", session);
        assert!(!tmp.exists());
    }
    assert!(kept.path.exists());
    assert!(!scene.root().join("echo/s2").exists());
    scene.files.sweep(SystemTime::now(), NEVER);
    assert_eq!(fs::read_dir(scene.root().join(TRASH)).unwrap().count(), 0);
}

#[test]
fn a_session_that_began_again_keeps_its_files() {
    let scene = scene(limits());
    let stored = scene.store("s1", "f1", b"x").unwrap();
    scene.files.session_ended("echo", "s1");
    scene.begin("s1");
    assert_eq!(scene.files.sweep(SystemTime::now() + 2 * DAY, NEVER), None);
    assert!(stored.path.exists());
}

#[test]
fn a_life_that_ends_late_takes_nothing_from_the_next_one() {
    let scene = scene(limits());
    let directory = scene.begin("s1");
    scene.begin("s1");
    let tmp = directory.join(PRIVATE_TMP);
    fs::create_dir(&tmp).unwrap();
    scene.files.session_ended("echo", "s1");
    assert!(tmp.exists());
    assert_eq!(scene.files.sweep(SystemTime::now() + 2 * DAY, NEVER), None);
    scene.files.session_ended("echo", "s1");
    assert!(!directory.exists());
}

#[test]
fn a_restart_counts_what_is_there_and_knows_when_it_ended() {
    let scene = scene(limits());
    let stored = scene.store("s1", "f1", &[0; 5_000]).unwrap();
    scene.store("s1", "f2", b"").unwrap();
    scene.files.session_ended("echo", "s1");
    let files = scene.reopened(limits());
    assert_eq!(files.stored_bytes(), 5_000 + 4_096);
    let left = files.sweep(SystemTime::now(), NEVER).unwrap();
    assert!(left <= DAY && left > DAY / 2, "{left:?}");
    assert_eq!(files.sweep(SystemTime::now() + DAY, NEVER), None);
    assert!(!stored.path.exists());
}

#[test]
fn a_time_to_come_that_an_agent_set_keeps_nothing_longer() {
    let scene = scene(limits());
    let stored = scene.store("s1", "f1", b"x").unwrap();
    scene.files.session_ended("echo", "s1");
    let session = Directory::open_path(&scene.root().join("echo/s1")).unwrap();
    session.set_changed(SystemTime::now() + 100 * DAY).unwrap();
    let files = scene.reopened(limits());
    files.sweep(SystemTime::now() + DAY, NEVER);
    assert!(!stored.path.exists());
}

#[test]
fn the_keeper_removes_what_is_due_and_stops_when_dropped() {
    let scene = scene(FileLimits { retention: Duration::ZERO, ..limits() });
    let stored = scene.store("s1", "f1", b"x").unwrap();
    let keeper = Keeper::start(scene.files.clone()).unwrap();
    scene.files.session_ended("echo", "s1");
    // Dropping waits for the thread; a wake-up that was not seen is seen by the next.
    drop(keeper);
    scene.files.sweep(SystemTime::now(), NEVER);
    assert!(!stored.path.exists());
}
