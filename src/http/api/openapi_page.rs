//! `GET /api`: the OpenAPI document for people, without scripts and without anything from elsewhere.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use serde_json::Value;

use super::super::page;
use super::openapi;
use crate::domain::html::escaped;

static PAGE: LazyLock<page::Page> = LazyLock::new(|| {
    let document = serde_json::to_value(openapi::openapi()).unwrap_or_default();
    page::Page::without_script("API", STYLE, &body(&document))
});

const STYLE: &str = "code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; } \
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; overflow-wrap: anywhere; } .method { font-weight: 700; } .post { color: #ad5700; } .get { color: #0b68cb; } \
@media (prefers-color-scheme: dark) { .post { color: #f1a10d; } .get { color: #52a9ff; } } td { overflow-wrap: anywhere; } table + table { margin-top: .8rem; }";

pub(super) async fn page() -> impl IntoResponse {
    PAGE.answer()
}

fn body(document: &Value) -> String {
    let mut html = format!("<h1>firedrill API</h1>\n<p>{}</p>\n", text(&document["info"]["description"]));
    html.push_str(
        "<p>The same for programs: <a href=\"/api/openapi.json\">/api/openapi.json</a> (OpenAPI 3.1). \
         <a href=\"/actions\">/actions</a> is a page on top of it.</p>\n<h2>Who one is</h2>\n\
         <p>A token, made by <code>firedrill token create NAME --role viewer</code>, or a user of the web config file.</p>\n\
         <pre>curl -H \"Authorization: Bearer $TOKEN\" http://HOST:10042/api/v1/me\n\
         curl -u alice http://HOST:10042/api/v1/me</pre>\n<h2>Paths</h2>\n",
    );
    for (path, methods) in entries(&document["paths"]) {
        for (method, operation) in entries(methods) {
            write_operation(&mut html, path, method, operation);
        }
    }
    html.push_str("<h2>Schemas</h2>\n");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        write_schema(&mut html, name, schema);
    }
    html
}

fn write_operation(html: &mut String, path: &str, method: &str, operation: &Value) {
    let upper = method.to_uppercase();
    let shown = escaped(path);
    html.push_str(&format!("<h3><span class=\"method {method}\">{upper}</span> <code>{shown}</code></h3>\n"));
    html.push_str(&format!("<p>{}</p>\n", text(&operation["summary"])));
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        html.push_str("<table><tr><th>parameter<th>in<th>type<th>meaning</tr>\n");
        for it in parameters {
            let (name, place, kind) = (text(&it["name"]), text(&it["in"]), type_of(&it["schema"]));
            let meaning = text(&it["description"]);
            html.push_str(&format!("<tr><td><code>{name}</code><td>{place}<td>{kind}<td>{meaning}</tr>\n"));
        }
        html.push_str("</table>\n");
    }
    html.push_str("<table><tr><th>status<th>body<th>when</tr>\n");
    for (status, response) in entries(&operation["responses"]) {
        let body = type_of(&response["content"]["application/json"]["schema"]);
        let when = text(&response["description"]);
        html.push_str(&format!("<tr><td>{}<td>{body}<td>{when}</tr>\n", escaped(status)));
    }
    html.push_str("</table>\n");
    let how = if method == "get" { String::new() } else { format!("-X {upper} ") };
    let example = escaped(&path.replace("{id}", "17"));
    html.push_str(&format!("<pre>curl {how}-H \"Authorization: Bearer $TOKEN\" http://HOST:10042{example}</pre>\n"));
}

fn write_schema(html: &mut String, name: &str, schema: &Value) {
    let shown = escaped(name);
    html.push_str(&format!("<h3 id=\"{shown}\"><code>{shown}</code></h3>\n<p>{}</p>\n", text(&schema["description"])));
    html.push_str("<table><tr><th>field<th>type<th>meaning</tr>\n");
    let parts = schema["allOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
    for part in parts {
        if part["$ref"].is_string() {
            html.push_str(&format!("<tr><td>…<td>{}<td>all of its fields</tr>\n", type_of(part)));
        }
        for (field, its) in entries(&part["properties"]) {
            let (field, kind, meaning) = (escaped(field), type_of(its), text(&its["description"]));
            html.push_str(&format!("<tr><td><code>{field}</code><td>{kind}<td>{meaning}</tr>\n"));
        }
    }
    html.push_str("</table>\n");
}

/// A type in words, with links to schemas.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(any) = schema["oneOf"].as_array() {
        return any.iter().map(type_of).collect::<Vec<_>>().join(" or ");
    }
    let one = |name: &str| match (name, schema["format"].as_str()) {
        ("array", _) => format!("list of {}", type_of(&schema["items"])),
        ("object", _) => match &schema["additionalProperties"] {
            Value::Null => "object".to_owned(),
            values => format!("map to {}", type_of(values)),
        },
        ("null", _) => "null".to_owned(),
        (name, Some(format)) => format!("{} ({})", escaped(name), escaped(format)),
        (name, None) => escaped(name),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}
