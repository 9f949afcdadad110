use crate::config::load;

fn errors(text: &str) -> Vec<(String, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(Some(file.path())).unwrap_err().errors
}

#[test]
fn every_mistake_is_named() {
    let found = errors(
        r#"
        [notify]
        digest_above = 0
        [[notify.receivers]]
        name = "a"
        type = "slack"
        url = "hooks.slack.com/very-secret"
        token = "very-secret"
        [[notify.receivers]]
        name = "a"
        type = "telegram"
        chat_id = "ops"
        approvals = true
        [[notify.receivers]]
        name = "mail"
        type = "smtp"
        user = "x"
        quiet_hours = "night"
        hello = "bk 1"
        tls = "none"
        ca_file = "/ca.pem"
        [[notify.receivers]]
        name = "log"
        type = "syslog"
        protocol = "udp"
        address = "loghost"
        [[notify.routes]]
        receivers = ["nobody"]
        "#,
    );
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.strip_prefix("notify.").unwrap()).collect();
    let expected = [
        "digest_above",
        "receivers.0.token",
        "receivers.0.url",
        "receivers.1.token",
        "receivers.1.chat_id",
        "receivers.1.allowed_users",
        "receivers.1.name",
        "receivers.2.quiet_hours",
        "receivers.2.host",
        "receivers.2.from",
        "receivers.2.to",
        "receivers.2.user",
        "receivers.2.hello",
        "receivers.2.ca_file",
        "receivers.3.address",
        "routes.0.receivers",
    ];
    assert_eq!(keys, expected, "{found:#?}");
    assert!(!format!("{found:?}").contains("very-secret"), "{found:?}");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    for text in [
        "[notify]\nreceivers = \"very-secret\"",
        "[[notify.receivers]]\nname = \"a\"\ntype = \"very-secret\"",
        "[[notify.receivers]]\nname = \"a\"\ntype = \"smtp\"\nport = \"very-secret\"",
    ] {
        let found = errors(text);
        // A type that doesn't exist is shown: it is what has to be corrected.
        let shown = format!("{found:?}").contains("very-secret");
        assert_eq!(shown, text.contains("type = \"very"), "{found:?}");
    }
}

#[test]
fn what_a_server_is_greeted_with() {
    let found = |hello: &str| {
        let text = format!(
            "[[notify.receivers]]\nname = \"a\"\ntype = \"smtp\"\nhost = \"h\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\"]\nhello = \"{hello}\""
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(Some(file.path())).is_ok()
    };
    for hello in ["bk1", "bk1.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
        assert!(found(hello), "{hello}");
    }
    for hello in ["", "a b", "a..b", "-a", "[bk1]", "a>b", "a\\r\\nRSET"] {
        assert!(!found(hello), "{hello}");
    }
}
