//! Rules that scan the source that an alert names.

use super::rule::Keys;
use crate::domain::automation::action::{Kind, Template, rescan};

/// Scans have no keys of their own.
pub(super) const KEYS: Keys = Keys {
    kind: Kind::Rescan,
    own: &[],
    check: |_| None,
    needs: |_, _| None,
    template: |_| Ok(Template::Rescan(rescan::Template)),
};
