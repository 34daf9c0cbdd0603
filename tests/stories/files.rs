//! Files go where they belong and nowhere else.

use serde_json::json;

use crate::support::scene::{Scene, cli, job};

#[test]
fn a_jobs_next_run_finds_its_files() {
    let scene = Scene::new("files_job").agent(job("j", "sh", &["-c", "cat $AMURG_FILES"])).start();
    let session = scene.session("j");
    session.upload("note.txt", b"the content\n");
    assert_eq!(session.say("").output(), "the content\n");
}

#[test]
fn a_file_for_a_session_that_has_ended_makes_it_again() {
    let scene =
        Scene::new("files_again").agent(job("j", "sh", &["-c", "cat $AMURG_FILES"])).start();
    let session = scene.session("j");
    session.say("").end();
    session.close();
    session.upload("note.txt", b"the content\n");
    assert_eq!(session.say("").output(), "the content\n");
}

#[test]
fn a_shell_is_told_the_path() {
    let scene = Scene::new("files_cli").agent(cli("cat", "cat", &[])).start();
    let session = scene.session("cat");
    session.upload("note.txt", b"x");
    session.shows("stdout", "note.txt");
}

#[test]
fn hostile_names_write_nowhere_else() {
    let scene =
        Scene::new("files_hostile").agent(job("j", "sh", &["-c", "cat $AMURG_FILES"])).start();
    let outside = scene.dir.path().join("state");
    for name in [
        "../../../escape",
        "/etc/escape",
        "..",
        ".",
        "",
        "a/../../escape",
        "a\\..\\escape",
        "x\0y",
        "-rf",
        "CON",
        "\u{202e}txt",
        &"n".repeat(5000),
    ] {
        let session = scene.session("j");
        session.upload(name, b"here");
        assert_eq!(session.say("").output(), "here", "{name:?}");
        session.close();
    }
    let escaped = walk(scene.dir.path()).into_iter().filter(|path| !path.starts_with(&outside));
    let escaped: Vec<_> = escaped.filter(|path| !path.ends_with("config.json")).collect();
    assert!(escaped.is_empty(), "{escaped:?}");
    assert!(!std::path::Path::new("/etc/escape").exists());
}

#[test]
fn a_file_that_is_too_large_is_refused_in_words() {
    let scene = Scene::new("files_large")
        .set("/runtime/max_file_bytes", json!(65536))
        .agent(job("j", "true", &[]))
        .start();
    let session = scene.session("j");
    session.upload("big", &vec![0; 65537]);
    session.shows("system", "was not taken");
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}
