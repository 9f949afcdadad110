//! The tar format of `pg_dump`: its table of contents, a member for the data of each entry, and a script.
//!
//! The table comes first and names every file of data; `restore.sql` comes last. Rows of `COPY` end with a mark of
//! their own, so a member that was cut short before it was put into the archive is noticed.
//!
//! Source: PostgreSQL `src/bin/pg_dump/pg_backup_tar.c`.

use super::{Fault, Source, Summary, pg_custom};
use crate::domain::finding::{Findings, Kind};
use crate::formats::pg_data::{Data, Lists};
use crate::formats::stream::{Bytes, Stop, Stream};
use crate::formats::tar::{self, Watch};

pub(super) const FORMAT: &str = "pg_dump-tar";

/// Longest table of contents that is read.
const LONGEST: usize = 16 << 20;

const CONTENTS: &[u8] = b"toc.dat";
const SCRIPT: &str = "restore.sql";

/// Whether an archive begins as such a dump does.
pub(in crate::formats) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"toc.dat\0") && head.get(257..262) == Some(b"ustar")
}

pub(super) fn check<S: Stream + ?Sized>(
    source: &mut Source<'_, S>,
    summary: &mut Summary,
    findings: &mut Findings,
) -> Result<(), Fault> {
    (summary.format, summary.end_known, summary.understood) = (FORMAT, true, true);
    let mut members = Members::default();
    let walked = tar::check_watched(source, false, Some(&mut members), findings);
    match walked {
        Ok(_) => {}
        Err(Stop::Damaged(finding)) => return Err(Fault::Wrong(finding)),
        Err(stop) => return Err(Fault::Stop(stop)),
    }
    if members.too_long {
        return Err(Fault::Stop(Stop::Limit("the table of contents or a list of the dump is too long".to_owned())));
    }
    let contents = match pg_custom::contents(&mut Bytes { left: &members.contents, step: usize::MAX }) {
        Ok(contents) => contents,
        Err(Stop::Damaged(finding)) => return Err(Fault::Wrong(finding)),
        Err(stop) => return Err(Fault::Stop(stop)),
    };
    if let Some(text) = contents.unknown {
        summary.end_known = false;
        findings.say(Kind::UnknownVersion, text);
        return Ok(());
    }
    (summary.members, summary.created) = (Some(contents.entries), contents.created);
    members.lists.judge(&contents.files, findings);
    if members.lists.find(SCRIPT).is_none() {
        findings.say(Kind::DumpIncomplete, "the dump has no restore.sql, which pg_dump writes last");
    }
    Ok(())
}

/// What is kept of the members.
#[derive(Default)]
struct Members {
    contents: Vec<u8>,
    in_contents: bool,
    too_long: bool,
    name: String,
    data: Data,
    lists: Lists,
}

impl Watch for Members {
    fn begin(&mut self, name: &[u8], bytes: u64) {
        self.in_contents = name == CONTENTS && self.contents.is_empty();
        self.name = String::from_utf8_lossy(name).into_owned();
        self.data = Data::new(&self.name);
        self.too_long |= self.in_contents && bytes > LONGEST as u64;
    }

    fn content(&mut self, bytes: &[u8]) {
        if self.in_contents && !self.too_long {
            self.contents.extend_from_slice(bytes);
        }
        self.data.feed(bytes);
    }

    fn end(&mut self) {
        self.too_long |= !self.lists.add(&self.name, std::mem::take(&mut self.data));
    }
}
