use jiff::civil::date;
use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> DumpPattern {
    DumpPattern::new(text, None, None).unwrap()
}

fn read(text: &str, path: &str) -> Option<(String, NameTime)> {
    pattern(text).read(path).map(|name| (name.item.to_string(), name.time))
}

#[test]
fn item_and_time() {
    let local = NameTime::Local(date(2026, 11, 1).at(2, 30, 5, 0));
    let it = "{db}_{time}.sql.gz";
    for stamp in [
        "20261101_023005",
        "2026-11-01_02-30-05",
        "20261101T023005",
        "2026-11-01T02:30:05",
        "20261101023005",
        "2026_11_01-02_30_05",
    ] {
        assert_eq!(read(it, &format!("my_app_db_{stamp}.sql.gz")), Some(("dump/my_app_db".into(), local)), "{stamp}");
    }
    let minute = NameTime::Local(date(2026, 11, 1).at(2, 30, 0, 0));
    assert_eq!(read(it, "shop_202611010230.sql.gz"), Some(("dump/shop".into(), minute)));
    let day = NameTime::Day(date(2026, 11, 1));
    assert_eq!(read(it, "shop_2026-11-01.sql.gz"), Some(("dump/shop".into(), day)));
    let utc = NameTime::Absolute("2026-11-01T02:30:05Z".parse().unwrap());
    assert_eq!(read(it, "shop_20261101T023005Z.sql.gz"), Some(("dump/shop".into(), utc)));
}

#[test]
fn what_is_no_dump() {
    for path in [
        "shop_20261301_023005.sql.gz",
        "shop_20261101_253005.sql.gz",
        "shop_20261101_023005.sql.gz.md5",
        "x/shop_20261101_023005.sql.gz",
        "_20261101.sql.gz",
        "shop.sql.gz",
    ] {
        assert_eq!(read("{db}_{time}.sql.gz", path), None, "{path}");
    }
}

#[test]
fn names_that_can_not_be_shown_are_refused_and_noticed() {
    let it = pattern("{db}_{time}.sql.gz");
    for path in [
        "a\x1b[2J_20261101.sql.gz",
        "a\nb_20261101.sql.gz",
        "a_20261301.sql.gz",
        &format!("{}_20261101.sql.gz", "x".repeat(201)),
    ] {
        assert_eq!(it.read(path), None, "{path:?}");
        assert!(it.almost_reads(path), "{path:?}");
    }
    assert!(!it.almost_reads("readme.txt") && !it.almost_reads("a_20261101.sql.gz"));
}

#[test]
fn directories_fixed_names_and_wildcards() {
    assert_eq!(read("{host}/{db}-*.dump", "a/b-x.dump"), Some(("dump/a/b".into(), NameTime::None)));
    let fixed = DumpPattern::new("full_{time}.tar", Some("files"), None).unwrap();
    assert_eq!(fixed.read("full_20261101.tar").unwrap().item.to_string(), "dump/files");
    assert_eq!(pattern("{host}/{db}.dump").depth(), 2);
}

#[test]
fn a_format_of_ones_own() {
    let of = |format: &str, path: &str| {
        DumpPattern::new("{db}-{time}.sql", None, Some(format)).unwrap().read(path).map(|name| name.time)
    };
    assert_eq!(of("%d.%m.%Y", "a-01.11.2026.sql"), Some(NameTime::Day(date(2026, 11, 1))));
    assert_eq!(of("%s", "a-1790000000.sql"), Some(NameTime::Absolute(Timestamp::from_second(1_790_000_000).unwrap())));
    assert_eq!(of("%d%m%y-%H%M", "a-011126-0230.sql"), Some(NameTime::Local(date(2026, 11, 1).at(2, 30, 0, 0))));
    assert_eq!(of("%d.%m.%Y", "a-2026.sql"), None);
}

#[test]
fn files_on_their_way() {
    let it = pattern("{host}/{db}_{time}.sql.gz");
    assert!(it.is_unfinished("h/shop_20261101.sql.gz.part"));
    assert!(it.is_unfinished("h/.shop_20261101.sql.gz.Ab12xY"));
    assert!(!it.is_unfinished("h/shop_20261101.sql.gz"));
    assert!(!it.is_unfinished("h/other.part"));
}

#[test]
fn bad_patterns_say_why() {
    let error = |text: &str, item: Option<&str>| DumpPattern::new(text, item, None).unwrap_err();
    assert!(matches!(error("{db", None), PatternError::Braces(_)));
    assert!(matches!(error("db}", None), PatternError::Braces(_)));
    assert!(matches!(error("{d-b}", None), PatternError::Braces(_)));
    assert!(matches!(error("{}", None), PatternError::Braces(_)));
    assert_eq!(error("{db}{db}", None), PatternError::Twice("db".into()));
    // Each dump would be an item of its own, and none of them late.
    for pattern in ["{foo}_{time}.sql", "{db}_{tiem}.sql", "{db}_{date}.sql", "{DB}_{time}.sql", "{db_1}.sql"] {
        let error = error(pattern, None);
        assert!(matches!(error, PatternError::Unknown(_)), "{pattern}: {error}");
        let text = error.to_string();
        assert!(text.contains("{time}") && text.contains("{db}") && text.contains("{host}"), "{text}");
    }
    assert_eq!(error("{foo}_{time}.sql", Some("x")), PatternError::Unknown("foo".into()));
    assert_eq!(read("{host}/{db1}-{db2}_*.sql", "a/b-c_x.sql").unwrap().0, "dump/a/b/c");
    assert_eq!(error("x_{time}.sql", None), PatternError::NoItem);
    assert_eq!(error("{db}.sql", Some("x")), PatternError::TwoItems);
    for path in ["/srv/{db}", "../{db}", "a//{db}", "", "a/./{db}"] {
        assert_eq!(error(path, None), PatternError::Path, "{path}");
    }
}

proptest! {
    #[test]
    fn any_pattern_and_path_without_panic(text in ".{0,40}", path in ".{0,60}", format in proptest::option::of("[%a-zA-Z0-9:_-]{0,12}")) {
        if let Ok(it) = DumpPattern::new(&text, None, format.as_deref()) {
            it.read(&path);
            it.is_unfinished(&path);
        }
    }

    #[test]
    fn written_names_read_back(db in "[a-z][a-z0-9_-]{0,20}", second in 0i64..4_000_000_000) {
        let local = jiff::tz::TimeZone::UTC.to_datetime(Timestamp::from_second(second).unwrap());
        let path = format!("{db}_{}.sql.gz", local.strftime("%Y%m%d_%H%M%S"));
        let found = read("{db}_{time}.sql.gz", &path).unwrap();
        prop_assert_eq!(found, (format!("dump/{db}"), NameTime::Local(local)));
    }
}
