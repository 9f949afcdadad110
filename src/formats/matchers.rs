//! Matchers as they are written in Alertmanager's configuration: `severity != "none", alertname = "Other"`.
//!
//! Alertmanager has two parsers: the *classic* one, and since 0.27 the one for UTF-8 label names. It asks both. Where one
//! refuses it takes the other's answer; where they differ it takes the classic one's and logs that; a later version will
//! not have the classic one any more. Here, such a text is refused, and both meanings are named: no rule shall change
//! what it does with an update of Alertmanager. A text without any matcher holds for every alert there, and is refused
//! here.
//!
//! Source: prometheus/alertmanager `pkg/labels/parse.go`, `matchers/parse/{lexer,parse}.go`, `matchers/compat/parse.go`.

use crate::domain::automation::matcher::{self, Matcher, Operator, PatternError};

mod classic;
mod utf8;

/// Why a text is no list of matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// Neither parser can read it.
    #[error(
        "{text:?} is no matcher: {reason}; write it as Alertmanager does: item =~ \"qemu/.*\", severity != \"none\""
    )]
    Form {
        /// The text.
        text: String,
        /// What the newer parser stumbles over.
        reason: String,
    },
    /// It holds for every alert.
    #[error("there is no matcher in {0:?}")]
    Empty(String),
    /// The two parsers of Alertmanager read it differently.
    #[error(
        "{text:?} has two meanings: {classic} for the classic parser of Alertmanager, {utf8} for the newer one; put the value in quotes, write \\\\ for a backslash, and no other escape but \\\" and \\n"
    )]
    Ambiguous {
        /// The text.
        text: String,
        /// What Alertmanager takes it for today.
        classic: String,
        /// What a later Alertmanager will take it for.
        utf8: String,
    },
    /// A regular expression that can't be used.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// A matcher before anybody looked whether its regular expression is one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    label: String,
    operator: Operator,
    value: String,
}

/// Reads one or more matchers, separated by commas, within braces or not.
pub fn parse(text: &str) -> Result<Vec<Matcher>, MatcherError> {
    let written = match (classic::parse(text), utf8::parse(text)) {
        (Ok(classic), Ok(utf8)) if classic == utf8 => utf8,
        (Ok(classic), Ok(utf8)) => {
            let (classic, utf8) = (shown(&classic), shown(&utf8));
            return Err(MatcherError::Ambiguous { text: text.to_owned(), classic, utf8 });
        }
        (Ok(only), Err(_)) | (Err(_), Ok(only)) => only,
        (Err(_), Err(reason)) => return Err(MatcherError::Form { text: text.to_owned(), reason }),
    };
    if written.is_empty() {
        return Err(MatcherError::Empty(text.to_owned()));
    }
    let matchers = written.iter().map(|it| Matcher::new(&it.label, it.operator, &it.value));
    Ok(matchers.collect::<Result<_, _>>()?)
}

fn shown(matchers: &[Written]) -> String {
    let texts: Vec<String> = matchers.iter().map(|it| matcher::written(&it.label, it.operator, &it.value)).collect();
    format!("{{{}}}", texts.join(", "))
}

#[cfg(test)]
mod tests;
