//! Proves by reading: the archive from its beginning to its end, with all checksums and its whole structure.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Control, Examined, Job, Prover, unchecked};
use crate::domain::age;
use crate::domain::attempt::Sidecar;
use crate::domain::file::FileFacts;
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::proof::{Conclusion, Method, Verification};
use crate::engine::ports::{Archives, Clock, FurtherSidecar, OpenArchive};
use crate::engine::throttle::Throttle;
use crate::formats::archive::{self, Bounds, CannotCheck, Checked, Request};
use crate::formats::beside::{Companions, ReadAt};
use crate::formats::checksum_file::{self, ChecksumFileError};
use crate::formats::set::{self, Files, Member};
use crate::formats::sum::{self, Sum};

/// What a reading may take.
#[derive(Debug, Clone)]
pub struct Allowance {
    /// Bytes per second, shared with others.
    pub throttle: Arc<Throttle>,
    /// A file that takes longer could not be checked.
    pub timeout: Duration,
    /// A file of which more is unpacked without any structure could not be checked.
    pub unpack_limit: u64,
}

/// Reads archives.
pub struct Reading {
    /// Opens them.
    pub archives: Arc<dyn Archives>,
    /// What a reading may take.
    pub allowance: Allowance,
    /// When it begins.
    pub clock: Arc<dyn Clock>,
}

impl Prover for Reading {
    fn method(&self) -> Method {
        Method::READING
    }

    fn prove(&self, job: &Job, control: &Control) -> Examined {
        let (started, begun) = (self.clock.now(), Instant::now());
        let Looked { facts, result, gone } = look(job, &*self.archives, &self.allowance, control);
        let nothing_yet = unchecked(job, Method::READING, control, started);
        let mut verification = Verification { took: begun.elapsed(), ..nothing_yet };
        if let Some(facts) = facts {
            verification.facts = facts;
        }
        match result {
            Ok(checked) => {
                let Checked { conclusion, reached, findings, digest, evidence, sidecar, .. } = checked;
                verification =
                    Verification { conclusion, reached, findings, digest, evidence, sidecar, ..verification };
            }
            Err(reason) => verification.reason = Some(reason.into()),
        }
        if gone { Examined::Gone(Box::new(verification)) } else { Examined::Ended(Box::new(verification)) }
    }
}

/// A result, and the file that it is about.
struct Looked {
    facts: Option<FileFacts>,
    result: Result<Checked, String>,
    gone: bool,
}

impl Looked {
    fn failed(facts: Option<FileFacts>, reason: impl ToString) -> Self {
        Self { facts, result: Err(reason.to_string()), gone: false }
    }
}

fn look(job: &Job, archives: &dyn Archives, allowance: &Allowance, control: &Control) -> Looked {
    let mut file = match control.calls.make(|| archives.open(&job.archive)) {
        Ok(file) => file,
        Err(error) => {
            let gone = error.kind() == io::ErrorKind::NotFound;
            return Looked { gone, ..Looked::failed(None, format_args!("it could not be opened: {error}")) };
        }
    };
    let facts = file.facts();
    let limits = Limits { control, allowance, begun: Instant::now() };
    let go_on = || limits.check();
    let bounds = Bounds { go_on: &go_on, unpack_limit: allowance.unpack_limit };
    let directory = file.files().map(|files| {
        let mut files = GuardFiles { files, limits };
        set::check(&mut files, job.level, bounds).map_err(|error: CannotCheck| error.to_string())
    });
    if let Some(result) = directory {
        return settle(&mut *file, control, facts, result);
    }
    let sidecars = || file.sidecar().and_then(|first| Ok((first, file.further_sidecars()?)));
    let (sidecar, mut further) = match control.calls.make(sidecars) {
        Ok((sidecar, further)) => (sidecar, FurtherSums::of(further)),
        Err(error) => return Looked::failed(Some(facts), format_args!("its checksum file could not be read: {error}")),
    };
    let beside = match control.calls.make(|| file.companions()) {
        Ok(beside) => beside,
        Err(error) => {
            return Looked::failed(Some(facts), format_args!("what lies beside it could not be opened: {error}"));
        }
    };
    let request = Request {
        name: &job.archive.file,
        wanted: job.level,
        sidecar: sidecar.as_ref().map(|(kind, text)| (*kind, &**text)),
    };
    let guard = Guard { file: &mut *file, limits, further: &mut further };
    let mut beside: Vec<_> = beside.into_iter().map(|(kind, file)| (kind, GuardAt { file, limits })).collect();
    let mut companions = Companions::default();
    beside.iter_mut().for_each(|(kind, file)| companions.add(*kind, file));
    let result = archive::check_beside(guard, companions, request, bounds)
        .map(|checked| further.judge(checked))
        .map_err(|error: CannotCheck| error.to_string());
    settle(&mut *file, control, facts, result)
}

/// What changed or went away while it was read was not seen as it is, whatever was found.
fn settle(file: &mut dyn OpenArchive, control: &Control, facts: FileFacts, result: Result<Checked, String>) -> Looked {
    match control.calls.make(|| file.unchanged()) {
        Ok(true) => Looked { facts: Some(facts), result, gone: false },
        Ok(false) => Looked::failed(Some(facts), "it changed, moved or disappeared while it was read"),
        Err(error) => {
            Looked::failed(Some(facts), format_args!("whether it changed while it was read can't be told: {error}"))
        }
    }
}

/// Checksum files beside the one that counts first, with the sums of what was read so far.
struct FurtherSums {
    wanted: Vec<(FurtherSidecar, Result<String, ChecksumFileError>)>,
    sums: Vec<Sum>,
}

impl FurtherSums {
    fn of(files: Vec<FurtherSidecar>) -> Self {
        let parse = |file: FurtherSidecar| {
            let said = checksum_file::parse(&file.text, sum::digits(file.kind), &file.of);
            (file, said)
        };
        let wanted: Vec<_> = files.into_iter().map(parse).collect();
        let mut kinds: Vec<Sidecar> =
            wanted.iter().filter(|(_, said)| said.is_ok()).map(|(file, _)| file.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Self { wanted, sums: kinds.into_iter().map(Sum::new).collect() }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sums.iter_mut().for_each(|sum| sum.update(bytes));
    }

    /// Adds what they say of a file that was read to its end.
    fn judge(&self, mut checked: Checked) -> Checked {
        if checked.digest.is_none() {
            return checked;
        }
        let mut findings = Findings::default();
        findings.extend(std::mem::take(&mut checked.findings));
        for (file, said) in &self.wanted {
            let (kind, of) = (file.kind.as_str(), printable(file.of.as_bytes()));
            let found = self.sums.iter().map(Sum::digits).find(|found| found.len() == sum::digits(file.kind));
            match (said, found) {
                (Ok(wanted), Some(found)) if *wanted != found => {
                    let text = format!(
                        "another checksum file, of {of}, says {kind} {wanted}, and its content has {kind} {found}"
                    );
                    findings.say(Kind::SidecarMismatch, text);
                    (checked.conclusion, checked.reached) = (Conclusion::Damaged, None);
                }
                (Ok(_), _) => {}
                (Err(error), _) => {
                    let text = format!("another checksum file, of {of} ({kind}), can't be used: {error}");
                    findings.say(Kind::SidecarUnreadable, text);
                }
            }
        }
        checked.findings = findings.into_vec();
        checked
    }
}

/// What ends a reading from outside.
#[derive(Clone, Copy)]
struct Limits<'a> {
    control: &'a Control,
    allowance: &'a Allowance,
    begun: Instant,
}

fn stopped() -> io::Error {
    io::Error::other("the reading was stopped")
}

impl Limits<'_> {
    fn check(&self) -> io::Result<()> {
        if self.control.is_stopped() {
            return Err(stopped());
        }
        if self.begun.elapsed() > self.allowance.timeout {
            let limit = age::words(self.allowance.timeout);
            let text = format!("it took longer than {limit} (archive_timeout)");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// Counts what was read, and waits where others read as well.
    fn count(&self, count: usize) -> io::Result<usize> {
        self.control.read.fetch_add(count as u64, Ordering::Relaxed);
        if !self.allowance.throttle.take(count as u64, || self.control.is_stopped()) {
            return Err(stopped());
        }
        Ok(count)
    }
}

/// The files of a directory, read within what is allowed.
struct GuardFiles<'a> {
    files: &'a mut dyn Files,
    limits: Limits<'a>,
}

impl Files for GuardFiles<'_> {
    fn members(&self) -> &[Member] {
        self.files.members()
    }

    fn open(&mut self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        self.limits.check()?;
        let file = self.limits.control.calls.make(|| self.files.open(index))?;
        Ok(Box::new(GuardRead { file, limits: self.limits }))
    }
}

struct GuardRead<'a> {
    file: Box<dyn Read + 'a>,
    limits: Limits<'a>,
}

impl Read for GuardRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.limits.check()?;
        let count = self.limits.control.calls.make(|| self.file.read(buffer))?;
        self.limits.count(count)
    }
}

/// Reads within what is allowed.
struct Guard<'a> {
    file: &'a mut dyn OpenArchive,
    limits: Limits<'a>,
    further: &'a mut FurtherSums,
}

impl Read for Guard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.limits.check()?;
        let count = self.limits.control.calls.make(|| self.file.read(buffer))?;
        self.further.update(&buffer[..count]);
        self.limits.count(count)
    }
}

/// The same, at any place.
struct GuardAt<'a> {
    file: Box<dyn ReadAt + Send>,
    limits: Limits<'a>,
}

impl ReadAt for GuardAt<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.limits.check()?;
        let count = self.limits.control.calls.make(|| self.file.read_at(buffer, offset))?;
        self.limits.count(count)
    }
}
