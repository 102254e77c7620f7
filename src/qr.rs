//! QR codes as SVG images: black on white in every colour scheme, with their quiet zone.

use std::fmt::Write;

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

/// ISO/IEC 18004 requires four empty modules around the code.
const QUIET_ZONE: usize = 4;

/// The dark modules of a code as an SVG path, and the side of the image in modules.
struct Drawing {
    side: usize,
    path: String,
}

/// `None` if `text` is too long for a QR code.
fn draw(text: &str) -> Option<Drawing> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    Some(Drawing { side: width + 2 * QUIET_ZONE, path: path(&code.to_colors(), width) })
}

/// An inline image of `text`, with `label` for screen readers. Empty if the text is too long.
pub fn picture(text: &str, label: &str) -> Markup {
    let Some(Drawing { side, path }) = draw(text) else {
        return html! {};
    };
    html! {
        svg.qr viewBox={ "0 0 " (side) " " (side) } role="img" aria-label=(label)
            shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    }
}

/// An SVG file of `text`; `None` if the text is too long for a QR code.
pub fn file(text: &str) -> Option<String> {
    let Drawing { side, path } = draw(text)?;
    Some(format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" "#,
            r#"shape-rendering="crispEdges"><path fill="white" d="M0 0h{side}v{side}h-{side}z"/>"#,
            r#"<path fill="black" d="{path}"/></svg>"#
        ),
        side = side,
        path = path
    ))
}

/// Each run of dark modules in a row becomes one rectangle.
fn path(modules: &[Color], width: usize) -> String {
    let mut path = String::new();
    for (y, row) in modules.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..].iter().take_while(|m| **m == Color::Dark).count();
            if run > 0 {
                // Writing to a String does not fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += run.max(1);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes an image as a camera app does.
    fn read(svg: &str) -> String {
        const SCALE: usize = 4;
        let side: usize =
            svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let path = svg.split(r#"fill="black" d=""#).nth(1).unwrap().split('"').next().unwrap();
        let mut dark = vec![false; side * side];
        for module in path.split('M').skip(1) {
            let (x, rest) = module.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let run = rest.split('v').next().unwrap();
            let [x, y, run] = [x, y, run].map(|number| number.parse::<usize>().unwrap());
            dark[y * side + x..][..run].fill(true);
        }
        let scaled = side * SCALE;
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(scaled, scaled, |x, y| {
            if dark[(y / SCALE) * side + x / SCALE] { 0 } else { 255 }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_drawn_code_is_decoded_to_its_text() {
        let account = nexo_domain::billing::vietqr::BankAccount {
            bin: "970436".to_owned(),
            number: "0123456789".to_owned(),
            holder: "NEXO".to_owned(),
        };
        let text = nexo_domain::billing::vietqr::payload(&account, 260_000, "NX123456789").unwrap();
        assert_eq!(read(&file(&text).unwrap()), text);
    }

    #[test]
    fn a_text_that_is_too_long_has_no_image() {
        assert_eq!(file(&"x".repeat(4_000)), None);
    }

    #[test]
    fn an_inline_image_has_a_label_and_the_finder_patterns() {
        let drawn = picture("otpauth://totp/x", "a <label>").into_string();
        assert!(drawn.contains("M4 4h7v1h-7z"), "{drawn}");
        assert!(drawn.contains("a &lt;label&gt;"), "{drawn}");
        assert_eq!(picture(&"x".repeat(5_000), "").into_string(), "");
    }
}
