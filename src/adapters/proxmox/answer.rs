//! What the API answers: JSON whose numbers are texts now and then.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::domain::ids::{GuestKind, ItemId, VMID_RANGE};
use crate::domain::look::{ErrorKind, LookError};
use crate::domain::printable::printable;

/// One object of an answer.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Value);

impl<'a> Row<'a> {
    /// A text, made printable.
    pub(super) fn text(self, key: &str) -> Option<Arc<str>> {
        self.plain(key).map(|text| printable(text.as_bytes()).into())
    }

    /// A text as it is.
    pub(super) fn plain(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    /// A number, or a text that is one.
    pub(super) fn number(self, key: &str) -> Option<f64> {
        let number = match self.0.get(key)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }

    /// A whole number that isn't negative.
    pub(super) fn count(self, key: &str) -> Option<u64> {
        let number = self.number(key)?;
        // Up to this every whole number is one of its own.
        (0.0..=9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
    }

    /// Perl's idea of a truth: 1, "1", true.
    pub(super) fn flag(self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => Some(self.number(key)? != 0.0),
        }
    }

    /// Seconds since 1970; 0 is never.
    pub(super) fn time(self, key: &str) -> Option<Timestamp> {
        let seconds = self.count(key).filter(|it| *it > 0)?;
        Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
    }

    /// The number of a guest.
    pub(super) fn vmid(self, key: &str) -> Option<u32> {
        u32::try_from(self.count(key)?).ok().filter(|vmid| VMID_RANGE.contains(vmid))
    }

    /// The guest that a row is about, by the word that tells its kind.
    pub(super) fn guest(self, kind: &str) -> Option<ItemId> {
        Some(ItemId::guest(GuestKind::parse(self.plain(kind)?.as_bytes())?, self.vmid("vmid")?))
    }
}

/// An answer that isn't what it should be.
pub(super) fn odd(path: &str, why: &str) -> LookError {
    LookError::new(ErrorKind::Io, format!("what it says of {path} can't be understood: it {why}"))
}

/// The rows of a list.
pub(super) fn rows(answer: &Value) -> Result<impl Iterator<Item = Row<'_>>, &'static str> {
    answer.as_array().map(|rows| rows.iter().map(Row)).ok_or("is no list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_numbers_in_every_guise() {
        let value = serde_json::json!({"a": 7, "b": "7", "c": 7.9, "d": -1, "e": "x", "f": null, "g": 1e300, "h": true, "i": "0"});
        let row = Row(&value);
        assert_eq!(["a", "b", "c"].map(|key| row.count(key)), [Some(7); 3]);
        assert_eq!(["d", "e", "f", "g", "z"].map(|key| row.count(key)), [None; 5]);
        assert_eq!(["a", "h", "i", "f"].map(|key| row.flag(key)), [Some(true), Some(true), Some(false), None]);
        assert_eq!((row.time("i"), row.time("g"), row.vmid("a")), (None, None, None));
        assert!(rows(&value).is_err());
    }
}
