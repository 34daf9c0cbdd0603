//! A line of bars in a terminal: the last few values of something that changes.

use std::collections::VecDeque;
use std::fmt;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` values, scaled to the largest of them.
#[derive(Debug)]
pub struct Sparkline {
    values: VecDeque<f64>,
    width: usize,
}

impl Sparkline {
    /// An empty line of at most `width` bars.
    pub fn new(width: usize) -> Self {
        Self { values: VecDeque::with_capacity(width), width }
    }

    /// Adds a value at the right, lets go of the oldest.
    pub fn push(&mut self, value: f64) {
        if self.values.len() == self.width {
            self.values.pop_front();
        }
        self.values.push_back(value.max(0.0));
    }

    /// The latest value, 0 before there is one.
    pub fn last(&self) -> f64 {
        self.values.back().copied().unwrap_or(0.0)
    }
}

impl fmt::Display for Sparkline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.values.iter().copied().fold(0.0, f64::max);
        for value in &self.values {
            let share = if most > 0.0 { value / most } else { 0.0 };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 7"
            )]
            let level = (share * 7.0).round() as usize;
            write!(f, "{}", BARS[level.min(7)])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_follow_the_values_and_the_oldest_goes() {
        let mut line = Sparkline::new(3);
        for value in [9.0, 0.0, 3.5, 7.0] {
            line.push(value);
        }
        assert_eq!(line.to_string(), "▁▅█");
    }
}
