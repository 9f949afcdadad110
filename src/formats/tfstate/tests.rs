use proptest::prelude::*;

use super::*;
use crate::domain::finding::Finding;
use crate::formats::stream::Bytes;

const STATE: &str = r#"{"version":4,"terraform_version":"1.9.5","serial":17,"lineage":"0d6c6c5e-1","outputs":{"ip":{"value":"10.0.0.7","type":"string","sensitive":true}},
 "resources":[{"module":"module.net[\"a\"]","mode":"managed","type":"proxmox_vm","name":"web","each":"map","provider":"p",
  "instances":[{"index_key":"a","attributes":{"vm_id":100}},{"index_key":"b","attributes":{}}]},
  {"mode":"data","type":"http","name":"x","instances":[]}],"check_results":null}
"#;

fn run(text: &[u8]) -> (Result<Option<StateFacts>, Stop>, Vec<Finding>) {
    let mut findings = Findings::default();
    let result = check(&mut Bytes { left: text, step: 7 }, &mut findings);
    (result, findings.into_vec())
}

fn damage(text: &str) -> (Kind, String) {
    match run(text.as_bytes()).0 {
        Err(Stop::Damaged(finding)) => (finding.kind, finding.text.to_string()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_state_says_what_it_is() {
    let (result, findings) = run(STATE.as_bytes());
    let facts = StateFacts {
        serial: 17,
        lineage: "0d6c6c5e-1".into(),
        terraform_version: "1.9.5".into(),
        resources: 1,
        instances: 2,
    };
    assert_eq!((result.unwrap(), findings), (Some(facts), Vec::new()));
    // Unknown fields are ignored; null stands for nothing.
    let (result, _) =
        run(br#"{"version":4,"serial":18446744073709551615,"lineage":"a","new":[{"x":1}],"resources":null}"#);
    assert_eq!(result.unwrap().unwrap().serial, u64::MAX);
}

#[test]
fn what_terraform_could_not_read_is_damaged() {
    for (text, kind, part) in [
        ("", Kind::Truncated, "ends in the middle"),
        ("<html><body>502</body></html>", Kind::StateUnreadable, "no state that Terraform could read"),
        ("[]", Kind::StateUnreadable, "a JSON object"),
        ("{}", Kind::StateUnreadable, "no version"),
        (r#"{"version":5,"serial":1}"#, Kind::StateUnreadable, "version 5"),
        (r#"{"version":0,"serial":1}"#, Kind::StateUnreadable, "version 0"),
        (r#"{"version":"4","serial":1}"#, Kind::StateUnreadable, "no number"),
        (r#"{"version":4,"serial":"1"}"#, Kind::StateUnreadable, "serial"),
        (r#"{"version":4,"serial":-1}"#, Kind::StateUnreadable, "serial"),
        (r#"{"version":4,"serial":1.5}"#, Kind::StateUnreadable, "serial"),
        (r#"{"version":4}"#, Kind::StateUnreadable, "serial"),
        (r#"{"version":4,"serial":1,"resources":{}}"#, Kind::StateUnreadable, "a list of resources"),
        (
            r#"{"version":4,"serial":1,"resources":[{"mode":"x","type":"t","name":"n"}]}"#,
            Kind::StateUnreadable,
            "neither managed nor data",
        ),
        (r#"{"version":4,"serial":1} {"version":4}"#, Kind::StateUnreadable, "trailing"),
    ] {
        let (found, said) = damage(text);
        assert!(found == kind && said.contains(part), "{text}: {found:?} {said}");
    }
    // Nested without end: no stack overflows.
    for (open, key) in [("[", "x"), ("{\"a\":", "x"), ("[", "resources"), ("{\"a\":", "outputs")] {
        let deep = format!(r#"{{"version":4,"serial":1,"{key}":{}"#, open.repeat(1 << 18));
        assert!(matches!(damage(&deep).0, Kind::StateUnreadable | Kind::Truncated));
    }
}

#[test]
fn every_cut_is_noticed() {
    for end in 0..STATE.trim_end().len() {
        let (result, _) = run(&STATE.as_bytes()[..end]);
        assert!(matches!(result, Err(Stop::Damaged(_))), "{end}");
    }
}

#[test]
fn what_is_worth_a_look_and_what_can_not_be_looked_into_is_said() {
    let kinds = |text: &str| -> Vec<Kind> { run(text.as_bytes()).1.iter().map(|it| it.kind).collect() };
    assert_eq!(kinds(r#"{"version":4,"serial":1,"serial":2,"lineage":"a"}"#), [Kind::StateDoubtful]);
    assert_eq!(kinds(r#"{"version":4,"serial":1}"#), [Kind::StateDoubtful]);
    let checks = r#"{"version":4,"serial":1,"lineage":"a","check_results":[{"status":"pass"},{"status":"fail"}]}"#;
    assert_eq!(kinds(checks), [Kind::StateChecks]);
    let (result, findings) =
        run(br#"{"serial":4,"lineage":"a","meta":{},"encrypted_data":"abc","encryption_version":"v0"}"#);
    assert_eq!((result.unwrap(), findings[0].kind), (None, Kind::Encrypted));
    let (result, findings) = run(br#"{"version":3,"serial":4,"modules":[]}"#);
    assert_eq!((result.unwrap(), findings[0].kind), (None, Kind::UnknownVersion));
}

#[test]
fn one_text_takes_no_more_memory_than_is_allowed() {
    let long = format!(r#"{{"version":4,"serial":1,"{}":1}}"#, "k".repeat(LONGEST_TEXT + 1));
    let mut findings = Findings::default();
    let result = check(&mut Bytes { left: long.as_bytes(), step: 1 << 16 }, &mut findings);
    assert!(matches!(result, Err(Stop::Limit(_))), "{result:?}");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..400usize) {
        let _ = run(&bytes);
        let mut state = STATE.as_bytes().to_vec();
        let at = at % state.len();
        state.splice(at..at, bytes);
        let _ = run(&state);
    }
}
