//! Collects every error of a configuration instead of stopping at the first.
//!
//! serde ends at the first value that doesn't fit. So the value it complains of is noted, taken out, and the rest is read
//! again, until nothing is left to complain of.

use std::fmt;
use std::path::Path;

use figment::Figment;
use figment::error::{Actual, Error, Kind};
use figment::value::{Dict, Value};

use super::Config;

/// More errors than this are one error: it is not our file.
const MAX_ERRORS: usize = 200;

/// All that is wrong with a configuration, by key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// Where it was read from.
    origin: String,
    /// Key and sentence.
    pub errors: Vec<(String, String)>,
}

impl ConfigErrors {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let origin = path.display().to_string();
        Self { errors: vec![(origin.clone(), format!("can't be read: {error}"))], origin }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.errors.len();
        write!(f, "{} error{} in the configuration ({}):", count, if count == 1 { "" } else { "s" }, self.origin)?;
        for (key, sentence) in &self.errors {
            write!(f, "\n  {key}: {sentence}")?;
        }
        Ok(())
    }
}

/// Errors found so far.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    origin: String,
    errors: Vec<(String, String)>,
    /// Elements of lists that were taken out, so that later ones keep their number.
    removed: Vec<(String, usize)>,
    /// Elements of lists that are called by their name: the key, and what is said instead.
    names: Vec<(String, String)>,
}

impl Complaints {
    /// Notes that the value of a key makes no sense. List elements are counted from 0 in `key`.
    pub(crate) fn add(&mut self, key: String, sentence: String) {
        let key = self.original(&key);
        self.errors.push((key, sentence));
    }

    /// Whether an element of this list had to be left out, so that its name isn't known.
    pub(crate) fn left_out(&self, list: &str) -> bool {
        self.removed.iter().any(|(of, _)| of == list)
    }

    pub(super) fn into_result(self, config: Config) -> Result<Config, ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(config);
        }
        Err(self.failed())
    }

    fn failed(self) -> ConfigErrors {
        let named = |key: String| {
            let found = self.names.iter().find_map(|(of, name)| Some((name, key.strip_prefix(of.as_str())?)));
            found.filter(|(_, rest)| rest.starts_with('.')).map(|(name, rest)| format!("{name}{rest}")).unwrap_or(key)
        };
        let errors = self.errors.into_iter().map(|(key, sentence)| (named(key), sentence)).collect();
        ConfigErrors { origin: self.origin, errors }
    }

    /// The key as it stands in the file: list elements that were taken out before it count.
    fn original(&self, key: &str) -> String {
        let mut done = String::new();
        for part in key.split('.') {
            let text = match part.parse::<usize>() {
                Ok(index) => self.original_index(&done, index).to_string(),
                Err(_) => part.to_owned(),
            };
            if !done.is_empty() {
                done.push('.');
            }
            done.push_str(&text);
        }
        done
    }

    fn original_index(&self, list: &str, index: usize) -> usize {
        let mut gone: Vec<usize> =
            self.removed.iter().filter(|(of, _)| of == list).map(|(_, original)| *original).collect();
        gone.sort_unstable();
        gone.into_iter().fold(index, |index, gone| if gone <= index { index + 1 } else { index })
    }
}

/// Reads what can be read, and everything that can't.
pub(super) fn extract(figment: &Figment) -> Result<(Config, Complaints), ConfigErrors> {
    let mut complaints = Complaints { origin: origin(figment), ..Complaints::default() };
    let mut values = match figment.extract::<Dict>() {
        Ok(values) => values,
        Err(error) => {
            for error in error {
                complaints.errors.push(("syntax".to_owned(), without_source(&error.kind.to_string())));
            }
            return Err(complaints.failed());
        }
    };
    complaints.names = names(&values);
    loop {
        let error = match Value::from(values.clone()).deserialize::<Config>() {
            Ok(config) => return Ok((config, complaints)),
            Err(error) => error,
        };
        let stuck = !note(&error, &mut values, &mut complaints);
        if stuck || complaints.errors.len() >= MAX_ERRORS {
            return Err(complaints.failed());
        }
    }
}

/// What rules are called, where that tells them apart: nobody counts them in a long file.
fn names(values: &Dict) -> Vec<(String, String)> {
    let rules = values.get("automation").and_then(|it| it.find_ref("rules")).and_then(Value::as_array);
    let names: Vec<Option<&str>> = rules
        .into_iter()
        .flatten()
        .map(|rule| rule.find_ref("name").and_then(Value::as_str).filter(|name| !name.is_empty() && name.len() <= 64))
        .collect();
    let is_one = |name: &&str| names.iter().filter(|other| other.is_some_and(|other| other == *name)).count() == 1;
    let named = names.iter().enumerate().filter_map(|(index, name)| Some((index, name.filter(is_one)?)));
    named.map(|(index, name)| (format!("automation.rules.{index}"), format!("automation.rules.{name:?}"))).collect()
}

/// An error of syntax without the line that it quotes: in that line may be a password.
fn without_source(message: &str) -> String {
    let quoted = |line: &&str| line.trim_start().trim_start_matches(|it: char| it.is_ascii_digit()).starts_with(" |");
    let lines: Vec<&str> =
        message.lines().filter(|line| !quoted(line) && !line.trim_start().starts_with('|')).map(str::trim).collect();
    lines.join(": ")
}

fn origin(figment: &Figment) -> String {
    let names: Vec<String> = figment
        .metadata()
        .map(|it| it.source.as_ref().map_or_else(|| it.name.to_string(), ToString::to_string))
        .collect();
    if names.is_empty() { "environment".to_owned() } else { names.join(", ") }
}

/// Sections with secrets in them.
const SECRET_SECTIONS: &[&str] = &["esxi", "notify", "proxmox", "s3", "store", "webhook"];

/// Keys whose values are secret wherever they stand. Each key of type `Secret` is one of them.
pub(super) const SECRET_KEYS: &[&str] = &["token", "password", "secret", "secret_key", "token_secret", "url"];

/// Whether a value at this place may be a secret.
fn may_hold_a_secret(path: &[String]) -> bool {
    path.first().is_none_or(|first| SECRET_SECTIONS.contains(&&**first))
        || path.iter().any(|part| SECRET_KEYS.contains(&&**part))
}

/// What sort of value was found, without the value.
fn sort(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) => "a string",
        Actual::Bytes(_) => "bytes",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "another value",
    }
}

/// A token of digits alone is a number to TOML and to the environment.
fn hint(found: &Actual) -> &'static str {
    match found {
        Actual::Bool(_) | Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "; write texts in quotes",
        _ => "",
    }
}

/// Notes an error and takes its value out. `false` when it can't be located.
fn note(error: &Error, values: &mut Dict, complaints: &mut Complaints) -> bool {
    let key = error.path.join(".");
    let (key, sentence) = match &error.kind {
        Kind::MissingField(name) => (join(&key, name), "is missing".to_owned()),
        Kind::UnknownField(_, known) => (key, format!("is no key; there are: {}", known.join(", "))),
        // What was found is not quoted: it may be a secret, in its place or in a wrong one.
        Kind::InvalidType(found, expected) if may_hold_a_secret(&error.path) => {
            (key, format!("invalid type: found {}, expected {expected}{}", sort(found), hint(found)))
        }
        Kind::InvalidValue(_, expected) if may_hold_a_secret(&error.path) => {
            (key, format!("invalid value, expected {expected}"))
        }
        Kind::Unsupported(found) | Kind::UnsupportedKey(found, _) if may_hold_a_secret(&error.path) => {
            (key, format!("invalid type: found {}", sort(found)))
        }
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) if may_hold_a_secret(&error.path) => {
            (key, "is out of range".to_owned())
        }
        kind => (key, kind.to_string()),
    };
    // A value that was taken out is missing now; that was said in other words.
    let known = matches!(error.kind, Kind::MissingField(_)) && {
        let original = complaints.original(&key);
        complaints.errors.iter().any(|(known, _)| *known == original)
    };
    if !known {
        complaints.add(key, sentence);
    }
    let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let Some((first, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return values.remove(*first).is_some();
    }
    let removed = complaints.original(&error.path[..error.path.len() - 1].join("."));
    let gone = values.get_mut(*first).is_some_and(|value| remove(value, rest));
    if let Some(Ok(index)) = path.last().map(|last| last.parse::<usize>()) {
        let original = complaints.original_index(&removed, index);
        complaints.removed.push((removed, original));
    }
    gone
}

fn join(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn remove(value: &mut Value, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match value {
        Value::Dict(_, dict) if rest.is_empty() => dict.remove(*first).is_some(),
        Value::Dict(_, dict) => dict.get_mut(*first).is_some_and(|value| remove(value, rest)),
        Value::Array(_, array) => match first.parse::<usize>() {
            Ok(index) if index < array.len() && rest.is_empty() => {
                array.remove(index);
                true
            }
            Ok(index) => array.get_mut(index).is_some_and(|value| remove(value, rest)),
            Err(_) => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
