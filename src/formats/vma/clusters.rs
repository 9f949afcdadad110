//! Which clusters of a device were seen, in little memory whatever the size of the disk.
//!
//! Clusters come nearly in order, so nearly all pages of the map are either untouched or full; full pages cost nothing.
//! What a guest writes during its backup is saved out of order: such pages hold short lists until they are dense.

use std::collections::BTreeMap;

/// Clusters per page: 4 KiB as bits.
const PAGE: u32 = 1 << 15;

/// A list of more entries than this takes more room than bits.
const LONGEST_LIST: usize = 1 << 10;

/// What a page costs beside its content, about.
const PAGE_COST: usize = 64;

#[derive(Debug)]
enum Page {
    /// Sorted.
    List(Vec<u16>),
    Bits(Box<[u64; PAGE as usize / 64]>, u32),
    Full,
}

/// A device's clusters.
#[derive(Debug)]
pub(super) struct ClusterMap {
    expected: u64,
    seen: u64,
    pages: BTreeMap<u32, Page>,
    cost: usize,
}

/// What marking a cluster said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It was not seen before.
    New,
    /// It was.
    Again,
    /// It lies behind the end of the device.
    Beyond,
}

impl ClusterMap {
    /// A device of so many clusters, at most 2³².
    pub(super) fn new(expected: u64) -> Self {
        Self { expected, seen: 0, pages: BTreeMap::new(), cost: 0 }
    }

    /// Marks a cluster as seen.
    pub(super) fn mark(&mut self, cluster: u32) -> Mark {
        if u64::from(cluster) >= self.expected {
            return Mark::Beyond;
        }
        let (number, within) = (cluster / PAGE, (cluster % PAGE) as u16);
        let size = self.page_size(number);
        let page = self.pages.entry(number).or_insert_with(|| {
            self.cost += PAGE_COST;
            Page::List(Vec::new())
        });
        let before = cost(page);
        let new = insert(page, within);
        if new && count(page) == size {
            *page = Page::Full;
        }
        self.cost = self.cost + cost(page) - before;
        self.seen += u64::from(new);
        if new { Mark::New } else { Mark::Again }
    }

    /// Number of clusters of a page; the last one is shorter.
    fn page_size(&self, page: u32) -> u32 {
        let left = self.expected - u64::from(page) * u64::from(PAGE);
        u32::try_from(left).unwrap_or(u32::MAX).min(PAGE)
    }

    /// Bytes of memory in use, about.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Number of clusters that the device has.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// How many clusters were not seen, and the first of them.
    pub(super) fn missing(&self) -> Option<(u64, u64)> {
        let missing = self.expected - self.seen;
        if missing == 0 {
            return None;
        }
        let mut first = 0_u64;
        for (number, page) in &self.pages {
            let start = u64::from(*number) * u64::from(PAGE);
            // A page that isn't there, or a hole in this one.
            if start > first {
                break;
            }
            match first_hole(page) {
                Some(hole) => {
                    first = start + u64::from(hole);
                    break;
                }
                None => first = start + u64::from(PAGE),
            }
        }
        Some((missing, first))
    }
}

fn cost(page: &Page) -> usize {
    match page {
        Page::List(list) => list.capacity() * 2,
        Page::Bits(..) => PAGE as usize / 8,
        Page::Full => 0,
    }
}

fn count(page: &Page) -> u32 {
    match page {
        Page::List(list) => list.len() as u32,
        Page::Bits(_, count) => *count,
        Page::Full => PAGE,
    }
}

/// `false` when it was there already.
fn insert(page: &mut Page, within: u16) -> bool {
    match page {
        Page::Full => false,
        Page::Bits(bits, count) => {
            let (word, bit) = (usize::from(within / 64), 1 << (within % 64));
            let new = bits[word] & bit == 0;
            bits[word] |= bit;
            *count += u32::from(new);
            new
        }
        Page::List(list) => {
            // In order, the next one belongs at the end.
            let at = match list.last() {
                Some(last) if *last < within => list.len(),
                _ => match list.binary_search(&within) {
                    Ok(_) => return false,
                    Err(at) => at,
                },
            };
            list.insert(at, within);
            if list.len() > LONGEST_LIST {
                let mut bits = Box::new([0_u64; PAGE as usize / 64]);
                for within in &*list {
                    bits[usize::from(within / 64)] |= 1 << (within % 64);
                }
                *page = Page::Bits(bits, list.len() as u32);
            }
            true
        }
    }
}

/// The first cluster that is missing in a page that holds all of its own.
fn first_hole(page: &Page) -> Option<u32> {
    match page {
        Page::Full => None,
        Page::List(list) => {
            let hole = list.iter().enumerate().find(|(index, within)| usize::from(**within) != *index);
            Some(hole.map_or(list.len(), |(index, _)| index) as u32)
        }
        Page::Bits(bits, _) => {
            let word = bits.iter().position(|word| *word != u64::MAX)?;
            Some(word as u32 * 64 + bits[word].trailing_ones())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_large_disk_in_order_costs_next_to_nothing() {
        // 256 GiB.
        let clusters = 1_u32 << 22;
        let mut map = ClusterMap::new(u64::from(clusters));
        let mut most = 0;
        for cluster in 0..clusters {
            assert_eq!(map.mark(cluster), Mark::New);
            most = most.max(map.cost());
        }
        assert_eq!(map.missing(), None);
        assert!(most < 512 << 10, "{most}");
        assert_eq!(map.mark(5), Mark::Again);
        assert_eq!(map.mark(clusters), Mark::Beyond);
    }

    proptest! {
        #[test]
        fn it_tells_what_a_set_would(expected in 1_u64..100_000, marks in proptest::collection::vec(0_u32..110_000, 0..4000), from in 0_u32..40_000, run in 0_u32..70_000) {
            let mut map = ClusterMap::new(expected);
            let mut set = BTreeSet::new();
            for cluster in marks.into_iter().chain(from..from + run) {
                let mark = if u64::from(cluster) >= expected { Mark::Beyond } else if set.insert(cluster) { Mark::New } else { Mark::Again };
                prop_assert_eq!(map.mark(cluster), mark);
            }
            let first = (0..expected).find(|cluster| !set.contains(&(*cluster as u32)));
            prop_assert_eq!(map.missing(), first.map(|first| (expected - set.len() as u64, first)));
        }
    }
}
