//! What holds in a cell whoever looks, and what happens where a kernel or a
//! container cannot give all of it.

use amurg_runtime::config::Enforce;

use crate::room::{Room, User, users};

#[test]
fn no_capability_is_left_and_none_comes_back() {
    for &user in users() {
        let room = Room::of(user);
        let (said, _) =
            room.sh("grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):' /proc/self/status");
        let values: Vec<&str> = said.split_whitespace().collect();
        let none = "0000000000000000";
        let expected = [
            "CapInh:",
            none,
            "CapPrm:",
            none,
            "CapEff:",
            none,
            "CapAmb:",
            none,
            "NoNewPrivs:",
            "1",
            "Seccomp:",
            "2",
        ];
        assert_eq!(values, expected, "{user:?}");
    }
}

/// A container may leave root some capabilities without the one that takes
/// them from the bounding set.
#[test]
fn nor_where_the_bounding_set_cannot_be_emptied() {
    if users().contains(&User::Nobody) {
        let mut room = Room::of(User::Own);
        let launcher = room.launcher.program.display();
        let script =
            format!("#!/bin/sh\nexec setpriv --bounding-set -setpcap -- {launcher} \"$@\"\n");
        room.launcher.program = room.program("launcher", &script);
        let (said, _) = room.sh("grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status");
        let values: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(values[1], "0000000000000000", "{said}");
        assert_eq!(values[3], "0000000000000000", "{said}");
        assert_ne!(values[5], "0000000000000000", "the test itself: {said}");
    }
}

/// A set-user-ID program does not lend its owner's rights.
#[test]
fn set_user_id_programs_are_ordinary_ones() {
    if users().contains(&User::Nobody) {
        let room = Room::of(User::Nobody);
        let id = room.at("own/id");
        crate::children::install_program("4755", "/usr/bin/id", &id);
        assert_eq!(room.sh("./id -u").0, "65534\n");
    }
}

#[test]
fn nothing_is_open_but_the_three_streams() {
    let room = Room::of(User::Own);
    let count = "import os\nfor fd in range(3, 1024):\n  try: os.fstat(fd); print(fd)\n  except OSError: pass";
    assert_eq!(room.run(&["python3", "-c", count]), (String::new(), 0));
}

/// A kernel without Landlock, as far as a process can tell: every call of it is
/// answered as such a kernel would.
fn without_landlock(room: &mut Room) {
    let launcher = room.launcher.program.display();
    let script = format!(
        "#!/usr/bin/env python3\n{}\nos.execv('{launcher}', ['amurg-runtime', *sys.argv[1:]])\n",
        include_str!("no_landlock.py")
    );
    room.launcher.program = room.program("launcher", &script);
}

#[test]
fn required_starts_nothing_without_landlock() {
    let mut room = Room::of(User::Own);
    without_landlock(&mut room);
    let told = room.refusal(&["true"]);
    assert!(
        told.contains(
            "security.enforce is \"required\", but this kernel offers Landlock version 0"
        ),
        "{told}"
    );
    assert!(told.contains("needs 6 (Linux 6.12)"), "{told}");
}

#[test]
fn best_effort_does_the_rest_without_landlock() {
    let mut room = Room::of(User::Own);
    room.security.enforce = Enforce::BestEffort;
    without_landlock(&mut room);
    let (said, code) = room.sh("cat ../outside/secret && grep NoNewPrivs /proc/self/status");
    assert_eq!((said.as_str(), code), ("content\nNoNewPrivs:\t1\n", 0));
    let socket = "import socket\ntry: socket.socket(socket.AF_UNIX)\nexcept PermissionError: print(\"refused\")";
    assert_eq!(room.run(&["python3", "-c", socket]).0, "refused\n");
}

#[test]
fn off_confines_nobody() {
    for enforce in [Enforce::Off, Enforce::BestEffort] {
        let mut room = Room::of(User::Own);
        room.security.enforce = enforce;
        let expected = if enforce == Enforce::Off { "content\n" } else { "" };
        assert_eq!(room.sh("cat ../outside/secret 2>/dev/null").0, expected);
    }
}
