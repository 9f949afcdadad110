//! Somebody who is shown what is in the members while an archive is checked.

/// Is told of every member that is an ordinary file, in the order of the archive.
pub trait Watch {
    /// A member begins.
    fn begin(&mut self, name: &[u8], bytes: u64);

    /// The next bytes of its content.
    fn content(&mut self, bytes: &[u8]);

    /// Its content was all there.
    fn end(&mut self);
}
