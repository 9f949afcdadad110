use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn matcher(ids: &[&str], names: &[&str], tags: &[&str], notes: &[&str]) -> Matcher {
    Matcher::new(&strings(ids), &strings(names), &strings(tags), &strings(notes)).unwrap()
}

fn fits(matcher: &Matcher, id: &str, name: &str, tags: &[&str], notes: Option<&str>) -> bool {
    let id = id.parse().unwrap();
    let tags: Vec<Box<str>> = tags.iter().map(|t| Box::from(*t)).collect();
    matcher.matches(Traits { id: &id, name: Some(name), tags: &tags, notes })
}

#[test]
fn any_criterion_is_enough_and_none_fits_nothing() {
    let it = matcher(&["100-199", "250"], &["web-*"], &["prod"], &["*critical*"]);
    assert!(fits(&it, "qemu/100", "x", &[], None));
    assert!(fits(&it, "lxc/250", "x", &[], None));
    assert!(fits(&it, "qemu/500", "WEB-1", &[], None));
    assert!(fits(&it, "qemu/500", "x", &["Prod"], None));
    assert!(fits(&it, "qemu/500", "x", &[], Some("a\nCritical guest")));
    assert!(!fits(&it, "qemu/200", "my-web-1", &["lab"], Some("none")));
    assert!(!fits(&Matcher::default(), "qemu/100", "x", &["prod"], Some("x")));
}

#[test]
fn every_bad_text_is_named() {
    let bad = Matcher::new(&strings(&["x", "9-1", "100"]), &strings(&["a[", "ok"]), &[], &strings(&["{"]));
    assert_eq!(bad.unwrap_err().len(), 4);
}

#[test]
fn item_over_environment_over_defaults() {
    let hours = |h: u64| Some(Duration::from_secs(h * 3600));
    let policy = Policy {
        defaults: Overrides { minimum_size: Some(7), ..Overrides::default() },
        environments: vec![
            Environment {
                name: "prod".into(),
                matcher: matcher(&["100-199"], &[], &[], &[]),
                overrides: Overrides { interval: hours(6), ..Overrides::default() },
            },
            Environment {
                name: "lab".into(),
                matcher: Matcher::default(),
                overrides: Overrides { interval: hours(168), ..Overrides::default() },
            },
        ],
        items: vec![
            ItemRule {
                source: "pve".parse().unwrap(),
                item: "qemu/101".parse().unwrap(),
                environment: None,
                overrides: Overrides { grace: hours(1), ..Overrides::default() },
            },
            ItemRule {
                source: "pve".parse().unwrap(),
                item: "qemu/102".parse().unwrap(),
                environment: Some("lab".into()),
                overrides: Overrides::default(),
            },
        ],
    };
    let resolve = |source: &str, id: &str| {
        let id = id.parse().unwrap();
        policy.resolve(&source.parse().unwrap(), Traits { id: &id, name: None, tags: &[], notes: None })
    };
    let (environment, it) = resolve("pve", "qemu/100");
    assert_eq!((environment.as_deref(), it.interval, it.minimum_size), (Some("prod"), hours(6), 7));
    assert_eq!(it.grace, it.interval.unwrap() / 8);
    let (_, it) = resolve("pve", "qemu/101");
    assert_eq!((it.interval, Some(it.grace)), (hours(6), hours(1)));
    let (_, it) = resolve("other", "qemu/101");
    assert_eq!(it.grace, it.interval.unwrap() / 8, "another source's item of the same id");
    let (environment, it) = resolve("pve", "qemu/102");
    assert_eq!((environment.as_deref(), it.interval), (Some("lab"), hours(168)));
    let (environment, it) = resolve("pve", "qemu/900");
    assert_eq!((environment, it.interval), (None, Some(DEFAULT_INTERVAL)));
    assert_eq!(it.missing_after(), Some(Duration::from_secs(48 * 3600)));
}

/// What changes when somebody changes something is never late, whatever is expected of backups, unless that item is named.
#[test]
fn a_state_is_late_only_where_somebody_says_so_of_it() {
    let hours = |count: u64| Some(Duration::from_secs(count * 3600));
    let every = |count| Overrides { interval: hours(count), grace: hours(1), ..Overrides::default() };
    let prod = Matcher::new(&[], &["prod".to_owned()], &[], &[]).unwrap();
    let mut policy = Policy {
        defaults: every(24),
        environments: vec![Environment { name: "prod".into(), matcher: prod, overrides: every(6) }],
        items: Vec::new(),
    };
    let resolve = |policy: &Policy| {
        let id = "tfstate/prod".parse().unwrap();
        policy.resolve(&"minio".parse().unwrap(), Traits { id: &id, name: Some("prod"), tags: &[], notes: None })
    };
    let (environment, it) = resolve(&policy);
    assert_eq!(
        (environment.as_deref(), it.interval, it.late_after(), it.missing_after()),
        (Some("prod"), None, None, None)
    );
    policy.items.push(ItemRule {
        source: "minio".parse().unwrap(),
        item: "tfstate/prod".parse().unwrap(),
        environment: None,
        overrides: every(48),
    });
    assert_eq!(resolve(&policy).1.late_after(), hours(49));
}
