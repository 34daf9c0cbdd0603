//! What the kernel says a process used.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// CPU time of a process so far.
pub struct Cpu {
    /// Of all its threads, the ended ones as well; in steps of a clock tick.
    ticks: Duration,
    /// Of each living thread, in nanoseconds.
    threads: HashMap<String, u64>,
}

impl Cpu {
    /// Reads it; zero for a process that is gone.
    pub fn of(pid: i32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so the last one counts.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        // utime and stime: proc(5) counts them as 14 and 15, and three fields are cut off before.
        let ticks: u64 =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        let second = rustix::param::clock_ticks_per_second();
        let ticks = Duration::from_secs(ticks) / u32::try_from(second).unwrap_or(100);
        let threads = tasks(pid)
            .filter_map(|task| {
                let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).ok()?;
                Some((task, text.split_whitespace().next()?.parse().ok()?))
            })
            .collect();
        Self { ticks, threads }
    }

    /// What was used since `earlier`.
    pub fn since(&self, earlier: &Self) -> Duration {
        const STEP: Duration = Duration::from_millis(20);
        let exact = self
            .threads
            .iter()
            .map(|(task, now)| now.saturating_sub(earlier.threads.get(task).copied().unwrap_or(0)));
        let exact = Duration::from_nanos(exact.sum());
        // Threads that came and went in between are only in the coarse sum.
        let coarse = self.ticks.saturating_sub(earlier.ticks);
        if coarse > exact + STEP { coarse } else { exact }
    }
}

fn tasks(pid: i32) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Number of its threads.
pub fn threads(pid: i32) -> usize {
    tasks(pid).count()
}

/// Number of its open descriptors; `None` where that is not shown to us.
pub fn descriptors(pid: i32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Proportional share of memory in bytes; `None` where that is not shown to us.
pub fn pss(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    number(&text, "Pss:").map(|kilobytes| kilobytes * 1024)
}

/// Context switches of all its living threads, of their own will or not.
pub fn context_switches(pid: i32) -> u64 {
    let of_task = |task: String| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/status")).ok()?;
        let own = number(&text, "voluntary_ctxt_switches:")?;
        Some(own + number(&text, "nonvoluntary_ctxt_switches:")?)
    };
    tasks(pid).filter_map(of_task).sum()
}

/// The number behind a name at the beginning of a line.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
