//! Secrets that the configuration names: as they are, or in a file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::domain::secret::Secret;

/// What is longer is no secret but another file. In bytes.
const LONGEST: u64 = 64 << 10;

/// The secret that a file holds, without white space around it. `key` names the file in errors.
pub(super) fn of_file(key: &str, path: &Path) -> anyhow::Result<Secret> {
    let reading = || match key {
        "" => format!("reading {}", path.display()),
        _ => format!("reading {key} {}", path.display()),
    };
    let mut text = String::new();
    let file = File::open(path).with_context(reading)?;
    file.take(LONGEST + 1).read_to_string(&mut text).with_context(reading)?;
    ensure!(text.len() as u64 <= LONGEST, "{}: it is larger than 64 KiB, so it is another file", reading());
    Ok(Secret::from(text.trim().to_owned()))
}

/// The secret that is given, or else that of the file.
pub(super) fn given(value: &Option<Secret>, key: &str, file: &Option<PathBuf>) -> anyhow::Result<Option<Secret>> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.clone())),
        (None, Some(path)) => of_file(key, path).map(Some),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        assert_eq!(of_file("k", &file("a", b" se cret\n")).unwrap().expose(), "se cret");
        assert!(of_file("k", &file("b", &vec![b'a'; LONGEST as usize])).is_ok());
        for (name, text) in [("c", vec![b'a'; LONGEST as usize + 1]), ("d", vec![0xff, 0xfe])] {
            assert!(of_file("the.key", &file(name, &text)).unwrap_err().to_string().contains("the.key"), "{name}");
        }
        let missing = of_file("the.key", &directory.path().join("e")).unwrap_err();
        assert!(format!("{missing:#}").starts_with("reading the.key"), "{missing:#}");
    }
}
