//! `[[dump]]`: directories of database dumps or other files.

use serde::Deserialize;

use super::errors::Complaints;
use super::root::{Root, check_all, servers};
use super::section::{Section, source};
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

source! {
    /// A dump source.
    pub struct Dump {
        /// Its directories.
        pub roots: Vec<Root>,
        /// Which files in them are dumps; the first that fits decides.
        pub patterns: Vec<Pattern>,
        /// Dumps that must be there, even if nothing is found of them: names, without `dump/`.
        #[serde(default)]
        pub expected: Vec<String>,
    }
}

impl Dump {
    /// A source with defaults for all but its name, directories and patterns.
    pub fn over(name: SourceName, roots: Vec<Root>, patterns: Vec<Pattern>) -> Self {
        Self::with(name, roots, patterns, Vec::new())
    }
}

impl Section for Dump {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            name: self.name.clone(),
            kind: SourceKind::new("dump"),
            places: self.roots.iter().map(Root::spec).collect(),
            expected: self.expected.iter().map(|name| ItemId::dump(name.as_str().into())).collect(),
            exclude: self.exclude.matcher(),
            scan_interval: self.scan_interval,
            scan_timeout: self.scan_timeout,
        }
    }

    fn items(&self) -> &'static str {
        "dumps (dump/NAME)"
    }

    fn may_hold(&self, item: &ItemId) -> bool {
        item.kind() == "dump"
    }

    fn servers(&self) -> Vec<(String, &SourceName)> {
        servers(&self.roots)
    }

    fn check_own(&self, key: &str, complaints: &mut Complaints) {
        check_all(&self.roots, key, complaints);
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
