//! Pages that carry everything they need: one style, at most one script, both named by their digest in the policy, so
//! that nothing else runs whatever text gets into the page.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::{PLACES, STYLE, document, head, navigation};

/// A page that is the same for everybody.
pub(super) struct Page {
    html: String,
    policy: String,
}

impl Page {
    /// A page without a script.
    pub(super) fn without_script(title: &str, style: &str, body: &Markup) -> Self {
        Self::new(title, style, body, "")
    }

    /// A page with a script.
    pub(super) fn new(title: &str, style: &str, body: &Markup, script: &str) -> Self {
        let style = format!("{STYLE}{style}");
        let script_source = if script.is_empty() { "'none'".to_owned() } else { digest(script) };
        let policy = format!(
            "default-src 'none'; script-src {script_source}; style-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            digest(&style)
        );
        let head = head(&format!("firedrill: {title}"), &style, &html! { link rel="icon" href="data:,"; });
        let body = html! {
            main {
                (navigation(&PLACES))
                (body)
            }
            @if !script.is_empty() { script { (PreEscaped(script)) } }
        };
        Self { html: document(&head, &body).into_string(), policy }
    }

    pub(super) fn answer(&'static self) -> Response {
        let fixed = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, self.policy.as_str()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (fixed, self.html.as_str()).into_response()
    }
}

fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_what_stands_in_the_page() {
        let page = Page::new("t", "b > c {}", &html! { p {} }, "let a = 1 < 2;");
        let script = page.html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
        assert!(page.policy.contains(&format!("script-src {};", digest(script))));
        let style = page.html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(style.contains("--line") && page.policy.contains(&format!("style-src {};", digest(style))));
        assert!(Page::without_script("t", "", &html! {}).policy.contains("script-src 'none';"));
    }
}
