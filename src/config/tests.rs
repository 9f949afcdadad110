use std::io::Write as _;

use super::section::Section as _;
use super::*;
use crate::domain::look::Medium;

fn load_text(text: &str) -> Result<Config, ConfigErrors> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    load(Some(file.path()))
}

fn errors(text: &str) -> Vec<(String, String)> {
    load_text(text).unwrap_err().errors
}

fn keys(text: &str) -> Vec<String> {
    errors(text).into_iter().map(|(key, _)| key).collect()
}

#[test]
fn nothing_is_a_configuration() {
    let config = load_text("").unwrap();
    assert_eq!(config.web.listen_address.as_str(), "0.0.0.0:10042");
    assert!(config.vzdump.is_empty());
}

#[test]
fn every_wrong_key_is_named_with_its_place_in_the_file() {
    let text = r#"
        nonsense = 1
        [web]
        listen_address = "everywhere"
        header_timeout = "soon"
        max_connections = -1
        [log]
        level = "loud"
        [defaults]
        interval = "daily"
        minimum_size = "big"
        [[vzdump]]
        roots = [{ path = "/a" }]
        [[vzdump]]
        name = "a b"
        roots = [{ path = "/a" }, { path = 7 }, { path = "/c", medium = "tape" }]
        time_zone = "Mars/Olympus"
        expected = ["qemu/1", "qemu/100", "vm/100"]
        [[vzdump]]
        name = "fine"
        roots = [{ path = "/a", extra = 1 }]
        scan_interval = 5
        [[dump]]
        name = "d"
        roots = "x"
        patterns = []
    "#;
    let found = keys(text);
    let mut expected = vec![
        "nonsense",
        "web.listen_address",
        "web.header_timeout",
        "web.max_connections",
        "log.level",
        "defaults.interval",
        "defaults.minimum_size",
        "vzdump.0.name",
        "vzdump.1.name",
        "vzdump.1.roots.1.path",
        "vzdump.1.roots.2.medium",
        "vzdump.1.time_zone",
        "vzdump.1.expected.0",
        "vzdump.1.expected.2",
        "vzdump.2.roots.0.extra",
        "vzdump.2.scan_interval",
        "dump.0.roots",
    ];
    for key in &expected {
        assert!(found.iter().any(|it| it == key), "{key} is not among {found:#?}");
    }
    expected.push("what follows from values that were left out");
    assert!(found.len() <= expected.len() + 4, "{found:#?}");
}

#[test]
fn a_late_message_alone_is_no_new_alert() {
    let bounds = |text: &str| {
        let bounds = load_text(text).unwrap().automation.rules().unwrap().bounds;
        (bounds.reopen_after.as_secs(), bounds.lost_after.as_secs())
    };
    assert_eq!(bounds(""), (600, 86_400));
    assert_eq!(bounds("[automation]\nreopen_after = \"4m\"\nlost_after = \"14d\""), (240, 14 * 86_400));
    assert_eq!(keys("[automation]\nreopen_after = \"0s\""), ["automation.reopen_after"]);
    assert_eq!(keys("[automation]\nlost_after = \"1h\""), ["automation.lost_after"]);
}

#[test]
fn errors_of_meaning_are_all_reported() {
    let text = r#"
        [web]
        max_connections = 0
        header_timeout = "0s"
        config_file = "/nowhere/web.yml"
        [store]
        url = "mysql://me:hunter2@host/db"
        url_file = "/nowhere/url"
        retention = "1h"
        [verify]
        level = 4
        workers = 0
        rate = "1KiB"
        nice = 20
        window = "22-6"
        reverify_after = "1s"
        archive_timeout = "1s"
        accept_level = 5
        unpack_limit = "1KiB"
        [defaults]
        interval = "10s"
        [[vzdump]]
        name = "pve"
        roots = [{ path = "relative" }, { path = "/a", require_mount = "/b" }, { path = "/a" }, { path = "/x/../y", require_mount = "/" }]
        expected = ["dump/x"]
        guests_dir = "nodes"
        scan_timeout = "0s"
        exclude = { ids = ["x"], names = ["a["] }
        [[dump]]
        name = "pve"
        roots = []
        patterns = [{ pattern = "{db" }]
        accept_level = 0
        [[environments]]
        name = ""
        [[environments]]
        name = "prod"
        interval = "1d"
        grace = "2d"
        matches = { ids = ["9-1"] }
        [[environments]]
        name = "prod"
        [[items]]
        source = "other"
        item = "qemu/100"
        environment = "none"
        [[items]]
        source = "pve"
        item = "dump/x"
        [[items]]
        source = "pve"
        item = "dump/x"
    "#;
    let found = keys(text);
    for key in [
        "web.max_connections",
        "web.header_timeout",
        "web.config_file",
        "store.url",
        "store.url_file",
        "store.retention",
        "verify.level",
        "verify.workers",
        "verify.rate",
        "verify.nice",
        "verify.window",
        "verify.reverify_after",
        "verify.archive_timeout",
        "verify.accept_level",
        "verify.unpack_limit",
        "dump.0.accept_level",
        "defaults.interval",
        "dump.0.name",
        "vzdump.0.roots.0.path",
        "vzdump.0.roots.1.require_mount",
        "vzdump.0.roots.2.path",
        "vzdump.0.roots.3.path",
        "vzdump.0.roots.3.require_mount",
        "vzdump.0.expected.0",
        "vzdump.0.guests_dir",
        "vzdump.0.scan_timeout",
        "vzdump.0.exclude",
        "dump.0.roots",
        "dump.0.patterns.0",
        "environments.0.name",
        "environments.1.grace",
        "environments.1.matches",
        "environments.2.name",
        "items.0.source",
        "items.0.environment",
        "items.1.item",
        "items.2.item",
    ] {
        assert!(found.iter().any(|it| it == key), "{key} is not among {found:#?}");
    }
}

#[test]
fn list_elements_keep_their_number_when_earlier_ones_are_wrong() {
    let text = r#"
        [[environments]]
        nam = "a"
        [[environments]]
        name = "b"
        grace = 1
        [[environments]]
        name = ""
    "#;
    let found = keys(text);
    assert!(found.contains(&"environments.1.grace".to_owned()), "{found:?}");
    assert!(found.contains(&"environments.2.name".to_owned()), "{found:?}");
}

#[test]
fn addresses_as_prometheus_takes_them() {
    for (text, address) in [(":1", "0.0.0.0:1"), ("localhost:1", "localhost:1"), ("[::1]:1", "[::1]:1")] {
        assert_eq!(text.parse::<web::ListenAddress>().unwrap().as_str(), address);
    }
    for bad in ["", "1", "localhost", ":http", "x:99999"] {
        assert!(bad.parse::<web::ListenAddress>().is_err(), "{bad}");
    }
}

#[test]
fn rubbish_is_one_clear_error() {
    let error = load_text("[[[ this is no toml").unwrap_err();
    assert_eq!(error.errors.len(), 1);
    let missing = load(Some(Path::new("/nowhere/firedrill.toml"))).unwrap_err().to_string();
    assert!(missing.contains("/nowhere/firedrill.toml") && missing.contains("can't be read"), "{missing}");
    assert!(load_text("vzdump = 5\n").is_err());
}

#[test]
fn every_bad_matcher_is_found_and_rules_are_called_by_their_name() {
    let text = r#"
        [[automation.rules]]
        name = "first"
        action = "rescan"
        matchers = ["a = b"]
        [[automation.rules]]
        name = "second"
        action = "rescan"
        matchers = ["a != processing,speech", "a = b", "item =~ \"(\"", 'a = "\t"']
        cooldown = 5
        [[automation.rules]]
        name = "twice"
        action = "reverify"
        matchers = [""]
        [[automation.rules]]
        name = "twice"
        action = "rescan"
        matchers = ["x"]
        [[automation.rules]]
        name = "1.2"
        action = "rescan"
        [[automation.rules]]
        action = "rescan"
        matchers = ["a = b"]
    "#;
    let mut found = keys(text);
    found.sort();
    let mut expected = [
        "automation.rules.\"second\".cooldown",
        "automation.rules.\"second\".matchers.0",
        "automation.rules.\"second\".matchers.2",
        "automation.rules.\"second\".matchers.3",
        "automation.rules.2.matchers.0",
        "automation.rules.3.matchers.0",
        "automation.rules.3.name",
        "automation.rules.\"1.2\".matchers",
        "automation.rules.5.name",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn urls_that_nobody_can_ask_are_found_without_being_shown() {
    let text = r#"
        [store]
        url = "postgres://me:hunter2@host:99999/db"
        [automation]
        alertmanagers = ["http://good:9093", "http://alert manager:9093", "http://host:hunter2"]
        [[notify.receivers]]
        name = "a"
        type = "slack"
        url = "https://hooks slack/hunter2"
        [[notify.receivers]]
        name = "b"
        type = "webhook"
        url = "http://host:99999/hunter2"
        [[notify.receivers]]
        name = "c"
        type = "telegram"
        token = "1:x"
        chat_id = 5
        api_url = "http://"
    "#;
    let found = errors(text);
    let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "store.url",
        "automation.alertmanagers.1",
        "automation.alertmanagers.2",
        "notify.receivers.0.url",
        "notify.receivers.1.url",
        "notify.receivers.2.api_url",
    ] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    assert!(!keys.contains(&"automation.alertmanagers.0") && !format!("{found:?}").contains("hunter2"), "{found:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "postgres://me:hunter2@host:99999/db\n").unwrap();
    let error =
        load_text(&format!("[store]\nurl_file = {:?}", file.path())).unwrap().store.url().unwrap_err().to_string();
    assert!(error.contains("invalid port number") && !error.contains("hunter2"), "{error}");
    std::fs::write(file.path(), "https://hooks slack/hunter2\n").unwrap();
    let text = format!("[[notify.receivers]]\nname = \"a\"\ntype = \"slack\"\nurl_file = {:?}", file.path());
    let error = load_text(&text).unwrap().notify.receivers[0].outlet().unwrap_err().to_string();
    assert!(error.contains("url of a is no URL") && !error.contains("hunter2"), "{error}");
}

#[test]
fn errors_read_well() {
    let text = load_text("[web]\nport = 1\n").unwrap_err().to_string();
    assert!(text.contains("web.port: is no key; there are: listen_address, config_file"), "{text}");
    let text = load_text("[web]\nport = \n").unwrap_err().to_string();
    assert!(text.contains("syntax: TOML parse error at line 2, column 8: "), "{text}");
}

#[test]
fn every_file_in_config_is_a_configuration() {
    let mut seen = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            load(Some(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

#[test]
fn the_store_is_named_by_a_url_or_by_a_file_that_holds_one() {
    let url = |text: &str| load_text(text).map(|config| config.store.url().unwrap());
    assert!(url("").unwrap().starts_with("sqlite:///"));
    assert_eq!(url("[store]\nurl = \"sqlite:///a/b.db\"").unwrap(), "sqlite:///a/b.db");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "postgresql://me:hunter2@host/db\n").unwrap();
    let by_file = format!("[store]\nurl_file = {:?}", file.path());
    assert_eq!(url(&by_file).unwrap(), "postgresql://me:hunter2@host/db");
    std::fs::write(file.path(), "").unwrap();
    assert!(load_text(&by_file).unwrap().store.url().is_err());
    for bad in ["", "hunter2", "sqlite::memory:", "sqlite://relative.db", "sqlite:///dir/", "sqlite:/x", "postgres"] {
        let error = load_text(&format!("[store]\nurl = {bad:?}")).unwrap_err().to_string();
        assert!(error.contains("store.url") && (bad.is_empty() || !error.contains("hunter2")), "{bad}: {error}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let config = load_text("[store]\nurl = \"postgres://me:hunter2@host/db\"").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let wrong = [
        "[store]\nurl = \"mysql://me:hunter2@host/db\"",
        "[store]\nurl = [\"postgres://me:hunter2@host/db\"]",
        "[store]\nurl = \"postgres://me:hunter2@host/db",
        "[store]\nurl = '''postgres://me:hunter2@host/db",
        "[store]\nurl = postgres://me:hunter2@host/db",
        "[store]\nretention = 1\nurl = \"x:hunter2\"\nurl = \"postgres://me:hunter2@host/db\"",
        "store = \"postgres://me:hunter2@host/db\"",
    ];
    for text in wrong {
        let error = load_text(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_token_for_alerts_is_in_no_error_and_no_debug_output() {
    let secret = "0123456789abcdef-secret";
    let config = load_text(&format!("[webhook]\ntoken = {secret:?}\n")).unwrap();
    assert_eq!(config.webhook.secret().unwrap().as_deref(), Some(secret));
    assert!(!format!("{config:?}").contains(secret));
    for bad in [
        "[webhook]\ntoken = 98765432109876543\n",
        "[webhook]\ntoken = \"987654321098765\"\n",
        "[webhook]\ntoken = [\"98765432109876543\"]\n",
        "[webhook]\nusers = \"98765432109876543\"\n",
        "[webhook]\ntoken = \"98765432109876543\"\ntoken_file = \"/etc/token\"\n",
        "webhook = \"98765432109876543\"\n",
        "[webhook]\ntoken = 98765432109876543 98765432109876543\n",
    ] {
        let error = load_text(bad).unwrap_err().to_string();
        assert!(!error.contains("98765432109876"), "{error}");
    }
    assert_eq!(keys("[api]\nusers = { alice = \"king\" }\n"), ["api.users.alice"]);
}

#[test]
fn copies_need_verified_versions() {
    let text = "[state_cache]\ndirectory = \"/c\"\nkey_file = \"/k\"\n";
    assert!(load_text(text).is_ok());
    assert_eq!(keys(&format!("{text}[verify]\nenabled = false\n")), ["state_cache.directory"]);
}

#[test]
fn roots_in_buckets_name_their_server() {
    let roots = |roots: &str, rest: &str| format!("[[vzdump]]\nname = \"pve\"\nroots = [{roots}]\n{rest}");
    let server = "[[s3]]\nname = \"minio\"\nendpoint = \"http://minio:9000\"\n";
    let good = "{ path = \"s3://backups/pve\", server = \"minio\" }, { path = \"s3://off\", server = \"minio\", medium = \"offsite\" }";
    let config = load_text(&roots(good, server)).unwrap();
    let places = config.vzdump[0].spec().places;
    assert_eq!(places.iter().map(|it| it.medium).collect::<Vec<_>>(), [Medium::S3, Medium::Offsite]);
    assert_eq!(keys(server), ["s3.0.states"], "it would do nothing");
    let bad = "{ path = \"s3://b\" }, { path = \"s3:///x\", server = \"other\" }, { path = \"/a\", server = \"minio\" }, \
               { path = \"s3://c\", server = \"minio\", require_mount = \"/c\" }";
    let expected = [
        "vzdump.0.roots.0.server",
        "vzdump.0.roots.1.path",
        "vzdump.0.roots.2.server",
        "vzdump.0.roots.3.require_mount",
        "vzdump.0.roots.1.server",
    ];
    assert_eq!(keys(&roots(bad, server)), expected);
}

#[test]
fn servers_of_vsphere_are_named_and_trusted_in_one_way() {
    let section =
        |url: &str, rest: &str| format!("[[esxi]]\nname = \"lab\"\nurl = \"{url}\"\nusername = \"u\"\n{rest}");
    let thumbprint = format!("thumbprint = \"{}\"\n", "AB:".repeat(31) + "cd");
    let config = load_text(&section("https://esx1:8443", &thumbprint)).unwrap();
    assert_eq!(&*config.esxi[0].spec().places[0].path, "https://esx1:8443/");
    for url in [
        "http://esx1",
        "https://u@esx1",
        "https://u:p@esx1",
        "https://esx1/ui",
        "https://esx1/sdk?x=y",
        "ftp://esx1",
        "esx1",
    ] {
        assert_eq!(keys(&section(url, "")), ["esxi.0.url"], "{url}");
    }
    assert!(!errors(&section("https://u:secret@", ""))[0].1.contains("secret"));
    for (rest, wrong) in [
        ("password = \"a\"\npassword_file = \"/p\"\n", "password_file"),
        ("thumbprint = \"AB:CD\"\n", "thumbprint"),
        ("accept_level = 1\n", "accept_level"),
        (&*format!("{thumbprint}ca_file = \"/c\"\n"), "thumbprint"),
    ] {
        assert_eq!(keys(&section("https://esx1", rest)), [format!("esxi.0.{wrong}")], "{rest}");
    }
    let item = "[[items]]\nsource = \"lab\"\nitem = \"qemu/100\"\n";
    assert_eq!(keys(&section("https://esx1", item)), ["items.0.item"], "it has none");
    let given = |name: &str| (name == "VSPHERE_PASSWORD").then(|| "p".to_owned());
    assert_eq!(config.esxi[0].password(given).unwrap().expose(), "p");
    assert!(config.esxi[0].password(|_| None).unwrap_err().to_string().contains("password_file"));
}
