//! Terraform or OpenTofu in a directory of this machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;

use futures_util::future::BoxFuture;
use tokio::process::Command;

use crate::domain::printable::shown_lines;
use crate::domain::state::LARGEST;
use crate::engine::ports::workspace::{Planned, Workspace};

/// Of what is printed so much is told. In bytes.
const MOST_PRINTED: usize = 8 << 10;

/// Directories of this machine.
pub struct Directories;

impl Workspace for Directories {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut content = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut content)?;
        match content.len() as u64 > LARGEST {
            true => Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20))),
            false => Ok(Some(content)),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let mut new = path.as_os_str().to_owned();
        new.push(".firedrill-new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(directory)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn init<'a>(&'a self, program: &'a str, directory: &'a Path) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let (code, printed) =
                run(program, directory, &["init", "-reconfigure", "-input=false", "-no-color"]).await?;
            if code == Some(0) { Ok(()) } else { Err(printed) }
        })
    }

    fn plan<'a>(&'a self, program: &'a str, directory: &'a Path) -> BoxFuture<'a, Planned> {
        Box::pin(async move {
            let arguments = ["plan", "-detailed-exitcode", "-input=false", "-lock=false", "-no-color"];
            match run(program, directory, &arguments).await {
                Ok((Some(0), _)) => Planned::NoChanges,
                Ok((Some(2), printed)) => Planned::Changes(printed),
                Ok((_, printed)) | Err(printed) => Planned::Failed(printed),
            }
        })
    }
}

/// Runs it; its exit code, and what it prints, the end of it where it is long. It is killed when nobody waits any more.
async fn run(program: &str, directory: &Path, arguments: &[&str]) -> Result<(Option<i32>, String), String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1");
    let output = command.output().await.map_err(|error| format!("{program} can't be run: {error}"))?;
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    let printed = shown_lines(printed.trim());
    let from = (printed.len().saturating_sub(MOST_PRINTED)..=printed.len()).find(|at| printed.is_char_boundary(*at));
    Ok((output.status.code(), printed[from.unwrap_or(0)..].to_owned()))
}
