//! What `firedrill verify` says: lines while it reads, then a table; or JSON.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::outcome::Outcome;
use super::{Enough, Passed};
use crate::domain::age;
use crate::domain::finding::Severity;
use crate::domain::printable::printable;
use crate::domain::proof::{Conclusion, Evidence, Level, Verification};

/// Everything that came of a run.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Version of firedrill.
    pub(super) version: &'static str,
    /// When it began.
    pub(super) started: Timestamp,
    /// How many of each.
    pub(super) intact: usize,
    pub(super) damaged: usize,
    pub(super) unchecked: usize,
    /// No damage was found, but less was proven than is enough.
    pub(super) unproven: usize,
    /// Intact, but not checked as far as was asked.
    pub(super) short: usize,
    /// Files and directories in the directories that were not taken for backups.
    pub(super) passed_over: usize,
    /// What has the name of a backup and is no regular file.
    pub(super) passed_over_special: Vec<String>,
    #[serde(skip)]
    pub(super) passed: Passed,
    /// Not read because an earlier one was damaged.
    pub(super) left_out: usize,
    /// What could not even be looked at.
    pub(super) problems: Vec<String>,
    /// Every archive.
    pub(super) archives: Vec<Row>,
}

/// One archive.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) source: String,
    pub(super) item: String,
    pub(super) guest: Option<String>,
    pub(super) archive: String,
    pub(super) verdict: Verdict,
    /// Why it could not be checked.
    pub(super) reason: Option<String>,
    pub(super) level: Option<u8>,
    /// The level that was asked for.
    pub(super) asked: u8,
    pub(super) findings: Vec<Said>,
    pub(super) blake3: Option<String>,
    pub(super) size: u64,
    pub(super) unpacked: u64,
    pub(super) seconds: f64,
    pub(super) bytes_per_second: Option<f64>,
    pub(super) started: Timestamp,
    pub(super) evidence: Evidence,
}

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Said {
    pub(super) severity: Severity,
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// What is said of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Intact,
    /// No damage was found, but less was proven than is enough.
    Unproven,
    Damaged,
    Unchecked,
}

impl Verdict {
    fn of(it: &Verification, enough: Level) -> Self {
        match it.conclusion {
            Conclusion::Intact if it.reached < Some(enough) => Self::Unproven,
            Conclusion::Intact => Self::Intact,
            Conclusion::Damaged => Self::Damaged,
            Conclusion::Unchecked => Self::Unchecked,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unproven => "unproven",
            Self::Damaged => "damaged",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Row {
    fn of(it: &Verification, enough: Level) -> Self {
        let said = it.findings.iter().map(|finding| Said {
            severity: finding.severity(),
            kind: finding.kind.as_str(),
            text: finding.text.to_string(),
        });
        Self {
            source: it.archive.source.to_string(),
            item: printable(it.item.to_string().as_bytes()),
            guest: it.evidence.guest_name.as_deref().map(ToOwned::to_owned),
            archive: printable(it.archive.to_string().as_bytes()),
            verdict: Verdict::of(it, enough),
            reason: it.reason.as_deref().map(ToOwned::to_owned),
            level: it.reached.map(|level| level.number()),
            asked: it.wanted.number(),
            findings: said.collect(),
            blake3: it.digest.map(|digest| digest.to_string()),
            size: it.facts.size,
            unpacked: it.evidence.unpacked,
            seconds: it.took.as_secs_f64(),
            bytes_per_second: speed(it),
            started: it.started,
            evidence: it.evidence.clone(),
        }
    }

    /// The verdict, and how far it goes where that is less than was asked.
    pub(super) fn words(&self) -> String {
        words(self.verdict, self.level, self.asked)
    }
}

impl Summary {
    pub(super) fn of(
        outcome: &Outcome,
        mut problems: Vec<String>,
        passed: Passed,
        (started, enough): (Timestamp, &Enough),
    ) -> Self {
        let archives: Vec<Row> = outcome.verifications.iter().map(|it| Row::of(it, enough.of(it))).collect();
        let count = |verdict| archives.iter().filter(|row| row.verdict == verdict).count();
        problems.extend(outcome.store_problem.clone());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started,
            intact: count(Verdict::Intact),
            damaged: count(Verdict::Damaged),
            unchecked: count(Verdict::Unchecked),
            unproven: count(Verdict::Unproven),
            short: archives.iter().filter(|row| row.verdict == Verdict::Intact && row.level < Some(row.asked)).count(),
            passed_over: passed.files + passed.directories,
            passed_over_special: passed.named.clone(),
            passed,
            left_out: outcome.left_out,
            problems,
            archives,
        }
    }

    /// 0 all intact, 1 something is damaged, 2 something could not be checked, or not as far as is enough.
    pub(super) fn exit_code(&self) -> u8 {
        if self.damaged > 0 {
            1
        } else if self.unchecked > 0 || self.unproven > 0 || self.left_out > 0 || !self.problems.is_empty() {
            2
        } else {
            0
        }
    }
}

fn words(verdict: Verdict, level: Option<u8>, asked: u8) -> String {
    match (verdict, level) {
        (Verdict::Intact, Some(level)) if level < asked => {
            format!("intact as far as level {level} (asked {asked})")
        }
        (Verdict::Unproven, level) => format!("unproven above level {} (asked {asked})", level.unwrap_or_default()),
        _ => verdict.as_str().to_owned(),
    }
}

/// Bytes of content per second: what was read after decompression, or the file itself.
fn speed(it: &Verification) -> Option<f64> {
    let seconds = it.took.as_secs_f64();
    let bytes = it.evidence.unpacked.max(it.read);
    (seconds > 0.0 && bytes > 0).then(|| bytes as f64 / seconds)
}

fn megabytes(rate: Option<f64>) -> String {
    rate.map_or_else(String::new, |rate| format!("{:.0} MB/s", rate / 1e6))
}

/// One line about one archive.
pub(super) fn line(it: &Verification, enough: Level) -> String {
    let shortfall = it.shortfall();
    let worst = it.headline().or(shortfall.as_deref()).map_or_else(String::new, |text| format!(": {text}"));
    let rate = speed(it).map_or_else(String::new, |rate| format!(", {}", megabytes(Some(rate))));
    format!(
        "{:9} {}  ({}, {:.1} s{rate}){worst}\n",
        words(Verdict::of(it, enough), it.reached.map(|level| level.number()), it.wanted.number()),
        printable(it.archive.to_string().as_bytes()),
        printable(it.item.to_string().as_bytes()),
        it.took.as_secs_f64(),
    )
}

/// The table, with the findings below it.
pub(super) fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout()) {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(size.ws_col.max(60));
    }
    table.set_header(["GUEST", "ARCHIVE", "VERDICT", "LEVEL", "FINDINGS", "TIME", "RATE"]);
    for column in [3, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &summary.archives {
        let guest = row.guest.as_ref().map_or_else(|| row.item.clone(), |name| format!("{} ({name})", row.item));
        let name = row.archive.rsplit('/').next().unwrap_or(&row.archive);
        let worse = row.findings.iter().filter(|said| said.severity > Severity::Note).count();
        table.add_row([
            guest,
            name.to_owned(),
            row.verdict.as_str().to_owned(),
            match row.level {
                Some(level) if level < row.asked => format!("{level} of {}", row.asked),
                Some(level) => level.to_string(),
                None => "-".to_owned(),
            },
            if row.findings.is_empty() { String::new() } else { format!("{worse}") },
            format!("{:.1} s", row.seconds),
            megabytes(row.bytes_per_second),
        ]);
    }
    // Writing to a string can't fail.
    let mut text = String::from("\n");
    if table.row_count() > 0 {
        let _ = writeln!(text, "{table}");
    }
    findings(summary, &mut text);
    let _ = write!(
        text,
        "\n{} intact, {} damaged, {} could not be checked",
        summary.intact,
        summary.damaged,
        summary.unchecked + summary.problems.len()
    );
    if summary.unproven > 0 {
        let _ = write!(text, ", {} not proven as far as asked (see --accept-level)", summary.unproven);
    }
    if summary.short > 0 {
        let _ = write!(text, ", {} of the intact not as far as asked", summary.short);
    }
    if let Some(passed) = summary.passed.words() {
        let _ = write!(text, ", {passed}");
    }
    if summary.left_out > 0 {
        let _ = write!(text, ", {} not read (--fail-fast)", summary.left_out);
    }
    let seconds: f64 = summary.archives.iter().map(|row| row.seconds).sum();
    let _ = writeln!(text, "; {} of reading", age::words(Duration::from_secs_f64(seconds)));
    text
}

fn findings(summary: &Summary, text: &mut String) {
    for row in summary.archives.iter().filter(|row| !row.findings.is_empty() || row.reason.is_some()) {
        let _ = writeln!(text, "\n{}", row.archive);
        if let Some(reason) = &row.reason {
            let _ = writeln!(text, "  could not be checked: {reason}");
        }
        for said in &row.findings {
            let _ = writeln!(text, "  {}: {}", said.severity.as_str(), said.text);
        }
    }
    for name in &summary.passed.named {
        let _ = writeln!(text, "\npassed over: {name}");
    }
    for problem in &summary.problems {
        let _ = writeln!(text, "\ncould not look: {problem}");
    }
}

/// The same for programs.
pub(super) fn json(summary: &Summary) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(summary)? + "\n")
}
