//! `GET /api`: the OpenAPI document for people, without scripts and without anything from elsewhere.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use maud::{Markup, html};
use serde_json::Value;

use super::fixed::Page;

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    Page::without_script("API", STYLE, &body(&serde_json::to_value(crate::http::api::document()).unwrap_or_default()))
});

const STYLE: &str = "code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; } \
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; overflow-wrap: anywhere; } .method { font-weight: 700; } .post { color: #ad5700; } .get { color: #0b68cb; } \
@media (prefers-color-scheme: dark) { .post { color: #f1a10d; } .get { color: #52a9ff; } } td { overflow-wrap: anywhere; } table + table { margin-top: .8rem; }";

pub(in crate::http) async fn page() -> impl IntoResponse {
    PAGE.answer()
}

fn body(document: &Value) -> Markup {
    html! {
        h1 { "firedrill API" }
        p { (text(&document["info"]["description"])) }
        p {
            "The same for programs: " a href="/api/openapi.json" { "/api/openapi.json" } " (OpenAPI 3.1). "
            a href="/actions" { "/actions" } " is a page on top of it."
        }
        h2 { "Who one is" }
        p {
            "A token, made by " code { "firedrill token create NAME --role viewer" } ", or a user of the web config file."
        }
        pre {
            "curl -H \"Authorization: Bearer $TOKEN\" http://HOST:10042/api/v1/me\n"
            "curl -u alice http://HOST:10042/api/v1/me"
        }
        h2 { "Paths" }
        @for (path, methods) in entries(&document["paths"]) {
            @for (method, its) in entries(methods) { (operation(path, method, its)) }
        }
        h2 { "Schemas" }
        @for (name, its) in entries(&document["components"]["schemas"]) { (schema(name, its)) }
    }
}

fn operation(path: &str, method: &str, its: &Value) -> Markup {
    let upper = method.to_uppercase();
    let parameters = its["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let how = if method == "get" { String::new() } else { format!("-X {upper} ") };
    let example = path.replace("{id}", "17");
    html! {
        h3 { span class={ "method " (method) } { (upper) } " " code { (path) } }
        p { (text(&its["summary"])) }
        @if !parameters.is_empty() {
            table {
                tr { th { "parameter" } th { "in" } th { "type" } th { "meaning" } }
                @for it in parameters {
                    tr {
                        td { code { (text(&it["name"])) } }
                        td { (text(&it["in"])) }
                        td { (type_of(&it["schema"])) }
                        td { (text(&it["description"])) }
                    }
                }
            }
        }
        table {
            tr { th { "status" } th { "body" } th { "when" } }
            @for (status, response) in entries(&its["responses"]) {
                tr {
                    td { (status) }
                    td { (type_of(&response["content"]["application/json"]["schema"])) }
                    td { (text(&response["description"])) }
                }
            }
        }
        pre { "curl " (how) "-H \"Authorization: Bearer $TOKEN\" http://HOST:10042" (example) }
    }
}

fn schema(name: &str, its: &Value) -> Markup {
    let parts = its["allOf"].as_array().map_or(std::slice::from_ref(its), Vec::as_slice);
    html! {
        h3 id=(name) { code { (name) } }
        p { (text(&its["description"])) }
        table {
            tr { th { "field" } th { "type" } th { "meaning" } }
            @for part in parts {
                @if part["$ref"].is_string() {
                    tr { td { "…" } td { (type_of(part)) } td { "all of its fields" } }
                }
                @for (field, its) in entries(&part["properties"]) {
                    tr {
                        td { code { (field) } }
                        td { (type_of(its)) }
                        td { (text(&its["description"])) }
                    }
                }
            }
        }
    }
}

/// A type in words, with links to schemas.
fn type_of(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return html! { a href={ "#" (name) } { (name) } };
    }
    if let Some(any) = schema["oneOf"].as_array() {
        return alternatives(any.iter().map(type_of));
    }
    let one = |name: &str| match (name, schema["format"].as_str()) {
        ("array", _) => html! { "list of " (type_of(&schema["items"])) },
        ("object", _) => match &schema["additionalProperties"] {
            Value::Null => html! { "object" },
            values => html! { "map to " (type_of(values)) },
        },
        (name, Some(format)) if name != "null" => html! { (name) " (" (format) ")" },
        (name, _) => html! { (name) },
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => alternatives(names.iter().filter_map(Value::as_str).map(one)),
        _ => html! {},
    }
}

fn alternatives(all: impl Iterator<Item = Markup>) -> Markup {
    html! {
        @for (index, one) in all.enumerate() {
            @if index > 0 { " or " }
            (one)
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
