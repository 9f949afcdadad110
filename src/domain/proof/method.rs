//! How backups are proven: the table of the methods of this build, and what may be asked for because of it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::level::{Level, Levels};

/// A way to prove a backup. Results of another method say something else of it and never go over those of this one.
///
/// A store may hold results of methods that this build doesn't have, of a newer one: what those found holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(Cow<'static, str>);

/// The methods of this build, with the levels that each proves one on top of the other, lowest first.
const ROWS: [(Method, &[Level]); 1] = [(Method::READING, &[Level::Present, Level::Decodes, Level::Complete])];

/// Names are no longer than this.
const LONGEST: usize = 32;

impl Method {
    /// The archive is read from its beginning to its end.
    pub const READING: Self = Self(Cow::Borrowed("reading"));

    /// As in the store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels that it proves; nothing for a method that this build doesn't have.
    pub fn levels(&self) -> Levels {
        ROWS.iter().find(|(method, _)| method == self).map(|(_, levels)| Levels::of(levels)).unwrap_or_default()
    }

    /// What it proved, or tried to, when it came as far as `level`: a reading that is complete has decoded as well. Of a method
    /// that this build doesn't have that level alone.
    pub fn up_to(&self, level: Level) -> Levels {
        self.levels().up_to(level).and(Levels::of(&[level]))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no name of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a method has a name of at most 32 small letters, digits and underscores")]
pub struct NoMethod;

impl FromStr for Method {
    type Err = NoMethod;

    fn from_str(text: &str) -> Result<Self, NoMethod> {
        if let Some((method, _)) = ROWS.iter().find(|(method, _)| method.as_str() == text) {
            return Ok(method.clone());
        }
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = (1..=LONGEST).contains(&text.len()) && text.bytes().all(fits);
        if good { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(NoMethod) }
    }
}

/// The levels that something in this build proves.
pub fn provable() -> Levels {
    ROWS.iter().fold(Levels::default(), |all, (_, levels)| all.and(Levels::of(levels)))
}

/// The level of a number, if something in this build proves it.
pub fn asked(number: i64) -> Option<Level> {
    Level::of(number).filter(|level| provable().contains(*level))
}

/// What may be asked for: `1 (present), 2 (decodes to its end) or 3 (complete)`.
pub fn choices() -> String {
    let all: Vec<String> = provable().iter().map(|level| format!("{} ({})", level.as_str(), level.word())).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

/// What people and programs write is a level that can be proven.
impl TryFrom<u8> for Level {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        asked(number.into()).ok_or_else(|| format!("{number} is no level; write {}", choices()))
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(u8::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_proven_may_be_asked_for() {
        assert_eq!(
            [0, 1, 2, 3, 4, 7].map(|it| asked(it).map(Level::number)),
            [None, Some(1), Some(2), Some(3), None, None]
        );
        assert_eq!(choices(), "1 (present), 2 (decodes to its end) or 3 (complete)");
        let error = serde_json::from_str::<Level>("5").unwrap_err().to_string();
        assert!(error.starts_with("5 is no level; write 1 (present), 2"), "{error}");
        assert_eq!(
            (serde_json::from_str::<Level>("3").unwrap(), serde_json::to_string(&Level::Complete).unwrap()),
            (Level::Complete, "3".to_owned())
        );
    }

    #[test]
    fn a_reading_proves_what_lies_below_and_another_method_does_not() {
        assert_eq!(
            Method::READING.up_to(Level::Complete),
            Levels::of(&[Level::Present, Level::Decodes, Level::Complete])
        );
        assert_eq!(Method::READING.up_to(Level::Present), Levels::of(&[Level::Present]));
        let other: Method = "boot".parse().unwrap();
        assert_eq!((other.levels(), other.up_to(Level::Booted)), (Levels::default(), Levels::of(&[Level::Booted])));
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!("reading".parse(), Ok(Method::READING));
        assert_eq!("boot_2".parse::<Method>().unwrap().as_str(), "boot_2");
        for wrong in ["", "Boot", "b t", "\0", "ä", &"x".repeat(33)] {
            assert_eq!(wrong.parse::<Method>(), Err(NoMethod), "{wrong}");
        }
    }
}
