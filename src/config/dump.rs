//! `[[dump]]`: directories of database dumps or other files.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::environments::Criteria;
use super::errors::Complaints;
use super::root::{Root, check_all};
use super::vzdump::{scan_interval, scan_timeout};
use super::{check_schedule, text};
use crate::domain::ids::{ItemId, SourceName};
use crate::domain::look::{SourceKind, SourceSpec};
use crate::formats::dump_pattern::{DumpPattern, PatternError};

/// Which files are dumps.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// Path below a root with `{time}` and names in braces: `{db}_{time}.sql.gz`.
    pub pattern: String,
    /// Name of the item where the pattern takes none from the path.
    #[serde(default)]
    pub item: Option<String>,
    /// `strftime` format of `{time}` where it is an unusual one.
    #[serde(default)]
    pub time_format: Option<String>,
}

impl Pattern {
    /// The compiled pattern.
    pub fn compiled(&self) -> Result<DumpPattern, PatternError> {
        DumpPattern::new(&self.pattern, self.item.as_deref(), self.time_format.as_deref())
    }
}

/// A dump source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// Its name, the `source` label.
    pub name: SourceName,
    /// Its directories.
    pub roots: Vec<Root>,
    /// Which files in them are dumps; the first that fits decides.
    pub patterns: Vec<Pattern>,
    /// Zone of local times in names. The zone of this machine where not said.
    #[serde(default = "TimeZone::system", deserialize_with = "text::time_zone")]
    pub time_zone: TimeZone,
    /// Dumps that must be there, even if nothing is found of them: names, without `dump/`.
    #[serde(default)]
    pub expected: Vec<String>,
    /// Dumps that aren't judged.
    #[serde(default)]
    pub exclude: Criteria,
    /// Pause between two scans.
    #[serde(default = "scan_interval", deserialize_with = "text::duration")]
    pub scan_interval: Duration,
    /// A scan that takes longer has failed.
    #[serde(default = "scan_timeout", deserialize_with = "text::duration")]
    pub scan_timeout: Duration,
    /// Less than `verify.level` is enough here.
    #[serde(default)]
    pub accept_level: Option<u8>,
}

impl Dump {
    /// A source with defaults for all but its name, directories and patterns.
    pub fn over(name: SourceName, roots: Vec<Root>, patterns: Vec<Pattern>) -> Self {
        Self {
            name,
            roots,
            patterns,
            time_zone: TimeZone::system(),
            expected: Vec::new(),
            exclude: Criteria::default(),
            scan_interval: scan_interval(),
            scan_timeout: scan_timeout(),
            accept_level: None,
        }
    }

    /// What the domain knows of it.
    pub fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::Dump,
            roots: self.roots.iter().map(Root::spec).collect(),
            expected: self.expected.iter().map(|name| ItemId::dump(name.as_str().into())).collect(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    pub(super) fn check(&self, key: &str, complaints: &mut Complaints) {
        check_all(&self.roots, key, complaints);
        check_schedule(key, self.scan_interval, self.scan_timeout, complaints);
        self.exclude.check(&format!("{key}.exclude"), complaints);
        if self.patterns.is_empty() {
            complaints.add(format!("{key}.patterns"), "a dump source needs at least one pattern".to_owned());
        }
        for (index, pattern) in self.patterns.iter().enumerate() {
            if let Err(error) = pattern.compiled() {
                complaints.add(format!("{key}.patterns.{index}"), error.to_string());
            }
        }
        for (index, _) in self.expected.iter().enumerate().filter(|(_, name)| name.is_empty()) {
            complaints.add(format!("{key}.expected.{index}"), "is empty".to_owned());
        }
    }
}
