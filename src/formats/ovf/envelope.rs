//! The description of a machine: which files belong to it, which of them are disks, and how large those are.
//!
//! Namespaces have any prefix, so elements are known by their local names and what they stand in. Nothing is expanded: of
//! entities only those that XML itself defines are known, and a document type declaration isn't followed.

use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::formats::stream::Stop;

/// Deepest element that is followed; those of OVF are six deep.
const DEEPEST: usize = 64;

/// Most files, disks, networks and references to them.
const MOST: usize = 4096;

/// Most attributes of one element.
const MOST_ATTRIBUTES: usize = 256;

/// Longest text that is kept.
const LONGEST_TEXT: usize = 1024;

/// A file that the description names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRef {
    pub(super) id: String,
    pub(super) href: String,
    pub(super) size: Option<u64>,
    /// Compressed once more, in this way.
    pub(super) compression: Option<String>,
    /// Cut into pieces of so many bytes.
    pub(super) chunk: Option<u64>,
}

/// A disk that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskRef {
    pub(super) id: String,
    /// The file with its content; without one it is empty.
    pub(super) file: Option<String>,
    /// Its bytes, if a number says so.
    pub(super) capacity: Option<u64>,
}

/// What a description says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Name of the machine.
    pub name: Option<String>,
    /// Names of its networks.
    pub networks: Vec<String>,
    /// Its files.
    pub files: Vec<FileRef>,
    /// Its disks.
    pub disks: Vec<DiskRef>,
    /// What its hardware says that it uses: `ovf:/disk/ID`, `ovf:/file/ID`.
    resources: Vec<String>,
    machines: u64,
    /// Whether there is a document type declaration.
    has_type: bool,
}

/// Whether a text that begins so is such a description.
pub fn begins(head: &[u8]) -> bool {
    let head = &head[..head.len().min(4096)];
    let starts = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().starts_with(b"<");
    starts && memchr::memmem::find(head, b"Envelope").is_some() && memchr::memmem::find(head, b"/ovf/").is_some()
}

fn wrong(why: impl std::fmt::Display) -> Stop {
    Stop::damaged(Kind::OvfDescriptor, format_args!("the description (.ovf) {why}"))
}

impl Envelope {
    /// Reads a description.
    pub fn parse(text: &[u8]) -> Result<Self, Stop> {
        if text.trim_ascii().is_empty() {
            return Err(Stop::damaged(Kind::Empty, "the description (.ovf) is empty"));
        }
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(Stop::Limit("the description (.ovf) is UTF-16, which is not read here".to_owned()));
        }
        let text = std::str::from_utf8(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
        let text = text.map_err(|error| wrong(format_args!("is no UTF-8 from byte {} on", error.valid_up_to())))?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        let mut walk = Walk::default();
        loop {
            let event = reader.read_event();
            let at = reader.buffer_position();
            let event = event.map_err(|error| {
                let (at, error) = (reader.error_position(), printable(error.to_string().as_bytes()));
                wrong(format_args!("is no well-formed XML near byte {at}: {error}"))
            })?;
            if matches!(event, Event::Eof) {
                break;
            }
            walk.event(&event).map_err(|why| match why {
                Why::Wrong(why) => wrong(format_args!("is wrong near byte {at}: {why}")),
                Why::Limit(why) => Stop::Limit(format!("the description (.ovf) {why}")),
            })?;
        }
        walk.end()
    }

    /// What can be said without its files. Whether nothing limits what is proven.
    pub fn judge(&self, findings: &mut Findings) -> bool {
        for disk in &self.disks {
            if let Some(file) = &disk.file
                && !self.files.iter().any(|it| it.id == *file)
            {
                let (disk, file) = (printable(disk.id.as_bytes()), printable(file.as_bytes()));
                let text = format!(
                    "the disk {disk} is in the file {file}, which the References of the description don't have"
                );
                findings.say(Kind::OvfDescriptor, text);
            }
        }
        for resource in &self.resources {
            let path = resource.strip_prefix("ovf:").unwrap_or(resource);
            let known = match path
                .strip_prefix("/disk/")
                .map(|id| (true, id))
                .or(path.strip_prefix("/file/").map(|id| (false, id)))
            {
                Some((true, id)) => self.disks.iter().any(|disk| disk.id == id),
                Some((false, id)) => self.files.iter().any(|file| file.id == id),
                None => true,
            };
            if !known {
                let text = format!(
                    "the hardware of the description uses {}, which it doesn't define",
                    printable(resource.as_bytes())
                );
                findings.say(Kind::OvfDescriptor, text);
            }
        }
        if self.machines == 0 {
            findings.say(Kind::OvfDescriptor, "the description has no VirtualSystem: nothing can be restored of it");
        }
        if self.has_type {
            let text = "the description has a document type declaration, whose entities are not expanded here: what they stand for was not checked";
            findings.say(Kind::NotDecoded, text);
        }
        !self.has_type
    }
}

enum Why {
    Wrong(String),
    Limit(String),
}

impl From<&str> for Why {
    fn from(why: &str) -> Self {
        Self::Wrong(why.to_owned())
    }
}

#[derive(Default)]
struct Walk {
    found: Envelope,
    /// Local names of the elements that are open.
    open: Vec<String>,
    rooted: bool,
    /// The text of the element that is read.
    text: String,
    keeps: bool,
}

impl Walk {
    fn event(&mut self, event: &Event<'_>) -> Result<(), Why> {
        match event {
            Event::Start(start) => {
                self.start(start)?;
                if self.open.len() >= DEEPEST {
                    return Err(Why::Limit(format!(
                        "has elements more than {DEEPEST} deep: it is not followed further"
                    )));
                }
                self.open.push(start.local_name().as_ref().to_owned());
            }
            Event::Empty(start) => self.start(start)?,
            Event::End(_) => self.close()?,
            Event::Text(text) => self.take(text),
            Event::CData(text) => self.take(text),
            Event::GeneralRef(name) => self.reference(name)?,
            Event::DocType(_) => self.found.has_type = true,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => {}
        }
        if self.open.is_empty() && matches!(event, Event::Text(text) if !text.trim_ascii().is_empty()) {
            return Err("text stands outside of its element".into());
        }
        Ok(())
    }

    fn take(&mut self, text: &str) {
        if self.keeps && self.text.len() + text.len() <= LONGEST_TEXT {
            self.text.push_str(text);
        }
    }

    /// `&amp;`, `&#65;` and such. Of a document type declaration there may be others.
    fn reference(&mut self, name: &str) -> Result<(), Why> {
        match quick_xml::escape::unescape(&format!("&{name};")) {
            Ok(text) => self.take(&text),
            Err(_) if self.found.has_type => {}
            Err(_) => return Err(Why::Wrong(format!("the entity &{}; is not defined", printable(name.as_bytes())))),
        }
        Ok(())
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Why> {
        let name = start.local_name();
        if self.open.is_empty() {
            if std::mem::replace(&mut self.rooted, true) {
                return Err("a second element follows the first".into());
            }
            if name.as_ref() != "Envelope" {
                return Err(Why::Wrong(format!("it is a {}, and no Envelope", printable(name.as_ref().as_bytes()))));
            }
        }
        let parent = self.open.last().map_or("", String::as_str);
        let within = (parent, name.as_ref());
        self.keeps = matches!(within, ("VirtualSystem", "Name") | ("Item" | "StorageItem", "HostResource"));
        self.text.clear();
        let attributes = Attributes::of(start, self.found.has_type)?;
        let found = &mut self.found;
        match within {
            ("References", "File") => push(&mut found.files, attributes.file()?)?,
            ("DiskSection", "Disk") => push(&mut found.disks, attributes.disk()?)?,
            ("NetworkSection", "Network") => push(&mut found.networks, attributes.get("name").unwrap_or_default())?,
            (_, "VirtualSystem") => {
                found.machines += 1;
                found.name = found.name.take().or(attributes.get("id"));
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Why> {
        // Names of ends are compared by the reader.
        let name = self.open.pop().unwrap_or_default();
        if std::mem::take(&mut self.keeps) {
            let text = std::mem::take(&mut self.text).trim().to_owned();
            match &*name {
                "HostResource" => push(&mut self.found.resources, text)?,
                _ if !text.is_empty() && self.found.machines == 1 => self.found.name = Some(text),
                _ => {}
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Envelope, Stop> {
        if let Some(open) = self.open.last() {
            let text = format!("the description (.ovf) ends within {}: it is cut short", printable(open.as_bytes()));
            return Err(Stop::damaged(Kind::Truncated, text));
        }
        if !self.rooted {
            return Err(wrong("has no element: it is no XML"));
        }
        Ok(self.found)
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), Why> {
    if list.len() >= MOST {
        return Err(Why::Limit(format!("names more than {MOST} files, disks or networks: it is not followed further")));
    }
    list.push(item);
    Ok(())
}

/// The attributes of an element, by local names.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn of(start: &BytesStart<'_>, has_type: bool) -> Result<Self, Why> {
        let mut all = Vec::new();
        for (number, attribute) in start.attributes().enumerate() {
            // Each is compared with all before it.
            if number >= MOST_ATTRIBUTES {
                return Err(Why::Limit(format!(
                    "has an element with more than {MOST_ATTRIBUTES} attributes: it is not followed further"
                )));
            }
            let attribute = attribute.map_err(|error| Why::Wrong(printable(error.to_string().as_bytes())))?;
            if attribute.value.len() > LONGEST_TEXT {
                continue;
            }
            let value = match quick_xml::escape::unescape(&attribute.value) {
                Ok(value) => value.into_owned(),
                Err(_) if has_type => attribute.value.clone().into_owned(),
                Err(error) => return Err(Why::Wrong(printable(error.to_string().as_bytes()))),
            };
            all.push((attribute.key.local_name().as_ref().to_owned(), value));
        }
        Ok(Self(all))
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone())
    }

    fn need(&self, name: &str) -> Result<String, Why> {
        self.get(name).ok_or_else(|| Why::Wrong(format!("the attribute {name} is missing")))
    }

    fn file(&self) -> Result<FileRef, Why> {
        let size = self.get("size").map(|size| {
            size.trim().parse().map_err(|_| Why::Wrong(format!("the size {} is no number", printable(size.as_bytes()))))
        });
        Ok(FileRef {
            id: self.need("id")?,
            href: self.need("href")?,
            size: size.transpose()?,
            compression: self.get("compression").filter(|it| !it.is_empty() && it != "identity"),
            chunk: self.get("chunkSize").and_then(|size| size.trim().parse().ok()).filter(|size| *size > 0),
        })
    }

    fn disk(&self) -> Result<DiskRef, Why> {
        let capacity = self.need("capacity")?;
        let unit = self.get("capacityAllocationUnits").map_or(Some(1), |unit| factor(&unit));
        // A deployment may set it: `${disk1size}`.
        let capacity = capacity.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(unit?));
        Ok(DiskRef { id: self.need("diskId")?, file: self.get("fileRef").filter(|it| !it.is_empty()), capacity })
    }
}

/// Bytes of a unit: `byte`, `byte * 2^30` (DSP0004, programmatic units), and words of old writers.
fn factor(unit: &str) -> Option<u64> {
    let unit: String = unit.to_ascii_lowercase().split_ascii_whitespace().collect();
    match &*unit {
        "" | "byte" | "bytes" => return Some(1),
        "kilobytes" => return Some(1 << 10),
        "megabytes" => return Some(1 << 20),
        "gigabytes" => return Some(1 << 30),
        _ => {}
    }
    let (base, exponent) = unit.strip_prefix("byte*")?.split_once('^')?;
    base.parse::<u64>().ok()?.checked_pow(exponent.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (unit, bytes) in [
            ("byte", Some(1)),
            ("byte * 2^30", Some(1 << 30)),
            ("byte*2^20", Some(1 << 20)),
            ("MegaBytes", Some(1 << 20)),
            ("byte * 10^3", Some(1000)),
            ("byte * 2^99", None),
            ("bit", None),
        ] {
            assert_eq!(factor(unit), bytes, "{unit}");
        }
    }
}
