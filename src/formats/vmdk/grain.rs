//! One compressed grain: zlib data with an Adler-32 at its end (RFC 1950).

use flate2::{Decompress, FlushDecompress, Status};

/// Inflates grains one after the other, in the same memory.
pub(super) struct Inflater {
    decoder: Decompress,
    output: Box<[u8]>,
}

impl Inflater {
    /// For grains of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self { decoder: Decompress::new(true), output: vec![0; bytes].into_boxed_slice() }
    }

    /// Inflates a grain to its end, which must be one of two lengths: a whole grain, or as far as the disk goes.
    pub(super) fn check(&mut self, data: &[u8], rest_of_disk: u64) -> Result<(), String> {
        self.decoder.reset(true);
        let grain = self.output.len() as u64;
        let status = self.decoder.decompress(data, &mut self.output, FlushDecompress::Finish);
        let (used, put) = (self.decoder.total_in(), self.decoder.total_out());
        match status {
            Err(error) => {
                let why = error.message().unwrap_or("invalid data");
                return Err(format!("doesn't inflate ({why}): its data or its Adler-32 is damaged"));
            }
            Ok(Status::StreamEnd) => {}
            Ok(_) if put >= grain && used < data.len() as u64 => {
                return Err(format!("inflates to more than the {grain} bytes of a grain"));
            }
            Ok(_) => return Err(format!("ends too early: {put} of {grain} bytes are there")),
        }
        if put != grain && put != rest_of_disk {
            return Err(format!("inflates to {put} bytes, a grain has {grain}"));
        }
        // What a writer rounds up is zero.
        if data[used as usize..].iter().any(|byte| *byte != 0) {
            return Err(format!("has {} bytes behind the end of its data", data.len() as u64 - used));
        }
        Ok(())
    }
}
