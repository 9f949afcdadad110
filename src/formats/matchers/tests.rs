use proptest::prelude::*;

use super::*;

fn printed(text: &str) -> String {
    let texts: Vec<String> = parse(text).unwrap().iter().map(ToString::to_string).collect();
    texts.join(" ")
}

#[test]
fn as_alertmanager_reads_them() {
    for (text, means) in [
        ("source = cluster", r#"source="cluster""#),
        ("source=\"cluster\"", r#"source="cluster""#),
        ("item =~ qemu/.*|lxc/.*", r#"item=~"qemu/.*|lxc/.*""#),
        ("severity != \"none\", alertname = \"Other\"", r#"severity!="none" alertname="Other""#),
        ("{a=b, c!~\"d,e\",}", r#"a="b" c!~"d,e""#),
        ("a=b,", r#"a="b""#),
        (r#"a =~ "x\\.y""#, r#"a=~"x\\.y""#),
        (r#"msg != "say \"hi\"""#, r#"msg!="say \"hi\"""#),
        (r#"a = "one\ntwo""#, r#"a="one\ntwo""#),
        ("absent = \"\"", r#"absent="""#),
        ("source = ''", r#"source="''""#),
        ("a:b = c", r#"a:b="c""#),
        // Only the newer parser.
        (r#""a b" = "c""#, r#""a b"="c""#),
        (r#""größe" =~ "\\d+""#, r#""größe"=~"\\d+""#),
        ("größe = x", r#""größe"="x""#),
        ("1a = x", r#""1a"="x""#),
        (r#""say \"hi\"" = "\u00e9\xc3\xa9\101\t""#, "\"say \\\"hi\\\"\"=\"ééA\t\""),
        (" {a=b} , ", ""),
        // Only the classic one.
        ("a =", r#"a="""#),
        ("a = b c", r#"a="b c""#),
        (r#"a =~ "\d""#, r#"a=~"\\d""#),
        (r"a =~ \\d", r#"a=~"\\d""#),
        ("a=b}", r#"a="b""#),
        ("{a=b", r#"a="b""#),
        ("a == b", r#"a="= b""#),
        ("a='b'", r#"a="'b'""#),
        ("{a=b}}", r#"a="b}""#),
    ] {
        if means.is_empty() {
            assert!(parse(text).is_err(), "{text}");
        } else {
            assert_eq!(printed(text), means, "{text}");
        }
    }
}

#[test]
fn what_is_no_matcher() {
    for text in [
        "source",
        "= x",
        "a b = x",
        "item =~ \"(\"",
        "item ! x",
        "a != processing,speech",
        "a = \"b",
        "a = b\"",
        "a = \"b\" c",
        "a=b,,c=d",
        ",a=b",
        "\"a\"",
        "\"\" = x",
        r#""a" = "\q""#,
        r#""a" = "\xff""#,
        r#""a" = "\ud800""#,
        r#""a" = "\u12"#,
        "\"a\" = \"b\nc\"",
        "'a' = b",
    ] {
        assert!(matches!(parse(text), Err(MatcherError::Form { .. } | MatcherError::Pattern(_))), "{text}");
    }
    for text in ["", " ", "{}", "{ }"] {
        assert_eq!(parse(text), Err(MatcherError::Empty(text.to_owned())));
    }
}

#[test]
fn two_meanings_are_refused_and_both_are_named() {
    for text in [r#"a="\t""#, r#"a =~ "x\b""#, r#"a="\u00e9""#, "{a=b} ", "a=b\u{a0},c=d", r#"a=~"\x41""#] {
        assert!(matches!(parse(text), Err(MatcherError::Ambiguous { .. })), "{text}");
    }
    let error = parse(r#"a =~ "x\u002e", b=c"#).unwrap_err().to_string();
    assert!(error.contains(r#"{a=~"x\\u002e", b="c"} for the classic parser"#), "{error}");
    assert!(error.contains(r#"{a=~"x.", b="c"} for the newer one"#), "{error}");
}

#[test]
fn a_missing_label_is_an_empty_one() {
    for (text, empty, other) in
        [("a=\"\"", true, false), ("a!=\"\"", false, true), ("a=~\".*\"", true, true), ("a!~\".+\"", true, false)]
    {
        let matchers = parse(text).unwrap();
        assert_eq!((matchers[0].holds(""), matchers[0].holds("x")), (empty, other), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_as_the_same(
        label in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}|\\PC{1,8}|[\\\\\"{},=~!'` \\n\\t]{1,6}",
        value in "\\PC{0,12}|[\\\\\"{},=~!'` nt\\n\\t\\r\u{a0}]{0,12}",
        equal in any::<bool>(),
    ) {
        let operator = if equal { Operator::Equal } else { Operator::NotEqual };
        let matcher = Matcher::new(&label, operator, &value).unwrap();
        prop_assert_eq!(parse(&matcher.to_string()), Ok(vec![matcher.clone()]));
        let twice = format!("{{{matcher}, {matcher},}}");
        prop_assert_eq!(parse(&twice), Ok(vec![matcher.clone(), matcher]));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-c\\\\\"{},=~!'` nux0-9]{0,24}") {
        if let Ok(matchers) = parse(&text) {
            let texts: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            prop_assert_eq!(parse(&texts.join(",")), Ok(matchers));
        }
    }
}
