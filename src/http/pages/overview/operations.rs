//! The part of the page that says how far work in several steps is.

use maud::{Markup, html};

use crate::engine::operations::Board;

/// The part; nothing where nothing runs here.
pub(super) fn view(board: &Board) -> Markup {
    let all = board.all();
    if all.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Operations" }
        @for it in all {
            p {
                (it.id) " " (it.title) ": " (it.sentence)
                @if let Some(progress) = it.progress {
                    @if !progress.words.is_empty() { " " (progress.words) }
                    @if let Some(total) = progress.total.filter(|total| *total > 0) {
                        " " progress max=(total) value=(progress.done) {}
                        " " (progress.done.min(total) * 100 / total) " %"
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_here_is_shown_and_texts_of_others_are_no_markup() {
        let board = Board::default();
        assert_eq!(view(&board).into_string(), "");
        board.put(7, "<b>move it".into(), "Running step 1 of 2, copy it.".to_owned());
        let page = view(&board).into_string();
        assert!(page.contains("7 &lt;b&gt;move it: Running step 1 of 2"), "{page}");
    }
}
