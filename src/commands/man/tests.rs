//! The man page holds everything there is.

use super::*;

#[test]
fn every_command_option_and_field_is_in_it() {
    let page = page();
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    for command in flags::program().all() {
        assert!(plain.contains(&command.typed()), "{:?}", command.words);
        for flag in &command.options {
            assert!(plain.lines().any(|line| line == spelled(flag).replace('`', "")), "{flag:?}");
        }
    }
    for object in OBJECTS {
        for field in object.fields {
            let term = term(object, field).replace('`', "");
            assert!(plain.lines().any(|line| line == term), "{term}");
        }
    }
}

#[test]
fn the_formatter_has_nothing_to_complain_about() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let formatter = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    // Where there is none, the page is not looked at.
    let Ok(mut formatter) = formatter else { return };
    formatter.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
    let output = formatter.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}
