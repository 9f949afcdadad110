//! One backup file, checked from its first byte to its last: compressor, structure, configuration, checksum file.
//!
//! ```text
//! file ─► Input (BLAKE3, checksum) ─► zstd │ gzip │ lzop │ bzip2 │ nothing ─► VMA │ tar │ VMDK, OVA │ dump ─► findings
//! ```
//! What the file should be is told by its name, as it is to the tools that restore; what it is, by its content.

use std::cell::Cell;
use std::io::{self, Read};

use self::layers::{Layer, Tally, Watch, Watched};
use super::beside::Companions;
use super::checksum_file;
use super::input::Input;
use super::shape::{Container, Shape, Structure};
use super::stream::{self, Stop, Stream};
use super::sum::{self, Sum};
use super::{bzip2, dump_content, encrypted, gzip, lzop, tar, tfstate, vma, zstd};
use crate::domain::attempt::Sidecar;
use crate::domain::finding::{Finding, Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::{Conclusion, Digest, Evidence, Level, Part};

pub(super) mod layers;
pub(super) mod vmware;

pub use self::layers::{Bounds, UNPACK_LIMIT};

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
    check_within(reader, request, Bounds::default())
}

/// The same, as long as it stays within bounds.
pub fn check_within(reader: impl Read, request: Request<'_>, bounds: Bounds<'_>) -> Result<Checked, CannotCheck> {
    check_beside(reader, Companions::default(), request, bounds)
}

/// The same, with what lies beside the file and belongs to it.
pub fn check_beside(
    reader: impl Read,
    mut companions: Companions<'_>,
    request: Request<'_>,
    bounds: Bounds<'_>,
) -> Result<Checked, CannotCheck> {
    let mut findings = Findings::default();
    let sidecar = expected_sum(request, &mut findings);
    let read = Cell::new(0);
    let reader = Tally { reader, read: &read };
    let mut input = Input::with_sum(reader, sidecar.as_ref().map(|(kind, _)| Sum::new(*kind)));
    let mut evidence = Evidence::default();
    let asked = Asked { request, watch: Watch { bounds, read: &read }, companions: &mut companions };
    let mut reached = match examine(&mut input, asked, &mut evidence, &mut findings) {
        Ok(level) => Some(level),
        Err(Stop::Damaged(finding)) => {
            findings.add(finding);
            None
        }
        Err(Stop::Read(error)) => return Err(error.into()),
        Err(Stop::Limit(text)) => layers::stands(&findings, CannotCheck::Limit(text))?,
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
    watch: Watch<'a>,
    companions: &'b mut Companions<'c>,
}

/// Reads as much as the wanted level needs.
fn examine<R: Read>(
    input: &mut Input<R>,
    asked: Asked<'_, '_, '_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    let Asked { request, watch, companions } = asked;
    let shape = Shape::of_name(request.name);
    let head = input.peek(encrypted::LOOK_AT)?;
    if head.is_empty() {
        return Err(Stop::damaged(Kind::Empty, "the file is empty"));
    }
    promised_encryption(request.name, head)?;
    let container = settle(shape, Container::of_content(head), findings)?;
    evidence.container = Some(container.as_str().into());
    if request.wanted == Level::Present {
        return Ok(Level::Present);
    }
    let mut opened = Watched::new(open(input, container)?, container, watch);
    if matches!(container, Container::Opaque(_) | Container::Encrypted(_)) {
        return layers::sealed(&mut opened, container, findings);
    }
    let layer = Layer { shape, container, depth: 0, watch };
    let result = if request.wanted == Level::Decodes && container.decodes() {
        decodes(&mut opened, layer, companions, evidence, findings)
    } else {
        // Of what isn't compressed nothing is decoded but its structure.
        layers::content(&mut opened, layer, companions, evidence, findings).map(|level| level.min(request.wanted))
    };
    evidence.unpacked = opened.count;
    let level = result?;
    let noticed = opened.findings();
    let as_zstd = shape.container == Some(Container::Zstd) && container == Container::Gzip;
    if as_zstd && noticed.iter().any(|finding| finding.kind == Kind::TrailingPadding) {
        let text = "zeros follow the end of the gzip data: gzip ignores them, but by the name of the file a restore calls zstd, which refuses them";
        return Err(Stop::damaged(Kind::TrailingData, text));
    }
    findings.extend(noticed);
    Ok(level)
}

/// Decompresses to the end, whatever is in it. Its structure is followed only to tell large disks of zeros from a bomb,
/// and what can't be looked into from what can.
fn decodes<S: Stream>(
    opened: &mut Watched<'_, S>,
    layer: Layer<'_>,
    companions: &mut Companions<'_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    let mut aside = Findings::default();
    let mut level = Level::Decodes;
    match layers::content(opened, layer, companions, evidence, &mut aside) {
        Ok(reached) => level = level.min(reached),
        Err(stop) if opened.failed => return Err(stop),
        Err(_) => {}
    }
    stream::drain(opened)?;
    if level < Level::Decodes {
        findings.extend(aside.into_vec());
    }
    Ok(level)
}

/// What is named as encrypted and is a text was never encrypted: a message of the program, or the dump itself.
fn promised_encryption(name: &str, head: &[u8]) -> Result<(), Stop> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let program = match &*ending {
        "gpg" | "pgp" => "gpg",
        "age" => "age",
        _ => return Ok(()),
    };
    let is_text = head.iter().take(512).all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 32..=126));
    if is_text && Container::of_content(head) == Container::Plain {
        let first = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
        let shown = printable(&first[..first.len().min(100)]);
        let text = format!(
            "it is a text that begins with “{shown}”, and its name says that it is encrypted: {program} refuses it"
        );
        return Err(Stop::damaged(Kind::ContainerCorrupt, text));
    }
    Ok(())
}

pub(super) fn open<'a, R: Read>(input: &'a mut Input<R>, container: Container) -> Result<Box<dyn Stream + 'a>, Stop> {
    Ok(match container {
        Container::Plain | Container::Opaque(_) | Container::Encrypted(_) => Box::new(Borrowed(input)),
        Container::Zstd => Box::new(zstd::Zstd::new(input)?),
        Container::Gzip => Box::new(gzip::Gzip::new(input)),
        Container::Lzop => Box::new(lzop::Lzop::new(input)),
        Container::Bzip2 => Box::new(bzip2::Bzip2::new(input)),
    })
}

/// The container to decode, given what the name promises and what the content is.
fn settle(shape: Shape, content: Container, findings: &mut Findings) -> Result<Container, Stop> {
    if let Container::Encrypted(program) = content {
        if shape.is_of_guest() {
            let text = format!("its content is encrypted ({program}): a restore by Proxmox VE refuses it");
            return Err(Stop::damaged(Kind::ContainerCorrupt, text));
        }
        return Ok(content);
    }
    let Some(named) = shape.container else { return Ok(content) };
    match (named, content) {
        _ if named == content => Ok(content),
        // An uncompressed archive whose own magic is damaged is said to be so by its structure.
        (Container::Plain, _) if matches!(shape.structure, Structure::Vma | Structure::Vmdk { raw: true }) => {
            Ok(Container::Plain)
        }
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
    layer: Layer<'_>,
    companions: &mut Companions<'_>,
    evidence: &mut Evidence,
    findings: &mut Findings,
) -> Result<Level, Stop> {
    match layer.shape.structure {
        Structure::Vma => {
            evidence.format = Some("vma".into());
            let summary = vma::check(stream, findings)?;
            note_machine(&summary, evidence);
            Ok(Level::Complete)
        }
        Structure::Dump | Structure::Tar { container: false }
            if !layer.shape.dump && vmware::begins(stream.chunk()?) =>
        {
            vmware::check(stream, None, evidence, findings)
        }
        Structure::Vmdk { .. } | Structure::Ova | Structure::Ovf => {
            vmware::check(stream, Some(layer.shape.structure), evidence, findings)
        }
        Structure::Tar { container: false } if dump_content::begins_pg_tar(stream.chunk()?) => {
            let shape = Shape { structure: Structure::Dump, ..layer.shape };
            self::structure(stream, Layer { shape, ..layer }, companions, evidence, findings)
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
        Structure::State => {
            evidence.format = Some("tfstate".into());
            match tfstate::check(stream, findings)? {
                Some(facts) => {
                    evidence.state = Some(facts.into());
                    Ok(Level::Complete)
                }
                // Encrypted, or of a version that isn't checked.
                None => Ok(Level::Present),
            }
        }
        Structure::Dump => {
            let summary = dump_content::check_beside(stream, companions, layer.shape.dump, findings)?;
            evidence.format = Some(summary.format.into());
            evidence.members = summary.members;
            Ok(match () {
                () if summary.end_known => Level::Complete,
                // Nothing was decoded, and nothing understood.
                () if layer.container == Container::Plain && !summary.understood => Level::Present,
                () => Level::Decodes,
            })
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

#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;
