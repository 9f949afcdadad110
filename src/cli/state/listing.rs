//! What can be gone back to: lists, one version, the difference of two.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use bytesize::ByteSize;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::environment::{Environment, Environments, Judged, Version};
use super::{Named, Version as Wanted};
use crate::adapters::state_cache::AgeCache;
use crate::cli::say;
use crate::cli::state::conduct::tell;
use crate::config::Config;
use crate::domain::ids::SourceName;
use crate::domain::printable::shown;
use crate::domain::state::LARGEST;
use crate::domain::state::contents::{Contents, Unread};
use crate::formats::tfstate::contents;

/// Lists states or versions.
pub(super) fn list(
    config: &Config,
    name: Option<&str>,
    source: Option<&SourceName>,
    limit: usize,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let environments = Environments::look(config, source).inspect_err(|_| tell_of_copies(config))?;
    let wanted: Vec<&Environment> = match name {
        Some(name) => vec![environments.one(name)?],
        None => environments.all.iter().collect(),
    };
    // Of all states the newest version alone: more is asked for with a name.
    let limit = if name.is_some() { limit } else { 1 };
    let rows: Vec<Row<'_>> = wanted
        .into_iter()
        .map(|it| {
            let versions = &it.versions[..limit.min(it.versions.len())];
            Row { it, versions, judged: environments.judge(&it.item, versions) }
        })
        .collect();
    let text = match json {
        true => serde_json::to_string_pretty(&rows.iter().map(Row::json).collect::<Vec<_>>())? + "\n",
        false => rows.iter().map(Row::text).collect::<Vec<_>>().join("\n"),
    };
    say(if text.is_empty() { "There are no states.\n" } else { &text })?;
    let well = |row: &Row<'_>| !row.it.deleted && row.judged.first().is_some_and(Judged::intact);
    Ok(if !rows.is_empty() && rows.iter().all(well) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// On the day on which a server is down: what is kept here.
fn tell_of_copies(config: &Config) {
    let Some((directory, _)) = config.state_cache.places() else { return };
    let Ok(kept) = AgeCache::notes(directory) else { return };
    for it in kept {
        let name = it.item.name().unwrap_or_default().to_owned();
        let serial = it.serial.map_or_else(String::new, |serial| format!(", serial {serial}"));
        tell(&format!("kept here: {name} of {}{serial}, copied {}\n", local(Some(it.modified)), local(Some(it.kept))));
    }
}

/// A state with some of its versions.
struct Row<'a> {
    it: &'a Environment,
    versions: &'a [Version],
    judged: Vec<Judged>,
}

impl Row<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "{} in {} (s3://{}/{})",
            self.it.item.name().unwrap_or_default(),
            self.it.source,
            self.it.place.bucket,
            self.it.place.key
        );
        if self.it.deleted {
            text.push_str(": deleted, Terraform finds no state");
        }
        if let Some(lock) = &self.it.lock {
            text.push_str(&format!("; locked by {} ({}) since {}", lock.who, lock.operation, local(Some(lock.since))));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["", "VERSION", "WRITTEN", "SIZE", "SERIAL", "RESOURCES", "VERDICT"]);
        for (version, judged) in self.versions.iter().zip(&self.judged) {
            let facts = judged.facts();
            let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let verdict = match judged.reason() {
                Some(reason) => format!("{}: {}", judged.word(), shown(&reason)),
                None => judged.word().to_owned(),
            };
            table.add_row([
                if version.current { "*".to_owned() } else { String::new() },
                shown(&version.id),
                local(version.modified),
                ByteSize::b(version.size).to_string(),
                number(facts.map(|it| it.serial)),
                number(facts.map(|it| it.resources)),
                verdict,
            ]);
        }
        let left = self.it.versions.len() - self.versions.len();
        let more = if left > 0 { format!("  {left} older ones\n") } else { String::new() };
        format!("{text}\n{table}\n{more}")
    }

    fn json(&self) -> Value {
        let versions = self.versions.iter().zip(&self.judged).map(|(version, judged)| {
            let facts = judged.facts();
            json!({
                "version_id": version.id,
                "current": version.current,
                "modified": version.modified.map(|it| it.to_string()),
                "size": version.size,
                "serial": facts.map(|it| it.serial),
                "lineage": facts.map(|it| &it.lineage),
                "terraform_version": facts.map(|it| &it.terraform_version),
                "resources": facts.map(|it| it.resources),
                "verdict": judged.word(),
                "reason": judged.reason(),
            })
        });
        json!({
            "state": self.it.item.name(),
            "source": self.it.source,
            "bucket": self.it.place.bucket,
            "key": self.it.place.key,
            "deleted": self.it.deleted,
            "locked_by": self.it.lock.as_ref().map(|lock| &lock.who),
            "versions_total": self.it.versions.len(),
            "versions": versions.collect::<Vec<_>>(),
        })
    }
}

/// A time as people here read it, to the second.
pub(super) fn local(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// What a version manages.
pub(super) fn read(
    environments: &Environments,
    version: &Version,
) -> anyhow::Result<(Vec<u8>, Result<Contents, Unread>)> {
    use crate::engine::ports::Archives as _;
    use std::io::Read as _;
    let reading = || format!("reading the version {}", version.id);
    let mut text = Vec::new();
    let opened = environments.archives.open(&version.archive).with_context(reading)?;
    opened.take(LARGEST + 1).read_to_end(&mut text).with_context(reading)?;
    anyhow::ensure!(text.len() as u64 == version.size, "{}: {} bytes came of {}", reading(), text.len(), version.size);
    let contents = contents::of(&text);
    Ok((text, contents))
}

/// The same for what has to be understood.
fn understood(environments: &Environments, version: &Version) -> anyhow::Result<Contents> {
    let (_, contents) = read(environments, version)?;
    contents.map_err(|why| anyhow!("the version {} can't be looked into: {why}", version.id))
}

/// Shows a version.
pub(super) async fn show(config: &Config, named: &Named, version: &Wanted, json: bool) -> anyhow::Result<ExitCode> {
    let (config, named, version) = (config.clone(), named.clone(), version.clone());
    tokio::task::spawn_blocking(move || {
        let environments = Environments::look(&config, named.from.source.as_ref())?;
        let it = environments.one(&named.env)?;
        let chosen = it.version(&version)?.or_else(|| it.versions.iter().find(|version| version.current));
        let chosen = chosen.context("it was deleted: choose a version")?;
        let contents = understood(&environments, chosen)?;
        let resources: Vec<(&str, Option<&str>, bool)> =
            contents.resources.iter().map(|(address, mark)| (&**address, mark.id.as_deref(), mark.tainted)).collect();
        if json {
            let all = resources
                .iter()
                .map(|(address, id, tainted)| json!({"address": address, "id": id, "tainted": tainted}));
            let value = json!({
                "version_id": chosen.id, "serial": contents.serial, "lineage": contents.lineage,
                "terraform_version": contents.terraform_version, "resources": all.collect::<Vec<_>>(),
            });
            say(&(serde_json::to_string_pretty(&value)? + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut text = format!(
            "{} as of {}: serial {}, lineage {}, written by Terraform {}\n",
            it.item.name().unwrap_or_default(),
            local(chosen.modified),
            contents.serial,
            shown(&contents.lineage),
            shown(&contents.terraform_version)
        );
        for (address, id, tainted) in resources {
            let id = id.map_or_else(String::new, |id| format!("  id {id}"));
            text.push_str(&format!("  {address}{id}{}\n", if tainted { "  (tainted)" } else { "" }));
        }
        say(&text)?;
        Ok(ExitCode::SUCCESS)
    })
    .await?
}

/// Shows how two versions differ.
pub(super) async fn diff(
    config: &Config,
    named: &Named,
    first: &str,
    second: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (config, named) = (config.clone(), named.clone());
    let (first, second) = (first.to_owned(), second.map(ToOwned::to_owned));
    tokio::task::spawn_blocking(move || {
        let environments = Environments::look(&config, named.from.source.as_ref())?;
        let it = environments.one(&named.env)?;
        let by_id = |id: Option<String>| it.version(&Wanted { version_id: id, date: None });
        let one = by_id(Some(first))?.context("there is no such version")?;
        let other = match second {
            Some(id) => by_id(Some(id))?,
            None => it.versions.iter().find(|version| version.current),
        };
        let other = other.context("it was deleted: choose a second version")?;
        let (before, after) = (understood(&environments, one)?, understood(&environments, other)?);
        let changes = before.changes(&after);
        let text = match json {
            true => serde_json::to_string_pretty(&json!({"from": one.id, "to": other.id, "changes": changes}))? + "\n",
            false => differences(&before, &after),
        };
        say(&text)?;
        Ok(if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    })
    .await?
}

/// How one state differs from another, for a person.
pub(super) fn differences(before: &Contents, after: &Contents) -> String {
    let changes = before.changes(after);
    let mut text = format!("serial {} → {}", before.serial, after.serial);
    if before.lineage != after.lineage {
        text.push_str(&format!("; another lineage: {} → {}", shown(&before.lineage), shown(&after.lineage)));
    }
    if changes.is_empty() {
        return format!("{text}: the same resources\n");
    }
    text.push('\n');
    for (sign, addresses) in [('+', &changes.added), ('-', &changes.removed), ('~', &changes.changed)] {
        addresses.iter().for_each(|address| text.push_str(&format!("  {sign} {address}\n")));
    }
    text
}
