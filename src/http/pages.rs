//! Pages for people, made on the server. What is put into them is text unless a template says otherwise: names come from outside.

pub(super) mod actions;
pub(super) mod api;
mod fixed;
pub(super) mod overview;

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style of all pages.
const STYLE: &str = include_str!("pages/style.css");

/// Where else to look.
const PLACES: [(&str, &str); 3] = [("/", "overview"), ("/actions", "actions"), ("/api", "API")];

/// What every page begins with: nothing of it comes from elsewhere.
fn head(title: &str, style: &str, more: &Markup) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        (more)
        title { (title) }
        style { (PreEscaped(style)) }
    }
}

/// A whole page.
fn document(head: &Markup, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head)
            (body)
        }
    }
}

/// Links to other pages.
fn navigation(places: &[(&str, &str)]) -> Markup {
    html! {
        nav {
            @for (path, name) in places { a href=(path) { (name) } }
        }
    }
}
