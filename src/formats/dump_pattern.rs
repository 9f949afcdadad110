//! Patterns that say which files of a directory are backups, of what, and when: `{db}_{time}.sql.gz`.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `{time}` | the start of the dump; common spellings, or what `time_format` says |
//! | `{db}`, `{host}` … | part of the item's name: any characters but `/`; the words are those of [`NAMES`] |
//! | `*` `?` | any characters, any one character but `/` |
//! | `/` | a directory below the root |
//!
//! The name of the item is what the other braces matched, joined by `/`.

use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use regex::Regex;

use super::foreign_name;
use crate::domain::ids::ItemId;
use crate::domain::printable::printable;

/// Date, or date and time, with the separators that dump scripts use.
const TIME: &str = r"\d{4}[-_.]?\d{2}[-_.]?\d{2}(?:[T_. -]?\d{2}[-_.:h]?\d{2}(?:[-_.:m]?\d{2})?Z?)?";

/// What the parts of an item's name may be called. Another word is refused: a misspelt `{tiem}` or an unknown `{date}`
/// would make each dump an item of its own, and none of them would ever be late.
pub const NAMES: [&str; 24] = [
    "account",
    "app",
    "application",
    "cluster",
    "customer",
    "database",
    "db",
    "environment",
    "group",
    "host",
    "instance",
    "item",
    "key",
    "name",
    "node",
    "project",
    "schema",
    "server",
    "service",
    "site",
    "stack",
    "tenant",
    "user",
    "vm",
];

/// Longest name of an item, in bytes.
const LONGEST_NAME: usize = 200;

/// Endings of files that are still being transferred.
const UNFINISHED: [&str; 5] = [".part", ".partial", ".filepart", ".tmp", ".crdownload"];

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A brace without its partner, or with a name that is no word.
    #[error("the braces of {0:?} do not match; write {{name}} with letters, digits or _")]
    Braces(String),
    /// A word that stands for nothing.
    #[error("{}", unknown(.0))]
    Unknown(String),
    /// The same braces twice.
    #[error("{{{0}}} stands twice in the pattern")]
    Twice(String),
    /// Nothing tells the items apart and no name is given.
    #[error("the pattern takes no name from the file; add a {{name}} to it, or set item = \"…\"")]
    NoItem,
    /// Both a name in braces and a fixed one.
    #[error("the pattern takes the name from the file; remove item, or the braces")]
    TwoItems,
    /// An absolute path, or one that leaves the root.
    #[error("a pattern is relative to the root and has no empty, \".\" or \"..\" part")]
    Path,
    /// A `time_format` that nothing can be read with.
    #[error("time_format {0:?} is no strftime format; write %Y, %m, %d, %H, %M, %S or %s")]
    TimeFormat(String),
    /// Too large.
    #[error("the pattern is too large")]
    Large,
}

fn unknown(word: &str) -> String {
    let known: Vec<String> = NAMES.iter().map(|name| format!("{{{name}}}")).collect();
    format!(
        "{{{word}}} stands for nothing. There is {{time}}, and for parts of the item's name {}; write * for what is neither",
        known.join(" ")
    )
}

/// When a dump began, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameTime {
    /// An absolute time.
    Absolute(Timestamp),
    /// Local date and time.
    Local(DateTime),
    /// Only the day.
    Day(Date),
    /// The pattern has no time: the last write counts.
    None,
}

/// What a file is by a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpName {
    /// What it is a dump of.
    pub item: ItemId,
    /// When it began.
    pub time: NameTime,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct DumpPattern {
    text: String,
    regex: Regex,
    names: Vec<String>,
    item: Option<ItemId>,
    time_format: Option<String>,
}

impl DumpPattern {
    /// Compiles a pattern. `item` names the item where the pattern does not; `time_format` is a `strftime` format for `{time}`.
    pub fn new(text: &str, item: Option<&str>, time_format: Option<&str>) -> Result<Self, PatternError> {
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PatternError::Path);
        }
        let (expression, names) = translate(text, time_format.is_some())?;
        match (names.iter().any(|name| name != "time"), item) {
            (false, None) => return Err(PatternError::NoItem),
            (true, Some(_)) => return Err(PatternError::TwoItems),
            _ => {}
        }
        if let Some(format) = time_format
            .filter(|format| strtime::format(format, &Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)).is_err())
        {
            return Err(PatternError::TimeFormat(format.to_owned()));
        }
        let regex = Regex::new(&expression).map_err(|_| PatternError::Large)?;
        Ok(Self {
            text: text.to_owned(),
            regex,
            names,
            item: item.map(|name| ItemId::dump(name.into())),
            time_format: time_format.map(str::to_owned),
        })
    }

    /// How many directories below the root its files lie; 1 for the root itself.
    pub fn depth(&self) -> usize {
        self.text.split('/').count()
    }

    /// Whether it spells a name that belongs to a NAS or a desktop: `.snapshot/*/{db}.sql` wants what lies there.
    pub fn spells(&self, name: &[u8]) -> bool {
        let sort = foreign_name::sort(name);
        sort.is_some() && self.text.split('/').any(|part| foreign_name::sort(part.as_bytes()) == sort)
    }

    /// Reads a path relative to the root. `None` when the pattern does not fit, or its time is no time.
    pub fn read(&self, path: &str) -> Option<DumpName> {
        let found = self.regex.captures(path)?;
        let parts = self.names.iter().filter(|name| *name != "time");
        let name: Vec<&str> = parts.filter_map(|name| Some(found.name(name)?.as_str())).collect();
        let name = name.join("/");
        // It becomes a label, and is shown in terminals and pages.
        if name.len() > LONGEST_NAME || printable(name.as_bytes()) != name {
            return None;
        }
        let item = self.item.clone().unwrap_or_else(|| ItemId::dump(Arc::from(name)));
        let time = match (found.name("time"), &self.time_format) {
            (None, _) => NameTime::None,
            (Some(text), None) => common_time(text.as_str())?,
            (Some(text), Some(format)) => formatted_time(text.as_str(), format)?,
        };
        Some(DumpName { item, time })
    }

    /// Whether a path has the form of this pattern, but a time that is none, or a name that can't be shown.
    pub fn almost_reads(&self, path: &str) -> bool {
        self.regex.is_match(path) && self.read(path).is_none()
    }

    /// Whether a path is a file of this pattern that is still on its way: `NAME.part`, or rsync's `.NAME.AbC123`.
    pub fn is_unfinished(&self, path: &str) -> bool {
        let ended = UNFINISHED.iter().filter_map(|ending| path.strip_suffix(ending));
        ended.chain(rsync_target(path).as_deref()).any(|name| self.read(name).is_some())
    }
}

/// The name that rsync will give to its temporary file.
fn rsync_target(path: &str) -> Option<String> {
    let (directory, name) = path.rsplit_once('/').map_or(("", path), |(head, tail)| (head, tail));
    let (target, random) = name.strip_prefix('.')?.rsplit_once('.')?;
    let is_random = random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let target = if directory.is_empty() { target.to_owned() } else { format!("{directory}/{target}") };
    is_random.then_some(target)
}

fn translate(text: &str, free_time: bool) -> Result<(String, Vec<String>), PatternError> {
    let braces = || PatternError::Braces(text.to_owned());
    let mut expression = String::from("^");
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '}' => return Err(braces()),
            '{' => {
                let (name, after) = rest.split_once('}').ok_or_else(braces)?;
                rest = after;
                let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                if !word || name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
                    return Err(braces());
                }
                if name != "time" && !NAMES.contains(&name.trim_end_matches(|it: char| it.is_ascii_digit())) {
                    return Err(PatternError::Unknown(name.to_owned()));
                }
                if names.iter().any(|known| known == name) {
                    return Err(PatternError::Twice(name.to_owned()));
                }
                let part = if name == "time" && !free_time { TIME } else { "[^/]+?" };
                expression.push_str(&format!("(?P<{name}>{part})"));
                names.push(name.to_owned());
            }
            other => expression.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    Ok((expression, names))
}

fn common_time(text: &str) -> Option<NameTime> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let field = |from: usize, to: usize| digits.get(from..to)?.parse::<i8>().ok();
    let date = Date::new(digits.get(..4)?.parse().ok()?, field(4, 6)?, field(6, 8)?).ok()?;
    if digits.len() == 8 {
        return Some(NameTime::Day(date));
    }
    let second = if digits.len() >= 14 { field(12, 14)? } else { 0 };
    let time = jiff::civil::Time::new(field(8, 10)?, field(10, 12)?, second, 0).ok()?;
    let local = date.to_datetime(time);
    if text.ends_with('Z') {
        return Some(NameTime::Absolute(TimeZone::UTC.to_timestamp(local).ok()?));
    }
    Some(NameTime::Local(local))
}

fn formatted_time(text: &str, format: &str) -> Option<NameTime> {
    let parsed = strtime::parse(format, text).ok()?;
    if let Ok(time) = parsed.to_timestamp() {
        return Some(NameTime::Absolute(time));
    }
    if let Ok(local) = parsed.to_datetime() {
        return Some(if parsed.hour().is_some() { NameTime::Local(local) } else { NameTime::Day(local.date()) });
    }
    parsed.to_date().ok().map(NameTime::Day)
}

#[cfg(test)]
mod tests;
