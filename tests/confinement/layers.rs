//! What narrows a cell, and what tries to widen it between two children:
//! pushed paths, links, directories that are swapped.

use std::fs;
use std::os::unix::fs::symlink;

use amurg_runtime::agent::process::plan::Stdio;
use amurg_runtime::config::Endpoint;

use crate::children::Scene;
use crate::room::{Room, users};

/// Whether these paths can be written to, as a letter each.
fn writable(room: &Room, paths: &[&str]) -> String {
    let try_each = "for path; do ( : >$path/written ) 2>/dev/null && printf y || printf n; done";
    let command = [&["sh", "-c", try_each, "sh"], paths].concat();
    room.run(&command).0
}

fn two_directories(user: crate::room::User) -> Room {
    let room = Room::of(user);
    for name in ["own/a", "own/b"] {
        fs::create_dir(room.at(name)).unwrap();
    }
    room.give("own");
    room
}

#[test]
fn pushed_paths_are_a_second_layer() {
    for &user in users() {
        let mut room = two_directories(user);
        let places = ["a", "b", ".", "../uploads", "../outside"];
        room.security.cwd = Some(room.at("own/a"));
        let from_a = ["../a", "../b", "..", "../../uploads", "../../outside"];
        assert_eq!(writable(&room, &from_a), "yyyyn", "{user:?}: before");
        room.security.pushed_paths = vec![room.at("own/a")];
        assert_eq!(writable(&room, &from_a), "ynnyn", "{user:?}: narrowed");
        // What is pushed never widens, whatever it names.
        room.security.cwd = Some(room.at("own"));
        room.security.pushed_paths = vec!["/".into()];
        assert_eq!(writable(&room, &places), "yyyyn", "{user:?}: the whole machine");
        room.security.pushed_paths = vec![room.at("own"), room.at("outside"), "/no/such".into()];
        assert_eq!(writable(&room, &places), "yyyyn", "{user:?}: more than the file");
    }
}

#[test]
fn pushed_paths_confine_alone_where_the_file_has_none() {
    for &user in users() {
        let mut room = two_directories(user);
        room.security.allowed_paths.clear();
        room.security.cwd = Some(room.at("own/a"));
        room.security.pushed_paths = vec![room.at("own/a")];
        assert_eq!(writable(&room, &[".", "../b"]), "yn", "{user:?}");
    }
}

#[test]
fn a_directory_to_start_in_must_lie_in_every_layer() {
    let mut room = two_directories(users()[0]);
    room.security.pushed_paths = vec![room.at("own/a")];
    let told = room.refusal(&["true"]);
    assert!(told.contains("own lies outside security.allowed_paths"), "{told}");
    room.security.pushed_paths.clear();
    room.security.cwd = Some(room.at("outside"));
    let told = room.refusal(&["true"]);
    assert!(told.contains("outside lies outside security.allowed_paths"), "{told}");
    // A link to a place inside is fine, for a directory.
    symlink(room.at("own/a"), room.at("outside/inside")).unwrap();
    room.security.cwd = Some(room.at("outside/inside"));
    assert_eq!(room.sh("pwd -P | sed 's,.*/,,'").0, "a\n");
}

/// Beneath an allowed path an agent can put anything in another one's place.
#[test]
fn a_nested_path_swapped_for_a_link_gains_nothing() {
    for &user in users() {
        let mut room = two_directories(user);
        room.security.allowed_paths = vec![room.at("own"), room.at("own/a")];
        assert_eq!(room.sh("rmdir a && ln -s ../outside a && echo swapped").0, "swapped\n");
        let (said, _) = room.sh("cat a/secret; : >a/new");
        assert!(!said.contains("content"), "{user:?}: {said}");
        assert!(!room.at("outside/new").exists(), "{user:?}");
    }
}

#[test]
fn an_allowed_path_that_is_a_link_is_refused_with_what_to_do() {
    let mut room = Room::of(users()[0]);
    symlink(room.at("outside"), room.at("way")).unwrap();
    room.security.allowed_paths.push(room.at("way"));
    let told = room.refusal(&["true"]);
    assert!(told.contains("security.allowed_paths cannot be applied"), "{told}");
    assert!(told.contains("way is, or lies behind, a symbolic link; write the path"), "{told}");
}

#[test]
fn an_allowed_path_that_does_not_exist_allows_nothing_and_spoils_nothing() {
    let mut room = Room::of(users()[0]);
    room.security.allowed_paths.push("/no/such/path".into());
    assert_eq!(room.sh("echo runs"), ("runs\n".into(), 0));
}

/// The directory is looked at when a child is planned, and again when it is entered.
#[test]
fn a_directory_to_start_in_swapped_meanwhile_is_refused() {
    let mut room = two_directories(users()[0]);
    room.security.cwd = Some(room.at("own/a"));
    let plan = room.plan(&["pwd"], Stdio::Pipes).unwrap();
    fs::remove_dir(room.at("own/a")).unwrap();
    symlink(room.at("outside"), room.at("own/a")).unwrap();
    let refused = room.launcher.launch(&plan).unwrap_err().to_string();
    assert!(refused.contains("working directory cannot be applied"), "{refused}");
    assert!(refused.contains("outside lies outside security.allowed_paths"), "{refused}");
}

/// A command in an agent's own directory, which the agent swaps for a link to
/// something else: that does not become readable.
#[test]
fn a_command_swapped_for_a_link_gains_nothing() {
    for &user in users() {
        let room = Room::of(user);
        room.program("outside/tool", "#!/bin/sh\necho secret\n");
        room.program("own/agent", "#!/bin/sh\necho own\n");
        room.give("");
        let command = room.at("own/agent");
        let (endpoint, program) = crate::children::endpoint(command.to_str().unwrap(), &[]);
        let endpoint = Endpoint { security: room.security.clone(), ..endpoint };
        let plan = room.confined(&endpoint, &program, Stdio::Pipes).unwrap();
        assert_eq!(Scene::with(&room.launcher, &plan).rest(), "own\n", "{user:?}");
        assert_eq!(room.sh("ln -sf ../outside/tool agent").1, 0);
        let refused = room.launcher.launch(&plan).unwrap_err().to_string();
        assert!(refused.contains("may not be executed"), "{user:?}: {refused}");
    }
}
