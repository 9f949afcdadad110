//! All pages of a SQLite database: kept as what each can be and which others it names, and walked once all were seen.
//!
//! Every page must be one of: a page of the tree of a table or index that the schema names, one of the overflow pages of
//! a row, a page of the free list, a pointer map of `auto_vacuum`, the page of the lock bytes; and no page two of them.
//!
//! ```text
//! page 1 ─► schema ─► roots ─► pages of trees ─► overflow pages
//! header ─► trunks of the free list ─► free pages
//! ```

use super::page::{Class, Edge, Format};

/// Most pages that are followed: 10 GiB of the usual 4 KiB. Each takes 5 bytes.
pub(super) const MOST: u32 = 5 << 19;

/// Most references that are kept, of 4 bytes.
const MOST_EDGES: usize = 4 << 20;

/// Deepest tree (`BTCURSOR_MAX_DEPTH`).
const DEEPEST: usize = 20;

/// So many things that are wrong are said.
const MOST_WRONG: usize = 5;

/// The bytes that are used for locks are in no page that is used otherwise.
const LOCK_BYTE: u64 = 1 << 30;

/// Marks of what sort a reference is, above its page number.
const OVERFLOW: u32 = 1 << 28;
const TABLE_ROOT: u32 = 2 << 28;
const INDEX_ROOT: u32 = 3 << 28;
const NUMBER: u32 = (1 << 28) - 1;

/// The free list as the header tells of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    /// First trunk.
    pub(super) first: u32,
    /// Pages.
    pub(super) count: u32,
}

/// What came of the walk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// What is wrong, in words; not more than some.
    pub(super) wrong: Vec<String>,
    /// Whether all roots were known.
    pub(super) complete: bool,
    /// Pages that are neither used nor free.
    pub(super) unused: u64,
}

/// Pages as they pass by.
pub(super) struct Pages {
    format: Format,
    page_size: u64,
    auto_vacuum: bool,
    class: Vec<u8>,
    /// Where the references of the page are, or the next page of its chain.
    at: Vec<u32>,
    /// The references of a page: how many numbers, then these.
    edges: Vec<u32>,
    found: Vec<Edge>,
    wrong: Vec<String>,
    full: bool,
}

impl Pages {
    /// `None` if there are too many.
    pub(super) fn new(format: Format, page_size: u64, auto_vacuum: bool) -> Option<Self> {
        if format.pages > MOST {
            return None;
        }
        let (class, at) = (vec![Class::Broken.number()], vec![0]);
        let edges = vec![0];
        Some(Self {
            format,
            page_size,
            auto_vacuum,
            class,
            at,
            edges,
            found: Vec::new(),
            wrong: Vec::new(),
            full: false,
        })
    }

    /// The next page.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let number = self.class.len() as u32;
        if self.is_map(number) {
            self.map(number, bytes);
        }
        let start = if number == 1 { super::HEADER } else { 0 };
        let class = self.format.class(bytes, start, &mut self.found);
        self.class.push(class.number());
        self.at.push(0);
        if self.found.is_empty() || self.full {
            return;
        }
        let at = if let (Class::Raw | Class::Overflow, [Edge::Next(next)]) = (class, &*self.found) {
            *next
        } else {
            let at = self.edges.len();
            self.edges.push(0);
            for edge in &self.found {
                match *edge {
                    Edge::Next(page) => self.edges.push(page),
                    Edge::Overflow(page, count) => self.edges.extend([page | OVERFLOW, count]),
                    // Roots may be anything yet.
                    Edge::TableRoot(page) => self.edges.push(page.min(NUMBER) | TABLE_ROOT),
                    Edge::IndexRoot(page) => self.edges.push(page.min(NUMBER) | INDEX_ROOT),
                }
            }
            self.edges[at] = (self.edges.len() - at - 1) as u32;
            self.full = self.edges.len() > MOST_EDGES;
            at as u32
        };
        if let Some(last) = self.at.last_mut() {
            *last = at;
        }
    }

    /// Pages between two pointer maps, and the map before them.
    fn mapped(&self) -> u32 {
        (self.format.usable / 5 + 1) as u32
    }

    fn is_lock(&self, number: u32) -> bool {
        u64::from(number) == LOCK_BYTE / self.page_size + 1
    }

    /// Whether it is a pointer map: they would be at regular places, but give way to the lock bytes.
    fn is_map(&self, number: u32) -> bool {
        if !self.auto_vacuum || number < 2 || self.is_lock(number) {
            return false;
        }
        let regular = |number: u32| (number - 2).is_multiple_of(self.mapped());
        regular(number) || (number > 2 && self.is_lock(number - 1) && regular(number - 1))
    }

    /// A pointer map has the type of each page that follows.
    fn map(&mut self, number: u32, bytes: &[u8]) {
        let regular = if self.is_lock(number - 1) { number - 1 } else { number };
        for index in 0..self.mapped() - 1 {
            let page = number.saturating_add(1).saturating_add(index);
            if page > self.format.pages || page >= regular + self.mapped() {
                break;
            }
            if !self.is_lock(page) && !matches!(bytes[5 * index as usize], 1..=5) {
                self.say(format!("page {number} should tell what page {page} is, and doesn't"));
                return;
            }
        }
    }

    fn say(&mut self, text: String) {
        if self.wrong.len() < MOST_WRONG {
            self.wrong.push(text);
        }
    }

    /// Walks over all of them, after the last.
    pub(super) fn walk(mut self, free: Free) -> Option<Outcome> {
        if self.full {
            return None;
        }
        let wrong = std::mem::take(&mut self.wrong);
        let seen = vec![0; self.class.len().div_ceil(64)];
        let mut walk = Walk { pages: &self, seen, wrong, complete: true };
        walk.tree(1, Tree::Schema);
        walk.free(free);
        let unused = (2..=self.format.pages).filter(|page| !walk.is_seen(*page) && !self.is_special(*page)).count();
        Some(Outcome { wrong: walk.wrong, complete: walk.complete, unused: unused as u64 })
    }

    fn is_special(&self, number: u32) -> bool {
        self.is_lock(number) || self.is_map(number)
    }

    fn class_of(&self, page: u32) -> Class {
        Class::of(self.class.get(page as usize).copied().unwrap_or_default())
    }

    /// The references of a page that is no chain.
    fn edges_of(&self, page: u32) -> &[u32] {
        let at = self.at.get(page as usize).copied().unwrap_or_default() as usize;
        let count = self.edges.get(at).copied().unwrap_or_default() as usize;
        self.edges.get(at + 1..at + 1 + count).unwrap_or_default()
    }

    /// What follows in a chain, 0 at its end.
    fn next_of(&self, page: u32) -> u32 {
        match self.class_of(page) {
            Class::Trunk => self.edges_of(page).first().copied().unwrap_or_default(),
            _ => self.at.get(page as usize).copied().unwrap_or_default(),
        }
    }
}

/// What a tree is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tree {
    Schema,
    /// A table, whose pages are those of an index if it is one without row numbers.
    Any,
    Table,
    Index,
}

struct Walk<'p> {
    pages: &'p Pages,
    seen: Vec<u64>,
    wrong: Vec<String>,
    complete: bool,
}

impl Walk<'_> {
    fn is_seen(&self, page: u32) -> bool {
        self.seen[page as usize / 64] >> (page % 64) & 1 == 1
    }

    /// Whether nothing else uses the page so far; it is taken then.
    fn take(&mut self, page: u32, by: &str) -> bool {
        let problem = if !(1..=self.pages.format.pages).contains(&page) {
            "is not there"
        } else if self.is_seen(page) {
            "is in use already"
        } else if self.pages.is_special(page) {
            "is none that can be used"
        } else {
            self.seen[page as usize / 64] |= 1 << (page % 64);
            return true;
        };
        self.say(format!("page {page}, of {by}, {problem}"));
        false
    }

    fn say(&mut self, text: String) {
        if self.wrong.len() < MOST_WRONG {
            self.wrong.push(text);
        }
    }

    /// Walks over a tree, depth first.
    fn tree(&mut self, root: u32, mut kind: Tree) {
        // A page, and how many of its references were followed.
        let pages = self.pages;
        let mut path: Vec<(u32, usize)> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(page) = next.take()
                && self.enter(page, &mut kind)
            {
                path.push((page, 0));
            }
            let Some((page, done)) = path.last_mut() else { return };
            let (page, edges) = (*page, pages.edges_of(*page));
            let Some(edge) = edges.get(*done).copied() else {
                path.pop();
                continue;
            };
            *done += 1;
            let number = edge & NUMBER;
            match edge & !NUMBER {
                OVERFLOW => {
                    let count = edges.get(*done).copied().unwrap_or_default();
                    *done += 1;
                    self.overflow(number, count, page);
                }
                TABLE_ROOT if kind == Tree::Schema => self.tree(number, Tree::Any),
                INDEX_ROOT if kind == Tree::Schema => self.tree(number, Tree::Index),
                TABLE_ROOT | INDEX_ROOT => {}
                _ if path.len() >= DEEPEST => {
                    return self.say(format!("the tree at page {root} is deeper than any can be"));
                }
                _ => next = Some(number),
            }
        }
    }

    /// Whether the page is one of such a tree.
    fn enter(&mut self, page: u32, kind: &mut Tree) -> bool {
        let by = if *kind == Tree::Schema { "the schema" } else { "a table or an index" };
        if !self.take(page, by) {
            return false;
        }
        let class = self.pages.class_of(page);
        if *kind == Tree::Schema && class == Class::Table {
            self.complete = false;
        }
        match (*kind, class) {
            (Tree::Any | Tree::Table, Class::Table | Class::Schema) => *kind = Tree::Table,
            (Tree::Any | Tree::Index, Class::Index) => *kind = Tree::Index,
            (Tree::Schema, Class::Table | Class::Schema) => {}
            _ => {
                self.complete &= *kind != Tree::Schema;
                self.say(format!("page {page} should be one of {by}, and its content is none of such a page"));
                return false;
            }
        }
        true
    }

    fn overflow(&mut self, first: u32, count: u32, of: u32) {
        let mut page = first;
        for _ in 0..count {
            if page == 0 {
                return self.say(format!("a long row of page {of} ends too early: pages of it are missing"));
            }
            if !self.take(page, "a long row") {
                return;
            }
            if !matches!(self.pages.class_of(page), Class::Raw | Class::Overflow | Class::Trunk) {
                return self.say(format!("page {page} should hold a part of a long row, and doesn't"));
            }
            page = self.pages.next_of(page);
        }
        if page != 0 {
            self.say(format!("a long row of page {of} goes on in page {page}, where it should have ended"));
        }
    }

    fn free(&mut self, free: Free) {
        let (mut page, mut count) = (free.first, 0);
        while page != 0 {
            if !self.take(page, "the list of free pages") {
                return;
            }
            let leaves = match self.pages.class_of(page) {
                Class::Raw => &[],
                Class::Trunk => self.pages.edges_of(page).get(1..).unwrap_or_default(),
                _ => {
                    return self.say(format!("page {page} should be one of the list of free pages, and isn't"));
                }
            };
            count += 1 + leaves.len();
            for leaf in leaves {
                self.take(*leaf, "the list of free pages");
            }
            page = self.pages.next_of(page);
        }
        if count != free.count as usize {
            self.say(format!("the list of free pages has {count}, and the header says {}", free.count));
        }
    }
}
