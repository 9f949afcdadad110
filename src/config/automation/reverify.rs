//! Rules that read the newest backup of the item that an alert names.

use super::rule::{Around, Keys, Rule, Wrong};
use crate::domain::automation::action::{Kind, Template, reverify};
use crate::domain::proof::{Level, method};

/// Keys of readings.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Reverify,
    own: &[("level", |rule| rule.level.is_some())],
    check,
    needs,
    template: |rule| {
        let level = rule.level.and_then(|level| method::asked(level.into())).unwrap_or(Level::Complete);
        Ok(Template::Reverify(reverify::Template { level }))
    },
};

fn check(rule: &Rule) -> Option<Wrong> {
    let fits = rule.level.is_none_or(|level| method::asked(level.into()).is_some());
    (!fits).then(|| ("level", format!("must be {}", method::choices())))
}

fn needs(_: &Rule, around: &Around<'_>) -> Option<Wrong> {
    (!around.can_verify).then(|| ("action", "nothing is verified while verify.enabled is false".to_owned()))
}
