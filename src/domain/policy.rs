//! What is expected of an item: how often a backup, how big at least, in which environment.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::ids::{ItemId, SourceName};

/// A text in a matcher that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Not a number or a range of numbers.
    #[error("{0:?} is no id and no range of ids; write \"100\" or \"100-199\"")]
    Ids(String),
    /// Not a glob pattern.
    #[error("{0:?} is no pattern: {1}")]
    Pattern(String, String),
}

/// Chooses items by what they are. Any single criterion that fits is enough; an empty matcher fits nothing.
#[derive(Debug, Clone, Default)]
pub struct Matcher {
    ids: Vec<RangeInclusive<u32>>,
    names: GlobSet,
    tags: Vec<Box<str>>,
    notes: GlobSet,
}

/// What a matcher looks at.
#[derive(Debug, Clone, Copy)]
pub struct Traits<'a> {
    /// Id of the item.
    pub id: &'a ItemId,
    /// Name of the guest, or of the dump.
    pub name: Option<&'a str>,
    /// Tags of the guest.
    pub tags: &'a [Box<str>],
    /// Notes of the guest.
    pub notes: Option<&'a str>,
}

impl Matcher {
    /// Builds a matcher from ids (`"100"`, `"100-199"`), glob patterns for names, tags, and glob patterns for notes.
    /// Case doesn't matter. Returns every text that can't be used.
    pub fn new(ids: &[String], names: &[String], tags: &[String], notes: &[String]) -> Result<Self, Vec<MatcherError>> {
        let mut errors = Vec::new();
        let mut keep = |error: MatcherError| errors.push(error);
        let ranges = ids.iter().filter_map(|text| parse_ids(text).map_err(&mut keep).ok()).collect();
        let matcher = Self {
            ids: ranges,
            names: globs(names, &mut keep),
            tags: tags.iter().map(|tag| tag.to_lowercase().into()).collect(),
            notes: globs(notes, &mut keep),
        };
        if errors.is_empty() { Ok(matcher) } else { Err(errors) }
    }

    /// Whether it fits.
    pub fn matches(&self, it: Traits<'_>) -> bool {
        let id = |vmid| self.ids.iter().any(|range| range.contains(&vmid));
        it.id.vmid().is_some_and(id)
            || it.name.is_some_and(|name| self.names.is_match(name))
            || it.tags.iter().any(|tag| self.tags.iter().any(|want| **want == tag.to_lowercase()))
            || it.notes.is_some_and(|notes| self.notes.is_match(notes))
    }
}

fn parse_ids(text: &str) -> Result<RangeInclusive<u32>, MatcherError> {
    let error = || MatcherError::Ids(text.to_owned());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| error());
    let range = number(first)?..=number(last)?;
    if range.is_empty() { Err(error()) } else { Ok(range) }
}

fn globs(patterns: &[String], keep: &mut impl FnMut(MatcherError)) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        match GlobBuilder::new(pattern).case_insensitive(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => keep(MatcherError::Pattern(pattern.clone(), error.kind().to_string())),
        }
    }
    set.build().unwrap_or_else(|error| {
        keep(MatcherError::Pattern(patterns.join(", "), error.kind().to_string()));
        GlobSet::empty()
    })
}

/// What is expected of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// Pause between two backups; `None` for what comes when somebody changes something: no pause is too long.
    pub interval: Option<Duration>,
    /// How much longer it may take before the item is late.
    pub grace: Duration,
    /// A backup smaller than this many bytes is no backup.
    pub minimum_size: u64,
}

impl Expectation {
    /// An item is late once its newest backup is older than this; never where no pause is too long.
    pub fn late_after(&self) -> Option<Duration> {
        Some(self.interval?.saturating_add(self.grace))
    }

    /// An item counts as having no backup once its newest is older than this: a whole run was missed, too.
    /// 48 h at the default interval of a day.
    pub fn missing_after(&self) -> Option<Duration> {
        Some(self.interval?.saturating_mul(2))
    }
}

/// Settings that replace what applies otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// See [`Expectation::interval`].
    pub interval: Option<Duration>,
    /// See [`Expectation::grace`]; an eighth of the interval where nobody says.
    pub grace: Option<Duration>,
    /// See [`Expectation::minimum_size`].
    pub minimum_size: Option<u64>,
}

impl Overrides {
    fn over(self, base: Self) -> Self {
        Self {
            interval: self.interval.or(base.interval),
            grace: self.grace.or(base.grace),
            minimum_size: self.minimum_size.or(base.minimum_size),
        }
    }
}

/// A class of items, such as prod or lab.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The `environment` label.
    pub name: Arc<str>,
    /// Which items belong to it.
    pub matcher: Matcher,
    /// What it expects.
    pub overrides: Overrides,
}

/// Settings for a single item.
#[derive(Debug, Clone)]
pub struct ItemRule {
    /// Its source.
    pub source: SourceName,
    /// Its id.
    pub item: ItemId,
    /// Puts it into this environment whatever the environments' own criteria say.
    pub environment: Option<Arc<str>>,
    /// What it expects.
    pub overrides: Overrides,
}

/// All expectations.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// For what no environment or item says otherwise.
    pub defaults: Overrides,
    /// The first that matches wins.
    pub environments: Vec<Environment>,
    /// Single items.
    pub items: Vec<ItemRule>,
}

/// Expected where nobody says: a backup a day.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The grace is this part of the interval where nobody says.
pub const GRACE_DIVISOR: u32 = 8;

impl Policy {
    /// The environment of an item and what is expected of it.
    pub fn resolve(&self, source: &SourceName, it: Traits<'_>) -> (Option<Arc<str>>, Expectation) {
        let rule = self.items.iter().find(|rule| rule.source == *source && rule.item == *it.id);
        let named = rule.and_then(|rule| rule.environment.as_ref());
        let environment = match named {
            Some(name) => self.environments.iter().find(|environment| environment.name == *name),
            None => self.environments.iter().find(|environment| environment.matcher.matches(it)),
        };
        let of_environment = environment.map(|e| e.overrides).unwrap_or_default();
        let of_item = rule.map(|rule| rule.overrides).unwrap_or_default();
        let settings = of_item.over(of_environment).over(self.defaults);
        let interval = match it.id.item_kind().is_periodic() {
            true => settings.interval.or(Some(DEFAULT_INTERVAL)),
            // What nobody changes is not late; unless somebody says so of this very item.
            false => of_item.interval,
        };
        let expectation = Expectation {
            interval,
            // A grace as long as the interval would make "late" come after "missing".
            grace: interval
                .map_or(Duration::ZERO, |interval| settings.grace.unwrap_or(interval / GRACE_DIVISOR).min(interval)),
            minimum_size: settings.minimum_size.unwrap_or(1),
        };
        (environment.map(|e| e.name.clone()), expectation)
    }
}

#[cfg(test)]
mod tests;
