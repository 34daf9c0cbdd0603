//! A report as one reads it: general problems, the gateway, then each endpoint
//! with its own problems, and a verdict.

use std::fmt;

use super::facts::Fact;
use super::report::{Finding, Report};

/// Displays a report, ending in a newline.
pub struct Text<'a>(pub &'a Report);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let belongs_to_an_endpoint = |finding: &Finding| {
            report.endpoints.iter().any(|endpoint| belongs(&finding.path, &endpoint.path))
        };
        problems(f, report, |finding| !belongs_to_an_endpoint(finding))?;
        if !report.service.is_empty() {
            f.write_str("\nservice\n")?;
            facts(f, &report.service)?;
        }
        if !report.runtime.is_empty() {
            f.write_str("\nruntime\n")?;
            facts(f, &report.runtime)?;
        }
        for endpoint in &report.endpoints {
            let id = if endpoint.id.is_empty() { &endpoint.path } else { &endpoint.id };
            write!(f, "\nendpoint {id}")?;
            if endpoint.name != endpoint.id {
                write!(f, ", {}", endpoint.name)?;
            }
            if !endpoint.profile.is_empty() {
                write!(f, " ({})", endpoint.profile)?;
            }
            f.write_str("\n")?;
            facts(f, &endpoint.facts)?;
            problems(f, report, |finding| belongs(&finding.path, &endpoint.path))?;
        }
        if let Some(connection) = &report.connection {
            f.write_str("\nconnection\n")?;
            facts(f, &connection.facts())?;
            unconnected(f, report)?;
        }
        let verdict = if report.ok() { "can be used" } else { "cannot be used" };
        let errors = counted(report.errors.len(), "error");
        let warnings = counted(report.warnings.len(), "warning");
        write!(f, "\n{}: {verdict} ({errors}, {warnings})", report.file)?;
        match report.connection.as_ref().map(|connection| connection.ok) {
            None => writeln!(f),
            Some(true) => writeln!(f, ", the hub answers"),
            Some(false) => writeln!(f, ", no connection to the hub"),
        }
    }
}

/// Displays a report's problems alone, in the order of the file, errors first.
pub struct Problems<'a>(pub &'a Report);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        problems(f, self.0, |_| true)?;
        unconnected(f, self.0)
    }
}

/// Why there is no connection.
fn unconnected(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let error = report.connection.as_ref().and_then(|connection| connection.error.as_ref());
    error.map_or(Ok(()), |error| writeln!(f, "error: {}: hub: {error}", report.file))
}

/// Whether a problem's path lies in the part of the file at `part`.
fn belongs(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn facts(f: &mut fmt::Formatter<'_>, facts: &[Fact]) -> fmt::Result {
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    facts.iter().try_for_each(|Fact { name, value }| writeln!(f, "    {name:width$}  {value}"))
}

/// Errors, then warnings.
fn problems(
    f: &mut fmt::Formatter<'_>,
    report: &Report,
    wanted: impl Fn(&Finding) -> bool,
) -> fmt::Result {
    for (label, findings) in [("error", &report.errors), ("warning", &report.warnings)] {
        for finding in findings.iter().filter(|finding| wanted(finding)) {
            problem(f, label, &report.file, finding)?;
        }
    }
    Ok(())
}

fn problem(f: &mut fmt::Formatter<'_>, label: &str, file: &str, finding: &Finding) -> fmt::Result {
    write!(f, "{label}: {file}")?;
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        write!(f, ":{line}:{column}")?;
    }
    if !finding.path.is_empty() {
        write!(f, ": {}", finding.path)?;
    }
    writeln!(f, ": {}", finding.message)?;
    match &finding.hint {
        Some(hint) => writeln!(f, "    hint: {hint}"),
        None => Ok(()),
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
