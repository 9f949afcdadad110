//! Small statistics over sizes.

/// Fewer earlier sizes than this say nothing about what is usual.
pub const ENOUGH: usize = 3;

/// The middle value; the mean of the two middle ones for an even number. `None` for an empty slice.
pub fn median(values: &mut [u64]) -> Option<f64> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper as f64);
    }
    let lower = values[middle - 1];
    Some(lower as f64 / 2.0 + upper as f64 / 2.0)
}

/// How far `newest` is from the median of the sizes before it, as a ratio: 0 the same, −1 empty, 1 twice as big.
///
/// `None` when there are fewer than [`ENOUGH`] earlier sizes or their median is 0.
pub fn deviation(newest: u64, earlier: &mut [u64]) -> Option<f64> {
    if earlier.len() < ENOUGH {
        return None;
    }
    let usual = median(earlier).filter(|m| *m > 0.0)?;
    Some((newest as f64 - usual) / usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [7]), Some(7.0));
        assert_eq!(median(&mut [9, 1, 5]), Some(5.0));
        assert_eq!(median(&mut [4, 1, 3, 2]), Some(2.5));
        assert_eq!(median(&mut [u64::MAX, u64::MAX]), Some(u64::MAX as f64));
    }

    #[test]
    fn deviations() {
        assert_eq!(deviation(50, &mut [100, 100]), None, "two are not enough");
        assert_eq!(deviation(50, &mut [100, 100, 100]), Some(-0.5));
        assert_eq!(deviation(0, &mut [100, 100, 100]), Some(-1.0));
        assert_eq!(deviation(300, &mut [100, 100, 100]), Some(2.0));
        assert_eq!(deviation(300, &mut [0, 0, 0]), None);
    }
}
