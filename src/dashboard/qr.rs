//! QR codes, drawn as one path.

use std::fmt::Write;

use maud::{Markup, html};
use qrcode::{Color, QrCode};

/// The quiet zone that readers need, in modules.
const QUIET: usize = 4;

/// A picture of `text`; `label` is what it is to who does not see it. Nothing for a text that is too long.
pub fn picture(text: &str, label: &str) -> Markup {
    let Ok(code) = QrCode::new(text.as_bytes()) else {
        return html! {};
    };
    let width = code.width();
    let size = width + 2 * QUIET;
    let path = path(&code.to_colors(), width);
    html! {
        svg.qr viewBox={ "0 0 " (size) " " (size) } role="img" aria-label=(label)
            shape-rendering="crispEdges" {
            rect width=(size) height=(size) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    }
}

/// Each run of dark modules of a row is one rectangle.
fn path(modules: &[Color], width: usize) -> String {
    let mut path = String::new();
    for (y, row) in modules.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|m| **m == Color::Dark).count();
            if run > 0 {
                // Writing to a String does not fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_the_finder_patterns() {
        let drawn = picture("otpauth://totp/x", "a <label>").into_string();
        assert!(drawn.contains("M4 4h7v1h-7z"), "{drawn}");
        assert!(drawn.contains("a &lt;label&gt;"), "{drawn}");
        assert_eq!(picture(&"x".repeat(5_000), "").into_string(), "");
    }
}
