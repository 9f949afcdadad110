use std::collections::BTreeSet;
use std::path::Path;

use super::SECRET_KEYS;
use crate::config::load;

/// Section and key of each secret in the example, those in comments too.
fn secrets_of_the_example() -> BTreeSet<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/firedrill.example.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut section, mut found) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if line.starts_with('[') && line.ends_with(']') && !line.contains(['"', '=']) {
            line.clone_into(&mut section);
        }
        if let Some((key, _)) = line.split_once(" = ")
            && SECRET_KEYS.contains(&key)
        {
            found.insert((section.clone(), key.to_owned()));
        }
    }
    found
}

/// Keys whose type is a secret, by the text of the program.
fn secrets_of_the_program() -> BTreeSet<String> {
    let field = regex::Regex::new(r"pub (\w+): (?:Option|Vec)?<?Secret(?:Url)?>?,").unwrap();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config")];
    let mut found = BTreeSet::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let text = std::fs::read_to_string(path).unwrap();
                found.extend(field.captures_iter(&text).map(|found| found[1].to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_secret_is_known_and_in_the_example() {
    let known: BTreeSet<String> = SECRET_KEYS.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(secrets_of_the_program(), known);
    let named: Vec<String> =
        secrets_of_the_example().into_iter().map(|(section, key)| format!("{section} {key}")).collect();
    let expected = [
        "[[esxi]] password",
        "[[esxi]] url",
        "[[notify.receivers]] password",
        "[[notify.receivers]] secret",
        "[[notify.receivers]] token",
        "[[notify.receivers]] url",
        "[[proxmox]] token_secret",
        "[[s3]] secret_key",
        "[store] url",
        "[webhook] token",
    ];
    assert_eq!(named, expected);
}

#[test]
fn no_secret_of_another_type_is_quoted() {
    let values =
        ["987654321", "-987654321", "98765.4321", "true", "[\"987654321\"]", "{ a = 987654321 }", "1987-06-05"];
    for (section, key) in secrets_of_the_example() {
        for value in values {
            // In its place, in the place of a number, a list or a table, and instead of the section.
            let name = section.trim_matches(['[', ']']);
            let outer = name.split('.').next().unwrap();
            for text in [
                format!("{section}\n{key} = {value}\n"),
                format!("{section}\nname = \"a\"\ntype = \"slack\"\n{key} = {value}\n"),
                format!("{section}\nname = \"a\"\ntype = \"smtp\"\nport = {value}\nto = {value}\n"),
                format!("{section}\nretention = {value}\nusers = {value}\n"),
                format!("{outer} = {value}\n"),
            ] {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), &text).unwrap();
                let Err(error) = load(Some(file.path())) else { continue };
                for told in [error.to_string(), format!("{error:?}")] {
                    let told = told.replace(&file.path().display().to_string(), "");
                    for part in ["987654321", "98765.4321", "true", "1987"] {
                        assert!(!told.contains(part), "{text}\n{told}");
                    }
                }
            }
            let text = format!("{section}\nname = \"a\"\ntype = \"slack\"\n{key} = {value}\n");
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &text).unwrap();
            assert!(load(Some(file.path())).is_err(), "{text}");
        }
    }
}
