//! Tests of the document: it says what the router does.

use serde_json::Value;

use super::*;

fn document() -> Value {
    serde_json::to_value(openapi::openapi()).unwrap()
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let document = document();
    let mut documented: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut routed: Vec<&str> = routes().iter().map(|route| route.path).collect();
    documented.sort_unstable();
    routed.sort_unstable();
    assert_eq!(documented, routed);
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for (_, rest) in text.match_indices("\"$ref\":\"#").map(|(at, found)| (at, &text[at + found.len()..])) {
        let pointer = rest.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap();
            for needed in ["200", "400", "401", "403", "503"] {
                assert!(statuses.contains_key(needed), "{method} {path} lacks {needed}");
            }
        }
    }
}
