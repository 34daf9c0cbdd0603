//! System calls of a small message, where `strace` is there to count them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use amurg_runtime::loopback::ScratchDir;
use rustix::process::{Pid, Signal, kill_process};

use super::Pass;
use crate::Outcome;
use crate::measures::ECHO_SYSCALLS;
use crate::stage::{self, Stage};

pub fn run(pass: &mut Pass<'_>) -> Outcome<()> {
    let stage = Stage::start(pass.subject, &[stage::cat()])?;
    let sessions = stage.sessions("cat", 1)?;
    stage.echo(&sessions)?;
    let dir = ScratchDir::new("amurg-bench-strace")?;
    let table = dir.path().join("calls");
    let counting = Command::new("strace")
        .args(["-c", "-f", "-o"])
        .arg(&table)
        .args(["-p", &stage.pid().to_string()])
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut counting) = counting else {
        eprintln!("bench: no strace here, so system calls are not counted");
        return Ok(());
    };
    attached(&mut counting)?;
    let messages = f64::from(pass.scale.messages);
    for _ in 0..pass.scale.messages {
        stage.echo(&sessions)?;
    }
    kill_process(Pid::from_child(&counting), Signal::INT)?;
    counting.wait()?;
    let calls: Vec<(String, f64)> = parse(&std::fs::read_to_string(&table)?)
        .into_iter()
        .map(|(name, calls)| (name, calls as f64 / messages))
        .collect();
    pass.page.add(&ECHO_SYSCALLS, calls.iter().map(|(_, calls)| calls).sum());
    pass.page.syscalls(calls);
    Ok(())
}

/// Waits until it says that it watches the process, all threads at once.
fn attached(strace: &mut Child) -> Outcome<()> {
    let said = BufReader::new(strace.stderr.take().ok_or("no stderr of strace")?);
    for line in said.lines() {
        let line = line?;
        if line.contains("attached") {
            return Ok(());
        }
        eprintln!("bench: {line}");
    }
    let _ = strace.wait();
    Err("strace may not look at the runtime".into())
}

/// Calls by name, most frequent first: the fourth column of its table, and the last.
fn parse(table: &str) -> Vec<(String, u64)> {
    let mut calls: Vec<(String, u64)> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let name = fields.last().filter(|name| **name != "total")?;
            Some(((*name).to_owned(), fields.get(3)?.parse().ok()?))
        })
        .collect();
    calls.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    calls
}
