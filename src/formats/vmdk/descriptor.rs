//! The text that describes a disk: what it is, where its pieces lie, and what it is the difference to.
//!
//! ```text
//! # Disk DescriptorFile
//! version=1
//! CID=fffffffe
//! parentCID=ffffffff
//! createType="streamOptimized"
//! RW 8388608 SPARSE "web-disk1.vmdk"
//! ddb.adapterType = "lsilogic"
//! ```

use crate::domain::finding::Kind;
use crate::domain::printable::printable;
use crate::formats::stream::Stop;

/// Longest descriptor that is read: those of disks in 2 GiB pieces have a line for each of them.
pub const LONGEST: usize = 1 << 20;

/// Most pieces of one disk.
const MOST_EXTENTS: usize = 65_536;

/// The first line.
const MARK: &[u8] = b"# Disk DescriptorFile";

/// Where there is no parent.
const NO_PARENT: &str = "ffffffff";

/// A piece of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Sectors of the disk.
    pub sectors: u64,
    /// `FLAT`, `VMFS`, `SPARSE` and such, upper case.
    pub kind: Box<str>,
    /// The file; `None` for zeros.
    pub file: Option<Box<str>>,
    /// Sectors of the file before it.
    pub offset: u64,
}

impl Extent {
    /// Whether the file holds the bytes of the disk and nothing else.
    pub fn is_raw(&self) -> bool {
        matches!(&*self.kind, "FLAT" | "VMFS")
    }
}

/// What a descriptor says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The sort of disk: `streamOptimized`, `vmfs` and such.
    pub create_type: Box<str>,
    /// Its pieces in order.
    pub extents: Vec<Extent>,
    parent_id: Box<str>,
    parent_hint: Box<str>,
}

/// Whether a file that begins so is a descriptor. Some writers leave a blank out, or a line before it.
pub fn begins(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    head.get(..MARK.len()).is_some_and(|start| start.eq_ignore_ascii_case(MARK))
}

fn wrong(why: impl std::fmt::Display) -> Stop {
    Stop::damaged(Kind::VmdkDescriptor, format_args!("the descriptor of the virtual disk is wrong: {why}"))
}

impl Descriptor {
    /// Reads a descriptor; zeros fill up its place in a sparse disk.
    pub fn parse(text: &[u8]) -> Result<Self, Stop> {
        let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
        if !begins(text) {
            let shown = printable(&text[..text.len().min(24)]);
            return Err(wrong(format_args!("it begins with “{shown}” in place of “# Disk DescriptorFile”")));
        }
        let mut found = Self::default();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line.trim_ascii());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            found.line(&line).map_err(|why| {
                wrong(format_args!(
                    "line {} ({}) {why}",
                    number + 1,
                    printable(line.chars().take(80).collect::<String>().as_bytes())
                ))
            })?;
        }
        if found.create_type.is_empty() {
            return Err(wrong("it has no createType"));
        }
        if found.extents.is_empty() {
            return Err(wrong("it names no extent: where the data lies isn't known"));
        }
        Ok(found)
    }

    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let access = line.split_ascii_whitespace().next().unwrap_or_default();
        if ["RW", "RDONLY", "NOACCESS"].iter().any(|word| access.eq_ignore_ascii_case(word)) && !line.contains('=') {
            if self.extents.len() >= MOST_EXTENTS {
                return Err("is one extent more than are followed");
            }
            self.extents.push(extent(line)?);
            return Ok(());
        }
        let Some((key, value)) = line.split_once('=') else { return Err("is neither a setting nor an extent") };
        let value = value.trim().trim_matches('"');
        match &*key.trim().to_ascii_lowercase() {
            "createtype" => self.create_type = value.into(),
            "parentcid" => self.parent_id = value.to_ascii_lowercase().into(),
            "parentfilenamehint" => self.parent_hint = value.into(),
            _ => {}
        }
        Ok(())
    }

    /// Sectors of the whole disk.
    pub fn sectors(&self) -> Option<u64> {
        self.extents.iter().try_fold(0_u64, |sum, extent| sum.checked_add(extent.sectors))
    }

    /// The disk that this one is the difference to, in words.
    pub fn parent(&self) -> Option<String> {
        if self.parent_id.is_empty() || &*self.parent_id == NO_PARENT {
            return None;
        }
        let id = printable(self.parent_id.as_bytes());
        Some(match &*self.parent_hint {
            "" => format!("the disk with CID {id}"),
            hint => format!("{} (CID {id})", printable(hint.as_bytes())),
        })
    }
}

/// `RW 8388608 SPARSE "web-disk1.vmdk" 0`; names may hold blanks.
fn extent(line: &str) -> Result<Extent, &'static str> {
    let (before, quoted) = match line.split_once('"') {
        Some((before, rest)) => (before, Some(rest.rsplit_once('"').ok_or("has no end of its file name")?)),
        None => (line, None),
    };
    let mut words = before.split_ascii_whitespace().skip(1);
    let sectors = words.next().and_then(|word| word.parse().ok()).ok_or("has no number of sectors")?;
    let kind = words.next().ok_or("has no kind")?.to_ascii_uppercase();
    if kind == "ZERO" {
        return Ok(Extent { sectors, kind: kind.into(), file: None, offset: 0 });
    }
    let (file, after) = quoted.ok_or("names no file")?;
    let offset = match after.split_ascii_whitespace().next() {
        Some(word) => word.parse().map_err(|_| "has an offset that is no number")?,
        None => 0,
    };
    Ok(Extent { sectors, kind: kind.into(), file: Some(file.into()), offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Disk DescriptorFile\r\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\n# Extent description\nRW 8192 VMFS \"my disk (1)-flat.vmdk\" 16\nRW 8 ZERO\n\nddb.x = \"RW 3\"\n\0\0rest";

    #[test]
    fn what_it_says() {
        let found = Descriptor::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((&*found.create_type, found.sectors(), found.parent()), ("vmfs", Some(8200), None));
        let first = &found.extents[0];
        assert_eq!((first.file.as_deref(), first.offset, first.is_raw()), (Some("my disk (1)-flat.vmdk"), 16, true));
        assert_eq!(found.extents[1].file, None);
        let delta = GOOD.replace("ffffffff", "0123abcd\nparentFileNameHint=\"base.vmdk\"");
        assert_eq!(Descriptor::parse(delta.as_bytes()).unwrap().parent().unwrap(), "base.vmdk (CID 0123abcd)");
    }

    #[test]
    fn what_is_wrong() {
        for (from, to, says) in [
            ("# Disk", "# Dask", "begins with"),
            ("createType", "crateType", "no createType"),
            ("RW 8192 VMFS \"my disk (1)-flat.vmdk\" 16\nRW 8 ZERO\n", "", "no extent"),
            ("8192", "many", "no number of sectors"),
            ("\" 16", " 16", "no end of its file name"),
            (" 16\n", " x\n", "offset"),
            ("version=1", "version", "neither"),
        ] {
            let Err(Stop::Damaged(finding)) = Descriptor::parse(GOOD.replacen(from, to, 1).as_bytes()) else {
                panic!("{says}")
            };
            assert!(finding.text.contains(says), "{finding}");
        }
    }
}
