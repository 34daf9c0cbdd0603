//! Two kinds of pictures, written by hand: a curve over a logarithmic axis, and bars.

use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 56.0;
/// One for each binary.
const COLOURS: [&str; 2] = ["#1f6f8b", "#c1663a"];

/// Memory per session (in KB) over the number of sessions, a curve for each binary.
pub fn session_cost(names: &[String], curves: &[Vec<(u32, f64)>]) -> String {
    let all = || curves.iter().flatten();
    let most_sessions = all().map(|&(count, _)| count).max().unwrap_or(10).max(11);
    let most_bytes = all().map(|&(_, bytes)| bytes / 1024.0).fold(1.0, f64::max);
    let top = nice(most_bytes);
    let x = |count: u32| {
        let share = (f64::from(count) / 10.0).log10() / (f64::from(most_sessions) / 10.0).log10();
        MARGIN + share * (WIDTH - 2.0 * MARGIN)
    };
    let y = |kilobytes: f64| HEIGHT - MARGIN - (kilobytes / top).max(0.0) * (HEIGHT - 2.0 * MARGIN);
    let mut svg = begin("memory per idle session (PSS, KB) by number of sessions");
    grid(&mut svg, top, y);
    for &(count, _) in curves.iter().max_by_key(|curve| curve.len()).into_iter().flatten() {
        text(&mut svg, x(count), HEIGHT - MARGIN + 18.0, "middle", &count.to_string());
    }
    for (index, curve) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut points = String::new();
        for &(count, bytes) in curve {
            let _ = write!(points, "{:.1},{:.1} ", x(count), y(bytes / 1024.0));
        }
        let _ = writeln!(
            svg,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>"#
        );
        if let Some(&(_, bytes)) = curve.last() {
            let label = format!("{} {:.1}", names[index], bytes / 1024.0);
            text(&mut svg, WIDTH - MARGIN, y(bytes / 1024.0) - 8.0, "end", &label);
        }
    }
    end(svg)
}

/// How many runtimes came back in each step of time, for one binary.
pub fn histogram(name: &str, bars: &Bars) -> String {
    let top = nice(bars.counts.iter().copied().max().map_or(1.0, f64::from));
    let y = |count: f64| HEIGHT - MARGIN - count / top * (HEIGHT - 2.0 * MARGIN);
    let width = (WIDTH - 2.0 * MARGIN) / bars.counts.len() as f64;
    let mut svg = begin(&format!("{name}: runtimes back by seconds after the hub's restart"));
    grid(&mut svg, top, y);
    for (index, &count) in bars.counts.iter().enumerate() {
        let left = MARGIN + index as f64 * width;
        let high = y(f64::from(count));
        let tall = HEIGHT - MARGIN - high;
        let _ = writeln!(
            svg,
            r#"<rect x="{left:.1}" y="{high:.1}" width="{:.1}" height="{tall:.1}" fill="{}"/>"#,
            width * 0.9,
            COLOURS[0]
        );
        if index % 4 == 0 {
            let seconds = format!("{:.2}", bars.from(index));
            text(&mut svg, left, HEIGHT - MARGIN + 18.0, "middle", &seconds);
        }
    }
    end(svg)
}

/// Moments, counted in equal steps from the first to the last.
pub struct Bars {
    pub counts: [u32; 24],
    /// Seconds of the first moment.
    first: f64,
    /// Seconds of a step.
    step: f64,
}

impl Bars {
    pub fn of(moments: &[Duration]) -> Self {
        let seconds = || moments.iter().map(Duration::as_secs_f64);
        let mut counts = [0; 24];
        let first = seconds().fold(f64::INFINITY, f64::min);
        let step = ((seconds().fold(0.0, f64::max) - first) / counts.len() as f64).max(1e-3);
        for moment in seconds() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 24")]
            let bin = ((moment - first) / step) as usize;
            counts[bin.min(counts.len() - 1)] += 1;
        }
        Self { counts, first, step }
    }

    /// Where a step begins, in seconds.
    pub fn from(&self, index: usize) -> f64 {
        self.first + self.step * index as f64
    }
}

/// The next round number.
fn nice(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|step| step * decade)
        .into_iter()
        .find(|&top| top >= value)
        .unwrap_or(value)
}

fn begin(title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    text(&mut svg, WIDTH / 2.0, MARGIN / 2.0, "middle", title);
    svg
}

fn grid(svg: &mut String, top: f64, y: impl Fn(f64) -> f64) {
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let height = y(value);
        let right = WIDTH - MARGIN;
        let _ = writeln!(
            svg,
            r##"<line x1="{MARGIN}" x2="{right}" y1="{height:.1}" y2="{height:.1}" stroke="#ddd"/>"##
        );
        text(svg, MARGIN - 6.0, height + 4.0, "end", &format!("{value:.1}"));
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

fn end(mut svg: String) -> String {
    svg.push_str("</svg>\n");
    svg
}
