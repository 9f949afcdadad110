//! Copies of states in a directory, each encrypted with age: `age -d -i KEY_FILE` reads them too, on a day without firedrill.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::ids::SourceName;
use crate::domain::state::LARGEST;
use crate::domain::state::cache::{Kept, StateName};
use crate::domain::state::contents::Unread;
use crate::engine::ports::state_cache::StateCache;
use crate::formats::tfstate::contents;

/// What lies beside a copy is no larger: a list of resources.
const LARGEST_NOTE: u64 = 256 << 20;

/// Letters that stand for themselves in the name of a file.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A name would be too long for a file; it gets a digest instead of its end. In bytes.
const LONGEST_NAME: usize = 180;

/// Copies in a directory. The key is read when it is needed: one that is put back is used at once.
pub struct AgeCache {
    directory: PathBuf,
    key_file: PathBuf,
    /// Whether a key is made where there is none.
    makes_key: bool,
}

impl AgeCache {
    /// For who keeps copies: directory and key are made where they aren't there yet.
    pub fn new(directory: &Path, key_file: &Path) -> Self {
        Self { directory: directory.to_owned(), key_file: key_file.to_owned(), makes_key: true }
    }

    /// The same for one who only reads: nothing is made.
    pub fn existing(directory: &Path, key_file: &Path) -> Self {
        Self { makes_key: false, ..Self::new(directory, key_file) }
    }

    fn key(&self) -> io::Result<Identity> {
        match read_key(&self.key_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.makes_key => {
                make_key(&self.directory, &self.key_file)
            }
            read => read,
        }
    }

    /// What is kept, as far as that can be read without the key.
    pub fn notes(directory: &Path) -> io::Result<Vec<Kept>> {
        let mut all = Vec::new();
        let sources = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            read => read?,
        };
        for source in sources {
            let source = source?;
            if !source.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(source.path())? {
                let path = file?.path();
                if path.to_str().is_some_and(|name| name.ends_with(NOTE)) {
                    // One that can't be understood is as good as none: it is written anew.
                    all.extend(read_note(&path)?);
                }
            }
        }
        all.sort_by(|a, b| (&a.source, &a.item).cmp(&(&b.source, &b.item)));
        Ok(all)
    }

    fn files_of(&self, source: &SourceName, item: &str) -> Files {
        let mut name = utf8_percent_encode(item, PLAIN).to_string();
        if name.len() > LONGEST_NAME {
            let digest = blake3::hash(item.as_bytes()).to_hex();
            name.truncate(LONGEST_NAME - 20);
            name = format!("{name}~{}", &digest[..16]);
        }
        Files { directory: self.directory.join(utf8_percent_encode(source.as_str(), PLAIN).to_string()), name }
    }

    fn encrypt(&self, content: &mut dyn Read, into: &Path) -> io::Result<(u64, String)> {
        let recipient = self.key()?.to_public();
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .map_err(io::Error::other)?;
        let file = create(into)?;
        let mut writer = encryptor.wrap_output(&file)?;
        let mut content = content.take(LARGEST + 1);
        let (mut hasher, mut size) = (blake3::Hasher::new(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = content.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
            writer.write_all(&buffer[..count])?;
        }
        if size > LARGEST {
            return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
        }
        writer.finish()?;
        file.sync_all()?;
        Ok((size, hasher.finalize().to_hex().to_string()))
    }

    fn decrypt(&self, path: &Path) -> io::Result<impl Read + use<>> {
        let file = BufReader::new(File::open(path)?);
        let decryptor = age::Decryptor::new_buffered(file).map_err(io::Error::other)?;
        let key = self.key()?;
        let key: &dyn age::Identity = &key;
        decryptor.decrypt(std::iter::once(key)).map_err(|error| {
            let why = match error {
                age::DecryptError::NoMatchingKeys => "it was encrypted with another key".to_owned(),
                other => other.to_string(),
            };
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    }
}

/// Ends of the names of files.
const COPY: &str = ".tfstate.age";
const NOTE: &str = ".json";
const BEFORE: &str = ".before";

/// Where a state is kept. A dot is never part of its own name.
struct Files {
    directory: PathBuf,
    name: String,
}

impl Files {
    /// Of this content.
    fn copy(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{}.{}{COPY}", self.name, digest.get(..32).unwrap_or(digest)))
    }

    fn note(&self, before: bool) -> PathBuf {
        match before {
            // Not found by who looks for notes.
            true => self.directory.join(format!("{}{BEFORE}{NOTE}~", self.name)),
            false => self.directory.join(format!("{}{NOTE}", self.name)),
        }
    }

    /// Removes copies that no note tells of.
    fn remove_others(&self) -> io::Result<()> {
        let told = [read_note(&self.note(false))?, read_note(&self.note(true))?];
        let wanted: Vec<PathBuf> = told.iter().flatten().map(|it| self.copy(&it.digest)).collect();
        let begins = format!("{}.", self.name);
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(&begins) && name.ends_with(COPY) && !wanted.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl StateCache for AgeCache {
    fn kept(&self) -> io::Result<Vec<Kept>> {
        Self::notes(&self.directory)
    }

    fn usable(&self, kept: &Kept) -> io::Result<()> {
        let files = self.files_of(&kept.source, &kept.item.to_string());
        self.decrypt(&files.copy(&kept.digest)).map(drop)
    }

    fn keep(&self, about: Kept, content: &mut dyn Read) -> io::Result<Kept> {
        let files = self.files_of(&about.source, &about.item.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&files.directory)?;
        let (new, new_note) = (files.directory.join("new.age"), files.directory.join("new.note"));
        let (size, digest) = self.encrypt(content, &new)?;
        if size != about.size {
            return Err(io::Error::other(format!("{size} bytes came of {} that were listed", about.size)));
        }
        let mut kept = Kept { size, digest, ..about };
        // What was written is what will be read on the day it is needed.
        let mut read = Hashing::of(self.decrypt(&new)?);
        match contents::read(BufReader::new(&mut read)) {
            Ok(contents) => {
                kept.serial = Some(contents.serial);
                kept.lineage = contents.lineage.clone();
                kept.resources = contents.managed().map(|(address, id)| (address.into(), id.map(Into::into))).collect();
            }
            Err(Unread::Encrypted | Unread::Version(_)) => {}
            // A verification that looks at the size alone may have called it intact.
            Err(Unread::Broken(why)) => return Err(io::Error::other(format!("it is no state: {why}"))),
        }
        io::copy(&mut read, &mut io::sink())?;
        if read.hasher.finalize().to_hex().as_str() != kept.digest {
            return Err(io::Error::other("what was written to the disk isn't what is read from there"));
        }
        fs::rename(&new, files.copy(&kept.digest))?;
        let before = read_note(&files.note(false))?.filter(|old| old.digest != kept.digest);
        if let Some(before) = &before {
            write(&new_note, &files.note(true), before)?;
        }
        // From here on the new copy is the one that counts; up to here it was the old one.
        write(&new_note, &files.note(false), &kept)?;
        File::open(&files.directory)?.sync_all()?;
        files.remove_others()?;
        Ok(kept)
    }

    fn open(&self, (source, item): &StateName, before: bool) -> io::Result<Option<(Kept, Vec<u8>)>> {
        let files = self.files_of(source, &item.to_string());
        let Some(kept) = read_note(&files.note(before))? else { return Ok(None) };
        let path = files.copy(&kept.digest);
        let mut content = Vec::new();
        let wrong = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        self.decrypt(&path).map_err(wrong)?.take(LARGEST + 1).read_to_end(&mut content).map_err(wrong)?;
        if blake3::hash(&content).to_hex().as_str() != kept.digest {
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, "it isn't what its note says")));
        }
        Ok(Some((kept, content)))
    }
}

/// A reader that takes what it reads into a digest.
struct Hashing<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R> Hashing<R> {
    fn of(inner: R) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// A file that nobody else reads.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a note, all or nothing.
fn write(new: &Path, path: &Path, note: &Kept) -> io::Result<()> {
    let mut file = create(new)?;
    file.write_all(&serde_json::to_vec(note)?)?;
    file.sync_all()?;
    fs::rename(new, path)
}

fn read_note(path: &Path) -> io::Result<Option<Kept>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    Ok(serde_json::from_reader(BufReader::new(file.take(LARGEST_NOTE))).ok())
}

/// The key in a file as `age-keygen` writes it: comments, and one line that is the key.
fn read_key(path: &Path) -> io::Result<Identity> {
    let mut text = String::new();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("the key {}: {error}", path.display()));
    File::open(path).and_then(|file| file.take(64 << 10).read_to_string(&mut text)).map_err(named)?;
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let line = line.ok_or_else(|| wrong("there is no key in it"))?;
    Identity::from_str(line).map_err(|why| wrong(&format!("no key of age (`age-keygen` makes one): {why}")))
}

/// Makes a key. Never where copies lie already: they would be lost without anybody noticing.
fn make_key(directory: &Path, path: &Path) -> io::Result<Identity> {
    if !AgeCache::notes(directory)?.is_empty() {
        let text = format!(
            "{} is gone, and {} holds copies that only it can read: put the key back, or remove them",
            path.display(),
            directory.display()
        );
        return Err(io::Error::other(text));
    }
    let key = Identity::generate();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("making the key {}: {error}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(named)?;
    let text = format!(
        "# public key: {}\n# Made by firedrill for its copies of states. Without it they can't be read: keep it elsewhere too.\n{}\n",
        key.to_public(),
        key.to_string().expose_secret()
    );
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests;
