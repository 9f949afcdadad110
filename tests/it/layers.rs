//! Layers are tested, not hoped for: no file may use a layer above its own, and no file grows past its budget.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::circles::uses;

/// What each layer may use of the crate.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("formats", &["domain", "formats"]),
    ("config", &["domain", "formats", "config"]),
    ("engine", &["domain", "formats", "engine"]),
    ("adapters", &["domain", "formats", "engine", "adapters"]),
    ("metrics", &["domain", "engine", "metrics"]),
    ("http", &["domain", "formats", "engine", "metrics", "http"]),
    ("app", &["domain", "formats", "config", "engine", "adapters", "metrics", "http", "app"]),
    ("demo", &["domain", "formats", "config", "demo"]),
    ("cli", &["domain", "formats", "config", "engine", "adapters", "metrics", "http", "app", "demo", "cli"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Crates that the pure layers may use: values, texts, and what decodes or digests bytes in memory.
const PURE: &[(&str, &[&str])] = &[
    ("domain", &["std", "serde", "jiff", "thiserror", "globset", "regex", "regex_syntax", "crate", "super", "self"]),
    (
        "formats",
        &[
            "std",
            "serde",
            "jiff",
            "thiserror",
            "regex",
            "memchr",
            "serde_json",
            "blake3",
            "bzip2",
            "flate2",
            "hcl",
            "md5",
            "quick_xml",
            "sha1",
            "sha2",
            "simd_adler32",
            "zstd_safe",
            "crate",
            "super",
            "self",
        ],
    ),
];

/// Words that mean the outside world or the clock, in the pure layers.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "tokio",
    "tracing",
];

/// Longest file without its tests.
const MAX_LINES: usize = 600;

pub fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.to_string_lossy().ends_with("tests.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    assert!(found.len() > 40);
    found
}

fn layer_of(path: &Path) -> String {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Lines of code with their number: documentation may name whatever explains best.
pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_layer_uses_one_above_it() {
    let name = Regex::new(r"\bcrate::(\w+)").unwrap();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let layer = layer_of(&path);
        let allowed = ALLOWED.iter().find(|(it, _)| *it == layer).unwrap_or_else(|| panic!("{layer} is no layer")).1;
        for (line, code) in code(&text) {
            for used in name.captures_iter(code) {
                if !allowed.contains(&&used[1]) {
                    wrong.push(format!("{}:{line}: {layer} must not use {}", path.display(), &used[1]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn adapters_do_not_know_each_other() {
    // The second word is the outside system; what a machine is belongs to everybody.
    let system =
        |it: &[String]| (it.first().is_some_and(|layer| layer == "adapters")).then(|| it.get(1).cloned()).flatten();
    let mut wrong = Vec::new();
    for (from, used) in uses() {
        let Some(own) = system(&from) else { continue };
        for to in used.iter().filter(|to| system(to).is_some_and(|its| its != own && its != "machine")) {
            wrong.push(format!("{} -> {}", from.join("::"), to.join("::")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_layers_are_pure() {
    let used = Regex::new(r"^\s*(?:pub )?use (\w+)").unwrap();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let layer = layer_of(&path);
        let Some((_, allowed)) = PURE.iter().find(|(it, _)| *it == layer) else { continue };
        for (line, code) in code(&text) {
            let foreign = used.captures(code).is_some_and(|found| !allowed.contains(&&found[1]));
            if foreign || IMPURE.iter().any(|word| code.contains(word)) {
                wrong.push(format!("{}:{line}: {}", path.display(), code.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_within_their_budget_and_say_what_they_are() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{}: {lines} lines", path.display());
        assert!(text.starts_with("//!"), "{}: a file begins with what it is", path.display());
        assert!(path.file_name().unwrap() != "mod.rs", "{}: foo.rs and foo/, never mod.rs", path.display());
    }
}
