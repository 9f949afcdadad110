//! The compressed data within a dump of the custom format: decompressed, and forgotten.

use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::Fault;
use crate::domain::finding::Kind;
use crate::formats::stream::Stop;

/// Bytes that are decompressed at once.
const OUTPUT: usize = 64 << 10;

/// Largest window of zstd, as power of two: the memory that decompression may take.
const WINDOW_LOG: u32 = 25;

/// How the data of an entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    None,
    Zlib,
    Lz4,
    Zstd,
}

/// Checks the data of one entry after the other.
pub(super) struct Inner {
    state: State,
    output: Vec<u8>,
    /// Whether the end of the compressed data was seen.
    ended: bool,
    /// Whether there was any data.
    begun: bool,
    /// Whether the data is rows as text, which have no zero bytes.
    text: bool,
}

enum State {
    /// Not compressed.
    Stored,
    /// Compressed in a way that is not understood here.
    Unchecked,
    Zlib(Decompress),
    Zstd(DCtx<'static>),
}

impl Inner {
    pub(super) fn new(algorithm: Algorithm) -> Result<Self, Fault> {
        let state = match algorithm {
            Algorithm::None => State::Stored,
            Algorithm::Lz4 => State::Unchecked,
            Algorithm::Zlib => State::Zlib(Decompress::new(true)),
            Algorithm::Zstd => State::Zstd(zstd_context()?),
        };
        let output = if matches!(state, State::Unchecked | State::Stored) { Vec::new() } else { vec![0; OUTPUT] };
        Ok(Self { state, output, ended: false, begun: false, text: false })
    }

    /// The data of another entry begins: rows as text, or anything.
    pub(super) fn begin(&mut self, text: bool) -> Result<(), Fault> {
        (self.ended, self.begun, self.text) = (false, false, text);
        match &mut self.state {
            State::Unchecked | State::Stored => {}
            State::Zlib(state) => state.reset(true),
            State::Zstd(context) => {
                context.reset(ResetDirective::SessionOnly).map_err(|code| zstd_limit("reset", code))?;
            }
        }
        Ok(())
    }

    /// The next bytes of the data; `position` is where they end in the dump.
    pub(super) fn feed(&mut self, mut input: &[u8], position: u64) -> Result<(), Fault> {
        match self.state {
            State::Unchecked => return Ok(()),
            State::Stored => return self.judge(input, position),
            State::Zlib(_) | State::Zstd(_) => {}
        }
        self.begun = true;
        loop {
            if self.ended {
                let behind = input.len();
                let text = format_args!("{behind} bytes follow the end of compressed data before byte {position}");
                return if behind == 0 { Ok(()) } else { Err(Fault::wrong(Kind::ContainerCorrupt, text)) };
            }
            let (used, made) = self.step(input, position)?;
            self.judge(&self.output[..made], position)?;
            input = input.get(used..).unwrap_or_default();
            if input.is_empty() && made < self.output.len() && !self.ended {
                return Ok(());
            }
            if used == 0 && made == 0 && !self.ended {
                let text = format_args!("compressed data can't be decompressed before byte {position}");
                return Err(Fault::wrong(Kind::ContainerCorrupt, text));
            }
        }
    }

    fn judge(&self, data: &[u8], position: u64) -> Result<(), Fault> {
        if self.text && memchr::memchr(0, data).is_some() {
            let text = format_args!(
                "there is a zero byte in the rows of a table before byte {position}: PostgreSQL refuses them"
            );
            return Err(Fault::wrong(Kind::DumpStructure, text));
        }
        Ok(())
    }

    /// The data ends; `position` is where in the dump.
    pub(super) fn end(&mut self, position: u64) -> Result<(), Fault> {
        // `pg_restore` takes no data at all for no rows with zstd, and refuses it with zlib.
        let complete = match self.state {
            State::Unchecked | State::Stored => true,
            State::Zlib(_) => self.ended,
            State::Zstd(_) => self.ended || !self.begun,
        };
        let text = format_args!("compressed data ends too early before byte {position}");
        if complete { Ok(()) } else { Err(Fault::wrong(Kind::ContainerCorrupt, text)) }
    }

    /// Decompresses as much as fits; how much was used, and how much it became.
    fn step(&mut self, input: &[u8], position: u64) -> Result<(usize, usize), Fault> {
        match &mut self.state {
            State::Unchecked | State::Stored => Ok((input.len(), 0)),
            State::Zlib(state) => {
                let before = (state.total_in(), state.total_out());
                match state.decompress(input, &mut self.output, FlushDecompress::None) {
                    Ok(status) => self.ended = status == Status::StreamEnd,
                    Err(error) => return Err(zlib_fault(&error, position)),
                }
                Ok(((state.total_in() - before.0) as usize, (state.total_out() - before.1) as usize))
            }
            State::Zstd(context) => {
                let mut from = InBuffer::around(input);
                let mut to = OutBuffer::around(&mut self.output[..]);
                match context.decompress_stream(&mut to, &mut from) {
                    Ok(left) => self.ended = left == 0,
                    Err(code) => return Err(zstd_fault(code, position)),
                }
                Ok((from.pos(), to.pos()))
            }
        }
    }
}

fn zlib_fault(error: &flate2::DecompressError, position: u64) -> Fault {
    let reason = error.message().unwrap_or("a preset dictionary, which no dump has");
    let kind = if reason == "incorrect data check" { Kind::ContainerChecksum } else { Kind::ContainerCorrupt };
    Fault::wrong(kind, format_args!("compressed data before byte {position} is damaged: {reason}"))
}

fn zstd_context() -> Result<DCtx<'static>, Fault> {
    let mut context = DCtx::try_create().ok_or_else(|| Stop::Limit("no memory to decompress zstd".to_owned()))?;
    let limit = DParameter::WindowLogMax(WINDOW_LOG);
    context.set_parameter(limit).map_err(|code| zstd_limit("window", code))?;
    Ok(context)
}

fn zstd_limit(what: &str, code: usize) -> Fault {
    Fault::Stop(Stop::Limit(format!("zstd {what}: {}", zstd_safe::get_error_name(code))))
}

fn zstd_fault(code: usize, position: u64) -> Fault {
    let error = |number: zstd_safe::zstd_sys::ZSTD_ErrorCode| (number as usize).wrapping_neg() == code;
    let reason = zstd_safe::get_error_name(code);
    let text = format!("compressed data before byte {position} is damaged: {reason}");
    if error(zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        let text = format!("the data of the dump needs a zstd window of more than {} MiB", (1 << WINDOW_LOG) >> 20);
        Fault::Stop(Stop::Limit(text))
    } else if error(zstd_safe::zstd_sys::ZSTD_ErrorCode::ZSTD_error_checksum_wrong) {
        Fault::wrong(Kind::ContainerChecksum, text)
    } else {
        Fault::wrong(Kind::ContainerCorrupt, text)
    }
}
