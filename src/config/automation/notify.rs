//! Rules that tell somebody.

use super::rule::{Around, Keys, Rule, Wrong};
use crate::domain::automation::action::{Kind, Template, notify};

/// Keys of notifications.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Notify,
    own: &[("receivers", |rule| !rule.receivers.is_empty())],
    check: |_| None,
    needs,
    template: |rule| Ok(Template::Notify(notify::Template { receivers: rule.receivers.clone() })),
};

fn needs(_: &Rule, around: &Around<'_>) -> Option<Wrong> {
    around.receivers.is_empty().then(|| ("action", "nobody is told without [[notify.receivers]]".to_owned()))
}
