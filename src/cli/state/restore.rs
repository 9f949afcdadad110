//! `firedrill state restore`: an older version, or the local copy, becomes the current one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::conduct::{self, Wish, conduct, confirmed, tell, unique, who};
use super::environment::{Environment, Environments, Judged, Version, kept_of};
use super::listing::{differences, local, read};
use super::workspace::{Workspace, word};
use super::{Named, Version as Wanted, Way};
use crate::app::state_work::{ForCommands, for_commands};
use crate::cli::say;
use crate::config::Config;
use crate::domain::printable::shown;
use crate::domain::state::contents::{Contents, Unread};
use crate::domain::state::work::{Change, Content, RESTORE};
use crate::engine::ports::state_store::{Current, StateStore};
use crate::engine::state_work::{digest, lock_of};
use crate::formats::tfstate::contents;

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    state: Named,
    #[command(flatten)]
    version: Wanted,
    /// The local copy instead of a version, where the server lost those
    #[arg(long, conflicts_with_all = ["version_id", "date"])]
    from_copy: bool,
    /// Its directory: afterwards `terraform plan` says whether the state fits the world
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Also where somebody holds the lock, the version is damaged, or it is another state
    #[arg(long)]
    force: bool,
    /// Keep the serial of the version, though it is lower than that of the current one
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    way: Way,
}

/// What will be current, and where it comes from.
struct Chosen {
    from: Content,
    what: String,
    content: Vec<u8>,
    contents: Result<Contents, Unread>,
    intact: bool,
}

/// What is current now.
pub(super) struct Present {
    pub(super) at: Option<Current>,
    pub(super) contents: Option<Contents>,
    digest: Option<String>,
}

/// Looks at what is current.
pub(super) async fn present(
    store: &dyn StateStore,
    place: &crate::engine::ports::state_store::Place,
) -> anyhow::Result<Present> {
    let found = store.read(place, None).await?;
    let contents = found.as_ref().and_then(|(text, _)| contents::of(text).ok());
    let digest = found.as_ref().map(|(text, _)| digest(text));
    Ok(Present { at: found.map(|(_, current)| current), contents, digest })
}

impl Present {
    /// Whether something else is there than this. Where nothing is, nothing moved on.
    pub(super) fn is_not(&self, digest: &str) -> bool {
        self.digest.as_deref().is_some_and(|it| it != digest)
    }
}

impl Restore {
    pub(super) fn run(self, config: &Config, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let environments = self.environments(config)?;
        let it = environments.one(&self.state.env)?;
        let workspace = self.dir.as_deref().map(|directory| Workspace::open(directory, &self.way)).transpose()?;
        if let Some(workspace) = &workspace {
            workspace.is_of(&it.place)?;
            workspace.has_no_table(self.force)?;
            // The plan afterwards would be one of the local state.
            ensure!(
                !workspace.has_fallen_back(),
                "{} has fallen back: `firedrill state return` comes first",
                workspace.directory.display()
            );
        }
        let work = for_commands(config)?;
        let chosen = self.choose(&environments, it, &work)?;
        runtime.block_on(self.go_on(it, &environments, chosen, workspace, &work))
    }

    /// What the server has. For a copy of ours it need not know the state at all.
    fn environments(&self, config: &Config) -> anyhow::Result<Environments> {
        if !self.from_copy {
            return Environments::look(config, self.state.from.source.as_ref());
        }
        let kept = kept_of(config, &self.state)?;
        let looked = Environments::look(config, Some(&kept.source));
        let found = looked.and_then(|all| all.one(&self.state.env).map(drop).map(|()| all));
        found.or_else(|why| {
            tell(&format!("{why:#}. The copy says where the state was.\n"));
            Environments::of_copy(&kept)
        })
    }

    /// The version that is asked for, or the newest intact one before a damaged or deleted one.
    fn choose(&self, environments: &Environments, it: &Environment, work: &ForCommands) -> anyhow::Result<Chosen> {
        if self.from_copy {
            let cache = work.work.cache.as_ref().context("no copies are kept: [state_cache] is not set")?;
            let name = (it.source.clone(), it.item.clone());
            let (kept, content) = cache.open(&name, false)?.context("no copy of it is kept")?;
            let contents = contents::of(&content);
            let from = Content::Copy(it.item.to_string());
            let what = format!("the local copy of {}", local(Some(kept.modified)));
            return Ok(Chosen { from, what, content, contents, intact: true });
        }
        let version = match it.version(&self.version)? {
            Some(version) => version,
            None => fallback_version(environments, it)?,
        };
        ensure!(!version.current, "the version {} is the current one", version.id);
        let (content, contents) = read(environments, version)?;
        let intact = is_intact(environments, it, version);
        let what = format!("the version {} of {}", shown(&version.id), local(version.modified));
        Ok(Chosen { from: Content::Version(version.id.clone()), what, content, contents, intact })
    }

    async fn go_on(
        &self,
        it: &Environment,
        environments: &Environments,
        chosen: Chosen,
        workspace: Option<Workspace>,
        work: &ForCommands,
    ) -> anyhow::Result<ExitCode> {
        let store: Arc<dyn StateStore> = work.work.stores.get(&it.source).cloned().context("its source is gone")?;
        let lock = lock_of(&*store, &it.place).await?;
        if let Some(lock) = lock.as_ref().filter(|_| !self.force) {
            bail!(
                "the state is locked by {}: wait, or end it with `terraform force-unlock`; --force restores all the same",
                lock.holder()
            );
        }
        ensure!(
            chosen.intact || self.force,
            "{} is not intact: Terraform could not go on from it. --force restores it all the same",
            chosen.what
        );
        let present = present(&*store, &it.place).await?;
        let lineage = |it: &Contents| it.lineage.clone();
        let lineages = present.contents.as_ref().map(lineage).zip(chosen.contents.as_ref().ok().map(lineage));
        let other = lineages.is_some_and(|(now, then)| now != then && !now.is_empty() && !then.is_empty());
        ensure!(
            !other || self.force,
            "{} is another state: its lineage is another one. --force restores it all the same",
            chosen.what
        );
        let highest = match &present.contents {
            Some(contents) => contents.serial,
            None => tokio::task::block_in_place(|| highest(environments, it)),
        };
        let serial = match &chosen.contents {
            Ok(contents) if !self.exact && contents.serial <= highest => Some(highest + 1),
            _ => None,
        };
        let content = match serial {
            Some(serial) => contents::with_serial(&chosen.content, serial).context("there is no serial in it")?,
            None => chosen.content,
        };
        let digest = digest(&content);
        if present.digest.as_ref() == Some(&digest) {
            say("It is current already: nothing was done.\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        *work.work.at_hand.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(content);
        let id = unique()?;
        let change = Change {
            source: it.source.clone(),
            bucket: it.place.bucket.clone(),
            key: it.place.key.clone(),
            id: id.clone(),
            who: who(),
            expected: present.at.map(|it| it.e_tag),
            from: chosen.from,
            serial,
            digest,
            forced: lock.is_some(),
        };
        let name = it.item.name().unwrap_or_default();
        let mut summary =
            format!("{} of {name} (s3://{}/{}) becomes the current one", chosen.what, it.place.bucket, it.place.key);
        summary.push_str(&serial.map_or_else(String::new, |serial| format!(", with the serial {serial}")));
        summary.push_str(".\n");
        match (&present.contents, &chosen.contents) {
            (Some(now), Ok(then)) => summary.push_str(&differences(now, then)),
            (None, _) if change.expected.is_none() => summary.push_str("There is no state now.\n"),
            (None, _) => summary.push_str("What is current can't be looked into.\n"),
            (_, Err(why)) => summary.push_str(&format!("It can't be looked into: {why}.\n")),
        }
        let plan = change.plan()?;
        if !confirmed(&self.way, &summary, &plan)? {
            return Ok(ExitCode::SUCCESS);
        }
        let wish = Wish {
            kind: RESTORE,
            subject: format!("{}/{}", it.source, it.item),
            title: format!("restore {name}: {}", chosen.what),
            request: id,
            plan,
        };
        let operation = conduct(work, wish).await?;
        tell("Restored.\n");
        let planned = match &workspace {
            Some(workspace) => Some(workspace.plan().await),
            None => None,
        };
        if self.way.json {
            let value = json!({
                "operation": operation, "state": name, "restored": chosen.what, "serial": serial,
                "before": change.expected.is_some().then(|| format!("s3://{}/{}{}", it.place.bucket, it.place.key, change.aside())),
                "plan": word(planned.as_ref()),
            });
            say(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Ok(conduct::exit_code(planned.as_ref()))
    }
}

fn is_intact(environments: &Environments, it: &Environment, version: &Version) -> bool {
    environments.judge(&it.item, std::slice::from_ref(version)).first().is_some_and(Judged::intact)
}

/// Without a wish: the newest intact version before one that Terraform can't go on from.
fn fallback_version<'a>(environments: &Environments, it: &'a Environment) -> anyhow::Result<&'a Version> {
    for version in &it.versions {
        let intact = is_intact(environments, it, version);
        ensure!(
            !(intact && version.current),
            "the current version is intact: say which one is wanted, with --version-id or --date (`firedrill state list --env {}`)",
            it.item.name().unwrap_or_default()
        );
        if intact {
            return Ok(version);
        }
    }
    bail!("none of its versions is intact")
}

/// The serial of the newest version that has one: what is written over one that hasn't gets a higher one.
fn highest(environments: &Environments, it: &Environment) -> u64 {
    let serial =
        |version| environments.judge(&it.item, std::slice::from_ref(version)).first()?.facts().map(|it| it.serial);
    it.versions.iter().find_map(serial).unwrap_or_default()
}
