//! The table for people, JSON for programs, and the pictures.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Outcome;
use super::book::{Book, Row, spread};
use super::measures::Goal;
use super::options::Options;
use super::svg::{self, Bars};

/// Crates that get a line of their own.
const CRATES: usize = 20;

/// Prints the book and writes it into `directory`.
pub fn write(book: &Book, options: &Options, directory: &Path) -> Outcome<()> {
    let text = table(book);
    print!("{text}");
    std::fs::write(directory.join("bench.txt"), &text)?;
    let json = serde_json::to_string_pretty(&value(book, options))? + "\n";
    std::fs::write(directory.join("bench.json"), json)?;
    if book.session_cost.iter().any(|curve| !curve.is_empty()) {
        let picture = svg::session_cost(&book.subjects, &book.session_cost);
        std::fs::write(directory.join("session-cost.svg"), picture)?;
    }
    for (name, moments) in book.subjects.iter().zip(&book.reconnects) {
        if !moments.is_empty() {
            let path = directory.join(format!("reconnects-{name}.svg"));
            std::fs::write(path, svg::histogram(name, &Bars::of(moments)))?;
        }
    }
    println!("\nwritten to {}", directory.display());
    Ok(())
}

fn table(book: &Book) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:<54} {:>5} {:>9}", "", "unit", "goal");
    for name in &book.subjects {
        let _ = write!(text, "  {:>8} {:>8} {:>8}", "min", name, "max");
    }
    text.push_str(if book.subjects.len() > 1 { "    ratio\n" } else { "\n" });
    for row in &book.rows {
        line(&mut text, row);
    }
    for (name, calls) in book.subjects.iter().zip(&book.syscalls) {
        section(&mut text, &format!("system calls of a small message, {name}"), calls.is_empty());
        for (call, count) in calls.iter().filter(|(_, count)| *count >= 0.05) {
            let _ = writeln!(text, "  {call:<24} {count:>8.2}");
        }
    }
    for (name, moments) in book.subjects.iter().zip(&book.reconnects) {
        section(
            &mut text,
            &format!("a fleet back after its hub's restart, {name}"),
            moments.is_empty(),
        );
        histogram(&mut text, moments);
    }
    section(&mut text, "instructions of the hot paths", book.instructions.is_empty());
    for count in &book.instructions {
        let each = count.bytes.map_or_else(String::new, |bytes| {
            format!("{:.3} a byte", count.instructions / bytes as f64)
        });
        let change = count.change().map_or_else(String::new, |change| {
            format!("{:+.1} % to the baseline", (change - 1.0) * 100.0)
        });
        let _ = writeln!(
            text,
            "  {:<24} {:>12.0}  {each:<16} {change}",
            count.name, count.instructions
        );
    }
    section(&mut text, "code and named data by crate", book.dependencies.is_empty());
    for (name, bytes) in book.dependencies.iter().take(CRATES) {
        let _ = writeln!(text, "  {name:<24} {:>8.1} KB", *bytes as f64 / 1024.0);
    }
    text
}

fn section(text: &mut String, title: &str, empty: bool) {
    if !empty {
        let _ = writeln!(text, "\n{title}");
    }
}

fn line(text: &mut String, row: &Row) {
    let measure = row.measure;
    let goal = match measure.goal {
        Goal::AtMost(most) => format!("<= {most}"),
        Goal::AtLeast(least) => format!(">= {least}"),
        Goal::None => String::new(),
    };
    let _ = write!(text, "{:<54} {:>5} {goal:>9}", measure.name, measure.unit);
    let spreads: Vec<_> = row.samples.iter().map(|samples| spread(samples)).collect();
    for spread in &spreads {
        match spread {
            Some(values) => {
                let [least, median, most] = values.map(figure);
                let _ = write!(text, "  {least:>8} {median:>8} {most:>8}");
            }
            None => text.push_str("         -        -        -"),
        }
    }
    if let [Some([_, ours, _]), Some([_, other, _])] = spreads[..] {
        let _ = write!(text, " {:>8}", if ours == 0.0 { "-".into() } else { figure(other / ours) });
    }
    if let Some([_, median, _]) = spreads[0]
        && !measure.goal.is_met(median)
    {
        text.push_str("  missed");
    }
    text.push('\n');
}

/// Three digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn histogram(text: &mut String, moments: &[Duration]) {
    if moments.is_empty() {
        return;
    }
    let bars = Bars::of(moments);
    for (index, &count) in bars.counts.iter().enumerate() {
        let _ = writeln!(
            text,
            "  {:>7.2} s {count:>4} {}",
            bars.from(index),
            "#".repeat(count as usize)
        );
    }
}

fn value(book: &Book, options: &Options) -> Value {
    let per_subject = |value: &dyn Fn(usize) -> Value| -> Value {
        let subjects = book.subjects.iter().enumerate();
        subjects
            .map(|(index, name)| (name.clone(), value(index)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let figures: Vec<Value> = book
        .rows
        .iter()
        .map(|row| {
            let goal = match row.measure.goal {
                Goal::AtMost(most) => json!({ "at_most": most }),
                Goal::AtLeast(least) => json!({ "at_least": least }),
                Goal::None => Value::Null,
            };
            let values = per_subject(&|index| match spread(&row.samples[index]) {
                Some([min, median, max]) => json!({
                    "min": min, "median": median, "max": max, "runs": row.samples[index]
                }),
                None => Value::Null,
            });
            json!({ "name": row.measure.name, "unit": row.measure.unit, "goal": goal, "values": values })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "scale": options.scale.name,
        "compared_with": options.compare,
        "machine": machine(),
        "figures": figures,
        "session_cost_bytes": per_subject(&|index| json!(book.session_cost[index])),
        "reconnect_seconds": per_subject(&|index| {
            book.reconnects[index].iter().map(Duration::as_secs_f64).collect()
        }),
        "syscalls_per_message": per_subject(&|index| json!(book.syscalls[index])),
        "instructions": book.instructions.iter().map(|count| json!({
            "name": count.name,
            "bytes": count.bytes,
            "instructions": count.instructions,
            "baseline": count.baseline,
        })).collect::<Vec<_>>(),
        "crates_bytes": book.dependencies.iter().map(|(name, bytes)| json!({
            "crate": name, "bytes": bytes
        })).collect::<Vec<_>>(),
    })
}

/// What the figures belong to.
fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "cpu": model.map(|(_, model)| model),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": read("/proc/loadavg").trim(),
    })
}
