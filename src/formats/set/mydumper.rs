//! mydumper: a file of SQL for each table or part of it, others for schemas, and `metadata`.
//!
//! Nothing tells how many files there must be. `metadata` is renamed from `metadata.partial` and gets its last line when
//! all were written; each file ends with a statement.
//!
//! Seen of mydumper 0.10; later releases write the two lines of `metadata` behind `#`.

use super::Set;
use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::formats::dump_content::whole_statements;
use crate::formats::stream::{Stop, read_full};

/// More of `metadata` is not read.
const LONGEST: usize = 4 << 20;

/// Names of files that create something. mydumper goes on after an error, and leaves their first lines.
const DEFINING: [&str; 3] = ["-schema", "-schema-create", "-schema-view"];

/// Whether a file has statements.
pub(super) fn is_sql(name: &str) -> bool {
    sql_name(name).is_some()
}

/// The name without the endings of SQL and of compression.
fn sql_name(name: &str) -> Option<&str> {
    let name = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    name.strip_suffix(".sql")
}

pub(super) fn check(set: &mut Set<'_>) -> Result<(), Stop> {
    set.evidence.format = Some("mydumper".into());
    let Some(index) = set.find("metadata") else { return Ok(()) };
    let text = set.look(index, |stream, _| {
        let mut text = vec![0; LONGEST];
        let filled = read_full(stream, &mut text)?;
        text.truncate(filled);
        Ok(text)
    })?;
    let text = text.unwrap_or_default();
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_prefix(b"# ").unwrap_or(line));
    if !lines.any(|line| line.starts_with(b"Finished dump at:")) {
        set.findings.say(Kind::DumpIncomplete, "metadata doesn't say when the dump was finished: it was interrupted");
    }
    schemas(set);
    for index in 0..set.files.members().len() {
        let name = set.name(index);
        let Some(stem) = sql_name(&name) else { continue };
        let creates = set.look(index, |stream, _| whole_statements(stream))?;
        if creates == Some(false) && DEFINING.iter().any(|ending| stem.ends_with(ending)) {
            let text = format_args!("{} defines nothing: mydumper could not read it", printable(name.as_bytes()));
            set.findings.say(Kind::DumpIncomplete, text);
        }
    }
    Ok(())
}

/// Of each table with rows its definition must be there, if there are definitions at all.
fn schemas(set: &mut Set<'_>) {
    let mut defined = Vec::new();
    let mut tables = Vec::new();
    for name in set.files.members().iter().filter_map(|member| sql_name(&member.name)) {
        if let Some((table, _)) = name.rsplit_once("-schema") {
            defined.push(table);
        } else {
            // Parts of a table are numbered.
            let part = |tail: &str| tail.len() >= 5 && tail.bytes().all(|byte| byte.is_ascii_digit());
            let mut table = name;
            while let Some((head, _)) = table.rsplit_once('.').filter(|(head, tail)| part(tail) && head.contains('.')) {
                table = head;
            }
            tables.push(table);
        }
    }
    if !defined.iter().any(|table| table.contains('.')) {
        return;
    }
    defined.sort_unstable();
    tables.dedup();
    let missing: Vec<_> = tables.iter().filter(|table| defined.binary_search(table).is_err()).collect();
    if let Some(first) = missing.first() {
        let first = printable(first.as_bytes());
        let text = format!("the definitions of {} tables are not there, such as {first}-schema.sql", missing.len());
        set.findings.say(Kind::MemberMissing, text);
    }
}
