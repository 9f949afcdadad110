//! Rules that read the newest backup of the item that an alert names.

use super::rule::{Around, Keys, Rule, Wrong};
use crate::domain::automation::action::{Kind, Template, reverify};
use crate::domain::proof::Level;

/// Keys of readings.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Reverify,
    own: &[("level", |rule| rule.level.is_some())],
    check,
    needs,
    template: |rule| {
        let level = rule.level.and_then(|level| Level::of(level.into())).unwrap_or(Level::Complete);
        Ok(Template::Reverify(reverify::Template { level }))
    },
};

fn check(rule: &Rule) -> Option<Wrong> {
    let fits = rule.level.is_none_or(|level| Level::of(level.into()).is_some());
    (!fits).then(|| ("level", "must be 1 (present), 2 (decodes to its end) or 3 (complete)".to_owned()))
}

fn needs(_: &Rule, around: &Around<'_>) -> Option<Wrong> {
    (!around.can_verify).then(|| ("action", "nothing is verified while verify.enabled is false".to_owned()))
}
