//! The report of `firedrill verify` as one HTML file: evidence to keep, to print, to hand to an auditor.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{Row, Summary, Verdict};
use crate::domain::age;
use crate::domain::proof::{Level, Method};

const STYLE: &str = include_str!("style.css");

/// What the levels mean to who reads the report alone.
fn levels() -> String {
    let each = |level: Level| format!("{}: {}.", level.as_str(), level.sentence());
    let all: Vec<String> = Method::READING.levels().iter().map(each).collect();
    format!("{} None of them says that the guest boots.", all.join(" "))
}

/// The page. Refers to nothing outside of itself.
pub(super) fn page(summary: &Summary) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Verification of backups" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Verification of backups" }
                (overall(summary))
                (table(summary))
                @for row in &summary.archives { (details(row)) }
                h2 { "What the levels mean" }
                p { (levels()) }
            }
        }
    };
    page.into_string() + "\n"
}

fn overall(summary: &Summary) -> Markup {
    let (class, words) = verdict(summary);
    html! {
        p class=(class) { (words) }
        dl {
            (line("Begun", &shown(summary.started)))
            (line("Intact", &summary.intact.to_string()))
            (line("Damaged", &summary.damaged.to_string()))
            (line("Could not be checked", &summary.unchecked.to_string()))
            @if summary.unproven > 0 { (line("Not proven as far as is enough", &summary.unproven.to_string())) }
            @if summary.short > 0 { (line("Not as far as asked", &format!("{} of the intact", summary.short))) }
            @if let Some(passed) = summary.passed.words() { (line("Not taken for backups", &passed)) }
            @if summary.left_out > 0 {
                (line("Not read", &format!("{} (stopped at the first damaged one)", summary.left_out)))
            }
            (line("By", &format!("firedrill {}", summary.version)))
        }
        @for problem in &summary.problems {
            p class="unsure" { "Could not look: " (problem) }
        }
    }
}

fn verdict(summary: &Summary) -> (&'static str, &'static str) {
    match summary.exit_code() {
        0 if summary.short > 0 => {
            ("unsure", "All backups that were read are intact, but not all could be checked as far as asked")
        }
        0 => ("good", "All backups that were read are intact"),
        2 if summary.unproven > 0 && summary.unchecked + summary.left_out + summary.problems.len() == 0 => {
            ("unsure", "No damage was found, but not all could be proven as far as is enough")
        }
        1 => ("bad", "Damaged backups were found"),
        _ => ("unsure", "Not everything could be checked"),
    }
}

fn line(what: &str, value: &str) -> Markup {
    html! { dt { (what) } dd { (value) } }
}

fn table(summary: &Summary) -> Markup {
    html! {
        table {
            thead {
                tr {
                    @for name in ["Item", "Guest", "Archive", "Verdict", "Level", "Size", "Seconds", "MB/s"] { th { (name) } }
                }
            }
            tbody {
                @for row in &summary.archives {
                    tr {
                        td { (row.item) }
                        td { (row.guest.as_deref().unwrap_or("")) }
                        td { (row.archive.rsplit('/').next().unwrap_or(&row.archive)) }
                        td class=(class(row)) { (row.words()) }
                        td { (row.level.map_or_else(|| "–".to_owned(), |level| level.to_string())) }
                        td class="n" { (age::bytes(row.size)) }
                        td class="n" { (format!("{:.1}", row.seconds)) }
                        td class="n" { (row.bytes_per_second.map_or_else(String::new, |rate| format!("{:.0}", rate / 1e6))) }
                    }
                }
            }
        }
    }
}

fn class(row: &Row) -> &'static str {
    match row.verdict {
        Verdict::Intact if row.level < Some(row.asked) => "unsure",
        Verdict::Intact => "good",
        Verdict::Damaged => "bad",
        Verdict::Unproven | Verdict::Unchecked => "unsure",
    }
}

fn details(row: &Row) -> Markup {
    let evidence = &row.evidence;
    html! {
        section {
            h2 { (row.archive) }
            dl {
                (line("Verdict", &row.words()))
                (line("Read", &format!("{} in {:.1} s", shown(row.started), row.seconds)))
                @if let Some(digest) = &row.blake3 { (line("BLAKE3", digest)) }
                @if let (Some(container), Some(format)) = (&evidence.container, &evidence.format) {
                    (line("Content", &format!("{format}, compression {container}, {} unpacked", age::bytes(row.unpacked))))
                }
                @if let Some(created) = evidence.created { (line("Made", &shown(created))) }
                @for disk in &evidence.disks { (line("Disk", &format!("{}: {}", disk.name, age::bytes(disk.bytes)))) }
                @for network in &evidence.networks { (line("Network", network)) }
                @if let Some(members) = evidence.members { (line("Members", &members.to_string())) }
                @if let Some(reason) = &row.reason { (line("Could not be checked", reason)) }
            }
            @if !row.findings.is_empty() {
                ul {
                    @for said in &row.findings {
                        li class=(said.severity.as_str()) {
                            (said.severity.as_str()) ": " (said.text) " " code { (said.kind) }
                        }
                    }
                }
            }
        }
    }
}

fn shown(time: Timestamp) -> String {
    format!("{} UTC", time.strftime("%Y-%m-%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_report_says_what_a_reading_proves() {
        assert_eq!(
            super::levels(),
            "1: the file is there and has content. 2: it decompresses to its end, and all checksums of the compressor are right. \
             3: its structure is complete: every disk, every cluster, every member, the configuration. None of them says that the \
             guest boots."
        );
    }
}
