//! How much is proven of a backup: numbers and words of the levels, in one table.
//!
//! Levels are a scale for people, not a ladder: what boots was not necessarily compared with its checksums. So what was proven is
//! a set ([`Levels`]). That nothing is proven is no level: the number 0 is `None`.

use serde::Serialize;

/// How much is proven of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "u8")]
pub enum Level {
    /// The file is there, has content, and begins as its compressor writes.
    Present = 1,
    /// It decompresses to its end, and all checksums of the compressor are right.
    Decodes = 2,
    /// Its structure is complete: every disk, every cluster, every member, the configuration.
    Complete = 3,
    /// It was restored.
    Restored = 4,
    /// What was restored of it booted.
    Booted = 5,
    /// What booted answers.
    Answers = 6,
    /// Its services answer.
    Services = 7,
}

/// What people read of a level.
struct Row {
    label: &'static str,
    word: &'static str,
    sentence: &'static str,
}

const fn row(label: &'static str, word: &'static str, sentence: &'static str) -> Row {
    Row { label, word, sentence }
}

/// How many levels there are.
pub const LEVELS: usize = 7;

/// All that is said of levels, by rising number.
const ROWS: [Row; LEVELS] = [
    row("1", "present", "the file is there and has content"),
    row("2", "decodes to its end", "it decompresses to its end, and all checksums of the compressor are right"),
    row("3", "complete", "its structure is complete: every disk, every cluster, every member, the configuration"),
    row("4", "restored", "it was restored to its end"),
    row("5", "booted", "what was restored of it booted"),
    row("6", "answers", "what booted answers to ping, or its guest agent does"),
    row("7", "services answer", "its services answer, or its own script passes"),
];

impl Level {
    /// All of them, lowest first.
    pub const ALL: [Self; LEVELS] =
        [Self::Present, Self::Decodes, Self::Complete, Self::Restored, Self::Booted, Self::Answers, Self::Services];

    /// Its place in [`ALL`](Self::ALL).
    pub const fn position(self) -> usize {
        self as usize - 1
    }

    /// The value of `firedrill_proof_level`.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The `level` label: its number.
    pub const fn as_str(self) -> &'static str {
        ROWS[self.position()].label
    }

    /// The level of a number, whatever proves it.
    pub fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| i64::from(level.number()) == number)
    }

    /// What it means, in a word or a few.
    pub const fn word(self) -> &'static str {
        ROWS[self.position()].word
    }

    /// What it means, as a sentence without its capital and its full stop.
    pub const fn sentence(self) -> &'static str {
        ROWS[self.position()].sentence
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.number()
    }
}

/// A set of levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Levels(u8);

impl Levels {
    /// Those of a list.
    pub const fn of(levels: &[Level]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < levels.len() {
            set |= 1 << levels[at].position();
            at += 1;
        }
        Self(set)
    }

    /// Whether a level is among them.
    pub const fn contains(self, level: Level) -> bool {
        self.0 & (1 << level.position()) != 0
    }

    /// These and those.
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those of them that aren't above a level.
    pub const fn up_to(self, level: Level) -> Self {
        Self(self.0 & (u8::MAX >> (7 - level.position())))
    }

    /// By rising number.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Level> {
        Level::ALL.into_iter().filter(move |level| self.contains(*level))
    }

    /// The highest of them.
    pub fn highest(self) -> Option<Level> {
        self.iter().next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_labels_and_places_are_of_one_table() {
        for (at, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!((level.position(), usize::from(level.number())), (at, at + 1));
            assert_eq!(level.as_str(), level.number().to_string());
            assert_eq!(Level::of(level.number().into()), Some(level));
            assert!(!level.word().is_empty() && !level.sentence().ends_with('.'));
        }
        assert_eq!([0, 8, -1, i64::MAX].map(Level::of), [None; 4]);
    }

    #[test]
    fn sets_hold_what_was_put_in_and_nothing_below_it() {
        let set = Levels::of(&[Level::Booted, Level::Restored]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Level::Restored, Level::Booted]);
        assert_eq!((set.highest(), Levels::default().highest()), (Some(Level::Booted), None));
        assert!(!set.contains(Level::Complete) && !set.contains(Level::Answers));
        assert_eq!(set.up_to(Level::Restored), Levels::of(&[Level::Restored]));
        assert_eq!(set.up_to(Level::Complete), Levels::default());
        let all = Levels::of(&Level::ALL);
        assert_eq!((all.up_to(Level::Services), set.and(Levels::of(&Level::ALL))), (all, all));
        assert_eq!(all.up_to(Level::Present).iter().collect::<Vec<_>>(), [Level::Present]);
    }
}
