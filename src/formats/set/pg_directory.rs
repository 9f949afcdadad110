//! `pg_dump -Fd`: `toc.dat`, a file for the data of each entry, files for large objects and lists of them.
//!
//! `toc.dat` is written before the data, so what makes it whole is that every file it names is there and ends as it
//! should. `pg_restore` takes a file with or without the ending of its compression.

use super::Set;
use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::domain::proof::Level;
use crate::formats::dump_content::contents;
use crate::formats::pg_data::{Data, DataFile, Lists};
use crate::formats::stream::{Stop, Stream};

const CONTENTS: &str = "toc.dat";
const ENDINGS: [&str; 3] = [".gz", ".lz4", ".zst"];

pub(super) fn check(set: &mut Set<'_>) -> Result<(), Stop> {
    set.evidence.format = Some("pg_dump-directory".into());
    let Some(index) = set.find(CONTENTS) else { return Ok(()) };
    let Some(contents) = set.look(index, |stream, _| contents(stream))? else { return Ok(()) };
    if let Some(text) = contents.unknown {
        set.findings.say(Kind::UnknownVersion, text);
        set.only(Level::Decodes);
    }
    set.evidence.members = Some(contents.entries);
    let mut lists = Lists::default();
    let mut opaque = 0;
    for index in 0..set.files.members().len() {
        let whole = set.name(index);
        let name = ENDINGS.iter().find_map(|ending| whole.strip_suffix(ending)).unwrap_or(&whole);
        if whole == CONTENTS || whole.contains('/') {
            continue;
        }
        let before = set.findings.damaged();
        let data = set.look(index, |stream, _| read(stream, Data::new(name)))?;
        // What is damaged or can't be decompressed is there all the same.
        let data = data.unwrap_or_else(|| {
            opaque += u64::from(!before && !set.findings.damaged());
            Data::not_read()
        });
        if !lists.add(name, data) {
            return Err(Stop::Limit("the dump has more large objects than can be followed".to_owned()));
        }
    }
    lists.judge(&contents.files, &mut set.findings);
    if opaque > 0 {
        let text = format_args!("{opaque} files are compressed in a way that is not decompressed here, or are links");
        set.findings.say(Kind::NoEndKnown, text);
    }
    extra(set, &contents.files);
    Ok(())
}

fn read(stream: &mut dyn Stream, mut data: Data) -> Result<Data, Stop> {
    loop {
        let chunk = stream.chunk()?;
        if chunk.is_empty() {
            return Ok(data);
        }
        data.feed(chunk);
        let (count, has_line) = (chunk.len(), memchr::memchr(b'\n', chunk).is_some());
        stream.consume(count);
        // Rows are lines: however well they compress, they are no bomb.
        if has_line {
            stream.landmark();
        }
    }
}

/// Files of data that belong to nothing: two dumps in one directory.
fn extra(set: &mut Set<'_>, wanted: &[DataFile]) {
    let mut names: Vec<&str> = wanted.iter().map(|file| &*file.name).collect();
    names.sort_unstable();
    let is_data = |name: &str| name.strip_suffix(".dat").is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let found = set.files.members().iter().find_map(|member| {
        let name = ENDINGS.iter().find_map(|ending| member.name.strip_suffix(ending)).unwrap_or(&member.name);
        (is_data(name) && names.binary_search(&name).is_err()).then(|| printable(name.as_bytes()))
    });
    if let Some(name) = found {
        let text = format_args!("{name} is named by no entry of toc.dat: files of another dump lie here, too");
        set.findings.say(Kind::StrayEntry, text);
    }
}
