//! `GET /actions`: what the automation asks to be allowed, and what it did. The page holds no data: its script asks the
//! API for them, as whoever looks at it.

use std::sync::LazyLock;

use axum::response::Response;
use maud::PreEscaped;

use super::fixed::Page;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    Page::new(
        "actions",
        include_str!("actions.css"),
        &PreEscaped(include_str!("actions.body.html").to_owned()),
        include_str!("actions.js"),
    )
});

pub(in crate::http) async fn page() -> Response {
    PAGE.answer()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_script_makes_text_only() {
        let script = include_str!("actions.js");
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "</script", ".href"]
        {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
        // What comes from outside is made printable: no text goes into the page but through `plain`, or is ours.
        for part in script.split("createTextNode(").skip(1).chain(script.split("made.textContent = ").skip(1)) {
            assert!(part.starts_with("plain("), "{}", &part[..40]);
        }
    }

    #[test]
    fn the_script_hides_what_can_not_be_seen_like_the_command_line() {
        let script = include_str!("actions.js");
        let class = script.split("const UNSEEN = /[").nth(1).unwrap().split("]/gu").next().unwrap();
        let class = regex::Regex::new(r"\\u([0-9a-f]{4})").unwrap().replace_all(class, r"\u{$1}").into_owned();
        let unseen = regex::Regex::new(&format!("^[{class}]$")).unwrap();
        for character in ('\u{0}'..=char::MAX).filter(|it| !matches!(it, '\t' | '\n')) {
            let plain = crate::domain::printable::is_plain(character);
            assert_eq!(unseen.is_match(character.encode_utf8(&mut [0; 4])), !plain, "{character:?}");
        }
    }
}
