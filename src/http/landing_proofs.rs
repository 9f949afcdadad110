//! The part of the page that says what is proven, and how the verifier stands.

use std::fmt::Write as _;

use crate::domain::age;
use crate::domain::html::escaped;
use crate::domain::inventory::{Inventory, SourceView};
use crate::domain::item::{Item, Standing};
use crate::domain::proof::book::{ItemProof, ProofState, Proven};
use crate::domain::verification::Verifier;
use crate::engine::statuses::Snapshot;

/// More items than this are counted, not listed.
const LISTED: usize = 100;

/// What is said of a file that was read and is to be read again.
const TOUCHED: &str = "the newest backup was read, and its file was replaced or touched since (copy, mode, owner, link) though size and time are the same: it is read again";

/// Appends the part; nothing where nothing is verified.
pub(super) fn write(html: &mut String, inventory: &Inventory, statuses: &Snapshot) {
    let Some(verifier) = &statuses.verifier else { return };
    html.push_str("<h2>Newest backups, read to the end</h2>\n");
    verifier_line(html, verifier);
    html.push_str("<table><tr><th>source");
    for state in ProofState::ALL {
        put(html, format_args!("<th class=\"n\">{}", state.as_str()));
    }
    html.push_str("</tr>\n");
    for view in &inventory.sources {
        put(html, format_args!("<tr><td>{}", view.spec.name));
        for state in ProofState::ALL {
            let count = proven(view).filter(|(_, proven)| proven.state() == state).count();
            let class = if count > 0 { class(state) } else { "none" };
            put(html, format_args!("<td class=\"n {class}\">{count}"));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    remarks(html, inventory);
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

fn verifier_line(html: &mut String, verifier: &Verifier) {
    let (running, waiting, read) = (verifier.running, verifier.waiting, age::bytes(verifier.read));
    let closed = if verifier.open { "" } else { " The window (verify.window) is closed." };
    put(html, format_args!("<p>Reading {running}, {waiting} waiting, {read} read since the start.{closed}</p>\n"));
    if let Some(problem) = &verifier.store_problem {
        put(html, format_args!("<p class=\"failed\">{}</p>\n", escaped(problem)));
    }
}

/// What isn't damage, and worth a look all the same. Damage is among what needs attention.
fn remarks(html: &mut String, inventory: &Inventory) {
    let mut rows = String::new();
    let mut count = 0;
    for view in &inventory.sources {
        for (item, proven) in proven(view) {
            let warning =
                proven.newest.as_ref().filter(|proof| proof.warned).and_then(|proof| proof.headline.as_deref());
            let shortfall = proven.shortfall().map(str::to_owned);
            let unchecked = proven.unchecked.as_ref().map(|it| format!("could not be checked: {}", it.reason));
            let damaged = proven.damaged_copies > 0 && proven.state() != ProofState::Failed;
            let damaged = damaged.then(|| format!("{} older copy(ies) are damaged", proven.damaged_copies));
            let touched = proven.touched && proven.state() != ProofState::Running;
            let touched = touched.then(|| TOUCHED.to_owned());
            for text in
                warning.map(str::to_owned).into_iter().chain(shortfall).chain(unchecked).chain(damaged).chain(touched)
            {
                count += 1;
                if count <= LISTED {
                    let (source, id) = (&view.spec.name, escaped(&item.id.to_string()));
                    put(&mut rows, format_args!("<tr><td>{source}<td>{id}<td>{}</tr>\n", escaped(&text)));
                }
            }
        }
    }
    if count > 0 {
        put(
            html,
            format_args!("<h2>Found in archives</h2>\n<table><tr><th>source<th>item<th>what</tr>\n{rows}</table>\n"),
        );
    }
    if count > LISTED {
        put(html, format_args!("<p>… and {} more; see /metrics.</p>\n", count - LISTED));
    }
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string can't fail.
    let _ = html.write_fmt(text);
}
