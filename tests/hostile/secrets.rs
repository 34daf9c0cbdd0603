//! The token is nowhere but where it belongs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::scene::{Scene, TOKEN, job};

/// Files that hold `text`, anywhere beneath.
fn holding(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).is_ok_and(|content| contains(&content, text)) {
            found.push(path);
        }
    }
    found
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_tokens_are_in_no_child_no_log_and_no_file_but_their_own() {
    let look = "env; cat /proc/self/environ /proc/self/cmdline /proc/$PPID/cmdline; ls -l /proc/self/fd; \
                cat /proc/self/fd/[3-9]* 2>/dev/null; true";
    let scene = Scene::new("secret_token")
        .agent(job("look", "bash", &["-c", look]))
        .agent(job("fails", "/no/such/command", &[]))
        .set("/hub/token", json!("${SCENE_TOKEN}"))
        .set("/runtime/log_level", json!("trace"))
        .variable("SCENE_TOKEN", TOKEN)
        .start();
    let fresh = "a-refreshed-token";
    scene.client.token_refresh(fresh);
    let session = scene.session("look");
    let turn = session.say("");
    turn.ended(0);
    let said = turn.output();
    assert!(said.contains("AMURG_SESSION_ID") && !said.contains("SCENE_TOKEN"), "{said}");
    let refused = scene.try_session("fails").err().unwrap_or_default();
    scene.hub.forbid_token(fresh);
    scene.hub.forbid_token(TOKEN);
    scene.hub.drop_connections(false);
    scene.logged("refused");

    let cmdline = fs::read(format!("/proc/{}/cmdline", scene.pid())).unwrap();
    let config = scene.dir.path().join("config.json");
    let kept = scene.dir.path().join("state/secret_token/token");
    let log = scene.log().join("\n");
    for token in [TOKEN, fresh] {
        assert!(!said.contains(token) && !refused.contains(token));
        assert!(!contains(&cmdline, token));
        assert!(!log.contains(token), "{log}");
        let files = holding(scene.dir.path(), token);
        let expected = if token == fresh { vec![kept.clone()] } else { Vec::new() };
        // A refused one is forgotten.
        assert!(files == expected || files.is_empty(), "{files:?}");
    }
    let open =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o77 != 0);
    assert!(!open(&config) && !open(&kept));
}
