//! Values that stand in a list, such as the label values of a metric.

/// The place of a value in the list of all of them.
pub fn place<T: PartialEq>(all: &[T], it: &T) -> Option<usize> {
    all.iter().position(|other| other == it)
}

/// Counts one in a table that has a place for each value of a list.
pub fn count<T: PartialEq>(counts: &mut [u64], all: &[T], it: &T) {
    if let Some(slot) = place(all, it).and_then(|place| counts.get_mut(place)) {
        *slot += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place_and_what_is_no_value_has_none() {
        let mut counts = [0; 2];
        for it in ["a", "b", "b", "c"] {
            count(&mut counts, &["a", "b"], &it);
        }
        assert_eq!((counts, place(&["a", "b"], &"b"), place(&["a"], &"c")), ([1, 2], Some(1), None));
    }
}
