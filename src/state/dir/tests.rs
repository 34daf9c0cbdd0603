use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::state::testing::TestDir;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn directory_and_files_are_private_whatever_they_were() {
    let place = TestDir::new();
    let path = place.path().join("a/b");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(path.join("journal"), "x").unwrap();
    std::fs::set_permissions(path.join("journal"), PermissionsExt::from_mode(0o644)).unwrap();

    let dir = StateDir::open(&path).unwrap();
    let found = dir.read("journal", 10).unwrap();
    dir.create("new").unwrap();
    dir.replace("token", b"t").unwrap();

    assert!(!found.was_private);
    assert_eq!(mode(&path), 0o700);
    for name in ["journal", "new", "token", "lock"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert!(dir.read("journal", 10).unwrap().was_private);
}

#[test]
fn missing_parents_are_made_private() {
    let place = TestDir::new();
    StateDir::open(&place.path().join("x/y")).unwrap();
    assert_eq!(mode(&place.path().join("x")), 0o700);
}

#[test]
fn nothing_is_followed() {
    let place = TestDir::new();
    let secret = place.path().join("secret");
    std::fs::write(&secret, "do not read").unwrap();
    let path = place.path().join("state");
    let dir = StateDir::open(&path).unwrap();
    symlink(&secret, path.join("token")).unwrap();
    std::fs::hard_link(&secret, path.join("journal")).unwrap();

    for name in ["token", "journal"] {
        assert!(dir.read(name, 100).is_err(), "{name}");
    }
    dir.replace("token", b"new").unwrap();
    assert_eq!(std::fs::read(&secret).unwrap(), b"do not read");

    drop(dir);
    let link = place.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(StateDir::open(&link), Err(OpenError::Unusable { .. })));
}

#[test]
fn a_planted_lock_is_not_written_through() {
    let place = TestDir::new();
    let precious = place.path().join("precious");
    std::fs::write(&precious, "keep").unwrap();
    let path = place.path().join("state");
    std::fs::create_dir(&path).unwrap();
    symlink(&precious, path.join("lock")).unwrap();
    assert!(matches!(StateDir::open(&path), Err(OpenError::Unusable { .. })));
    assert_eq!(std::fs::read(&precious).unwrap(), b"keep");
}

#[test]
fn what_is_larger_than_the_limit_is_not_read() {
    let place = TestDir::new();
    let dir = StateDir::open(place.path()).unwrap();
    dir.replace("big", &[0; 11]).unwrap();
    assert!(dir.read("big", 10).is_err());
    assert_eq!(dir.read("big", 11).unwrap().bytes.len(), 11);
}

#[test]
fn a_file_in_its_place_is_told_with_what_to_do() {
    let place = TestDir::new();
    let path = place.path().join("state");
    std::fs::write(&path, "").unwrap();
    let text = StateDir::open(&path).unwrap_err().to_string();
    assert!(text.contains("runtime.state_dir"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_planted_fifo_holds_nobody() {
    let place = TestDir::new();
    let dir = StateDir::open(place.path()).unwrap();
    rustix::fs::mknodat(&dir.fd, "token", FileType::Fifo, PRIVATE_FILE, 0).unwrap();
    assert!(dir.read("token", 100).is_err());
}

/// Some user that is not us.
const OTHER: u32 = 12345;

fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap())
}

fn give_away(path: &Path) -> bool {
    let given = std::os::unix::fs::chown(path, Some(OTHER), None);
    if let Err(error) = &given {
        eprintln!("skipped: giving a file away: {error}");
    }
    given.is_ok()
}

#[test]
fn root_leaves_no_file_that_the_owner_cannot_read() {
    let place = TestDir::new();
    if give_away(place.path()) {
        let dir = StateDir::open(place.path()).unwrap();
        dir.replace("token", b"t").unwrap();
        for name in ["lock", "token"] {
            assert_eq!(owner(&place.path().join(name)), OTHER, "{name}");
        }
    }
}

#[test]
fn a_file_of_another_user_counts_only_where_nobody_else_could_write() {
    for (mode, readable) in [(0o700, true), (0o755, true), (0o777, false)] {
        let place = TestDir::new();
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(mode)).unwrap();
        std::fs::write(place.path().join("journal"), "x").unwrap();
        if give_away(&place.path().join("journal")) {
            let dir = StateDir::open(place.path()).unwrap();
            let found = dir.read("journal", 10);
            assert_eq!(found.is_ok(), readable, "{mode:o}");
            assert!(found.is_ok_and(|found| !found.was_private) || !readable);
        }
    }
}
