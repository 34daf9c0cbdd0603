//! An address as a QR code of block characters.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code. The norm wants four; two are enough for phones.
const MARGIN: i32 = 2;

/// The code, two modules to a character, ending in a newline. `None` when it does
/// not fit into so many columns.
///
/// With `colours` it is black on white; without them it is drawn for light text on
/// a dark background, as most terminals have it.
pub fn draw(text: &str, columns: usize, colours: bool) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let modules = -MARGIN..code.size() + MARGIN;
    if modules.len() > columns {
        return None;
    }
    let mut drawing = String::new();
    for y in modules.clone().step_by(2) {
        drawing.push_str(if colours { "\x1b[30;107m" } else { "" });
        for x in modules.clone() {
            // The ink is dark on white, and light on a dark background.
            let inked = |y| code.get_module(x, y) == colours && modules.contains(&y);
            drawing.push(match (inked(y), inked(y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        // Writing to a string cannot fail.
        let _ = writeln!(drawing, "{}", if colours { "\x1b[0m" } else { "" });
    }
    Some(drawing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://hub.example/connect?code=ABCD-EF23";

    /// The modules of a drawing: true is dark.
    fn read(drawing: &str, colours: bool) -> Vec<Vec<bool>> {
        let mut rows = Vec::new();
        for line in drawing.lines() {
            let line = line.trim_start_matches("\x1b[30;107m").trim_end_matches("\x1b[0m");
            let half = |upper: bool| {
                line.chars()
                    .map(|c| {
                        let inked = c == '█' || (c == '▀') == upper && c != ' ';
                        inked == colours
                    })
                    .collect::<Vec<bool>>()
            };
            rows.extend([half(true), half(false)]);
        }
        rows
    }

    #[test]
    fn both_drawings_show_the_same_code() {
        let code = QrCode::encode_text(ADDRESS, QrCodeEcc::Low).unwrap();
        for colours in [true, false] {
            let drawing = draw(ADDRESS, 80, colours).unwrap();
            let rows = read(&drawing, colours);
            for y in 0..code.size() {
                for x in 0..code.size() {
                    let (row, column) = (y + MARGIN, x + MARGIN);
                    let shown =
                        rows[usize::try_from(row).unwrap()][usize::try_from(column).unwrap()];
                    assert_eq!(shown, code.get_module(x, y), "{x} {y} {colours}");
                }
            }
            assert!(rows[0].iter().all(|dark| !dark), "a light margin");
            assert_eq!(drawing.contains('\x1b'), colours);
        }
    }

    #[test]
    fn what_does_not_fit_is_not_drawn() {
        assert!(draw(ADDRESS, 40, false).is_some());
        assert!(draw(ADDRESS, 20, false).is_none());
        assert!(draw(&"x".repeat(10_000), 10_000, false).is_none());
    }
}
