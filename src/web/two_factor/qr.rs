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
    /// The dark modules, as the path's commands.
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

/// Draws the runs of dark modules of one row.
fn draw(path: &mut String, row: &[Color], y: usize) {
    let mut x = 0;
    for run in row.chunk_by(|one, next| one == next) {
        if run.first() == Some(&Color::Dark) {
            let (from, wide) = (x + QUIET, run.len());
            path.push_str(&format!("M{from} {y}h{wide}v1h-{wide}z"));
        }
        x += run.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a path of ours back: whether each module is dark.
    fn modules(qr: &Qr) -> Vec<Vec<bool>> {
        let mut dark = vec![vec![false; qr.size]; qr.size];
        for run in qr.path.split('M').skip(1) {
            let (at, rest) = run.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let wide: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            dark[y][x..x + wide].fill(true);
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
