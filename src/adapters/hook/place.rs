//! Where a hook lies: nobody else may be able to change what is run in our name.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{Metadata, symlink_metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Links that are followed, as the kernel does.
const MOST_LINKS: usize = 40;

/// Whoever may write into it, only the owner of a file can put another in its place.
const STICKY: u32 = 0o1000;

/// What is to be said of the place of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Why it isn't run.
    pub refused: Option<String>,
    /// Who else could change it.
    pub doubts: Vec<String>,
}

/// Looks at a program, at every link that leads to it, and at every directory that one of them lies in.
pub fn inspect(program: &str) -> Place {
    let us = rustix::process::geteuid().as_raw();
    let mut place = Place::default();
    match steps(Path::new(program)) {
        Ok(steps) => {
            for pair in steps.windows(2) {
                place.directory(&pair[0], &pair[1].1, us);
            }
            if let Some((path, found)) = steps.last() {
                place.program(path, found, us);
            }
        }
        Err(reason) => place.refuse(reason),
    }
    place
}

type Step = (PathBuf, Metadata);

impl Place {
    fn refuse(&mut self, reason: String) {
        self.refused.get_or_insert(reason);
    }

    fn program(&mut self, path: &Path, found: &Metadata, us: u32) {
        let shown = path.display();
        if !found.is_file() || found.mode() & 0o111 == 0 {
            self.refuse(format!("{shown} is no executable file with an absolute path"));
        }
        if found.mode() & 0o002 != 0 {
            self.refuse(format!("{shown} can be changed by everybody: chmod o-w {shown}"));
        }
        self.doubt(path, found, us);
    }

    /// A directory, and what lies in it on the way to the program.
    fn directory(&mut self, (path, found): &Step, within: &Metadata, us: u32) {
        if !found.is_dir() {
            // A link: what counts is the directory that it lies in.
            return;
        }
        let shown = path.display();
        let kept = found.mode() & STICKY != 0 && [0, us].contains(&within.uid());
        if found.mode() & 0o002 != 0 && !kept {
            self.refuse(format!("the directory {shown} can be changed by everybody: chmod o-w {shown}"));
        }
        if found.mode() & STICKY == 0 || !kept {
            self.doubt(path, found, us);
        }
    }

    fn doubt(&mut self, path: &Path, found: &Metadata, us: u32) {
        let shown = path.display();
        let doubt = if ![0, us].contains(&found.uid()) {
            format!("{shown} belongs to user {}, who can change what is run", found.uid())
        } else if found.mode() & 0o020 != 0 && ![0, rustix::process::getegid().as_raw()].contains(&found.gid()) {
            format!("{shown} can be changed by group {}: chmod g-w {shown}", found.gid())
        } else {
            return;
        };
        if !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

/// Everything on the way from the root, each directory before what lies in it; links beside what they lead to.
fn steps(program: &Path) -> Result<Vec<Step>, String> {
    if !program.is_absolute() {
        return Err(format!("{} is no executable file with an absolute path", program.display()));
    }
    let parts = |path: &Path| -> VecDeque<OsString> {
        let named = path.components().filter(|it| matches!(it, Component::Normal(_) | Component::ParentDir));
        named.map(|it| it.as_os_str().to_owned()).collect()
    };
    let look = |path: &Path| symlink_metadata(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut at = PathBuf::from("/");
    let mut found = vec![(at.clone(), look(&at)?)];
    let mut left = parts(program);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            at.pop();
            found.push((at.clone(), look(&at)?));
            continue;
        }
        let here = at.join(&part);
        let metadata = look(&here)?;
        let is_link = metadata.is_symlink();
        found.push((here.clone(), metadata));
        if !is_link {
            at = here;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(format!("{}: too many links", program.display()));
        }
        let target = std::fs::read_link(&here).map_err(|error| format!("{}: {error}", here.display()))?;
        let mut further = parts(&target);
        further.append(&mut left);
        left = further;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        // What the target lies in comes after the link again, so that each pair is a directory and what it holds.
        found.push((at.clone(), look(&at)?));
    }
    Ok(found)
}
