//! One backup file, checked from its first byte to its last: compressor, structure, configuration, checksum file.
//!
//! ```text
//! file ─► Input (BLAKE3, checksum) ─► zstd │ gzip │ lzop │ bzip2 │ nothing ─► VMA │ tar │ dump ─► findings
//! ```
//! What the file should be is told by its name, as it is to the tools that restore; what it is, by its content.

use std::io::{self, Read};

use super::beside::Companions;
use super::checksum_file;
use super::input::Input;
use super::stream::{self, Stop, Stream};
use super::sum::{self, Sum};
use super::{bzip2, dump_content, gzip, lzop, tar, vma, zstd};
use crate::domain::attempt::Sidecar;
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::{Conclusion, Digest, Evidence, Level, Part};

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// Not at all.
    Plain,
    /// zstd.
    Zstd,
    /// gzip.
    Gzip,
    /// lzop.
    Lzop,
    /// bzip2.
    Bzip2,
    /// By something that isn't decoded here.
    Opaque(&'static str),
}

impl Container {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Lzop => "lzop",
            Self::Bzip2 => "bzip2",
            Self::Opaque(name) => name,
        }
    }

    /// By the first bytes of a file.
    pub fn of_content(head: &[u8]) -> Self {
        const OPAQUE: [(&[u8], &str); 5] = [
            (b"\xfd7zXZ\0", "xz"),
            (b"\x04\x22\x4d\x18", "lz4"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
            (b"age-encryption.org/", "age"),
        ];
        match head {
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ if head.starts_with(&zstd::MAGIC) => Self::Zstd,
            _ if head.starts_with(&gzip::MAGIC) => Self::Gzip,
            _ if head.starts_with(&lzop::MAGIC) => Self::Lzop,
            _ if head.starts_with(&bzip2::MAGIC) => Self::Bzip2,
            _ => OPAQUE
                .iter()
                .find(|(magic, _)| head.starts_with(magic))
                .map_or(Self::Plain, |(_, name)| Self::Opaque(name)),
        }
    }
}

/// What is inside the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structure {
    /// A virtual machine.
    Vma,
    /// Files; of a container of Proxmox VE, or others.
    Tar {
        /// It must hold the configuration of a container.
        container: bool,
    },
    /// A dump of a database, or anything else.
    Dump,
}

/// What a file should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its compression; `None` where the name leaves it open.
    pub container: Option<Container>,
    /// What is inside.
    pub structure: Structure,
}

impl Shape {
    /// By the name of a file.
    pub fn of_name(path: &str) -> Self {
        let name = &*path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let guest = name.starts_with("vzdump-lxc-") || name.starts_with("vzdump-openvz-");
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let (container, inner) = match ending {
            "zst" => (Some(Container::Zstd), stem),
            "gz" => (Some(Container::Gzip), stem),
            "lzo" => (Some(Container::Lzop), stem),
            "bz2" => (Some(Container::Bzip2), stem),
            "tgz" => (Some(Container::Gzip), "x.tar"),
            "tzst" => (Some(Container::Zstd), "x.tar"),
            "tbz2" => (Some(Container::Bzip2), "x.tar"),
            _ => (None, name),
        };
        match inner.rsplit_once('.').map(|(_, ending)| ending) {
            Some("vma") => Self { container: container.or(Some(Container::Plain)), structure: Structure::Vma },
            Some("tar") => {
                Self { container: container.or(Some(Container::Plain)), structure: Structure::Tar { container: guest } }
            }
            _ => Self { container, structure: Structure::Dump },
        }
    }
}

/// What is to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The file's path or name.
    pub name: &'a str,
    /// How much is to be proven.
    pub wanted: Level,
    /// The checksum file beside it.
    pub sidecar: Option<(Sidecar, &'a [u8])>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Intact or damaged.
    pub conclusion: Conclusion,
    /// How much was proven; nothing of what is damaged.
    pub reached: Option<Level>,
    /// Everything that was found, worst first.
    pub findings: Vec<Finding>,
    /// BLAKE3 of the file, if it was read to its end.
    pub digest: Option<Digest>,
    /// Bytes that were read.
    pub read: u64,
    /// What was seen.
    pub evidence: Evidence,
    /// What the checksum file says, as `sha256:HEX`.
    pub sidecar: Option<Box<str>>,
}

/// Why a file could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CannotCheck {
    /// It could not be read.
    #[error("it could not be read to its end: {0}")]
    Read(#[from] io::Error),
    /// It would take more than a check may.
    #[error("{0}")]
    Limit(String),
}

/// Checks a file from its beginning.
pub fn check(reader: impl Read, request: Request<'_>) -> Result<Checked, CannotCheck> {
    check_while(reader, request, &|| Ok(()))
}

/// The same, as long as `go_on` finds no reason to stop. It is asked while output is made, too: a small file may become
/// any amount of it without being read on.
pub fn check_while(
    reader: impl Read,
    request: Request<'_>,
    go_on: &dyn Fn() -> io::Result<()>,
) -> Result<Checked, CannotCheck> {
    check_beside(reader, Companions::default(), request, go_on)
}

/// The same, with what lies beside the file and belongs to it.
pub fn check_beside(
    reader: impl Read,
    mut companions: Companions<'_>,
    request: Request<'_>,
    go_on: &dyn Fn() -> io::Result<()>,
) -> Result<Checked, CannotCheck> {
    let mut findings = Findings::default();
    let sidecar = expected_sum(request, &mut findings);
    let mut input = Input::with_sum(reader, sidecar.as_ref().map(|(kind, _)| Sum::new(*kind)));
    let mut evidence = Evidence::default();
    let asked = Asked { request, go_on, companions: &mut companions };
    let mut reached = match examine(&mut input, asked, &mut evidence, &mut findings) {
        Ok(level) => Some(level),
        Err(Stop::Damaged(finding)) => {
            findings.add(finding);
            None
        }
        Err(Stop::Read(error)) => return Err(error.into()),
        Err(Stop::Limit(text)) => return Err(CannotCheck::Limit(text)),
    };
    let mut digest = None;
    if request.wanted > Level::Present {
        match stream::drain(&mut input).and_then(|_| companions.digest(input.digest())) {
            Ok(whole) => digest = Some(Digest(whole)),
            // What was found stands; the file as a whole wasn't seen.
            Err(Stop::Read(error)) if !findings.damaged() => return Err(error.into()),
            Err(_) => {}
        }
        if let (Some(sum), Some((kind, wanted)), Some(_)) = (input.sum(), &sidecar, digest) {
            compare_sums(*kind, wanted, &sum, &mut findings);
        }
    }
    let damaged = findings.damaged();
    reached = reached.filter(|_| !damaged);
    Ok(Checked {
        conclusion: if damaged { Conclusion::Damaged } else { Conclusion::Intact },
        reached,
        findings: findings.into_vec(),
        digest,
        read: input.total(),
        evidence,
        sidecar: sidecar.map(|(kind, sum)| format!("{}:{sum}", kind.as_str()).into()),
    })
}

fn expected_sum(request: Request<'_>, findings: &mut Findings) -> Option<(Sidecar, String)> {
    let (kind, text) = request.sidecar?;
    match checksum_file::parse(text, sum::digits(kind), request.name) {
        Ok(sum) => Some((kind, sum)),
        Err(error) => {
            let text = format!("its checksum file (.{}) can't be used: {error}", kind.as_str());
            findings.say(Kind::SidecarUnreadable, text);
            None
        }
    }
}

fn compare_sums(kind: Sidecar, wanted: &str, found: &str, findings: &mut Findings) {
    if wanted != found {
        let kind = kind.as_str();
        let text = format!("its checksum file says {kind} {wanted}, and its content has {kind} {found}");
        findings.say(Kind::SidecarMismatch, text);
    }
}

/// What is asked of a file, and what else there is to answer it.
struct Asked<'a, 'b, 'c> {
    request: Request<'a>,
    go_on: &'a dyn Fn() -> io::Result<()>,
    companions: &'b mut Companions<'c>,
}

/// Reads as much as the wanted level needs.
fn examine<R: Read>(
    input: &mut Input<R>,
    asked: Asked<'_, '_, '_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    let Asked { request, go_on, companions } = asked;
    let shape = Shape::of_name(request.name);
    let head = input.peek(32)?;
    if head.is_empty() {
        return Err(Stop::damaged(Kind::Empty, "the file is empty"));
    }
    let container = settle(shape, Container::of_content(head), findings)?;
    evidence.container = Some(container.as_str().into());
    if request.wanted == Level::Present {
        return Ok(Level::Present);
    }
    let mut opened = Counted::new(open(input, container)?, go_on);
    if let Container::Opaque(name) = container {
        let text = format!("{name} is not decoded here: only that the file is there and stays the same is checked");
        findings.say(Kind::NoEndKnown, text);
        stream::drain(&mut opened)?;
        return Ok(Level::Present);
    }
    let result = match request.wanted {
        Level::Complete => structure(&mut opened, companions, shape.structure, evidence, findings),
        Level::Present | Level::Decodes => stream::drain(&mut opened).map(|_| Level::Decodes),
    };
    evidence.unpacked = opened.count;
    let level = result?;
    let noticed = opened.inner.findings();
    let as_zstd = shape.container == Some(Container::Zstd) && container == Container::Gzip;
    if as_zstd && noticed.iter().any(|finding| finding.kind == Kind::TrailingPadding) {
        let text = "zeros follow the end of the gzip data: gzip ignores them, but by the name of the file a restore calls zstd, which refuses them";
        return Err(Stop::damaged(Kind::TrailingData, text));
    }
    findings.extend(noticed);
    Ok(level)
}

pub(super) fn open<'a, R: Read>(input: &'a mut Input<R>, container: Container) -> Result<Box<dyn Stream + 'a>, Stop> {
    Ok(match container {
        Container::Plain | Container::Opaque(_) => Box::new(Borrowed(input)),
        Container::Zstd => Box::new(zstd::Zstd::new(input)?),
        Container::Gzip => Box::new(gzip::Gzip::new(input)),
        Container::Lzop => Box::new(lzop::Lzop::new(input)),
        Container::Bzip2 => Box::new(bzip2::Bzip2::new(input)),
    })
}

/// The container to decode, given what the name promises and what the content is.
fn settle(shape: Shape, content: Container, findings: &mut Findings) -> Result<Container, Stop> {
    let Some(named) = shape.container else { return Ok(content) };
    match (named, content) {
        _ if named == content => Ok(content),
        // An uncompressed archive whose own magic is damaged is said to be so by its structure.
        (Container::Plain, _) if shape.structure == Structure::Vma => Ok(Container::Plain),
        // zstd and tar find out for themselves what they are given.
        (Container::Zstd, Container::Gzip) | (Container::Plain, _) => {
            let text = format!("its content is {}, not {} as its name says", content.as_str(), named.as_str());
            findings.say(Kind::OtherFormat, text);
            Ok(content)
        }
        (_, Container::Plain) => Ok(named),
        _ => {
            let (content, named) = (content.as_str(), named.as_str());
            let text = format!(
                "its content is {content}, and its name says {named}: a restore calls {named}, which refuses it"
            );
            Err(Stop::damaged(Kind::ContainerCorrupt, text))
        }
    }
}

fn structure(
    stream: &mut dyn Stream,
    companions: &mut Companions<'_>,
    structure: Structure,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    match structure {
        Structure::Vma => {
            evidence.format = Some("vma".into());
            let summary = vma::check(stream, findings)?;
            note_machine(&summary, evidence);
            Ok(Level::Complete)
        }
        Structure::Tar { container: false } if dump_content::begins_pg_tar(stream.chunk()?) => {
            self::structure(stream, companions, Structure::Dump, evidence, findings)
        }
        Structure::Tar { container } => {
            evidence.format = Some("tar".into());
            let summary = tar::check(stream, container, findings)?;
            evidence.members = Some(summary.members);
            if let Some(config) = summary.guest {
                evidence.guest_name = config.hostname.map(Into::into);
                evidence.networks = config.networks.into_iter().map(Into::into).collect();
            }
            Ok(Level::Complete)
        }
        Structure::Dump => {
            let summary = dump_content::check_beside(stream, companions, false, findings)?;
            evidence.format = Some(summary.format.into());
            evidence.members = summary.members;
            Ok(if summary.end_known { Level::Complete } else { Level::Decodes })
        }
    }
}

fn note_machine(summary: &vma::Summary, evidence: &mut Evidence) {
    evidence.created = jiff::Timestamp::from_second(summary.header.created).ok();
    evidence.disks = summary
        .header
        .devices
        .iter()
        .map(|device| Part { name: printable(&device.name).into(), bytes: device.size })
        .collect();
    if let Some(config) = &summary.config {
        evidence.guest_name.clone_from(&config.name);
        evidence.networks.clone_from(&config.networks);
    }
}

/// An input as a stream of its own.
struct Borrowed<'a, R>(&'a mut Input<R>);

impl<R: Read> Stream for Borrowed<'_, R> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        self.0.chunk()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

/// Chunks between two questions whether to go on; each is 256 KiB at most.
const ASK_EVERY: u32 = 8;

/// Counts what is used of a stream, and asks now and then whether to go on.
pub(super) struct Counted<'a, S> {
    pub(super) inner: S,
    pub(super) count: u64,
    asked: u32,
    go_on: &'a dyn Fn() -> io::Result<()>,
}

impl<'a, S> Counted<'a, S> {
    pub(super) fn new(inner: S, go_on: &'a dyn Fn() -> io::Result<()>) -> Self {
        Self { inner, count: 0, asked: 0, go_on }
    }
}

impl<S: Stream> Stream for Counted<'_, S> {
    fn chunk(&mut self) -> Result<&[u8], Stop> {
        self.asked += 1;
        if self.asked >= ASK_EVERY {
            self.asked = 0;
            (self.go_on)().map_err(Stop::Read)?;
        }
        self.inner.chunk()
    }

    fn consume(&mut self, count: usize) {
        self.count += count as u64;
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod tests;
