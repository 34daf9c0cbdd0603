//! What an agent prints reaches the hub unchanged, whatever it is.

use crate::support::scene::{Scene, cli, is_emulated, job};

/// Name, the program's bytes as Python prints them, and what the hub must show.
fn cases() -> Vec<(&'static str, String, String)> {
    let case = |name, python: &str, shown: &str| (name, python.to_owned(), shown.to_owned());
    vec![
        case("a prompt without newline", "b'> '", "> "),
        case("CRLF", r"b'a\r\nb\r\n'", "a\r\nb\r\n"),
        case("a lone carriage return", r"b'10%\r20%\r'", "10%\r20%\r"),
        case("blank lines", r"b'\n\n\na\n\n'", "\n\n\na\n\n"),
        case("leading and trailing blanks", r"b'  a  \t\n '", "  a  \t\n "),
        case("NUL", r"b'a\0b'", "a\0b"),
        case("escape sequences", r"b'\x1b[31mred\x1b[0m'", "\u{1b}[31mred\u{1b}[0m"),
        case(
            "every control byte",
            "bytes(range(32))",
            &(0..32u8).map(char::from).collect::<String>(),
        ),
        case("quotes and backslashes", r#"b'"\\\\"'"#, "\"\\\\\""),
        case("several alphabets", "'aé中🦀'.encode()", "aé中🦀"),
        case("a byte that is not UTF-8", r"b'a\xffb'", "a\u{fffd}b"),
        case("a character cut short at the end", r"b'a\xe4\xb8'", "a\u{fffd}"),
        case("an overlong form", r"b'\xc0\xaf'", "\u{fffd}\u{fffd}"),
        case("a surrogate", r"b'\xed\xa0\x80'", "\u{fffd}\u{fffd}\u{fffd}"),
        case("a separator JavaScript minds", r"'\u2028'.encode()", "\u{2028}"),
        case("DEL and C1", r"b'\x7f\xc2\x85'", "\u{7f}\u{85}"),
        case("a line of three megabytes", "b'x' * 3000000", &"x".repeat(3_000_000)),
        case(
            "twenty thousand lines",
            r"b''.join(b'line %d\n' % n for n in range(20000))",
            &(0..20000).map(|n| format!("line {n}\n")).collect::<String>(),
        ),
    ]
}

fn print(python: &str) -> String {
    format!("import sys; sys.stdout.buffer.write({python}); sys.stdout.buffer.flush()")
}

#[track_caller]
fn assert_same(name: &str, shown: &str, expected: &str) {
    let differs = shown.chars().zip(expected.chars()).position(|(a, b)| a != b);
    assert!(
        shown == expected,
        "{name}: {} bytes shown, {} expected, first difference at {differs:?}",
        shown.len(),
        expected.len()
    );
}

#[test]
fn a_jobs_output_is_verbatim() {
    let scene = Scene::new("verbatim_job").set("/runtime/max_sessions", 100.into());
    let scene = cases().iter().fold(scene, |scene, (name, python, _)| {
        scene.agent(job(name, "python3", &["-c", &print(python)]))
    });
    let scene = scene.start();
    for (name, _, expected) in cases() {
        let turn = scene.session(name).say("");
        assert_same(name, &turn.output(), &expected);
        turn.ended(0);
        scene.no_process_left();
    }
}

#[test]
fn a_shells_output_is_verbatim_and_whole_before_its_turn_ends() {
    if is_emulated() {
        return;
    }
    let scene = Scene::new("verbatim_cli").agent(cli("sh", "bash", &[])).start();
    let session = scene.session("sh");
    for (name, python, expected) in cases() {
        let command = format!("python3 -c '{}'", print(&python).replace('\'', r"'\''"));
        assert_same(name, &session.say(&command).output(), &expected);
    }
}

#[test]
fn a_character_written_in_pieces_arrives_whole() {
    let slowly = "import sys, time\nfor b in '中🦀'.encode():\n sys.stdout.buffer.write(bytes([b])); sys.stdout.buffer.flush(); time.sleep(0.04)";
    let scene = Scene::new("verbatim_pieces").agent(job("j", "python3", &["-c", slowly])).start();
    let session = scene.session("j");
    assert_eq!(session.say("").output(), "中🦀");
    let pieces = session.output();
    assert!(pieces.iter().all(|piece| !piece.content.contains('\u{fffd}')), "{pieces:?}");
}

#[test]
fn both_streams_keep_their_order_and_their_channel() {
    let both = "for i in 1 2 3; do echo out$i; echo err$i >&2; done";
    let scene = Scene::new("verbatim_streams").agent(job("j", "sh", &["-c", both])).start();
    let turn = scene.session("j").say("");
    assert_eq!(turn.output(), "out1\nout2\nout3\n");
    assert_eq!(turn.output_on("stderr"), "err1\nerr2\nerr3\n");
}
