//! What a grain table says, in 16 bytes: how many grains, and a sum over the place of each.
//!
//! Tables and grains are compared without keeping either: a disk of 62 TiB has a billion of them. What differs shows as a
//! table that doesn't fit, which names 32 MiB of the disk. The sum is no defence against a forger, who could write a fitting
//! table as well.

/// What a table says, or what was seen of its grains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Print {
    sum: u64,
    /// How many grains are stored.
    pub(super) count: u32,
}

impl Print {
    /// A grain at a place.
    pub(super) fn add(&mut self, entry: u64, sector: u64) {
        self.sum = self.sum.wrapping_add(mix(entry << 32 ^ sector));
        self.count += 1;
    }
}

/// The last steps of `SplitMix64` (Steele, Lea and Flood 2014): every bit counts for every other.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Prints by the number of their table; those without grains are not kept.
#[derive(Debug, Default)]
pub(super) struct Prints(Vec<(u32, Print)>);

impl Prints {
    /// A grain of a table, in the order of tables.
    pub(super) fn add(&mut self, table: u32, entry: u64, sector: u64) {
        match self.0.last_mut() {
            Some((last, print)) if *last == table => print.add(entry, sector),
            _ => {
                let mut print = Print::default();
                print.add(entry, sector);
                self.0.push((table, print));
            }
        }
    }

    /// A whole table, in any order; sorted by [`sort`](Self::sort).
    pub(super) fn put(&mut self, table: u32, print: Print) {
        if print.count > 0 {
            self.0.push((table, print));
        }
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_unstable_by_key(|(table, _)| *table);
    }

    /// Grains of all tables.
    pub(super) fn grains(&self) -> u64 {
        self.0.iter().map(|(_, print)| u64::from(print.count)).sum()
    }

    /// Tables of which these and those say different things: the first, with both, and how many.
    pub(super) fn difference(&self, other: &Self) -> Option<(u32, Print, Print, u64)> {
        let (mut first, mut count) = (None, 0);
        let mut note = |table: u32, ours: Print, theirs: Print| {
            if ours != theirs {
                first.get_or_insert((table, ours, theirs));
                count += 1;
            }
        };
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            match (left.peek().copied(), right.peek().copied()) {
                (None, None) => break,
                (Some((table, ours)), right_next) if right_next.is_none_or(|(other, _)| table < other) => {
                    note(*table, *ours, Print::default());
                    left.next();
                }
                (left_next, Some((table, theirs))) if left_next.is_none_or(|(other, _)| table < other) => {
                    note(*table, Print::default(), *theirs);
                    right.next();
                }
                (Some((table, ours)), Some((_, theirs))) => {
                    note(*table, *ours, *theirs);
                    left.next();
                    right.next();
                }
                // The guards above take these.
                _ => break,
            }
        }
        first.map(|(table, ours, theirs)| (table, ours, theirs, count))
    }
}
