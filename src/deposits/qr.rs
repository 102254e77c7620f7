//! A QR code as an SVG picture: one path, black on white whatever the page's colours, with its quiet zone.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

/// ISO/IEC 18004 asks for four modules around the code.
const QUIET: usize = 4;

/// The picture of `text`; `None` where it is too long for any code.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let side = width + 2 * QUIET;
    let mut path = String::new();
    for (place, colour) in code.to_colors().into_iter().enumerate() {
        if colour == Color::Dark {
            let (x, y) = (place % width + QUIET, place / width + QUIET);
            // Writing to a String cannot fail.
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
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
            let y = rest.split('h').next().unwrap();
            dark[y.parse::<usize>().unwrap() * side + x.parse::<usize>().unwrap()] = true;
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
        let account = nexo_domain::vietqr::BankAccount {
            bin: "970436".to_owned(),
            number: "0123456789".to_owned(),
            holder: "NEXO".to_owned(),
        };
        let text = nexo_domain::vietqr::payload(&account, 260_000, "NX123456789").unwrap();
        assert_eq!(read(&svg(&text).unwrap()), text);
    }

    #[test]
    fn what_is_too_long_has_no_picture() {
        assert_eq!(svg(&"x".repeat(4_000)), None);
    }
}
