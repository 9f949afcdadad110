//! Dumps of SQL whose rows, functions and neighbours look like the end of a dump.

use crate::domain::finding::{Finding, Findings, Kind};
use crate::formats::dump_content::check;
use crate::formats::stream::Bytes;

const PG_HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\nSET standard_conforming_strings = on;\n\n";
const PG_END: &str = "\n--\n-- PostgreSQL database dump complete\n--\n\n";
const ALL_HEAD: &str = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE \"o'brien\";\n";
const ALL_END: &str = "--\n-- PostgreSQL database cluster dump complete\n--\n\n";
const MY_HEAD: &str = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n/*!40101 SET NAMES utf8mb4 */;\n";
const MY_END: &str = "-- Dump completed on 2024-01-31  2:00:05\n";
const LITE_HEAD: &str = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n";

fn findings_of(text: &[u8], step: usize) -> (&'static str, Vec<Finding>) {
    let mut findings = Findings::default();
    let summary = check(&mut Bytes { left: text, step }, &mut findings).unwrap();
    (summary.format, findings.into_vec())
}

fn kinds(parts: &[&str]) -> Vec<Kind> {
    let text = parts.concat();
    let (format, findings) = findings_of(text.as_bytes(), usize::MAX);
    for step in [1, 7] {
        assert_eq!(findings_of(text.as_bytes(), step), (format, findings.clone()), "step {step} of {text}");
    }
    findings.iter().map(|finding| finding.kind).collect()
}

#[track_caller]
fn whole(parts: &[&str]) {
    assert_eq!(kinds(parts), [], "{}", parts.concat());
}

#[track_caller]
fn cut(parts: &[&str]) {
    assert_eq!(kinds(parts), [Kind::DumpIncomplete], "{}", parts.concat());
}

#[test]
fn an_end_within_data_is_none() {
    let mark = "-- PostgreSQL database dump complete\n";
    for open in [
        "COPY public.t (a) FROM stdin;\n1\n",
        "COPY public.t (a, \"b;c\") FROM stdin;\n",
        "INSERT INTO t VALUES ('\n",
        "INSERT INTO t VALUES (E'it\\'s\n",
        "CREATE FUNCTION f() RETURNS int AS $_$\n",
        "CREATE FUNCTION f() RETURNS int AS $a$ $b$ $$ $a\n",
        "/* /* */\n",
        "CREATE TABLE \"\n",
    ] {
        cut(&[PG_HEAD, open, mark]);
        cut(&[PG_HEAD, open, mark, "--\n\n"]);
    }
    for line in
        ["-- PostgreSQL database dump completely\n", "-- PostgreSQL database dump complete, or not\n", " -- x\n"]
    {
        cut(&[PG_HEAD, line]);
    }
    let mark = "-- Dump completed on 2024-01-31  2:00:05\n";
    for open in [
        "INSERT INTO `t` VALUES (1,'\n",
        "INSERT INTO `t` VALUES (1,'it\\'s \\\\\\'\n",
        "INSERT INTO `t` VALUES (1,\"\n",
        "CREATE TABLE `\n",
        "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN\n",
        "/* comment\n",
    ] {
        cut(&[MY_HEAD, open, mark]);
    }
    for line in ["-- Dump completed by hand\n", "-- Dump completed on Monday\n", "-- Dump completely\n"] {
        cut(&[MY_HEAD, line]);
    }
    cut(&[LITE_HEAD, "INSERT INTO t VALUES('\nCOMMIT;\n"]);
}

#[test]
fn quotes_in_odd_places_hide_no_end() {
    whole(&[
        PG_HEAD,
        "-- Name: o'brien; Type: TABLE\n\\connect -reuse-previous=on \"dbname='o\\'b'\"\n",
        "COPY public.t (a) FROM stdin;\nit's\t$$\t/*\n-- PostgreSQL database dump complete\n\\.\n\n",
        "COPY public.\"o'brien\" (a) FROM stdin;\n\\.\n\n",
        "INSERT INTO t VALUES ('it''s', 'C:\\', E'\\\\', 5-3, 4/2, a$b$c, $1);\n",
        "CREATE FUNCTION f() AS $_$ it's -- /* $$ $ $_ $_$;\nCOMMENT ON TABLE t IS ' $_$ /* ';\n",
        PG_END,
    ]);
    whole(&[
        MY_HEAD,
        "INSERT INTO `it's` VALUES (1,'it\\'s','\\\\',\"a'b\",5--3,4/2,'#');\n# it's\n-- it's\n/* it's */\n",
        "/*!50003 CREATE TRIGGER `x` */;\nDELIMITER ;;\nBEGIN\n-- don't\nSELECT 'a\\';\n-- Dump completed\nEND ;;\nDELIMITER ;\n",
        "DELIMITER $$\nit's $$\ndelimiter ;\n/*My comment isn't*/\n",
        MY_END,
    ]);
    whole(&[
        LITE_HEAD,
        "CREATE TABLE [it's](a /* isn't */, \"b'\" -- don't\n);\nINSERT INTO t VALUES('C:\\','it''s');\nCOMMIT;\n",
    ]);
}

#[test]
fn a_backslash_may_be_half_a_character() {
    let dump = |names: &str, row: &[u8]| {
        let head = format!("-- MySQL dump 10.13\n/*!40101 SET NAMES {names} */;\nINSERT INTO `t` VALUES ('");
        [head.as_bytes(), row, b"');\n-- Dump completed\n"].concat()
    };
    for (names, row, good) in [
        ("gbk", b"\x95\x5c".as_slice(), true),
        ("sjis", b"\x95\x5c\xb1", true),
        ("utf8mb4", b"\x5c", false),
        ("gbk", b"\x95\x5c\x5c", false),
    ] {
        assert_eq!(findings_of(&dump(names, row), 3).1.is_empty(), good, "{names} {row:?}");
    }
}

#[test]
fn dumps_are_joined_in_any_order() {
    let inner = [PG_HEAD, PG_END].concat();
    whole(&[ALL_HEAD, ALL_END, &inner]);
    whole(&[&inner, ALL_HEAD, ALL_END]);
    whole(&[&inner, &inner, ALL_HEAD, &inner, ALL_END, &inner]);
    whole(&[MY_HEAD, MY_END, MY_HEAD, MY_END]);
    whole(&[LITE_HEAD, "COMMIT;\n", LITE_HEAD, "COMMIT;\n"]);
    cut(&[ALL_HEAD, &inner]);
    cut(&[PG_HEAD, &inner]);
    cut(&[PG_HEAD, ALL_HEAD, ALL_END, PG_END]);
    cut(&[&inner, ALL_HEAD, &inner]);
    cut(&[ALL_HEAD, ALL_END, PG_HEAD]);
    cut(&[MY_HEAD, MY_HEAD, MY_END]);
    cut(&[LITE_HEAD, "COMMIT;\n", LITE_HEAD]);
}

#[test]
fn what_follows_the_end() {
    let many = "UPDATE t SET a = 'it''s' WHERE b = 1;\n".repeat(1000);
    for (head, end) in [(PG_HEAD, PG_END), (MY_HEAD, MY_END), (LITE_HEAD, "COMMIT;\n")] {
        whole(&[head, end, &many]);
        whole(&[head, end, "\n-- copied by cron, isn't it\n/* x */\n\n"]);
        whole(&[head, end.trim_end()]);
        cut(&[head, end, &many, "INSERT INTO t VALUES (1"]);
        cut(&[head, end, "INSERT INTO t VALUES ('a"]);
        assert_eq!(kinds(&[head, end, "done in 5 s\n"]), [Kind::TrailingBytes]);
    }
    whole(&[PG_HEAD, PG_END, "\\unrestrict aB3\n\n", "pg_dump: warning: isn't good\n"]);
    whole(&[MY_HEAD, MY_END, "/*!40101 SET x=@y */;\nmysqldump: Error: 'Access denied; you\n"]);
    cut(&[PG_HEAD, PG_END, "COPY t FROM stdin;\n1\n"]);
}

#[test]
fn the_header_need_not_come_first() {
    let partial =
        "Warning: A partial dump from a server that has GTIDs. If you don't want to restore GTIDs, pass a flag.\n";
    for before in
        ["\u{feff}", "\n\n", "mysqldump: [Warning] Using a password can be insecure.\n", partial, "USE `shop`;\n"]
    {
        for (head, end, format) in [
            (PG_HEAD, PG_END, "pg_dump-sql"),
            (ALL_HEAD, ALL_END, "pg_dumpall-sql"),
            (MY_HEAD, MY_END, "mysqldump-sql"),
            (LITE_HEAD, "COMMIT;\n", "sqlite-sql"),
        ] {
            let text = [before, head, end].concat();
            assert_eq!(findings_of(text.as_bytes(), 100), (format, vec![]), "{text}");
            cut(&[before, head]);
        }
    }
    cut(&["mysqldump: Got error: 1045: \"Access denied\" when trying to connect\n"]);
    cut(&["\nUSE x;\n-- MySQL du"]);
}
