//! The part of the page that says what is proven, and how the verifier stands.

use maud::{Markup, html};

use super::more;
use crate::domain::age;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Standing};
use crate::domain::proof::book::{ItemProof, ProofState, Proven};
use crate::domain::state::StateLock;
use crate::domain::verification::Verifier;
use crate::engine::statuses::Snapshot;

/// What is said of a file that was read and is to be read again.
const TOUCHED: &str = "the newest backup was read, and its file was replaced or touched since (copy, mode, owner, link) though size and time are the same: it is read again";

/// The part; nothing where nothing is verified.
pub(super) fn view(inventory: &Inventory, statuses: &Snapshot) -> Markup {
    let Some(verifier) = &statuses.verifier else { return html! {} };
    html! {
        h2 { "Newest backups, read to the end" }
        (verifier_line(verifier))
        table {
            tr {
                th { "source" }
                @for state in ProofState::ALL { th class="n" { (state.as_str()) } }
            }
            @for view in &inventory.sources {
                tr {
                    td { (view.spec.name) }
                    @for state in ProofState::ALL {
                        @let count = proven(view).filter(|(_, proven)| proven.state() == state).count();
                        td class={ "n " (if count > 0 { class(state) } else { "none" }) } { (count) }
                    }
                }
            }
        }
        (remarks(inventory))
    }
}

/// Who holds the lock of a state.
fn lock(view: &SourceView, item: &Item) -> Option<String> {
    let StateLock { who, operation, since } = view.estate.states.as_ref()?.0.get(&item.id)?.lock.as_ref()?;
    let who = if who.is_empty() { "somebody whom the lock doesn't name" } else { who };
    let operation = if operation.is_empty() { String::new() } else { format!(" ({operation})") };
    Some(format!("locked since {since} by {who}{operation}"))
}

/// Judged items with a backup, and what is proven of it.
fn proven(view: &SourceView) -> impl Iterator<Item = (&Item, &Proven)> {
    let judged = view.items.iter().filter(|item| item.standing == Standing::Judged && item.newest.is_some());
    judged.filter_map(|item| match &item.proof {
        ItemProof::Known(proven) => Some((item, &**proven)),
        ItemProof::Off | ItemProof::Unknown(_) => None,
    })
}

fn class(state: ProofState) -> &'static str {
    match state {
        ProofState::Failed => "failed",
        ProofState::Passed => "ok",
        ProofState::Running => "running",
        ProofState::Insufficient | ProofState::Unproven | ProofState::Warning => "late",
    }
}

fn verifier_line(verifier: &Verifier) -> Markup {
    html! {
        p {
            "Reading " (verifier.running) ", " (verifier.waiting) " waiting, " (age::bytes(verifier.read)) " read since the start."
            @if !verifier.open { " The window (verify.window) is closed." }
        }
        @if let Some(problem) = &verifier.store_problem {
            p class="failed" { (problem) }
        }
    }
}

/// What isn't damage, and worth a look all the same. Damage is among what needs attention.
fn remarks(inventory: &Inventory) -> Markup {
    let of_view = |view| {
        proven(view)
            .flat_map(move |(item, proven)| of_item(proven).chain(lock(view, item)).map(move |text| (view, item, text)))
    };
    let all: Vec<(&SourceView, &Item, String)> = inventory.sources.iter().flat_map(|view| of_view(view)).collect();
    if all.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Found in archives" }
        table {
            tr { th { "source" } th { "item" } th { "what" } }
            @for (view, item, text) in all.iter().take(super::LISTED) {
                tr { td { (view.spec.name) } td { (item.id) } td { (text) } }
            }
        }
        (more(all.len()))
    }
}

fn of_item(proven: &Proven) -> impl Iterator<Item = String> + use<> {
    let warned = proven.newest.as_ref().filter(|proof| proof.warned);
    let warning = warned.and_then(|proof| proof.headline.as_deref()).map(str::to_owned);
    let shortfall = proven.shortfall().map(str::to_owned);
    let unchecked = proven.unchecked.as_ref().map(|it| format!("could not be checked: {}", it.reason));
    let damaged = proven.damaged_copies > 0 && proven.state() != ProofState::Failed;
    let damaged = damaged.then(|| format!("{} older copy(ies) are damaged", proven.damaged_copies));
    let touched = proven.touched && proven.state() != ProofState::Running;
    let touched = touched.then(|| TOUCHED.to_owned());
    let odd = proven.state.as_ref().and_then(|state| state.odd.as_deref()).map(str::to_owned);
    [warning, shortfall, unchecked, damaged, touched, odd].into_iter().flatten()
}
