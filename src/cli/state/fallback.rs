//! `firedrill state fallback` and `return`: on without the server, and back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;

use super::conduct::{self, Wish, conduct, confirmed, tell, unique, who};
use super::environment::{item_of, kept_of, place_of};
use super::listing::{differences, local};
use super::restore::present;
use super::workspace::{Workspace, word};
use super::{Named, Way};
use crate::app::state_work::{ForCommands, for_commands};
use crate::cli::{EXIT_TROUBLE, say};
use crate::config::Config;
use crate::domain::ids::ItemId;
use crate::domain::printable::shown;
use crate::domain::state::cache::Kept;
use crate::domain::state::contents::Contents;
use crate::domain::state::work::{Change, Content, Directory, FALLBACK, RETURN};
use crate::engine::ports::state_store::{Place, StateFault};
use crate::engine::state_work::directory::{OVERRIDE, base_of, state_file};
use crate::engine::state_work::{digest, lock_of};
use crate::formats::tfstate::contents;

#[derive(Debug, Args)]
pub(super) struct Fallback {
    #[command(flatten)]
    state: Named,
    /// The directory of Terraform that goes on with the copy
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// The copy before the newest one
    #[arg(long)]
    before: bool,
    /// Also while the server answers
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    way: Way,
}

#[derive(Debug, Args)]
pub(super) struct Return {
    #[command(flatten)]
    state: Named,
    /// The directory of Terraform that comes back
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// Also where somebody holds the lock, or the state on the server changed too: what is there then is written over
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    way: Way,
}

/// What the server of a state says of it; an error when it says nothing.
async fn answer(work: &ForCommands, kept: &Kept) -> anyhow::Result<Result<String, String>> {
    let source = &kept.source;
    let store = work.work.stores.get(source).with_context(|| format!("there is no [[s3]] section called {source}"))?;
    Ok(match store.current(&place_of(kept)?).await {
        Ok(Some(_)) => Ok("the state is there".to_owned()),
        Ok(None) => Ok("there is no state".to_owned()),
        Err(StateFault::Away(why)) => Err(why),
        Err(other) => Ok(other.to_string()),
    })
}

impl Fallback {
    pub(super) fn run(self, config: &Config, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let item = item_of(&self.state.env)?;
        let kept = kept_of(config, &self.state)?;
        let work = for_commands(config)?;
        let answer = runtime.block_on(answer(&work, &kept))?;
        // One that refuses is one that answers: Terraform may come through with a key of its own.
        ensure!(
            answer.is_err() || self.force,
            "the server answers ({}): go back to an older version with `firedrill state restore`. --force falls back all the same",
            answer.as_deref().unwrap_or_default()
        );
        let (Ok(said) | Err(said)) = &answer;
        tell(&format!("The server: {}\n", shown(said)));
        let cache = work.work.cache.as_ref().context("no copies are kept")?;
        let (kept, content) = match cache.open(&(kept.source.clone(), item), self.before) {
            Ok(Some(found)) => found,
            Ok(None) => return guide(&kept, "there is no such copy"),
            Err(why) => return guide(&kept, &format!("the copy can't be read: {why}")),
        };
        let workspace = Workspace::open(&self.dir, &self.way)?;
        ensure!(
            !workspace.has_fallen_back(),
            "{} has fallen back already: {OVERRIDE} is there. `firedrill state return` comes back",
            self.dir.display()
        );
        let place = place_of(&kept)?;
        workspace.is_of(&place)?;
        let local_state = state_file(&workspace.directory, &workspace.name);
        ensure!(
            !local_state.exists(),
            "{} is there: an earlier local state. Look at it, and move it away",
            local_state.display()
        );
        let id = unique()?;
        let directory = Directory {
            path: workspace.directory.display().to_string(),
            program: workspace.program.clone(),
            workspace: workspace.name.clone(),
            source: kept.source.clone(),
            bucket: place.bucket,
            key: place.key,
            item: kept.item.to_string(),
            before: self.before,
            digest: digest(&content),
            id: id.clone(),
        };
        let plan = directory.fall_back()?;
        let name = kept.item.name().unwrap_or_default();
        let age = format!("the version of {}, copied {}", local(Some(kept.modified)), local(Some(kept.kept)));
        let summary = format!(
            "{} goes on with the local copy of {name}: {age}, serial {}.\nWhat was done since that version is not in it: Terraform would make it again.\n",
            workspace.directory.display(),
            kept.serial.map_or_else(|| "unknown".to_owned(), |serial| serial.to_string()),
        );
        if !confirmed(&self.way, &summary, &plan)? {
            return Ok(ExitCode::SUCCESS);
        }
        runtime.block_on(async {
            let wish = Wish {
                kind: FALLBACK,
                subject: workspace.directory.display().to_string(),
                title: format!("fall back to the copy of {name}"),
                request: id,
                plan,
            };
            let operation = conduct(&work, wish).await?;
            tell(&format!(
                "Terraform goes on locally in {}. Come back with `firedrill state return`.\n",
                self.dir.display()
            ));
            let planned = workspace.plan().await;
            if self.way.json {
                let value =
                    json!({"operation": operation, "state": name, "serial": kept.serial, "plan": word(Some(&planned))});
                say(&(serde_json::to_string_pretty(&value)? + "\n"))?;
            }
            Ok(conduct::exit_code(Some(&planned)))
        })
    }
}

/// Neither the server nor a copy can be read: what was known of the state is all that is left.
fn guide(kept: &Kept, why: &str) -> anyhow::Result<ExitCode> {
    let name = kept.item.name().unwrap_or_default();
    tell(&format!("Both are gone, the state of {name} on its server and the copy here: {why}.\n"));
    let mut text = format!(
        "# {name} can't be restored. It managed {} resources as of {} (serial {}).\n\
         # With an empty state each of them can be imported. Check every id: what an import wants is in the\n\
         # documentation of the resource, and is not always its id.\n",
        kept.resources.len(),
        local(Some(kept.modified)),
        kept.serial.map_or_else(|| "unknown".to_owned(), |serial| serial.to_string())
    );
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    for (address, id) in &kept.resources {
        match id {
            Some(id) => text.push_str(&format!("terraform import {} {}\n", quoted(address), quoted(id))),
            None => text.push_str(&format!("# {address}: no id is known\n")),
        }
    }
    say(&text)?;
    Ok(ExitCode::from(EXIT_TROUBLE))
}

impl Return {
    pub(super) fn run(self, config: &Config, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let workspace = Workspace::open(&self.dir, &self.way)?;
        workspace.has_no_table(self.force)?;
        let overriding = std::fs::read_to_string(workspace.directory.join(OVERRIDE));
        let overriding = overriding.with_context(|| format!("{} has not fallen back", self.dir.display()))?;
        let base = base_of(&overriding).context("its override doesn't say from which state it fell back")?;
        let item: ItemId = base.item.parse().context("its override names no state")?;
        ensure!(item == item_of(&self.state.env)?, "{} fell back from {item}", self.dir.display());
        let path = state_file(&workspace.directory, &workspace.name);
        let content = std::fs::read(&path).with_context(|| format!("reading the local state {}", path.display()))?;
        ensure!(!is_locked(&path), "Terraform is at work in {}: its local state is locked", self.dir.display());
        let here = contents::of(&content).map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))?;
        let work = for_commands(config)?;
        runtime.block_on(self.go_on(&work, &workspace, Local { base, item, path, content, here }))
    }

    async fn go_on(&self, work: &ForCommands, workspace: &Workspace, local: Local) -> anyhow::Result<ExitCode> {
        let source = local.base.source.parse().context("its override names no source")?;
        let store =
            work.work.stores.get(&source).with_context(|| format!("there is no [[s3]] section called {source}"))?;
        let place = Place { bucket: local.base.bucket.clone(), key: local.base.key.clone() };
        let there = present(&**store, &place).await?;
        let lock = lock_of(&**store, &place).await?;
        if let Some(lock) = lock.as_ref().filter(|_| !self.force) {
            bail!("the state on the server is locked by {}", lock.holder());
        }
        let local_digest = digest(&local.content);
        let (moved_here, moved_there) = (local_digest != local.base.digest, there.is_not(&local.base.digest));
        let name = local.item.name().unwrap_or_default();
        let mut summary = String::new();
        if let Some(theirs) = &there.contents {
            let other = theirs.lineage != local.here.lineage;
            if moved_here && (moved_there || other) {
                summary = format!(
                    "Both moved on since the fallback: here to serial {}, on the server to serial {}{}.\nFrom the server's to this one: {}",
                    local.here.serial,
                    theirs.serial,
                    if other { ", which is another state (another lineage)" } else { "" },
                    differences(theirs, &local.here)
                );
                ensure!(
                    self.force,
                    "{summary}Nothing was done. --force writes the local state over the server's, which is kept aside; or look at both, and move {OVERRIDE} away"
                );
            }
        } else if there.at.is_some() && moved_there {
            ensure!(
                self.force,
                "the state on the server can't be looked into. --force writes the local one over it; it is kept aside"
            );
        }
        let id = unique()?;
        let highest = there.contents.as_ref().map_or(0, |it| it.serial);
        let serial = (local.here.serial <= highest).then_some(highest + 1);
        let written = match serial {
            Some(serial) => contents::with_serial(&local.content, serial).context("there is no serial in it")?,
            None => local.content.clone(),
        };
        // A server that was made anew has nothing yet; one whose state can't be looked into is written over by force only.
        let change = (moved_here || there.contents.is_none()).then(|| Change {
            source: source.clone(),
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            id: id.clone(),
            who: who(),
            expected: there.at.as_ref().map(|it| it.e_tag.clone()),
            from: Content::File(local.path.display().to_string()),
            serial,
            digest: digest(&written),
            forced: lock.is_some(),
        });
        summary.push_str(&match &change {
            Some(_) => format!(
                "The local state (serial {}) becomes the current one of {name} on the server.\n",
                serial.unwrap_or(local.here.serial)
            ),
            None => format!("Nothing was changed locally: {name} on the server stays as it is.\n"),
        });
        let directory = Directory {
            path: workspace.directory.display().to_string(),
            program: workspace.program.clone(),
            workspace: workspace.name.clone(),
            source: source.clone(),
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            item: local.item.to_string(),
            before: false,
            digest: local.base.digest.clone(),
            id: id.clone(),
        };
        let plan = directory.come_back(change.as_ref())?;
        if !confirmed(&self.way, &summary, &plan)? {
            return Ok(ExitCode::SUCCESS);
        }
        let subject = format!("{source}/{}", local.item);
        let wish = Wish { kind: RETURN, subject, title: format!("bring {name} back to its server"), request: id, plan };
        let operation = conduct(work, wish).await?;
        tell("Terraform uses the server again.\n");
        let planned = workspace.plan().await;
        if self.way.json {
            let value = json!({"operation": operation, "state": name, "written": change.is_some(), "plan": word(Some(&planned))});
            say(&(serde_json::to_string_pretty(&value)? + "\n"))?;
        }
        Ok(conduct::exit_code(Some(&planned)))
    }
}

/// The local state.
struct Local {
    base: crate::engine::state_work::directory::Base,
    item: ItemId,
    path: PathBuf,
    content: Vec<u8>,
    here: Contents,
}

/// Whether Terraform holds the lock of a local state: it lies beside it.
fn is_locked(state: &Path) -> bool {
    let name = state.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    state.with_file_name(format!(".{name}.lock.info")).exists()
}
