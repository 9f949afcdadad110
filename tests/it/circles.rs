//! No circle of files: if a file uses another one, that one doesn't use it, not through others either.
//!
//! A file `foo.rs` and what lies in `foo/` are one room: what is inside may use what the file defines, but siblings inside use each
//! other in one direction only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;

use crate::layers::{code, sources};

/// A module: its path within the crate, such as `["domain", "proof", "book"]`.
pub type Module = Vec<String>;

/// Which modules each module uses.
pub type Uses = BTreeMap<Module, BTreeSet<Module>>;

fn module_of(path: &Path) -> Module {
    let relative = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().with_extension("");
    relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// Paths that a text names: those of `use` with their braces taken apart, and those that stand elsewhere.
fn paths(text: &str) -> Vec<String> {
    let text: String = code(text).flat_map(|(_, line)| [line, "\n"]).collect();
    let uses = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?use ([^;]+);").unwrap();
    let mut found: Vec<String> = uses.captures_iter(&text).flat_map(|it| branches(&it[1])).collect();
    let inline = Regex::new(r"\b(?:crate|super|self)(?:::\w+)+").unwrap();
    found.extend(inline.find_iter(&uses.replace_all(&text, "")).map(|it| it.as_str().to_owned()));
    found
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn branches(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((stem, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inner = rest.rsplit_once('}').expect("braces come in pairs").0;
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for it in inner.chars() {
        depth += i32::from(it == '{') - i32::from(it == '}');
        if it == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(it);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| branches(part)).map(|branch| format!("{}{branch}", stem.trim())).collect()
}

/// The module that a path in `here` leads to.
fn target(path: &str, here: &Module, all: &BTreeSet<Module>) -> Option<Module> {
    let mut words = path.split("::").map(|word| word.split_whitespace().next().unwrap_or_default());
    let mut at: Module = match words.next()? {
        "crate" => Vec::new(),
        "self" => here.clone(),
        "super" => here[..here.len() - 1].to_vec(),
        _ => return None,
    };
    for word in words {
        match word {
            "super" => drop(at.pop()),
            _ if all.contains(&[&at[..], &[word.to_owned()]].concat()) => at.push(word.to_owned()),
            _ => break,
        }
    }
    all.contains(&at).then_some(at)
}

pub fn uses() -> Uses {
    let texts: BTreeMap<Module, String> = sources().into_iter().map(|(path, text)| (module_of(&path), text)).collect();
    let all: BTreeSet<Module> = texts.keys().cloned().collect();
    let declared = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?mod (\w+);").unwrap();
    let of = |(here, text): (&Module, &String)| {
        let named = paths(text).into_iter().filter_map(|path| target(&path, here, &all));
        let inside = declared.captures_iter(text).map(|it| [&here[..], &[it[1].to_owned()]].concat());
        let inside: Vec<Module> = inside.filter(|it| all.contains(it)).collect();
        // What is around a file is its own room.
        let others = named.chain(inside).filter(|it| !here.starts_with(it));
        (here.clone(), others.collect())
    };
    texts.iter().map(of).collect()
}

/// What can be reached from a module.
fn reach<'a>(from: &'a Module, uses: &'a Uses) -> BTreeSet<&'a Module> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(it) = open.pop() {
        for next in uses.get(it).into_iter().flatten() {
            if found.insert(next) {
                open.push(next);
            }
        }
    }
    found
}

/// Groups of modules each of which reaches all others.
fn circles(uses: &Uses) -> Vec<Vec<String>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = uses.keys().map(|it| (it, reach(it, uses))).collect();
    let mut found: Vec<Vec<String>> = Vec::new();
    let mut seen = BTreeSet::new();
    for (it, its) in &reached {
        if its.contains(*it) && !seen.contains(*it) {
            let members: Vec<&Module> = its.iter().copied().filter(|other| reached[*other].contains(*it)).collect();
            let ties = members.iter().flat_map(|from| {
                let to = uses[*from].iter().filter(|to| members.contains(to));
                to.map(|to| format!("{} -> {}", from.join("::"), to.join("::")))
            });
            found.push(ties.collect());
            seen.extend(members.iter().copied().cloned());
        }
    }
    found
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let found = circles(&uses());
    assert!(found.is_empty(), "{} circles: {found:#?}", found.len());
}

#[test]
fn a_circle_is_found_through_others() {
    let module = |name: &str| vec![name.to_owned()];
    let tree = |ties: &[(&str, &str)]| {
        let mut uses = Uses::new();
        for (from, to) in ties {
            uses.entry(module(from)).or_default().insert(module(to));
            uses.entry(module(to)).or_default();
        }
        uses
    };
    assert!(circles(&tree(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circles(&tree(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])).len(), 1);
}

#[test]
fn paths_are_taken_apart() {
    let text = "use crate::a::{self, b::{C, D as E}};\n// crate::no\nfn f() -> super::x::Y { crate::z::g() }";
    let found = paths(text);
    assert_eq!(found, ["crate::a::self", "crate::a::b::C", "crate::a::b::D as E", "super::x::Y", "crate::z::g"]);
}
