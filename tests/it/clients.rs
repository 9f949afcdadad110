//! What the real clients do with a dump in which something stands that is none of it, beside what firedrill says: whatever
//! loses data is damaged, and nothing else is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::store::{binaries, ordinary};
use crate::support::{firedrill, stdout};

/// A server of our own in a temporary directory, run by an ordinary user, gone with the process.
struct Server {
    place: TempDir,
    process: Child,
    /// How its process is asked to end.
    signal: rustix::process::Signal,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.process), self.signal);
        let _ = self.process.wait();
    }
}

fn own_place() -> TempDir {
    let place = tempfile::Builder::new().prefix("fd-db").tempdir_in("/tmp").unwrap();
    if rustix::process::geteuid().is_root() {
        assert!(Command::new("chown").arg("nobody:nogroup").arg(place.path()).status().unwrap().success());
    }
    place
}

fn quiet(mut command: Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

/// A program wherever Debian keeps it: not all are on the path of an ordinary user.
fn program(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(|place| Path::new(place).join(name));
    places.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{name} is installed"))
}

/// One sort of database with its programs.
trait Database {
    /// A client that reads its statements from standard input.
    fn client(&self, database: &str) -> Command;
    fn dump(&self, database: &str) -> Vec<u8>;
    /// What is in the database, to compare.
    fn content(&self, database: &str) -> String;

    fn run(&self, database: &str, text: &[u8]) -> bool {
        let mut command = self.client(database);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A client that stops at an error reads no further.
        let _ = child.stdin.take().unwrap().write_all(text);
        child.wait().unwrap().success()
    }

    fn ask(&self, database: &str, text: &str) -> String {
        let mut command = self.client(database);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }
}

struct MariaDb(Server);

impl MariaDb {
    fn start() -> Self {
        let place = own_place();
        let data = place.path().join("data");
        let mut install = ordinary(&program("mariadb-install-db"));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", data.display()));
        assert!(quiet(install));
        let mut server = ordinary(&program("mariadbd"));
        server
            .args(["--no-defaults", "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--datadir"])
            .arg(&data);
        server.arg(format!("--socket={}/s", place.path().display()));
        let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let it = Self(Server { place, process, signal: rustix::process::Signal::TERM });
        let begun = Instant::now();
        while !it.run("", b"SELECT 1") {
            assert!(begun.elapsed() < Duration::from_secs(60), "MariaDB doesn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
        it
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.args(["--no-defaults", "-u", "root", "-S"]).arg(self.0.place.path().join("s"));
        command
    }
}

impl Database for MariaDb {
    fn client(&self, database: &str) -> Command {
        let mut command = self.command("mariadb");
        command.arg("-N").arg(database);
        command
    }

    fn dump(&self, database: &str) -> Vec<u8> {
        self.command("mariadb-dump").args(["--routines", database]).output().unwrap().stdout
    }

    fn content(&self, database: &str) -> String {
        self.ask(database, "SHOW TABLES; CHECKSUM TABLE a; CHECKSUM TABLE b;").replace(database, "")
            + &self.ask(database, "SHOW CREATE PROCEDURE p")
    }
}

struct Postgres(Server);

impl Postgres {
    fn start() -> Self {
        let place = own_place();
        let data = place.path().join("data");
        let mut make = ordinary(&binaries().join("initdb"));
        make.args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        assert!(quiet(make));
        let mut server = ordinary(&binaries().join("postgres"));
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(place.path());
        let process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let it = Self(Server { place, process, signal: rustix::process::Signal::INT });
        let begun = Instant::now();
        while !it.run("postgres", b"SELECT 1;") {
            assert!(begun.elapsed() < Duration::from_secs(60), "PostgreSQL doesn't start");
            std::thread::sleep(Duration::from_millis(50));
        }
        it
    }
}

impl Database for Postgres {
    fn client(&self, database: &str) -> Command {
        let mut command = Command::new(binaries().join("psql"));
        command.args(["-X", "-q", "-At", "-U", "postgres", "-d", database, "-h"]).arg(self.0.place.path());
        command
    }

    fn dump(&self, database: &str) -> Vec<u8> {
        let mut command = Command::new(binaries().join("pg_dump"));
        command.args(["-U", "postgres", "-h"]).arg(self.0.place.path());
        command.arg(database).output().unwrap().stdout
    }

    fn content(&self, database: &str) -> String {
        self.ask(database, "SELECT * FROM a ORDER BY 1;\nSELECT * FROM b ORDER BY 1;\nSELECT p();\n\\d a\n\\d b\n")
    }
}

/// The verdict, and whether there was a warning.
fn verdict(dump: &[u8]) -> (String, bool) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.sql");
    std::fs::write(&file, dump).unwrap();
    let output = firedrill().args(["verify", "--json"]).arg(&file).output().unwrap();
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let it = &report["archives"][0];
    let warned = it["findings"].as_array().unwrap().iter().any(|finding| finding["severity"] != "note");
    (it["verdict"].as_str().unwrap().to_owned(), warned)
}

/// Restores what `change` makes of a dump, and compares what the client brings back with the verdict.
fn compare(server: &dyn Database, seed: &str, cases: &[(&str, String)]) {
    let make = |name: &str| assert!(server.run(maintenance(server), format!("CREATE DATABASE {name};").as_bytes()));
    make("seed");
    assert!(server.run("seed", seed.as_bytes()));
    let (dump, wanted) = (String::from_utf8(server.dump("seed")).unwrap(), server.content("seed"));
    let mut wrong = Vec::new();
    for (index, (what, text)) in cases.iter().enumerate() {
        // What is put before a mark; before the end with `$`.
        let (mark, insert) = text.split_once('|').unwrap_or(("", text));
        let at = if mark == "$" { dump.len() } else { dump.find(mark).unwrap_or_else(|| panic!("{mark} in {dump}")) };
        let changed = [&dump[..at], insert, &dump[at..]].concat();
        let name = format!("case{index}");
        make(&name);
        let content = server.run(&name, changed.as_bytes());
        let lost = server.content(&name) != wanted;
        let (verdict, warned) = verdict(changed.as_bytes());
        if (verdict == "damaged") != lost || (!content && !warned) {
            wrong.push(format!("{what}: the client lost something: {lost}, ended well: {content}, verdict {verdict}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn maintenance(server: &dyn Database) -> &'static str {
    let is_postgres = server.client("x").get_args().any(|argument| argument == "-X");
    if is_postgres { "postgres" } else { "mysql" }
}

fn case(what: &'static str, text: impl Into<String>) -> (&'static str, String) {
    (what, text.into())
}

#[test]
fn what_mariadb_loses_is_damaged_and_nothing_else() {
    let server = MariaDb::start();
    let seed = "CREATE TABLE a (i INT PRIMARY KEY, v TEXT); INSERT INTO a VALUES (1,'it''s'),(2,'mysqldump: Error 2013: x\n-- Dump completed\nUNLOCK TABLES;');\nCREATE TABLE b (i INT PRIMARY KEY); INSERT INTO b VALUES (1),(2);\nDELIMITER //\nCREATE PROCEDURE p() BEGIN\n/*\nmysqldump: Got error: 1045: x\n*/\nSELECT 'mysqldump: [Warning] x';\nEND//\nDELIMITER ;\n";
    let password = "mysqldump: [Warning] Using a password on the command line interface can be insecure.\n";
    compare(
        &server,
        seed,
        &[
            case("unchanged", "|"),
            case("a warning first", format!("|{password}")),
            case("a warning between statements", format!("LOCK TABLES `a`|{password}")),
            case("a warning within the rows", format!("(2,'mysqldump|{password}")),
            case(
                "a warning before a comment of the second table",
                format!("--\n-- Table structure for table `b`|{password}"),
            ),
            case("a warning behind the end", format!("$|{password}")),
            case(
                "a deprecated name, with its path",
                "|/usr/bin/mysqldump: Deprecated program name. It will be removed in a future release\n",
            ),
            case("a line of a script first", "|Starting the backup of shop\n"),
            case("a line of a script behind the end", "$|finished after 5 s\n"),
            case("a comment of a script first", "|-- Starting the backup, isn't it\n"),
            case("USE first, without a semicolon", "|use mysql\nuse case10\n"),
            case("empty lines", "|\n\n"),
            case("a byte order mark", "|\u{feff}"),
            case("the end falls into a statement", "(2,'mysqldump|(3,'x')\n-- Dump completed\n"),
        ],
    );
}

#[test]
fn what_psql_loses_is_damaged_and_nothing_else() {
    let server = Postgres::start();
    let seed = "CREATE TABLE a (i int PRIMARY KEY, v text, w text); INSERT INTO a VALUES (1,'it''s',''),(2,E'pg_dump: error: x\\n-- PostgreSQL database dump complete','\\.');\nCREATE TABLE b (v text); INSERT INTO b VALUES ('pg_dump: warning: x'), ('');\nCREATE FUNCTION p() RETURNS text LANGUAGE plpgsql AS $$ BEGIN\n-- pg_dump: error: x\nRETURN 'pg_dump: creating TABLE \"x\"'; END $$;\n";
    let verbose = "pg_dump: creating TABLE \"public.t\"\n";
    compare(
        &server,
        seed,
        &[
            case("unchanged", "|"),
            case("a message before a table", format!("CREATE TABLE public.a|{verbose}")),
            case("a message within a statement", format!("    v text,|{verbose}")),
            case("a message among rows", format!("2\tpg_dump|{verbose}")),
            case("a message behind the end", format!("$|{verbose}")),
            case("a warning with a quote behind the end", "$|pg_dump: warning: isn't good\n"),
            case("a line of a script before a table", "CREATE TABLE public.b|Starting the backup of shop\n"),
            case("a comment of a script first", "|-- Starting the backup, isn't it\n"),
            case("empty lines", "|\n\n"),
            case("a row too many columns", "2\tpg_dump|3\ta\tb\tc\n"),
            case("a byte order mark", "|\u{feff}"),
        ],
    );
}

#[test]
fn what_sqlite_reads_is_what_is_said_of_it() {
    let place = tempfile::tempdir().unwrap();
    let sqlite = |name: &str, text: &[u8]| {
        let mut command = Command::new(program("sqlite3"));
        let mut child = command.arg("-batch").arg(place.path().join(name));
        child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(text);
        let output = child.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(sqlite("seed", b"CREATE TABLE a(i, v); INSERT INTO a VALUES(1, 'Error: x'), (2, 'COMMIT;\nit''s');").0);
    let dump = sqlite("seed", b".dump").1;
    for (index, (at, insert)) in [
        ("", ""),
        ("", "-- Loading resources from /root/.sqliterc\n"),
        ("INSERT INTO", "Error: database is locked\n"),
        ("CREATE TABLE", "WARNING: something\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = dump.find(at).unwrap();
        let changed = [&dump[..at], insert, &dump[at..]].concat();
        let name = format!("case{index}");
        sqlite(&name, changed.as_bytes());
        let lost = sqlite(&name, b".dump").1 != dump;
        assert_eq!(verdict(changed.as_bytes()).0 == "damaged", lost, "{insert}");
    }
}
