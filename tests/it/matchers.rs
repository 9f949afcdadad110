//! Matchers of rules against those of a real Alertmanager: `amtool` tests its routes with the same parser and labels.
//!
//! The one of Debian has the classic parser alone; a newer one is asked the same questions.

use std::process::Command;

use firedrill::domain::automation::matcher::{Matcher, Operator};
use firedrill::formats::matchers;

/// What is expected of a matcher, beside the same answers.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Both read it.
    Both,
    /// Both refuse it.
    Neither,
    /// Alertmanager reads it since 0.27.
    Newer,
    /// Alertmanager reads it and firedrill does not: two meanings, or a regular expression that Rust hasn't.
    RefusedHere,
}
use Kind::{Both, Neither, Newer, RefusedHere};

const MATCHERS: &[(&str, Kind)] = &[
    ("a = b", Both),
    ("a=b", Both),
    ("  a  =  b  ", Both),
    ("a=\"b\"", Both),
    ("a != b", Both),
    ("a=~b", Both),
    ("a!~b", Both),
    ("a=~\"b|c\"", Both),
    ("a=~b|c", Both),
    ("a=~\".*\"", Both),
    ("a=~\".+\"", Both),
    ("a!~\".+\"", Both),
    ("a=\"\"", Both),
    ("a!=\"\"", Both),
    ("a=~\"\"", Both),
    ("missing=\"\"", Both),
    ("missing!=\"\"", Both),
    ("missing=~\"x?\"", Both),
    ("missing!=x", Both),
    ("severity != \"none\", alertname = \"Other\"", Both),
    ("severity!=none,alertname!=Other", Both),
    ("{severity=\"critical\"}", Both),
    ("{severity=\"critical\", alertname=~\"F.*\"}", Both),
    ("{a=b,}", Both),
    ("a=b,", Both),
    ("a=b , ", Both),
    ("{a=b", Both),
    ("a=b}", Both),
    ("a=\"b,c\"", Both),
    ("a=\"b}\"", Both),
    ("a=~\"b,c|d\"", Both),
    ("a=~\"x\\\\.y\"", Both),
    ("a=~\"x\\.y\"", Both),
    ("a=~x\\.y", Both),
    ("a=~\"x.y\"", Both),
    ("a=~\"\\\\d+\"", Both),
    ("a=~\"\\d+\"", Both),
    ("a=~\"\\\\w+\"", Both),
    ("a=~\"\\\\s\"", Both),
    ("a=~\"(?i)B\"", Both),
    ("a=~\"(?s)x.y\"", Both),
    ("a=~\"[^b]\"", Both),
    ("a=~\"[[:alpha:]]\"", Both),
    ("a=~\"\\\\p{Greek}+\"", Both),
    ("a=~\"\\\\<b\\\\>\"", Both),
    ("a=~\"x\\\\b.*\"", Both),
    ("a=~\"x{1,2}\"", Both),
    ("a=~\"^b$\"", Both),
    ("a=~\"b$|^c\"", Both),
    ("msg != \"say \\\"hi\\\"\"", Both),
    ("msg = \"say \\\"hi\\\"\"", Both),
    ("msg=\"one\\ntwo\"", Both),
    ("msg=~\"one.two\"", Both),
    ("msg=\"back\\\\slash\"", Both),
    ("msg=\"back\\slash\"", Both),
    ("msg=back\\slash", Both),
    ("msg=\"größe\"", Both),
    ("msg=größe", Both),
    ("a == b", Both),
    ("a='b'", Both),
    ("a = b c", Both),
    ("a = b}c", Both),
    ("a:b=c", Both),
    ("_a=b", Both),
    ("source =~ \"cluster|offsite\", item =~ \"qemu/\\\\d+\", item != \"qemu/100\"", Both),
    ("a", Neither),
    ("a ! b", Neither),
    ("= b", Neither),
    ("a b = c", Neither),
    ("a != processing,speech", Neither),
    ("a = \"b", Neither),
    ("a = b\"", Neither),
    ("a = \"b\"c\"", Neither),
    ("a=b,,c=d", Neither),
    (",a=b", Neither),
    ("a =~ \"(\"", Neither),
    ("a =~ \"*b\"", Neither),
    ("a =~ \"b**\"", Neither),
    ("a =~ \"b{1001}\"", Neither),
    ("a =~ \"(?x)b\"", Neither),
    ("a =~ \"(?=b)\"", Neither),
    ("a =~ \"(b)\\\\1\"", Neither),
    ("a =~ \"\\\\pletter\"", Neither),
    ("a =~ \"\\\\p{letter}\"", Neither),
    ("a =~ \"\\\\q\"", Neither),
    ("a =~ \"[c-b]\"", Neither),
    ("\"a b\" = c", Newer),
    ("größe = x", Newer),
    ("1a = x", Newer),
    ("a-b = x", Newer),
    ("\"a\" = \"\\u0062\"", Newer),
    (" { a = b } ", Newer),
    ("a = \"\\t\"", RefusedHere),
    ("a =~ \"\\x62\"", RefusedHere),
    ("{a=b} ", RefusedHere),
    ("{}", RefusedHere),
    ("a =~ \"[[]\"", RefusedHere),
    ("a =~ \"[b&&c]\"", RefusedHere),
    ("a =~ \"b{ 2 }\"", RefusedHere),
    ("a =~ \"b)|(c\"", RefusedHere),
    ("a =~ \"\\\\Qb\\\\E\"", RefusedHere),
];

const LABELS: &[&[(&str, &str)]] = &[
    &[],
    &[("a", "b")],
    &[("a", "c")],
    &[("a", "")],
    &[("a", "B")],
    &[("a", "bb")],
    &[("a", "b,c")],
    &[("a", "b}")],
    &[("a", "= b")],
    &[("a", "'b'")],
    &[("a", "b c")],
    &[("a", "x.y")],
    &[("a", "x-y")],
    &[("a", "x\ny")],
    &[("a", "x\\.y")],
    &[("a", "12")],
    &[("a", "٣")],
    &[("a", "ß")],
    &[("a", "xß")],
    &[("a", "αβγ")],
    &[("a", "<b>")],
    &[("a", "\u{a0}")],
    &[("a", " ")],
    &[("a", "xx"), ("severity", "critical")],
    &[("severity", "critical"), ("alertname", "FiredrillBackupLate")],
    &[("severity", "none"), ("alertname", "Other")],
    &[("severity", "warning"), ("alertname", "Other"), ("a", "b")],
    &[("msg", "say \"hi\"")],
    &[("msg", "one\ntwo")],
    &[("msg", "back\\slash")],
    &[("msg", "größe"), ("_a", "b")],
    &[("source", "cluster"), ("item", "qemu/109"), ("a:b", "c")],
    &[("source", "offsite"), ("item", "qemu/100"), ("a", "b}c")],
];

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A configuration with a route for each matcher; its receiver is called by the matcher's place.
fn configuration(wanted: &[usize]) -> String {
    let mut text = "receivers:\n- name: none\n".to_owned();
    for place in wanted {
        text += &format!("- name: r{place}\n");
    }
    text += "route:\n  receiver: none\n  routes:\n";
    for place in wanted {
        let matcher = quoted(MATCHERS[*place].0);
        text += &format!("  - {{receiver: r{place}, continue: true, matchers: [{matcher}]}}\n");
    }
    text
}

/// Whether Alertmanager would start with these.
fn accepts(directory: &std::path::Path, wanted: &[usize]) -> bool {
    let file = directory.join("alertmanager.yml");
    std::fs::write(&file, configuration(wanted)).unwrap();
    Command::new("amtool").arg("check-config").arg(&file).output().unwrap().status.success()
}

#[test]
fn every_matcher_means_what_alertmanager_means() {
    let directory = tempfile::tempdir().unwrap();
    let mut accepted = Vec::new();
    for (place, (text, kind)) in MATCHERS.iter().enumerate() {
        let there = accepts(directory.path(), &[place]);
        let here = matchers::parse(text);
        match kind {
            Both => assert!(there && here.is_ok(), "{text}: {there}, {here:?}"),
            Neither => assert!(!there && here.is_err(), "{text}: {there}, {here:?}"),
            Newer => assert!(here.is_ok(), "{text}: {here:?}"),
            RefusedHere => assert!(there && here.is_err(), "{text}: {there}, {here:?}"),
        }
        if there && here.is_ok() {
            accepted.push(place);
        }
    }
    assert!(accepted.len() >= 60 && LABELS.len() >= 20);
    assert!(accepts(directory.path(), &accepted));
    let file = format!("--config.file={}", directory.path().join("alertmanager.yml").display());
    for labels in LABELS {
        let arguments =
            labels.iter().map(|(name, value)| Matcher::new(name, Operator::Equal, value).unwrap().to_string());
        let output = Command::new("amtool").args(["config", "routes", "test", &file]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{labels:?}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let told: Vec<&str> = told.trim().split(',').filter(|name| *name != "none").collect();
        let value = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
        let holds = |place: &&usize| {
            matchers::parse(MATCHERS[**place].0).unwrap().iter().all(|matcher| matcher.holds(value(matcher.label())))
        };
        let ours: Vec<String> = accepted.iter().filter(holds).map(|place| format!("r{place}")).collect();
        for place in &accepted {
            let name = format!("r{place}");
            let there = told.contains(&name.as_str());
            assert_eq!(ours.contains(&name), there, "{} on {labels:?}: Alertmanager says {there}", MATCHERS[*place].0);
        }
    }
}
