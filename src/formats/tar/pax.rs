//! Extended headers: records `LENGTH KEY=VALUE\n` before a member. Sources: POSIX pax ("pax Extended Header"), GNU
//! tar's `xheader.c` for the keys of sparse members and for what a restore accepts.

use super::header;
use super::sparse::{Map, Wrong, decimal};

/// Longer extended headers are not read. Those of vzdump have some hundred bytes, with access lists and attributes at
/// most some hundred KiB.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What is wrong with an extended header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// With its records.
    Record(&'static str),
    /// With the map of a sparse member in it.
    Map(Wrong),
}

impl From<Wrong> for Broken {
    fn from(wrong: Wrong) -> Self {
        Self::Map(wrong)
    }
}

/// What extended headers say of the member that follows. Of times and owners only whether they are numbers; access lists and
/// attributes are passed over.
#[derive(Debug, Default)]
pub(super) struct Extended {
    path: Vec<u8>,
    sparse_name: Vec<u8>,
    link: Vec<u8>,
    /// Replaces the size of the header.
    pub(super) size: Option<u64>,
    /// Size of a sparse file.
    pub(super) real: Option<u64>,
    /// Format of the sparse map: 1 is before the data, else it is in these records.
    pub(super) major: u64,
    map: Map,
    has_map: bool,
    blocks: Option<u64>,
    offset: Option<u64>,
}

impl Extended {
    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        let [mut path, mut sparse_name, mut link] =
            [&mut self.path, &mut self.sparse_name, &mut self.link].map(std::mem::take);
        path.clear();
        sparse_name.clear();
        link.clear();
        *self = Self { path, sparse_name, link, ..Self::default() };
    }

    /// The name that replaces that of the header.
    pub(super) fn name(&self) -> Option<&[u8]> {
        [&self.sparse_name, &self.path].into_iter().find(|name| !name.is_empty()).map(Vec::as_slice)
    }

    /// Where a link points to, instead of what the header says.
    pub(super) fn link(&self) -> Option<&[u8]> {
        (!self.link.is_empty()).then_some(&self.link)
    }

    /// The map of a sparse member, if it is in these records.
    pub(super) fn map(&self) -> Option<Map> {
        self.has_map.then_some(self.map)
    }

    /// Reads records.
    pub(super) fn parse(&mut self, mut records: &[u8]) -> Result<(), Broken> {
        while !records.is_empty() {
            // GNU tar takes a NUL for the end; some programs fill up with them.
            if records[0] == 0 && header::is_zero(records) {
                break;
            }
            let (record, rest) = split(records)?;
            let equals = memchr::memchr(b'=', record).ok_or(Broken::Record("a record has no ="))?;
            self.set(&record[..equals], &record[equals + 1..])?;
            records = rest;
        }
        if self.offset.is_some() {
            return Err(Wrong("a piece has no length").into());
        }
        match self.blocks {
            Some(blocks) if self.has_map && blocks != self.map.count() => {
                Err(Wrong("it has another number of pieces than it says").into())
            }
            _ => Ok(()),
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Broken> {
        let number = || decimal(value).ok_or(Broken::Record("a record has something else where a number should be"));
        match key {
            b"path" => keep(&mut self.path, value),
            b"linkpath" => keep(&mut self.link, value),
            b"size" => self.size = Some(number()?),
            b"mtime" | b"atime" | b"ctime" if !is_time(value) => {
                return Err(Broken::Record("a record has something else where a time should be"));
            }
            b"uid" | b"gid" if number()? > u64::from(u32::MAX) => {
                return Err(Broken::Record("a record has a number of an owner or group that can't be"));
            }
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse(key, value)?;
                }
            }
        }
        Ok(())
    }

    fn sparse(&mut self, key: &[u8], value: &[u8]) -> Result<(), Broken> {
        let number = || decimal(value).ok_or(Wrong("it has something else where a number should be"));
        match key {
            b"name" => keep(&mut self.sparse_name, value),
            b"major" => self.major = number()?,
            b"size" | b"realsize" => self.real = Some(number()?),
            b"numblocks" => {
                self.blocks = Some(number()?);
                self.map = Map::default();
                self.has_map = true;
            }
            // 0.0: a record each.
            b"offset" => {
                let before = self.offset.replace(number()?);
                if before.is_some() {
                    return Err(Wrong("a piece has no length").into());
                }
            }
            b"numbytes" => {
                let offset = self.offset.take().ok_or(Wrong("a piece has no offset"))?;
                self.map.push(offset, number()?)?;
                self.has_map = true;
            }
            b"map" => self.whole_map(value)?,
            _ => {}
        }
        Ok(())
    }

    /// 0.1: `offset,length,offset,length` in one record.
    fn whole_map(&mut self, value: &[u8]) -> Result<(), Wrong> {
        self.map = Map::default();
        self.has_map = true;
        let mut numbers = value.split(|byte| *byte == b',').map(decimal);
        while let Some(offset) = numbers.next() {
            let length = numbers.next().ok_or(Wrong("a piece has no length"))?;
            let (offset, length) = offset.zip(length).ok_or(Wrong("it has something else where a number should be"))?;
            self.map.push(offset, length)?;
        }
        Ok(())
    }
}

/// Whether GNU tar takes it for a time: it looks at the whole seconds only.
fn is_time(value: &[u8]) -> bool {
    let seconds = value.strip_prefix(b"-").unwrap_or(value);
    let digits = seconds.iter().take_while(|byte| byte.is_ascii_digit()).count();
    decimal(&seconds[..digits]).is_some_and(|seconds| i64::try_from(seconds).is_ok())
}

/// Keeps a name, without allocating if there is room. An empty one means that there is none; of one that is longer
/// than any file system takes its beginning is enough.
fn keep(name: &mut Vec<u8>, value: &[u8]) {
    name.clear();
    name.extend_from_slice(header::text(&value[..value.len().min(super::MAX_NAME)]));
}

/// The `KEY=VALUE` of the first record, and what follows it.
fn split(records: &[u8]) -> Result<(&[u8], &[u8]), Broken> {
    let digits = records.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let length = decimal(&records[..digits]).ok_or(Broken::Record("a record doesn't begin with its length"))?;
    if records.get(digits) != Some(&b' ') {
        return Err(Broken::Record("no blank follows the length of a record"));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= records.len() && *length > digits + 1);
    let (record, rest) = records.split_at(length.ok_or(Broken::Record("the length of a record can't be"))?);
    let record = record.strip_suffix(b"\n").filter(|record| record.len() > digits);
    Ok((&record.ok_or(Broken::Record("a record doesn't end with a line feed"))?[digits + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_strict() {
        let mut extended = Extended::default();
        extended.parse(b"12 path=abc\n15 size=123456\n22 SCHILY.xattr.x=\0\n=\n\0\0").unwrap();
        assert_eq!((extended.name(), extended.size), (Some(&b"abc"[..]), Some(123_456)));
        extended.clear();
        assert_eq!((extended.name(), extended.size), (None, None));
        for wrong in [
            &b"12 path=abcd\n"[..],
            b"13 path=abc\n",
            b"x path=abc\n",
            b" 12 path=abc\n",
            b"11 pathxabc\n",
            b"9999999999999999999999 path=abc\n",
            b"2 \n",
            b"3 \n",
            b"0 ",
            b"1",
            b"10 size=x1\n",
            b"\0\0x",
        ] {
            assert!(matches!(Extended::default().parse(wrong), Err(Broken::Record(_))), "{wrong:?}");
        }
    }
}
