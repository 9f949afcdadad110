//! Which dumps have begun and ended in a text, and what in it a restore would stumble over.
//!
//! What an end mark says holds only if nothing was open when it came: with `--force`, `mysqldump` writes it though the
//! connection was lost in the middle of a table. And a client reads every line: a message of the program, or anything else
//! that is no SQL, makes one part of the statement that follows, which is refused; that of MySQL stops there.

use jiff::civil::DateTime;

use super::script::{Rest, Said};
use super::{
    Dialect, Fault, MYSQL_END, PG_CLUSTER, PG_CLUSTER_END, PG_DUMP, PG_DUMP_END, begins_mysql, completed, incomplete,
    message, words,
};
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;

/// So much of a line is quoted.
const SHOWN: usize = 100;

/// What mariadb-dump 10.11 writes for `set autocommit=0`.
const NO_AUTOCOMMIT: &[u8] = b"SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0";

const NOT_UNLOCKED: &str = "LOCK TABLES has no UNLOCK TABLES";
const NOT_SWITCHED_ON: &str = "DISABLE KEYS has no ENABLE KEYS";
const NOT_COMMITTED: &str = "rows are never committed";

/// Which dumps have begun, and which of them have ended.
#[derive(Debug)]
pub(super) struct Ends {
    dialect: Dialect,
    dump: bool,
    /// One of a PostgreSQL cluster, with dumps in it.
    cluster: bool,
    /// One has begun though another had no end.
    cut: bool,
    rolled_back: bool,
    /// When it was made.
    pub(super) created: Option<DateTime>,
    /// What was locked, switched off or not committed, as a statement of MySQL said it.
    locked: bool,
    keys_off: bool,
    transaction: Transaction,
    /// The first message, or other text that is no SQL, that no statement followed so far.
    stray: Option<Stray>,
    /// What was found first, and is damage.
    wrong: Option<Finding>,
    /// What the dump itself says it left out.
    left_out: Option<String>,
}

/// How far rows are from being committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    /// By themselves.
    Automatic,
    /// By a statement that is still to come, once there are any.
    Manual,
    /// There are some.
    Open,
}

/// A line that is none of the dump.
#[derive(Debug)]
struct Stray {
    shown: String,
    /// By a program, and no error.
    harmless: bool,
}

impl Ends {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            dump: false,
            cluster: false,
            cut: false,
            rolled_back: false,
            created: None,
            locked: false,
            keys_off: false,
            transaction: Transaction::Automatic,
            stray: None,
            wrong: None,
            left_out: None,
        }
    }

    /// Whether it was a beginning or an end.
    pub(super) fn hear(&mut self, said: Said<'_>) -> bool {
        match said {
            Said::Comment { line, whole, open } => return self.comment(line, whole, open),
            Said::Statement { text, swallowed } => self.statement(text, swallowed),
            Said::Message { line, within } => self.message(line, within),
            Said::Row(line) => self.wrong(
                Kind::DumpStructure,
                format_args!(
                    "among the rows of a table there is a line of another number of columns, “{}”: PostgreSQL refuses all of its rows",
                    shown(line)
                ),
            ),
        }
        false
    }

    fn comment(&mut self, line: &[u8], whole: bool, open: &[u8]) -> bool {
        let (mut begins, mut ends) = (true, false);
        if line == PG_DUMP || begins_mysql(line) {
            self.cut |= self.dump;
            self.dump = true;
        } else if line == PG_CLUSTER {
            self.cut |= self.dump || self.cluster;
            self.cluster = true;
        } else if line == PG_DUMP_END {
            (self.dump, begins, ends) = (false, false, true);
        } else if line == PG_CLUSTER_END {
            (self.cluster, begins, ends) = (false, false, true);
        } else if let Some(created) = line.strip_prefix(MYSQL_END).and_then(|rest| completed(rest, whole)) {
            (self.dump, self.created, begins, ends) = (false, created, false, true);
            self.close();
        } else {
            if line.starts_with(b"-- insufficient privileges to ") || line.starts_with(b"-- failed on view ") {
                self.left_out.get_or_insert_with(|| shown(line));
            }
            return false;
        }
        if ends && !open.is_empty() {
            self.unfinished(open);
        } else if begins && !open.is_empty() {
            self.refused(format_args!("“{}” stands before the dump and is no statement", shown(open)));
        }
        true
    }

    fn statement(&mut self, text: &[u8], swallowed: bool) {
        match text {
            b"BEGIN TRANSACTION" if self.dialect == Dialect::Sqlite => {
                self.cut |= self.dump;
                self.dump = true;
            }
            b"COMMIT" if self.dialect == Dialect::Sqlite => self.dump = false,
            b"ROLLBACK" => self.rolled_back = true,
            _ => {}
        }
        if let Some(stray) = self.stray.take() {
            self.refused(format_args!("“{}” stands before a statement", stray.shown));
        }
        if swallowed && self.is_within() {
            self.unfinished(text);
        }
        if !words::may_begin_statement(text) {
            if self.is_within() {
                self.refused(format_args!("“{}” is no statement", shown(text)));
            } else {
                self.stray = Some(Stray { shown: shown(text), harmless: true });
            }
        }
        if matches!(self.dialect, Dialect::MySql | Dialect::MySqlBare) {
            self.follow(text);
        }
    }

    /// What MySQL has locked, switched off or not committed after this statement.
    ///
    /// The next table may begin though the one before has no end: `--force` goes on after a table that can't be read.
    fn follow(&mut self, text: &[u8]) {
        if text.starts_with(b"LOCK TABLES ") {
            self.lost(self.locked, NOT_UNLOCKED);
            self.locked = true;
        } else if text == b"UNLOCK TABLES" {
            self.locked = false;
        } else if text.starts_with(b"/*!40000 ALTER TABLE ") {
            let off = text.ends_with(b"DISABLE KEYS */");
            self.lost(off && self.keys_off, NOT_SWITCHED_ON);
            self.keys_off = off;
        } else if text.eq_ignore_ascii_case(b"set autocommit=0") || text == NO_AUTOCOMMIT {
            self.lost(self.transaction == Transaction::Open, NOT_COMMITTED);
            self.transaction = Transaction::Manual;
        } else if text.eq_ignore_ascii_case(b"commit") && self.transaction == Transaction::Open {
            self.transaction = Transaction::Manual;
        } else if self.transaction == Transaction::Manual
            && (text.starts_with(b"INSERT ") || text.starts_with(b"REPLACE "))
        {
            self.transaction = Transaction::Open;
        }
    }

    /// A dump of MySQL ends: nothing may be locked, switched off or not committed.
    fn close(&mut self) {
        self.lost(self.locked, NOT_UNLOCKED);
        self.lost(self.keys_off, NOT_SWITCHED_ON);
        self.lost(self.transaction == Transaction::Open, NOT_COMMITTED);
        (self.locked, self.keys_off, self.transaction) = (false, false, Transaction::Automatic);
    }

    fn lost(&mut self, is_open: bool, what: &str) {
        if is_open {
            let text = format_args!(
                "{what}: the rows of a table end before their end, as when the program lost its connection and went on (--force)"
            );
            self.wrong(Kind::DumpIncomplete, text);
        }
    }

    fn message(&mut self, line: &[u8], within: bool) {
        if within {
            self.refused(format_args!("the message “{}” stands within a statement", shown(line)));
        } else if self.stray.as_ref().is_none_or(|stray| stray.harmless) {
            self.stray = Some(Stray { shown: shown(line), harmless: !message::is_error(line) });
        }
    }

    /// Whether statements belong to a dump.
    fn is_within(&self) -> bool {
        self.dump || self.cluster || self.dialect == Dialect::MySqlBare
    }

    fn unfinished(&mut self, open: &[u8]) {
        let text = format_args!(
            "a statement has no end, and the next one begins within it: “{}”; the program that wrote it failed there",
            shown(open)
        );
        self.wrong(Kind::DumpIncomplete, text);
    }

    fn refused(&mut self, what: std::fmt::Arguments<'_>) {
        let all = matches!(self.dialect, Dialect::MySql | Dialect::MySqlBare);
        let then = if all { "MySQL stops there" } else { "the statement that follows is lost" };
        self.wrong(Kind::DumpText, format_args!("{what}: {then}"));
    }

    fn wrong(&mut self, kind: Kind, text: std::fmt::Arguments<'_>) {
        self.wrong.get_or_insert_with(|| Finding::new(kind, text));
    }

    /// What all of it means, at the end of the text.
    pub(super) fn judge(mut self, rest: &Rest<'_>, findings: &mut Findings) -> Result<(), Fault> {
        if let Some(left_out) = &self.left_out {
            let text = format_args!("the dump says itself that something is not in it: “{left_out}”");
            findings.say(Kind::DumpMessage, text);
        }
        if self.dialect == Dialect::MySqlBare {
            if let Rest::Within(what) = rest {
                return Err(incomplete(format_args!("the dump ends within {what}")));
            } else if let Rest::Statement(text) = rest
                && words::may_begin_statement(text)
            {
                return Err(incomplete(format_args!("the dump ends within a statement: “{}”", shown(text))));
            }
            self.close();
        }
        if let Some(wrong) = self.wrong.take() {
            return Err(Fault::Wrong(wrong));
        }
        self.marks()?;
        match self.stray {
            Some(Stray { shown, harmless: false }) => {
                let text = format_args!("the program that made the dump says in it that it failed: “{shown}”");
                Err(Fault::wrong(Kind::DumpText, text))
            }
            Some(Stray { shown, .. }) => {
                let text = format_args!(
                    "something that is no SQL follows the dump, “{shown}”: its data is there, but the client ends with an error, and takes all back where it is to (psql -1)"
                );
                findings.say(Kind::DumpMessage, text);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Each dump must have the mark of its end.
    fn marks(&self) -> Result<(), Fault> {
        let last = match self.dialect {
            Dialect::MySql => MYSQL_END,
            Dialect::Sqlite => b"COMMIT;",
            _ if self.cluster && !self.dump => PG_CLUSTER_END,
            _ => PG_DUMP_END,
        };
        let last = String::from_utf8_lossy(last);
        if self.dialect == Dialect::Sqlite && self.rolled_back {
            return Err(incomplete("the dump ends with “ROLLBACK;”: the database could not be read to its end"));
        }
        if self.dump || self.cluster {
            return Err(incomplete(format_args!(
                "the dump lacks its last line “{last}”: it was cut off, or the program that wrote it failed"
            )));
        }
        if self.cut {
            return Err(incomplete(format_args!(
                "several dumps are joined, and one lacks its last line “{last}”: it was cut off"
            )));
        }
        Ok(())
    }
}

fn shown(text: &[u8]) -> String {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or(text).trim_ascii();
    let shown = printable(&line[..line.len().min(SHOWN)]);
    if line.len() > SHOWN { shown + "…" } else { shown }
}
