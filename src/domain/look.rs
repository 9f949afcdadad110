//! What a source is, and what one look at it found.

pub mod estate;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::estate::EstateLook;
use super::attempt::{Attempt, Partial};
pub use super::capacity::Capacity;
use super::ids::{ItemId, SourceName};
use super::labels;
use super::policy::Matcher;

/// What a copy lies on, for the 3-2-1 rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A disk of the machine that is backed up.
    Local,
    /// A network share at the same place.
    Nfs,
    /// An object store.
    S3,
    /// Another place.
    Offsite,
}

impl Medium {
    /// All of them, in label order.
    pub const ALL: [Self; 4] = [Self::Local, Self::Nfs, Self::S3, Self::Offsite];

    /// The `medium` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Nfs => "nfs",
            Self::S3 => "s3",
            Self::Offsite => "offsite",
        }
    }
}

/// What sort of place a source is; the `kind` label of a source, and the table of the configuration that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKind(&'static str);

impl SourceKind {
    /// A kind by its label.
    pub const fn new(label: &'static str) -> Self {
        Self(label)
    }

    /// The `kind` label.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Bucket and prefix of the path of a place, `s3://BUCKET/PREFIX`; `None` where it is none of a bucket.
pub fn in_bucket(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, prefix))
}

/// One place of a source, such as a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSpec {
    /// The path as configured, for labels and messages.
    pub path: Arc<str>,
    /// What it lies on.
    pub medium: Medium,
    /// Node whose guests are backed up there, where that is one.
    pub node: Option<Arc<str>>,
    /// Whether what lies there can be read, and not only be listed.
    pub readable: bool,
}

/// What is configured about a source and matters for judging it.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Its name.
    pub name: SourceName,
    /// Its kind.
    pub kind: SourceKind,
    /// Its places; looks refer to them by index.
    pub places: Vec<PlaceSpec>,
    /// Items that must be there even if no trace of them is found.
    pub expected: Vec<ItemId>,
    /// Guests that aren't judged.
    pub exclude: Matcher,
    /// Pause between two scans.
    pub scan_interval: Duration,
    /// A scan that takes longer counts as failed.
    pub scan_timeout: Duration,
}

impl SourceSpec {
    /// What was seen longer ago than this is no longer known: three scans were missed, the last one hung.
    pub fn stale_after(&self) -> Duration {
        self.scan_interval.saturating_mul(3).saturating_add(self.scan_timeout)
    }
}

/// Why a place could not be looked at. Bounded: it is a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The directory isn't there.
    NotFound,
    /// What must be mounted isn't.
    NotMounted,
    /// The process may not read it.
    PermissionDenied,
    /// It did not answer in time.
    Timeout,
    /// Another error of the operating system.
    Io,
    /// The guest configurations could not be read.
    Guests,
    /// A defect of firedrill itself.
    Internal,
}

impl ErrorKind {
    /// All of them, in label order.
    pub const ALL: [Self; 7] = [
        Self::Guests,
        Self::Internal,
        Self::Io,
        Self::NotFound,
        Self::NotMounted,
        Self::PermissionDenied,
        Self::Timeout,
    ];

    /// The `error_kind` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NotMounted => "not_mounted",
            Self::PermissionDenied => "permission_denied",
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Guests => "guests",
            Self::Internal => "internal",
        }
    }
}

/// A place that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LookError {
    /// For the metric.
    pub kind: ErrorKind,
    /// What was tried on which path, what went wrong, and what to do.
    pub message: String,
}

impl LookError {
    /// An error of a kind with its sentence.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// So many odd names are kept to be shown; the rest is counted.
const SHOWN_ODDITIES: usize = 20;

/// What lies in one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlaceListing {
    /// Every attempt at a backup.
    pub attempts: Vec<Attempt>,
    /// Temporary files of running or crashed runs.
    pub partials: Vec<Partial>,
    /// Number of names that look like a backup and aren't one, or that can't be text.
    pub oddities: u32,
    /// The first few of them, made printable, each with what is odd.
    pub odd_names: Vec<String>,
    /// Number of files that were there and could not be examined.
    pub unreadable: u32,
    /// The first few of them, made printable, each with the reason.
    pub unread_names: Vec<String>,
}

impl PlaceListing {
    /// Counts a name that is no backup though it looks like one; the first few are kept to be shown.
    pub fn pass_over(&mut self, name: String, why: &str) {
        self.oddities = self.oddities.saturating_add(1);
        if self.odd_names.len() < SHOWN_ODDITIES {
            self.odd_names.push(format!("{name}: {why}"));
        }
    }

    /// Counts a file that could not be examined; the first few are kept to be shown.
    pub fn could_not_examine(&mut self, name: &str, why: &str) {
        self.unreadable = self.unreadable.saturating_add(1);
        if self.unread_names.len() < SHOWN_ODDITIES {
            self.unread_names.push(format!("{name}: {why}"));
        }
    }

    /// This listing, or the one before where it is the same: the same `Arc` tells everybody that nothing changed.
    pub fn or_same(self, before: Option<Arc<Self>>) -> Arc<Self> {
        match before {
            Some(before) if *before == self => before,
            _ => Arc::new(self),
        }
    }
}

/// What the look at one directory found.
#[derive(Debug, Clone)]
pub struct PlaceLook {
    /// What lies there, or why it couldn't be seen. The same `Arc` as before where nothing changed.
    pub listing: Result<Arc<PlaceListing>, LookError>,
    /// The file system, where it told.
    pub capacity: Option<Capacity>,
}

/// What a scan of one source found: one entry for each place of its spec.
#[derive(Debug, Clone)]
pub struct Look {
    /// In the order of [`SourceSpec::places`].
    pub places: Vec<PlaceLook>,
    /// What it knows beside backups.
    pub estate: EstateLook,
}

impl Look {
    /// A look that saw nothing at all, for one reason.
    pub fn blind(spec: &SourceSpec, error: &LookError) -> Self {
        let root = PlaceLook { listing: Err(error.clone()), capacity: None };
        Self { places: vec![root; spec.places.len()], estate: EstateLook::default() }
    }

    /// One entry for each place, whatever its adapter told: with another number nobody knows which is of which, and nothing
    /// was seen.
    pub fn of(self, spec: &SourceSpec) -> Self {
        let (told, wanted) = (self.places.len(), spec.places.len());
        if told == wanted {
            return self;
        }
        let text = format!("its adapter told of {told} places, and it has {wanted}: a defect of firedrill");
        let blind = Self::blind(spec, &LookError::new(ErrorKind::Internal, text));
        Self { estate: self.estate, ..blind }
    }

    /// All errors of this look.
    pub fn errors(&self) -> impl Iterator<Item = &LookError> {
        self.places.iter().filter_map(|place| place.listing.as_ref().err()).chain(self.estate.errors())
    }
}

/// How looking at a source went so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// End of the last scan, good or bad.
    pub last_scan: Option<Timestamp>,
    /// End of the last scan that saw everything.
    pub last_success: Option<Timestamp>,
    /// How long the last scan took.
    pub duration: Duration,
    /// What the last scan could not see.
    pub problems: Vec<LookError>,
    /// Which roots the last scan could not see.
    pub blind: Vec<bool>,
    /// Names of the parts of the estate that the last scan saw.
    pub seen: Vec<&'static str>,
    /// The guests should be known and never were: nobody can tell whose archives these are.
    pub guests_never_seen: bool,
    /// Errors since the start, in the order of [`ErrorKind::ALL`].
    pub errors: [u64; ErrorKind::ALL.len()],
}

impl Health {
    /// Whether the last scan saw everything.
    pub fn up(&self) -> bool {
        self.last_scan.is_some() && self.problems.is_empty()
    }

    /// Whether the last scan could not see this root.
    pub fn is_blind(&self, root: usize) -> bool {
        self.blind.get(root).copied().unwrap_or(true)
    }

    /// Whether the last scan saw this part of the estate, whatever became of the places: that a storage is down is known by a
    /// cluster that can be asked, and what lies there isn't.
    pub fn saw(&self, part: &str) -> bool {
        self.seen.contains(&part)
    }

    /// Whether the last scan could not see some root.
    pub fn any_blind(&self) -> bool {
        self.last_scan.is_none() || self.blind.contains(&true)
    }

    /// Health after another look.
    pub fn after(&self, look: &Look, guests_known: bool, took: Duration, now: Timestamp) -> Self {
        let problems: Vec<LookError> = look.errors().cloned().collect();
        let mut errors = self.errors;
        for problem in &problems {
            labels::count(&mut errors, &ErrorKind::ALL, &problem.kind);
        }
        Self {
            last_scan: Some(now),
            last_success: if problems.is_empty() { Some(now) } else { self.last_success },
            duration: took,
            guests_never_seen: !guests_known && matches!(look.estate.guests, Some(Err(_))),
            seen: look.estate.seen(),
            blind: look.places.iter().map(|root| root.listing.is_err()).collect(),
            problems,
            errors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_bucket_and_a_prefix() {
        for (path, expected) in [
            ("s3://b/p/q", Some(("b", "p/q"))),
            ("s3://b/", Some(("b", ""))),
            ("s3://b", Some(("b", ""))),
            ("s3:///p", None),
            ("/mnt/b", None),
        ] {
            assert_eq!(in_bucket(path), expected, "{path}");
        }
    }
}
