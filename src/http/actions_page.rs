//! `GET /actions`: what the automation asks to be allowed, and what it did. The page holds no data: its script asks the
//! API for them, as whoever looks at it.

use std::sync::LazyLock;

use axum::response::Response;

use super::page::Page;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    Page::new(
        "actions",
        include_str!("actions_page.css"),
        include_str!("actions_page.body.html"),
        include_str!("actions_page.js"),
    )
});

pub(super) async fn page() -> Response {
    PAGE.answer()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_script_makes_text_only() {
        let script = include_str!("actions_page.js");
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script", ".href"]
        {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
