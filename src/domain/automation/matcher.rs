//! Conditions on the labels of an alert, with the meaning that Alertmanager gives them.

use std::fmt;
use std::sync::Arc;

use super::alert::KeptAlert;

mod pattern;

use pattern::Pattern;
pub use pattern::PatternError;

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Like,
    /// `!~`
    NotLike,
}

impl Operator {
    /// All, the longer ones first where one begins with another.
    pub const ALL: [Self; 4] = [Self::Like, Self::Equal, Self::NotEqual, Self::NotLike];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Like => "=~",
            Self::NotLike => "!~",
        }
    }
}

/// A condition on a label: `source = "a"`, `item =~ "qemu/.*"`.
#[derive(Debug, Clone)]
pub struct Matcher {
    label: Arc<str>,
    operator: Operator,
    value: Arc<str>,
    /// What the value means, for `=~` and `!~`.
    pattern: Option<Pattern>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

impl Eq for Matcher {}

impl Matcher {
    /// A condition. A regular expression must match the whole value.
    pub fn new(label: &str, operator: Operator, value: &str) -> Result<Self, PatternError> {
        let pattern = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Like | Operator::NotLike => Some(Pattern::new(value)?),
        };
        Ok(Self { label: label.into(), operator, value: value.into(), pattern })
    }

    /// That a label has this value.
    pub fn equal(label: &str, value: &str) -> Self {
        Self { label: label.into(), operator: Operator::Equal, value: value.into(), pattern: None }
    }

    /// The label that it is about.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether it holds for an alert. A label that isn't there is empty.
    pub fn matches(&self, alert: &KeptAlert) -> bool {
        self.holds(alert.label(&self.label))
    }

    /// Whether it holds for a value of its label.
    pub fn holds(&self, value: &str) -> bool {
        let fits = self.pattern.as_ref().map_or(*self.value == *value, |it| it.fits(value));
        fits != matches!(self.operator, Operator::NotEqual | Operator::NotLike)
    }

    /// Whether a label name needs no quotes in any version of Alertmanager.
    pub fn is_plain(label: &str) -> bool {
        let starts = label.starts_with(|it: char| it.is_ascii_alphabetic() || matches!(it, '_' | ':'));
        starts && label.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b':'))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(&self.label, self.operator, &self.value))
    }
}

/// A matcher in the one form that every version of Alertmanager reads alike: values in quotes, names only where they
/// need them.
pub fn written(label: &str, operator: Operator, value: &str) -> String {
    let label = if Matcher::is_plain(label) { label.to_owned() } else { quoted(label) };
    label + operator.as_str() + &quoted(value)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
