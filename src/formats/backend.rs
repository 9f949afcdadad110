//! Where a directory of Terraform keeps its state, as its files say: the `backend` block, and what `terraform init` noted.
//!
//! Sources: developer.hashicorp.com/terraform/language/backend/s3; `internal/command/workdir/backend_state.go` for the note.
//! OpenTofu takes `var.NAME` in a backend: that is looked up in defaults and `*.tfvars`.

use std::collections::BTreeMap;

use hcl::{Body, Expression};
use serde::Deserialize;

/// A backend with its settings, as texts; those of `endpoints` are called `endpoints.s3` and the like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backend {
    /// `s3`, `local` …
    pub kind: String,
    /// What it says.
    pub settings: BTreeMap<String, String>,
}

impl Backend {
    /// The key of the state of a workspace.
    pub fn key(&self, workspace: &str) -> Option<String> {
        let key = self.settings.get("key")?;
        let prefix = self.settings.get("workspace_key_prefix").map_or("env:", String::as_str);
        Some(if workspace == "default" { key.clone() } else { format!("{prefix}/{workspace}/{key}") })
    }

    /// Whether states are locked in a table of DynamoDB, which also keeps their digests.
    pub fn has_table(&self) -> bool {
        self.settings.get("dynamodb_table").is_some_and(|table| !table.is_empty())
    }
}

/// What `.terraform/terraform.tfstate` says.
pub fn noted(text: &[u8]) -> Option<Backend> {
    #[derive(Deserialize)]
    struct Note {
        backend: Noted,
    }
    #[derive(Deserialize)]
    struct Noted {
        #[serde(rename = "type")]
        kind: String,
        config: serde_json::Map<String, serde_json::Value>,
    }
    let Note { backend } = serde_json::from_slice(text).ok()?;
    let mut settings = BTreeMap::new();
    for (name, value) in backend.config {
        match value {
            serde_json::Value::Object(inner) => settings.extend(
                inner.into_iter().filter_map(|(key, value)| Some((format!("{name}.{key}"), json_text(&value)?))),
            ),
            other => settings.extend(json_text(&other).map(|text| (name, text))),
        }
    }
    Some(Backend { kind: backend.kind, settings })
}

fn json_text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Bool(it) => Some(it.to_string()),
        serde_json::Value::Number(it) => Some(it.to_string()),
        _ => None,
    }
}

/// The backend block of a configuration. `files` are its `*.tf`, `values` its `*.tfvars`, in the order in which the later ones
/// go over the earlier ones. An error names the file that can't be understood.
pub fn configured(files: &[(String, String)], values: &[(String, String)]) -> Result<Option<Backend>, String> {
    let parse = |(name, text): &(String, String)| -> Result<Body, String> {
        // Deeply nested text would take the stack of its parser.
        let depth = text.bytes().filter(|byte| matches!(byte, b'{' | b'[' | b'(')).count();
        if depth > MOST_BRACKETS {
            return Err(format!("{name}: more brackets than any configuration has"));
        }
        hcl::parse(text).map_err(|error| format!("{name}: {error}"))
    };
    let mut variables = BTreeMap::new();
    let mut found = None;
    for file in files {
        let body = parse(file)?;
        for block in body.blocks() {
            match block.identifier() {
                "variable" => {
                    let name = block.labels().first().map(|label| label.as_str().to_owned());
                    let default = block.body().attributes().find(|it| it.key() == "default");
                    variables.extend(name.zip(default.map(|it| it.expr().clone())));
                }
                "terraform" => {
                    for inner in block.body().blocks().filter(|it| it.identifier() == "backend") {
                        let kind = inner.labels().first().map(|label| label.as_str().to_owned());
                        found = kind.map(|kind| (kind, inner.body().clone()));
                    }
                }
                _ => {}
            }
        }
    }
    let Some((kind, body)) = found else { return Ok(None) };
    for file in values {
        variables.extend(parse(file)?.attributes().map(|it| (it.key().to_owned(), it.expr().clone())));
    }
    let mut settings = BTreeMap::new();
    for attribute in body.attributes() {
        match attribute.expr() {
            Expression::Object(inner) => {
                for (key, value) in inner {
                    let text = text_of(value, &variables);
                    settings.extend(text.map(|text| (format!("{}.{key}", attribute.key()), text)));
                }
            }
            other => settings.extend(text_of(other, &variables).map(|text| (attribute.key().to_owned(), text))),
        }
    }
    Ok(Some(Backend { kind, settings }))
}

/// So many brackets fit on the stack, whatever they nest.
const MOST_BRACKETS: usize = 20_000;

fn text_of(value: &Expression, variables: &BTreeMap<String, Expression>) -> Option<String> {
    match value {
        Expression::String(text) => Some(text.clone()),
        Expression::Bool(it) => Some(it.to_string()),
        Expression::Number(it) => Some(it.to_string()),
        Expression::Traversal(traversal) => {
            let is_variable = matches!(&traversal.expr, Expression::Variable(name) if name.as_str() == "var");
            match traversal.operators.as_slice() {
                // A variable can't refer to another one.
                [hcl::expr::TraversalOperator::GetAttr(name)] if is_variable => {
                    text_of(variables.get(name.as_str())?, &BTreeMap::new())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<(String, String)> {
        vec![("main.tf".to_owned(), text.to_owned())]
    }

    const BLOCK: &str = r#"
        variable "bucket" { default = "from-default" }
        variable "endpoint" {}
        terraform {
          required_version = ">= 1.10"
          backend "s3" {
            bucket    = var.bucket
            key       = "net/terraform.tfstate"
            endpoints = { s3 = var.endpoint }
            use_path_style = true # as MinIO wants it
            use_lockfile   = local.unknown
          }
        }"#;

    #[test]
    fn a_backend_is_found_with_its_settings() {
        let found = configured(&file(BLOCK), &file("endpoint = \"http://minio:9000\"\n")).unwrap().unwrap();
        let settings: Vec<(&str, &str)> = found.settings.iter().map(|(key, value)| (&**key, &**value)).collect();
        let expected = [
            ("bucket", "from-default"),
            ("endpoints.s3", "http://minio:9000"),
            ("key", "net/terraform.tfstate"),
            ("use_path_style", "true"),
        ];
        assert_eq!((found.kind.as_str(), settings.as_slice()), ("s3", expected.as_slice()));
        assert_eq!(found.key("default").as_deref(), Some("net/terraform.tfstate"));
        assert_eq!(found.key("prod").as_deref(), Some("env:/prod/net/terraform.tfstate"));
        let over = configured(&file(BLOCK), &file("bucket = \"b\"\nendpoint = \"e\"\n")).unwrap().unwrap();
        assert_eq!(over.settings["bucket"], "b");
    }

    #[test]
    fn what_init_noted_is_understood() {
        let text = br#"{"version":3,"terraform_version":"1.15.5","backend":{"type":"s3","hash":1,
            "config":{"bucket":"tfstate","key":"k","endpoints":{"s3":"http://h:1","iam":null},"use_path_style":true,"assume_role":null}}}"#;
        let found = noted(text).unwrap();
        assert_eq!((found.kind.as_str(), &*found.settings["endpoints.s3"]), ("s3", "http://h:1"));
        assert_eq!((&*found.settings["bucket"], found.settings.len()), ("tfstate", 4));
        assert_eq!(noted(b"{\"version\":3}"), None);
        assert_eq!(noted(b"<html>"), None);
    }

    #[test]
    fn what_cannot_be_understood_names_its_file() {
        assert_eq!(configured(&file("resource \"a\" \"b\" {}\n"), &[]), Ok(None));
        let error = configured(&file("terraform {"), &[]).unwrap_err();
        assert!(error.starts_with("main.tf: "), "{error}");
        // As deep as is allowed: the parser has to survive it on a small stack.
        let deep =
            |open: &str, close: &str| format!("a = {}1{}\n", open.repeat(MOST_BRACKETS), close.repeat(MOST_BRACKETS));
        for (open, close) in [("[", "]"), ("(", ")"), ("{ a = ", "}")] {
            let _ = configured(&file(&deep(open, close)), &[]);
        }
        for nested in ["[".repeat(500_000), format!("a = {}1{}", "(".repeat(300_000), ")".repeat(300_000))] {
            assert!(configured(&file(&nested), &[]).is_err());
        }
    }
}
