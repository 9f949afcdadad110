//! What is bold, and what is code: within code Telegram looks for no names, commands, tags or links.
//!
//! Texts from outside are code, whichever way the message is sent: as HTML, or as plain text with a list of entities where the
//! HTML is refused.

use serde_json::{Value, json};

use super::split::units;
use crate::domain::html::escaped_for_chat as escaped;

/// A part of a text, and how it looks.
#[derive(Debug, PartialEq, Eq)]
struct Run<'a> {
    text: &'a str,
    look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Ours: as it is.
    Plain,
    Bold,
    Code,
    /// Several lines of code.
    Block,
}

/// What of a part isn't from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own<'a> {
    /// What it begins with.
    pub(super) mark: Option<&'a str>,
    /// A link that it ends with.
    pub(super) link: Option<&'a str>,
}

/// A part that was cut already, so that no entity is cut in two.
fn runs<'a>(text: &'a str, own: Own<'_>) -> Vec<Run<'a>> {
    let mut runs = Vec::new();
    let ending =
        |text: &'a str, link: &str| text.strip_suffix(link).filter(|rest| rest.is_empty() || rest.ends_with('\n'));
    let (mut rest, link) = match own.link.and_then(|link| ending(text, link)) {
        Some(before) => (before.strip_suffix('\n').unwrap_or(before), &text[before.len()..]),
        None => (text, ""),
    };
    if let Some((mark, after)) =
        own.mark.and_then(|mark| rest.strip_prefix(mark).map(|after| (&rest[..mark.len()], after)))
    {
        runs.push(Run { text: mark, look: Look::Bold });
        let (title, body) = after.split_once('\n').unwrap_or((after, ""));
        let title = title.strip_prefix(": ").map_or(title, |title| {
            runs.push(Run { text: ": ", look: Look::Plain });
            title
        });
        runs.push(Run { text: title, look: Look::Code });
        runs.push(Run { text: if body.is_empty() { "" } else { "\n" }, look: Look::Plain });
        rest = body;
    }
    runs.push(Run { text: rest, look: Look::Block });
    if !link.is_empty() {
        let before = runs.iter().any(|run| !run.text.is_empty());
        runs.push(Run { text: if before { "\n" } else { "" }, look: Look::Plain });
        runs.push(Run { text: link, look: Look::Plain });
    }
    runs.retain(|run| !run.text.is_empty());
    runs
}

/// As HTML.
pub(super) fn html(text: &str, own: Own<'_>) -> String {
    let of = |run: &Run<'_>| {
        let text = escaped(run.text);
        match run.look {
            Look::Plain => text,
            Look::Bold => format!("<b>{text}</b>"),
            Look::Code => format!("<code>{text}</code>"),
            Look::Block => format!("<pre>{text}</pre>"),
        }
    };
    runs(text, own).iter().map(of).collect()
}

/// The text as it is, and the list of what is which.
pub(super) fn plain(text: &str, own: Own<'_>) -> (String, Value) {
    let (mut whole, mut entities) = (String::new(), Vec::new());
    for run in runs(text, own) {
        let kind = match run.look {
            Look::Plain => None,
            Look::Bold => Some("bold"),
            Look::Code => Some("code"),
            Look::Block => Some("pre"),
        };
        if let Some(kind) = kind {
            entities.push(json!({ "type": kind, "offset": units(&whole), "length": units(run.text) }));
        }
        whole.push_str(run.text);
    }
    (whole, Value::Array(entities))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Own<'static> = Own { mark: Some("WARNING"), link: Some("https://example.org/a") };

    #[test]
    fn what_outsiders_wrote_is_code() {
        let text = "WARNING: @channel <b>\n/stop #tag\nwww.evil.example\nhttps://example.org/a";
        assert_eq!(
            html(text, OWN),
            "<b>WARNING</b>: <code>@channel &lt;b&gt;</code>\n<pre>/stop #tag\nwww.evil.example</pre>\nhttps://example.org/a"
        );
        assert_eq!(html("WARNING: a", OWN), "<b>WARNING</b>: <code>a</code>");
        // Further parts are code as well, and so is a link that isn't ours.
        assert_eq!(html("more @all", Own::default()), "<pre>more @all</pre>");
        assert_eq!(html("https://example.org/a", Own { mark: None, ..OWN }), "https://example.org/a");
        assert_eq!(html("nothttps://example.org/a", Own { mark: None, ..OWN }), "<pre>nothttps://example.org/a</pre>");
        assert_eq!(
            html("WARNING: a\nhttps://example.org/a", OWN),
            "<b>WARNING</b>: <code>a</code>\nhttps://example.org/a"
        );
    }

    #[test]
    fn without_html_the_same_is_said_by_a_list() {
        let text = "WARNING: 🚀 @a\n@b";
        let (same, entities) = plain(text, Own { link: None, ..OWN });
        assert_eq!(same, text);
        let expected = json!([
            { "type": "bold", "offset": 0, "length": 7 },
            { "type": "code", "offset": 9, "length": 5 },
            { "type": "pre", "offset": 15, "length": 2 },
        ]);
        assert_eq!(entities, expected);
    }
}
