//! Rules that silence the alert.

use std::time::Duration;

use anyhow::Context as _;

use super::rule::{Around, Keys, Rule, Wrong};
use crate::domain::automation::action::{Kind, Template, silence};

/// Longest silence: whoever needs more should change the rules.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Keys of silences.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Silence,
    own: &[("duration", |rule| rule.duration.is_some()), ("silence_labels", |rule| !rule.silence_labels.is_empty())],
    check,
    needs,
    template,
};

fn check(rule: &Rule) -> Option<Wrong> {
    let Some(duration) = rule.duration else {
        return Some(("duration", "is missing: how long the silence lasts".to_owned()));
    };
    let fits = (Duration::from_secs(60)..=LONGEST).contains(&duration);
    (!fits).then(|| ("duration", "must be from 1m to 30d".to_owned()))
}

fn needs(_: &Rule, around: &Around<'_>) -> Option<Wrong> {
    (!around.can_silence).then(|| ("action", "a silence needs automation.alertmanagers".to_owned()))
}

fn template(rule: &Rule) -> anyhow::Result<Template> {
    let duration = rule.duration.context("a silence needs a duration")?;
    Ok(Template::Silence(silence::Template { duration, labels: rule.silence_labels.clone() }))
}
