//! An agent for the stories on other systems, where no shell of ours is: built
//! for each of them, and told by its arguments what to be. Not part of the product.

use std::io::{self, BufRead, Read, Write};
use std::process::{Command, ExitCode, Stdio};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["echo"] => echo(),
        ["job", code] => return job(code),
        ["flood", bytes] => flood(bytes.parse().expect("a number")),
        ["sleep", ..] => sleep(),
        ["parent", mark] => parent(mark),
        ["polite"] => polite(),
        ["stubborn"] => stubborn(),
        ["adapter"] => return adapter(),
        _ => return ExitCode::from(64),
    }
    ExitCode::SUCCESS
}

fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).expect("somebody reads");
}

/// Answers each line; the answer has no newline of its own at its end.
fn echo() {
    for line in io::stdin().lines() {
        say(&format!("you said {}\n> ", line.expect("a line")));
    }
}

/// Says what it got, who it is, and exits.
fn job(code: &str) -> ExitCode {
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content).expect("the whole input");
    let message = std::env::var("AMURG_MESSAGE_ID").expect("a message");
    say(&format!("{} bytes of {message}\n", content.len()));
    eprintln!("done");
    ExitCode::from(code.parse::<u8>().expect("an exit code"))
}

fn flood(bytes: usize) {
    let line = [&[b'x'; 127][..], b"\n"].concat();
    let all = line.repeat(bytes / line.len());
    io::stdout().lock().write_all(&all).expect("somebody reads");
}

fn sleep() {
    loop {
        std::thread::park();
    }
}

/// Starts a child that shares nothing with it but its ancestry, then echoes.
#[expect(clippy::zombie_processes, reason = "that it outlives its parent is the point")]
fn parent(mark: &str) {
    let own = std::env::current_exe().expect("a name");
    let mut command = Command::new(own);
    command.args(["sleep", mark]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        const DETACHED_PROCESS: u32 = 8;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
    }
    command.spawn().expect("a child");
    say("child started\n");
    echo();
}

/// Ends when it is interrupted, and says so.
fn polite() {
    let end = || {
        say("interrupted\n");
        std::process::exit(7);
    };
    ctrlc::set_handler(end).expect("a handler");
    say("waiting\n");
    sleep();
}

/// Does not end when it is interrupted, nor when its input ends.
fn stubborn() {
    ctrlc::set_handler(|| say("no\n")).expect("a handler");
    say("waiting\n");
    sleep();
}

/// An adapter that answers with what it was told. `die` ends it.
fn adapter() -> ExitCode {
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line");
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let session = &told["session_id"];
        if told["type"] != "user.input" {
            continue;
        }
        if told["content"] == "die" {
            eprintln!("dying as told");
            return ExitCode::from(9);
        }
        let content = format!("heard {}", told["content"].as_str().unwrap_or_default());
        let output = serde_json::json!({
            "type": "output", "session_id": session, "channel": "stdout", "content": content,
        });
        let end = serde_json::json!({ "type": "turn.complete", "session_id": session });
        say(&format!("{output}\n{end}\n"));
    }
    ExitCode::SUCCESS
}
