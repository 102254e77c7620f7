//! Cursors: the place of the next page as opaque text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes `N` numbers with the tag of a list, so that a cursor of one list is invalid for another.
///
/// A cursor only names a place in the caller's own list, so it is not signed.
pub fn write<const N: usize>(list: u8, numbers: [u64; N]) -> String {
    let mut bytes = Vec::with_capacity(1 + 8 * N);
    bytes.push(list);
    for number in numbers {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The numbers of a cursor that [`write`] made; `None` for any other text.
pub fn read<const N: usize>(list: u8, text: &str) -> Option<[u64; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (mark, bytes) = bytes.split_first()?;
    if *mark != list || bytes.len() != 8 * N {
        return None;
    }
    let mut numbers = [0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_be_bytes(bytes.try_into().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_anything_else_is_not() {
        let text = write(1, [0, u64::MAX, 1_780_000_000_123]);
        assert_eq!(read(1, &text), Some([0, u64::MAX, 1_780_000_000_123]));
        assert_eq!(read::<3>(2, &text), None);
        assert_eq!(read::<2>(1, &text), None);
        for wrong in
            ["", "x", "1", "AAAA", "ă", &text[1..], &format!("{text}A"), &format!("{text}=")]
        {
            assert_eq!(read::<3>(1, wrong), None, "{wrong:?}");
        }
    }
}
