//! A QR code as one path of an SVG (ISO/IEC 18004).
//!
//! Knows nothing of what is in it. What always holds: dark is black and light is white, whatever the page's colours, and the
//! quiet zone around it is four modules wide, as readers ask for.

use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;

/// The quiet zone, in modules.
const QUIET: usize = 4;

/// A code that can be drawn.
#[derive(Debug, Serialize)]
pub(super) struct Qr {
    /// How many modules it is wide and high, quiet zone included.
    size: usize,
    /// The dark modules, as the commands of a path whose stroke is as wide as a module.
    path: String,
}

impl Qr {
    /// Draws a text; nothing where it is too long for any code.
    pub(super) fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(code.width()).enumerate() {
            draw(&mut path, row, y + QUIET);
        }
        Some(Self { size: code.width() + 2 * QUIET, path })
    }
}

/// Draws the runs of dark modules of one row, along the middle of it.
fn draw(path: &mut String, row: &[Color], y: usize) {
    path.push_str(&format!("M{QUIET} {y}.5"));
    for run in row.chunk_by(|one, next| one == next) {
        let wide = run.len();
        match run.first() {
            Some(Color::Dark) => path.push_str(&format!("h{wide}")),
            _ => path.push_str(&format!("m{wide} 0")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a path of ours back: whether each module is dark.
    fn modules(qr: &Qr) -> Vec<Vec<bool>> {
        let mut dark = vec![vec![false; qr.size]; qr.size];
        for row in qr.path.split('M').skip(1) {
            let start = row.find(['h', 'm']).unwrap();
            let (x, y) = row[..start].split_once(' ').unwrap();
            let (mut x, y): (usize, usize) = (x.parse().unwrap(), y.strip_suffix(".5").unwrap().parse().unwrap());
            let mut rest = &row[start..];
            while !rest.is_empty() {
                let end = rest[1..].find(['h', 'm']).map_or(rest.len(), |at| at + 1);
                let (command, length) = rest[..end].split_at(1);
                let is_dark = command == "h";
                let wide: usize = if is_dark { length } else { length.strip_suffix(" 0").unwrap() }.parse().unwrap();
                dark[y][x..x + wide].fill(is_dark);
                x += wide;
                rest = &rest[end..];
            }
        }
        dark
    }

    #[test]
    fn r027_the_path_draws_every_dark_module_and_a_quiet_zone() {
        let text = "otpauth://totp/www.mc-anpi.com:DEMO%2F0001?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let qr = Qr::of(text).unwrap();
        let drawn = modules(&qr);
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        assert_eq!(qr.size, code.width() + 8);
        for (y, row) in drawn.iter().enumerate() {
            for (x, dark) in row.iter().enumerate() {
                let inside = (4..qr.size - 4).contains(&x) && (4..qr.size - 4).contains(&y);
                let expected = inside && code.to_colors()[(y - 4) * code.width() + x - 4] == Color::Dark;
                assert_eq!(*dark, expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn what_fits_no_code_is_not_drawn() {
        assert!(Qr::of(&"x".repeat(5_000)).is_none());
    }
}
