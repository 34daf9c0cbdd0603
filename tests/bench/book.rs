//! What was measured, as it comes in.

use std::time::Duration;

use super::measures::Measure;

/// Everything of one invocation.
pub struct Book {
    /// Names of the binaries; the first is this build.
    pub subjects: Vec<String>,
    pub rows: Vec<Row>,
    /// Memory per session at growing numbers of them, for each binary.
    pub session_cost: Vec<Vec<(u32, f64)>>,
    /// Moments at which the runtimes of a fleet came back, for each binary.
    pub reconnects: Vec<Vec<Duration>>,
    /// System calls of the echo scenario, most frequent first, for each binary.
    pub syscalls: Vec<Vec<(String, f64)>>,
    /// Size of the code by crate, in bytes, largest first.
    pub dependencies: Vec<(String, u64)>,
    /// Instructions of each hot path, with the baseline's.
    pub instructions: Vec<super::instructions::Count>,
}

/// One figure of all binaries.
pub struct Row {
    pub measure: &'static Measure,
    /// Values of each binary, a run each.
    pub samples: Vec<Vec<f64>>,
}

/// Where one binary's values go.
pub struct Page<'a> {
    book: &'a mut Book,
    subject: usize,
}

impl Book {
    pub fn new(subjects: Vec<String>) -> Self {
        let count = subjects.len();
        Self {
            subjects,
            rows: Vec::new(),
            session_cost: vec![Vec::new(); count],
            reconnects: vec![Vec::new(); count],
            syscalls: vec![Vec::new(); count],
            dependencies: Vec::new(),
            instructions: Vec::new(),
        }
    }

    /// The page of one binary.
    pub fn page(&mut self, subject: usize) -> Page<'_> {
        Page { book: self, subject }
    }
}

impl Page<'_> {
    /// Adds a run's value.
    pub fn add(&mut self, measure: &'static Measure, value: f64) {
        let count = self.book.subjects.len();
        let rows = &mut self.book.rows;
        let at = rows.iter().position(|row| row.measure == measure).unwrap_or_else(|| {
            rows.push(Row { measure, samples: vec![Vec::new(); count] });
            rows.len() - 1
        });
        rows[at].samples[self.subject].push(value);
    }

    /// Keeps the memory per session, in bytes, at growing numbers of sessions.
    pub fn session_cost(&mut self, points: Vec<(u32, f64)>) {
        self.book.session_cost[self.subject] = points;
    }

    /// Adds to the moments of a fleet's return.
    pub fn reconnects(&mut self, moments: &[Duration]) {
        self.book.reconnects[self.subject].extend(moments);
    }

    /// Keeps the system calls per message.
    pub fn syscalls(&mut self, calls: Vec<(String, f64)>) {
        self.book.syscalls[self.subject] = calls;
    }
}

/// Minimum, median and maximum; `None` of nothing.
pub fn spread(samples: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Some([first, median, last])
}
