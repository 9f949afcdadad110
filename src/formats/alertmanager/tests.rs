use proptest::prelude::*;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/alertmanager/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn payload(alerts: &str) -> String {
    format!(r#"{{"version":"4","groupKey":"g","receiver":"r","status":"firing","alerts":[{alerts}]}}"#)
}

const GOOD: &str =
    r#"{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-21T03:39:14.26Z","fingerprint":"472e32bf361f96cc"}"#;

#[test]
fn what_a_real_alertmanager_sent() {
    let (firing, malformed) = parse(&fixture("am_payload.json")).unwrap();
    assert!(malformed.is_empty());
    assert_eq!((&*firing.receiver, firing.truncated, firing.alerts.len()), ("hook", 0, 1));
    let alert = &firing.alerts[0];
    assert_eq!((alert.status, alert.label("job_name")), (Status::Firing, "vm101"));
    assert_eq!(alert.starts_at, "2026-11-21T03:39:14.26Z".parse().unwrap());
    let (resolved, _) = parse(&fixture("am_payload_resolved.json")).unwrap();
    assert_eq!(resolved.alerts[0].status, Status::Resolved);
    assert_eq!((&resolved.alerts[0].fingerprint, resolved.alerts[0].starts_at), (&alert.fingerprint, alert.starts_at));
    // When it ended is said of what is over.
    assert_eq!(alert.ends_at, None);
    assert!(resolved.alerts[0].ends_at.is_some_and(|end| end > alert.starts_at));
}

#[test]
fn an_end_that_is_none_is_no_reason_to_refuse_an_alert() {
    for end in [r#""0001-01-01T00:00:00Z""#, r#""soon""#, "7", "null", r#""2026-11-21T03:39:14.25Z""#] {
        let over = GOOD.replace("firing", "resolved").replace("\"labels\"", &format!("\"endsAt\":{end},\"labels\""));
        let (told, malformed) = parse(payload(&over).as_bytes()).unwrap();
        assert_eq!((told.alerts[0].ends_at, malformed.len()), (None, 0), "{end}");
    }
}

#[test]
fn receivers_come_quoted() {
    let text = payload(GOOD).replace(r#""receiver":"r""#, r#""receiver":"back\\.up\\-1""#);
    assert_eq!(&*parse(text.as_bytes()).unwrap().0.receiver, "back.up-1");
}

#[test]
fn unknown_fields_are_passed_over_and_other_versions_refused() {
    let newer = payload(GOOD).replace("{\"version\"", r#"{"notification_reason":"x","routeLabels":{},"version""#);
    assert!(parse(newer.as_bytes()).is_ok());
    let fifth = payload(GOOD).replace("\"4\"", "\"5\"");
    assert_eq!(parse(fifth.as_bytes()), Err(PayloadError::Version("5".to_owned())));
    assert_eq!(parse(br#"{"version":"3","alert":[]}"#), Err(PayloadError::Version("3".to_owned())));
    for none in ["", "{", "[]", "{}", "null", "\"4\"", r#"{"version":"4"}"#, r#"{"alerts":[]}"#] {
        assert!(matches!(parse(none.as_bytes()), Err(PayloadError::Shape(_))), "{none}");
    }
}

#[test]
fn one_bad_alert_does_not_take_the_others_with_it() {
    let long = "x".repeat(1 << 20);
    for bad in [
        GOOD.replace("472e32bf361f96cc", "'; DROP TABLE alerts"),
        GOOD.replace("472e32bf361f96cc", ""),
        GOOD.replace("2026-11-21T03:39:14.26Z", "yesterday"),
        GOOD.replace(r#""a":"b""#, &format!(r#""a":"{long}""#)),
    ] {
        let (kept, malformed) = parse(payload(&format!("{bad},{GOOD}")).as_bytes()).unwrap();
        assert_eq!((kept.alerts.len(), malformed.len()), (1, 1));
        assert_eq!(malformed[0].index, 0);
        assert!(malformed[0].to_string().len() < 200, "a message, not the input");
    }
}

#[test]
fn wrong_types_are_no_notification() {
    for (from, to) in [
        (r#""labels":{"a":"b"}"#, r#""labels":{"a":1}"#),
        (r#""labels":{"a":"b"}"#, r#""labels":[]"#),
        (r#""status":"firing","labels""#, r#""status":"maybe","labels""#),
        (r#""startsAt":"2026-11-21T03:39:14.26Z""#, r#""startsAt":5"#),
    ] {
        let text = payload(GOOD).replace(from, to);
        assert!(matches!(parse(text.as_bytes()), Err(PayloadError::Shape(_))), "{to}");
    }
}

#[test]
fn truncated_anywhere_it_is_refused() {
    let whole = fixture("am_payload.json");
    let end = whole.iter().rposition(|byte| *byte == b'}').unwrap();
    for length in 0..end {
        assert!(parse(&whole[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(body in ".{0,400}") {
        let _ = parse(body.as_bytes());
        let _ = parse(payload(&body).as_bytes());
    }
}
