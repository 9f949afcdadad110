//! Tests of the document: it says what the router does.

use serde_json::Value;

fn document() -> Value {
    serde_json::to_value(super::document()).unwrap()
}

#[test]
fn each_path_has_one_method() {
    // What else is asked of it is answered with the header Allow.
    for (path, methods) in document()["paths"].as_object().unwrap() {
        assert_eq!(methods.as_object().unwrap().len(), 1, "{path}");
    }
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
