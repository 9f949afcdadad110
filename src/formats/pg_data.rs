//! Files of data of `pg_dump`'s directory and tar formats, and what its table of contents says of them.
//!
//! Rows of `COPY` end with `\.` and two empty lines. A list of large objects has a line `OID name` for each.
//!
//! Source: PostgreSQL `src/bin/pg_dump/pg_backup_{directory,tar}.c`, and `dumpTableData_copy` of `pg_dump.c`.

use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;

/// What rows of `COPY` end with.
const END: &[u8] = b"\\.\n\n\n";

/// Longest list of large objects.
const LONGEST_LIST: usize = 8 << 20;

/// Most files of data; each takes memory.
const MOST: usize = 300_000;

/// A file of data that a table of contents names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataFile {
    pub(super) name: Box<str>,
    /// It lists files of large objects.
    pub(super) blobs: bool,
    /// It has rows of `COPY`, and a mark at their end.
    pub(super) rows: bool,
}

/// The content of a file while it passes by.
#[derive(Debug, Default)]
pub(super) struct Data {
    bytes: u64,
    /// The last bytes.
    end: Vec<u8>,
    /// Where the first zero byte is: rows have none, large objects may.
    zero: Option<u64>,
    /// All of a list of large objects.
    list: Option<Vec<u8>>,
}

impl Data {
    /// Of a file with such a name.
    pub(super) fn new(name: &str) -> Self {
        let is_list = name.starts_with("blobs") && name.ends_with(".toc");
        Self { list: is_list.then(Vec::new), ..Self::default() }
    }

    /// Of a file that could not be read through: nothing is missing in it for all that is known.
    pub(super) fn not_read() -> Self {
        Self { end: END.to_vec(), ..Self::default() }
    }

    /// The next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.zero.is_none() {
            self.zero = memchr::memchr(0, bytes).map(|at| self.bytes + at as u64);
        }
        self.bytes += bytes.len() as u64;
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(END.len())..]);
        self.end.drain(..self.end.len().saturating_sub(END.len()));
        if let Some(list) = &mut self.list
            && list.len() <= LONGEST_LIST
        {
            list.extend_from_slice(bytes);
        }
    }
}

/// What is kept of all files of a dump.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Name, whether it ends as rows do, and where its first zero byte is.
    files: Vec<(Box<str>, bool, Option<u64>)>,
    /// Names of lists of large objects, with what is in them.
    lists: Vec<(Box<str>, Vec<u8>)>,
    sorted: bool,
}

impl Lists {
    /// A file that was read to its end; `false` if that is more than can be kept.
    pub(super) fn add(&mut self, name: &str, data: Data) -> bool {
        if self.files.len() >= MOST || data.list.as_ref().is_some_and(|list| list.len() > LONGEST_LIST) {
            return false;
        }
        self.files.push((name.into(), data.end == END, data.zero));
        self.lists.extend(data.list.map(|list| (name.into(), list)));
        self.sorted = false;
        true
    }

    /// Whether there is such a file; whether it ends as rows do, and where its first zero byte is.
    pub(super) fn find(&mut self, name: &str) -> Option<(bool, Option<u64>)> {
        if !self.sorted {
            self.files.sort_unstable();
            self.lists.sort_unstable();
            self.sorted = true;
        }
        self.files.binary_search_by(|(it, ..)| (**it).cmp(name)).ok().map(|index| {
            let (_, ended, zero) = self.files[index];
            (ended, zero)
        })
    }

    /// Says which files of the table of contents are missing, or end too early.
    pub(super) fn judge(&mut self, wanted: &[DataFile], findings: &mut Findings) {
        for file in wanted {
            let name = printable(file.name.as_bytes());
            match self.find(&file.name) {
                None => findings.say(Kind::MemberMissing, format_args!("{name}, which toc.dat names, is not there")),
                Some((_, Some(at))) if !file.blobs => {
                    let text = format_args!("{name} has a zero byte at {at} in its rows: PostgreSQL refuses them");
                    findings.say(Kind::DumpStructure, text);
                }
                Some((false, _)) if file.rows => {
                    findings.say(Kind::Truncated, format_args!("{name} lacks the mark at the end of its rows"));
                }
                Some(_) if file.blobs => self.judge_list(&file.name, findings),
                Some(_) => {}
            }
        }
    }

    fn judge_list(&mut self, name: &str, findings: &mut Findings) {
        let Ok(index) = self.lists.binary_search_by(|(it, _)| (**it).cmp(name)) else { return };
        let list = std::mem::take(&mut self.lists[index].1);
        let shown = printable(name.as_bytes());
        if list.last().is_some_and(|byte| *byte != b'\n') {
            findings.say(Kind::Truncated, format_args!("{shown} ends in the middle of a line"));
        }
        for line in list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let words = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' '));
            let Some((_, file)) = words.filter(|(number, _)| number.parse::<u32>().is_ok()) else {
                return findings.say(Kind::DumpStructure, format_args!("{shown} has a line {:?}", printable(line)));
            };
            if self.find(file).is_none() {
                let file = printable(file.as_bytes());
                findings.say(Kind::MemberMissing, format_args!("{file}, which {shown} names, is not there"));
            }
        }
    }
}
