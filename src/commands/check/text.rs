//! A report as one reads it: general problems, the gateway, then each endpoint
//! with its own problems, and a verdict.

use std::fmt;

use super::super::terminal::Paint;
use super::facts::Fact;
use super::report::{Finding, Report};

/// Displays a report, ending in a newline.
pub struct Text<'a>(pub &'a Report, pub Paint);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report, paint) = *self;
        let belongs_to_an_endpoint = |finding: &Finding| {
            report.endpoints.iter().any(|endpoint| belongs(&finding.path, &endpoint.path))
        };
        problems(f, report, paint, |finding| !belongs_to_an_endpoint(finding))?;
        if !report.service.is_empty() {
            section(f, paint, "service", "", &report.service)?;
        }
        if !report.runtime.is_empty() {
            section(f, paint, "runtime", "", &report.runtime)?;
        }
        for endpoint in &report.endpoints {
            let id = if endpoint.id.is_empty() { &endpoint.path } else { &endpoint.id };
            let mut about = String::new();
            if endpoint.name != endpoint.id {
                about += &format!(", {}", endpoint.name);
            }
            if !endpoint.profile.is_empty() {
                about += &format!(" ({})", endpoint.profile);
            }
            section(f, paint, &format!("endpoint {id}"), &about, &endpoint.facts)?;
            problems(f, report, paint, |finding| belongs(&finding.path, &endpoint.path))?;
        }
        if let Some(connection) = &report.connection {
            section(f, paint, "connection", "", &connection.facts())?;
            unconnected(f, report, paint)?;
        }
        let verdict =
            if report.ok() { paint.good("can be used") } else { paint.error("cannot be used") };
        let errors = counted(report.errors.len(), "error");
        let warnings = counted(report.warnings.len(), "warning");
        write!(f, "\n{}: {verdict} ({errors}, {warnings})", report.file)?;
        match report.connection.as_ref().map(|connection| connection.ok) {
            None => writeln!(f),
            Some(true) => writeln!(f, ", {}", paint.good("the hub answers")),
            Some(false) => writeln!(f, ", {}", paint.error("no connection to the hub")),
        }
    }
}

/// Displays a report's problems alone, in the order of the file, errors first.
pub struct Problems<'a>(pub &'a Report);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        problems(f, self.0, Paint::PLAIN, |_| true)?;
        unconnected(f, self.0, Paint::PLAIN)
    }
}

/// Why there is no connection.
fn unconnected(f: &mut fmt::Formatter<'_>, report: &Report, paint: Paint) -> fmt::Result {
    let error = report.connection.as_ref().and_then(|connection| connection.error.as_ref());
    error.map_or(Ok(()), |error| {
        writeln!(f, "{}: {}: hub: {error}", paint.error("error"), report.file)
    })
}

/// Whether a problem's path lies in the part of the file at `part`.
fn belongs(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A heading with facts below it.
fn section(
    f: &mut fmt::Formatter<'_>,
    paint: Paint,
    heading: &str,
    about: &str,
    facts: &[Fact],
) -> fmt::Result {
    writeln!(f, "\n{}{about}", paint.heading(heading))?;
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    facts.iter().try_for_each(|Fact { name, value }| {
        writeln!(f, "    {}  {value}", paint.label(&format!("{name:width$}")))
    })
}

/// Errors, then warnings.
fn problems(
    f: &mut fmt::Formatter<'_>,
    report: &Report,
    paint: Paint,
    wanted: impl Fn(&Finding) -> bool,
) -> fmt::Result {
    let labelled =
        [(paint.error("error"), &report.errors), (paint.warning("warning"), &report.warnings)];
    for (label, findings) in labelled {
        for finding in findings.iter().filter(|finding| wanted(finding)) {
            problem(f, &label, &report.file, finding)?;
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
