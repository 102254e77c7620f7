//! Dynamic time warping: the distance of two sounds, independent of their speed.

use super::features::Vector;

type Frames = [Vector];

/// The largest ratio of the two lengths.
const MAX_LENGTH_RATIO: usize = 2;

/// Returns the mean distance of the frames of two sounds along the best path, or infinity once it
/// must exceed `limit`.
pub(super) fn distance(a: &Frames, b: &Frames, limit: f32) -> f32 {
    let (n, m) = (a.len(), b.len());
    if n == 0 || m == 0 || n > m * MAX_LENGTH_RATIO || m > n * MAX_LENGTH_RATIO {
        return f32::INFINITY;
    }
    // A band around the diagonal, because the two halves of a word are spoken at a similar speed.
    let width = (n.max(m) / 4).max(6);
    let mut before = vec![f32::INFINITY; m];
    let mut row = vec![f32::INFINITY; m];
    for (i, frame) in a.iter().enumerate() {
        let middle = i * m / n;
        let (low, high) = (middle.saturating_sub(width), (middle + width + 1).min(m));
        row.fill(f32::INFINITY);
        for j in low..high {
            let step = frame_distance(frame, &b[j]);
            let left = if j > 0 { row[j - 1] + step } else { f32::INFINITY };
            let (down, diagonal) = match (i, j) {
                (0, 0) => (f32::INFINITY, step * 2.0),
                (0, _) => (f32::INFINITY, f32::INFINITY),
                (_, 0) => (before[0] + step, f32::INFINITY),
                _ => (before[j] + step, before[j - 1] + step * 2.0),
            };
            row[j] = left.min(down).min(diagonal);
        }
        let best = row[low..high].iter().copied().fold(f32::INFINITY, f32::min);
        if best > limit * (n + m) as f32 {
            return f32::INFINITY;
        }
        std::mem::swap(&mut before, &mut row);
    }
    before[m - 1] / (n + m) as f32
}

fn frame_distance(a: &Vector, b: &Vector) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::recogniser::features::DIMENSIONS;

    fn ramp(frames: usize) -> Vec<Vector> {
        (0..frames).map(|n| [n as f32 / frames as f32; DIMENSIONS]).collect()
    }

    #[test]
    fn a_sound_is_near_itself_at_another_speed_and_far_from_its_reverse() {
        let slow = distance(&ramp(40), &ramp(60), 10.0);
        let mut reversed = ramp(40);
        reversed.reverse();
        let backwards = distance(&ramp(40), &reversed, 10.0);
        assert_eq!(distance(&ramp(40), &ramp(40), 10.0), 0.0);
        assert!(slow < 0.05, "{slow}");
        assert!(backwards > slow * 10.0, "{backwards}");
    }

    #[test]
    fn a_much_longer_or_more_distant_sound_is_infinitely_far() {
        assert_eq!(distance(&ramp(20), &ramp(50), 10.0), f32::INFINITY);
        assert_eq!(distance(&[], &ramp(5), 10.0), f32::INFINITY);
        let far = vec![[100.0; DIMENSIONS]; 20];
        assert_eq!(distance(&ramp(20), &far, 1.0), f32::INFINITY);
    }
}
