//! Rules that run a program.

use std::time::Duration;

use anyhow::Context as _;

use super::rule::{Keys, Rule, Wrong};
use crate::domain::automation::action::{Kind, Template, hook};

/// Longest time that a hook may take.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it may take, where nothing is said.
const USUAL: Duration = Duration::from_secs(5 * 60);

/// Keys of hooks.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Hook,
    own: &[("command", |rule| !rule.command.is_empty()), ("timeout", |rule| rule.timeout.is_some())],
    check,
    needs: |_, _| None,
    template,
};

fn check(rule: &Rule) -> Option<Wrong> {
    let Some(program) = rule.command.first() else {
        return Some(("command", "is missing: [\"/path/to/program\", \"argument\"]".to_owned()));
    };
    if !program.starts_with('/') {
        return Some(("command", "must begin with the absolute path of a program; no shell is used".to_owned()));
    }
    let fits = rule.timeout.is_none_or(|it| (Duration::from_secs(1)..=LONGEST).contains(&it));
    (!fits).then(|| ("timeout", "must be from 1s to 24h".to_owned()))
}

fn template(rule: &Rule) -> anyhow::Result<Template> {
    let (program, arguments) = rule.command.split_first().context("a hook needs a command")?;
    let timeout = rule.timeout.unwrap_or(USUAL);
    Ok(Template::Hook(hook::Template { program: program.clone(), arguments: arguments.to_vec(), timeout }))
}
