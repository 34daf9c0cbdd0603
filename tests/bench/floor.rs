//! What forwarding costs at least on this machine: a process that copies from a
//! pipe to a loopback socket and does nothing else. Absolute figures move with
//! the machine; a ratio to this one much less.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Outcome;
use super::agents::pattern;
use super::book::Book;
use super::measures::{FLOOR_CPU, FLOOR_RATE};
use super::procfs::Cpu;
use super::scale::Scale;

/// Bytes of one run.
const BYTES: usize = 256 << 20;

/// Adds the floor's figures to the first binary's page.
pub fn measure(scale: &Scale, book: &mut Book) -> Outcome<()> {
    for _ in 0..scale.runs {
        let (cpu, rate) = copy()?;
        let mut page = book.page(0);
        page.add(&FLOOR_CPU, cpu);
        page.add(&FLOOR_RATE, rate);
    }
    Ok(())
}

/// CPU seconds per GB, and MB/s.
fn copy() -> Outcome<(f64, f64)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let mut copier = Command::new(std::env::current_exe()?)
        .args(["--agent", &format!("copy:{address}")])
        .stdin(Stdio::piped())
        .spawn()?;
    let (mut socket, _) = listener.accept()?;
    let mut into = copier.stdin.take().ok_or("no stdin")?;
    let pid = i32::try_from(copier.id())?;
    let cpu = Cpu::of(pid);
    let begun = Instant::now();
    let writer = std::thread::spawn(move || {
        let block = pattern("lines").unwrap_or_default();
        (0..BYTES / block.len()).try_for_each(|_| into.write_all(&block))
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer)? {
            0 => break,
            length => total += length,
        }
    }
    let took = begun.elapsed();
    let cpu = Cpu::of(pid).since(&cpu);
    drop(socket);
    writer.join().map_err(|_| "the writer panicked")??;
    copier.wait()?;
    let gigabytes = total as f64 / 1e9;
    Ok((cpu.as_secs_f64() / gigabytes, gigabytes * 1e3 / took.as_secs_f64()))
}
