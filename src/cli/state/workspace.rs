//! A directory of Terraform: where it keeps its state, and what a plan says.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail, ensure};

use super::Way;
use super::conduct::tell;
use crate::adapters::terraform::Directories;
use crate::engine::ports::state_store::Place;
use crate::engine::ports::workspace::{Planned, Workspace as _};
use crate::engine::state_work::directory::OVERRIDE;
use crate::formats::backend::{self, Backend};

/// Files of a configuration that are larger are none. In bytes.
const LARGEST: u64 = 16 << 20;

/// A directory of Terraform.
pub(super) struct Workspace {
    pub(super) directory: PathBuf,
    /// The program that is run in it.
    pub(super) program: String,
    /// `default`, mostly.
    pub(super) name: String,
    /// Where it keeps its state, as far as that is known.
    pub(super) backend: Option<Backend>,
}

impl Workspace {
    /// Reads what its files say.
    pub(super) fn open(directory: &Path, way: &Way) -> anyhow::Result<Self> {
        let shown = directory.display();
        let directory = directory.canonicalize().with_context(|| format!("--dir {shown}"))?;
        let files = texts(&directory, |name| name.ends_with(".tf") && name != OVERRIDE)?;
        ensure!(
            std::env::var_os("TF_DATA_DIR").is_none(),
            "TF_DATA_DIR is set: what `terraform init` notes is looked for in .terraform only"
        );
        ensure!(!files.is_empty(), "--dir {shown}: there is no .tf file in it");
        let mut values = texts(&directory, |name| name == "terraform.tfvars")?;
        values.extend(texts(&directory, |name| name.ends_with(".auto.tfvars"))?);
        let configured = backend::configured(&files, &values).map_err(|why| anyhow!("--dir {shown}: {why}"))?;
        // What is noted is what was said at `init`, settings of its command line too.
        let noted =
            text(&directory.join(".terraform/terraform.tfstate"))?.and_then(|text| backend::noted(text.as_bytes()));
        let same = |noted: &Backend| configured.as_ref().is_none_or(|it| it.kind == noted.kind);
        let backend = noted.filter(same).or(configured);
        let selected = text(&directory.join(".terraform/environment"))?;
        let name = std::env::var("TF_WORKSPACE").ok().filter(|name| !name.is_empty()).or(selected);
        let name = name.map_or_else(|| "default".to_owned(), |name| name.trim().to_owned());
        ensure!(!name.contains('/') && !name.starts_with('.'), "--dir {shown}: {name:?} is no workspace");
        let program = program(way)?;
        Ok(Self { directory, program, name, backend })
    }

    /// Fails where its state is another one.
    pub(super) fn is_of(&self, place: &Place) -> anyhow::Result<()> {
        let shown = self.directory.display();
        let Some(backend) = &self.backend else { bail!("{shown} has no backend block: its state isn't in S3") };
        ensure!(backend.kind == "s3", "{shown} keeps its state in a backend of the kind {}", backend.kind);
        let (bucket, key) = (backend.settings.get("bucket"), backend.key(&self.name));
        let unknown =
            || format!("{shown}: bucket and key of its backend are not known; run `terraform init` there once");
        let (bucket, key) = bucket.zip(key).with_context(unknown)?;
        ensure!(
            *bucket == place.bucket && key == place.key,
            "{shown} (workspace {}) keeps its state at s3://{bucket}/{key}, and not at s3://{}/{}",
            self.name,
            place.bucket,
            place.key
        );
        Ok(())
    }

    /// Fails where a table keeps a digest of the state, which what is written would not fit.
    pub(super) fn has_no_table(&self, force: bool) -> anyhow::Result<()> {
        ensure!(
            force || !self.backend.as_ref().is_some_and(Backend::has_table),
            "its backend locks by a table of DynamoDB, which also keeps a digest of the state: afterwards every command would fail until the item BUCKET/KEY-md5 is removed there. --force does it all the same"
        );
        Ok(())
    }

    /// Whether it goes on with a local state.
    pub(super) fn has_fallen_back(&self) -> bool {
        self.directory.join(OVERRIDE).exists()
    }

    /// What Terraform would change; told to a person.
    pub(super) async fn plan(&self) -> Planned {
        tell(&format!("Running `{} plan` in {} …\n", self.program, self.directory.display()));
        let planned = Directories.plan(&self.program, &self.directory).await;
        match &planned {
            Planned::NoChanges => tell("Terraform would change nothing.\n"),
            Planned::Changes(printed) => tell(&format!("{printed}\nTerraform would change something: see above.\n")),
            Planned::Failed(printed) => tell(&format!("{printed}\nTerraform could not plan: see above.\n")),
        }
        planned
    }
}

/// What a plan says, for programs.
pub(super) fn word(planned: Option<&Planned>) -> Option<&'static str> {
    planned.map(|it| match it {
        Planned::NoChanges => "no changes",
        Planned::Changes(_) => "changes",
        Planned::Failed(_) => "failed",
    })
}

/// The program: the one that is named, or what is on the path.
fn program(way: &Way) -> anyhow::Result<String> {
    if let Some(program) = &way.terraform {
        let program = if program.components().count() > 1 { program.canonicalize()? } else { program.clone() };
        return program.into_os_string().into_string().map_err(|_| anyhow!("--terraform has to be UTF-8"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        ["terraform", "tofu"].into_iter().find(|name| std::env::split_paths(&path).any(|it| it.join(name).is_file()));
    found.map(ToOwned::to_owned).context("neither terraform nor tofu is on the path: name one with --terraform")
}

/// Texts of files whose names fit, by name.
fn texts(directory: &Path, fits: impl Fn(&str) -> bool) -> anyhow::Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if fits(&name)
            && let Some(text) = text(&entry.path())?
        {
            all.push((name, text));
        }
    }
    all.sort();
    Ok(all)
}

fn text(path: &Path) -> anyhow::Result<Option<String>> {
    use std::io::Read as _;
    let reading = || format!("reading {}", path.display());
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(reading)?,
    };
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).with_context(reading)?;
    ensure!(text.len() as u64 <= LARGEST, "{}: it is larger than {} MiB", reading(), LARGEST >> 20);
    Ok(Some(text))
}
