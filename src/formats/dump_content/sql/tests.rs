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
        "COPY public.t (\"b;c\") FROM stdin;\n",
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
        "COPY public.t (a, b, c) FROM stdin;\nit's\t$$\t/*\n\\.\nCOPY public.t (a) FROM stdin;\n-- PostgreSQL database dump complete\n\\.\n\n",
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
    whole(&[PG_HEAD, PG_END, "\\unrestrict aB3\n\n"]);
    cut(&[PG_HEAD, PG_END, "COPY t FROM stdin;\n1\n"]);
}

#[test]
fn the_header_need_not_come_first() {
    for before in ["\u{feff}", "\n\n", "USE `shop`;\n", "-- by cron, isn't it\n", "set names utf8;\n"] {
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
    whole(&["use shop\n", MY_HEAD, MY_END]);
    cut(&["mysqldump: Got error: 1045: \"Access denied\" when trying to connect\n"]);
    cut(&["\nUSE x;\n-- MySQL du"]);
}

const PARTIAL: &str =
    "Warning: A partial dump from a server that has GTIDs. If you don't want to restore GTIDs, pass a flag.\n";
const PASSWORD: &str = "mysqldump: [Warning] Using a password on the command line interface can be insecure.\n";
const CREATE: &str = "CREATE TABLE t (a int);\n";

#[track_caller]
fn refused(parts: &[&str]) {
    assert_eq!(kinds(parts), [Kind::DumpText], "{}", parts.concat());
}

#[test]
fn messages_before_and_within_statements_are_damage() {
    let verbose = "pg_dump: creating TABLE \"public.t\"\n";
    for message in [
        PARTIAL,
        PASSWORD,
        verbose,
        "Starting the backup, isn't it\n",
        "/usr/bin/mysqldump: Deprecated program name.\n",
    ] {
        for (head, end) in [(PG_HEAD, PG_END), (MY_HEAD, MY_END), (LITE_HEAD, "COMMIT;\n")] {
            let quoted = message.contains("isn't");
            let outcome = kinds(&[message, head, CREATE, end]);
            assert!(
                outcome.contains(&Kind::DumpText) || (quoted && outcome == [Kind::DumpIncomplete]),
                "{message} {outcome:?}"
            );
            if quoted {
                continue;
            }
            refused(&[head, message, CREATE, end]);
            refused(&[head, CREATE, message, CREATE, end]);
        }
    }
    for (head, end) in [(PG_HEAD, PG_END), (MY_HEAD, MY_END)] {
        refused(&[head, "CREATE TABLE t (\n  a int,\npg_dump: warning: x\n  b int);\n", end]);
        refused(&[head, "INSERT INTO t VALUES (1,'a'),(2mysqldump: Couldn't find table: \"x\"\n,'b');\n", end]);
        // The mark of the end must not heal it.
        assert_eq!(kinds(&[head, CREATE, "mysqldump: Couldn't find table: \"x\"\n", end]), [Kind::DumpText]);
    }
    refused(&["/*!40101 SET NAMES utf8 */;\n", PASSWORD, "INSERT INTO t VALUES (1);\n"]);
    refused(&[PASSWORD, "/*!40101 SET NAMES utf8 */;\n", "INSERT INTO t VALUES (1);\n"]);
}

#[test]
fn messages_behind_the_data() {
    let quoted = |text: &[u8]| findings_of(text, 7).1.iter().any(|finding| finding.text.contains("can be insecure"));
    for (head, end) in [(PG_HEAD, PG_END), (MY_HEAD, MY_END), (LITE_HEAD, "COMMIT;\n")] {
        for text in [[head, CREATE, end, PASSWORD], [head, CREATE, end, PASSWORD.trim_end()]] {
            assert_eq!(kinds(&text), [Kind::DumpMessage]);
            assert!(quoted(text.concat().as_bytes()));
        }
    }
    assert_eq!(kinds(&[PG_HEAD, PG_END, "pg_dump: warning: isn't good\n"]), [Kind::DumpMessage]);
    let tablespaces = "mysqldump: Error: 'Access denied; you need (at least one of) the PROCESS privilege(s) for this operation' when trying to dump tablespaces\n";
    assert_eq!(kinds(&[MY_HEAD, MY_END, tablespaces]), [Kind::DumpMessage]);
    refused(&[MY_HEAD, MY_END, "mysqldump: Got errno 28 on write\n"]);
    refused(&[PG_HEAD, PG_END, "pg_dump: error: query failed: \n"]);
    refused(&[MY_HEAD, MY_END, PASSWORD, MY_HEAD, MY_END]);
    assert_eq!(
        kinds(&[MY_HEAD, "\n-- insufficient privileges to SHOW CREATE PROCEDURE\n", MY_END]),
        [Kind::DumpMessage]
    );
}

#[test]
fn quoted_messages_are_data() {
    let message = "mysqldump: Error 2013: Lost connection\npg_dump: error: x\nWarning: y\n";
    whole(&[
        MY_HEAD,
        "INSERT INTO t VALUES ('\n",
        message,
        "');\n",
        "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN\n/*\n",
        message,
        "*/ END ;;\nDELIMITER ;\n",
        MY_END,
    ]);
    whole(&[
        PG_HEAD,
        "CREATE FUNCTION f() AS $_$\n",
        message,
        "$_$;\nCOMMENT ON TABLE t IS '\n",
        message,
        "';\n/*\n",
        message,
        "*/\n-- pg_dump: error: x\n",
        PG_END,
    ]);
    // A table of a log with one column, and with two.
    whole(&[PG_HEAD, "COPY public.log (line) FROM stdin;\n", message, "\\.\n", PG_END]);
    whole(&[PG_HEAD, "COPY public.log (id, line) FROM stdin;\n1\tpg_dump: error: x\n\\.\n", PG_END]);
    whole(&[PG_HEAD, "SELECT 'x'::text, a::int FROM pg_dump;\nINSERT INTO t VALUES (1);\n", PG_END]);
}

#[test]
fn rows_have_as_many_columns_as_their_table() {
    let copy =
        |list: &str, rows: &str| kinds(&[PG_HEAD, "COPY public.t", list, " FROM stdin;\n", rows, "\\.\n", PG_END]);
    assert_eq!(copy(" (a, \"b,(\", c)", "1\t2\t3\n\\N\t\t\n"), []);
    assert_eq!(copy(" ", "\n\n"), []);
    let long = (0..1600).map(|index| format!("a_rather_long_name_of_a_column_{index}")).collect::<Vec<_>>().join(", ");
    assert_eq!(copy(&format!(" ({long})"), &["1"; 1600].join("\t")), [Kind::DumpStructure]);
    assert_eq!(copy(&format!(" ({long})"), &(["1"; 1600].join("\t") + "\n")), []);
    for row in ["pg_dump: dumping contents of table \"public.t\"\n", "1\t2\t3\t4\n", "1\n", "\n"] {
        assert_eq!(copy(" (a, b, c)", &["1\t2\t3\n", row].concat()), [Kind::DumpStructure], "{row}");
    }
}

#[test]
fn an_end_heals_no_open_statement() {
    let open = "INSERT INTO `t` VALUES\n(1,'x'),\n(2,'y')";
    let restored = "\n/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n\n";
    cut(&[MY_HEAD, open, "\n", MY_END]);
    cut(&[MY_HEAD, open, restored, MY_END]);
    cut(&[MY_HEAD, open, "\n\n--\n-- Table structure for table `u`\n--\n\n", CREATE, MY_END]);
    cut(&[MY_HEAD, open, "\nUNLOCK TABLES;\n", MY_END]);
    cut(&[PG_HEAD, "INSERT INTO public.t VALUES (1, 'x')\n", PG_END]);
    cut(&[
        PG_HEAD,
        "INSERT INTO public.t VALUES (1, 'x')\n\n--\n-- Data for Name: u\n--\n\nINSERT INTO u VALUES (1);\n",
        PG_END,
    ]);
    // What was locked, switched off or begun for the rows of a table.
    let rows = "INSERT INTO `t` VALUES (1,'x');\n";
    for (begin, end) in [
        ("LOCK TABLES `t` WRITE;\n", "UNLOCK TABLES;\n"),
        ("/*!40000 ALTER TABLE `t` DISABLE KEYS */;\n", "/*!40000 ALTER TABLE `t` ENABLE KEYS */;\n"),
        ("set autocommit=0;\n", "commit;\n"),
        ("SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;\n", "COMMIT;\nSET AUTOCOMMIT=@OLD_AUTOCOMMIT;\n"),
    ] {
        whole(&[MY_HEAD, begin, rows, end, MY_END]);
        whole(&[MY_HEAD, begin, rows, end, begin, rows, end, MY_END]);
        cut(&[MY_HEAD, begin, rows, MY_END]);
        cut(&[MY_HEAD, begin, rows, end, begin, rows, MY_END]);
        // A table that could not be read, with `--force`, and a good one behind it.
        cut(&[MY_HEAD, begin, rows, CREATE, begin, rows, end, MY_END]);
        cut(&[MY_HEAD, begin, rows, MY_END, MY_HEAD, MY_END]);
        let bare = "/*!40101 SET NAMES utf8 */;\n";
        assert_eq!(kinds(&[bare, begin, rows, end]), [Kind::NoEndKnown]);
        cut(&[bare, begin, rows]);
        cut(&[bare, begin, open]);
        cut(&[bare, begin, "INSERT INTO `t` VALUES (1,'x"]);
    }
    // MySQL 4.1 locked within the keys.
    let (off, on) = ("/*!40000 ALTER TABLE `t` DISABLE KEYS */;\n", "/*!40000 ALTER TABLE `t` ENABLE KEYS */;\n");
    whole(&[MY_HEAD, off, "LOCK TABLES `t` WRITE;\n", rows, "UNLOCK TABLES;\n", on, MY_END]);
    whole(&["/*M!999999\\- enable the sandbox mode */ \n", MY_HEAD, rows, MY_END]);
    whole(&["/*!999999\\- enable the sandbox mode */ \n", MY_HEAD, rows, MY_END]);
    // By hand, behind the end.
    whole(&[MY_HEAD, MY_END, "INSERT INTO t VALUES\n-- the first\n(1);\n"]);
}
