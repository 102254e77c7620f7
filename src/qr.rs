//! QR codes as SVG pictures: black on white whatever the page's colours, with their quiet zone.

use std::fmt::Write;

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

/// ISO/IEC 18004 asks for four modules around the code.
const QUIET: usize = 4;

/// The dark modules of a code, as one path, and the picture's side in modules.
struct Drawn {
    side: usize,
    path: String,
}

/// `None` where `text` is too long for any code.
fn draw(text: &str) -> Option<Drawn> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    Some(Drawn {
        side: width + 2 * QUIET,
        path: path(&code.to_colors(), width),
    })
}

/// A picture of `text` within a page; `label` is what it is to who does not see it. Nothing for a text that
/// is too long.
pub fn picture(text: &str, label: &str) -> Markup {
    let Some(Drawn { side, path }) = draw(text) else {
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

/// A picture of `text` as a file of its own; `None` where it is too long for any code.
pub fn file(text: &str) -> Option<String> {
    let Drawn { side, path } = draw(text)?;
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

    /// Reads a picture as a camera does.
    fn read(svg: &str) -> String {
        const SCALE: usize = 4;
        let side: usize = svg
            .split("viewBox=\"0 0 ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let path = svg
            .split(r#"fill="black" d=""#)
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
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
            if dark[(y / SCALE) * side + x / SCALE] {
                0
            } else {
                255
            }
        });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }

    #[test]
    fn a_camera_reads_what_was_drawn() {
        let account = nexo_domain::billing::vietqr::BankAccount {
            bin: "970436".to_owned(),
            number: "0123456789".to_owned(),
            holder: "NEXO".to_owned(),
        };
        let text = nexo_domain::billing::vietqr::payload(&account, 260_000, "NX123456789").unwrap();
        assert_eq!(read(&file(&text).unwrap()), text);
    }

    #[test]
    fn what_is_too_long_has_no_picture() {
        assert_eq!(file(&"x".repeat(4_000)), None);
    }

    #[test]
    fn a_picture_in_a_page_is_named_and_holds_the_finder_patterns() {
        let drawn = picture("otpauth://totp/x", "a <label>").into_string();
        assert!(drawn.contains("M4 4h7v1h-7z"), "{drawn}");
        assert!(drawn.contains("a &lt;label&gt;"), "{drawn}");
        assert_eq!(picture(&"x".repeat(5_000), "").into_string(), "");
    }
}
