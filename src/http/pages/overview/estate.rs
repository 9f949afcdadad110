//! What needs a person beside backups.

use maud::{Markup, html};

use super::{LISTED, more};
use crate::domain::attention::{Trouble, troubles};
use crate::domain::inventory::Inventory;

/// Containers, clusters and hosts that aren't well; nothing where all are.
pub(super) fn view(inventory: &Inventory, now: jiff::Timestamp) -> Markup {
    let of_one = |source| troubles(source, now).into_iter();
    let all: Vec<(&str, Trouble)> = inventory
        .sources
        .iter()
        .flat_map(|view| of_one(view).map(move |trouble| (view.spec.name.as_str(), trouble)))
        .collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Beside backups" }
        table {
            tr { th { "source" } th { "what" } th { "why" } }
            @for (source, Trouble { what, why }) in all.iter().take(LISTED) {
                tr { td { (source) } td { (what) } td class="late" { (why) } }
            }
        }
        (more(all.len()))
    }
}
