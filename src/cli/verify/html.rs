//! The report of `firedrill verify` as one HTML file: evidence to keep, to print, to hand to an auditor.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::report::{Row, Summary, Verdict};
use crate::domain::age;
use crate::domain::html::escaped;

const HEAD: &str = include_str!("head.html");

/// The page. Refers to nothing outside of itself.
pub(super) fn page(summary: &Summary) -> String {
    // Writing to a string can't fail.
    let mut html = String::from(HEAD);
    let verdict = match summary.exit_code() {
        0 if summary.short > 0 => {
            ("unsure", "All backups that were read are intact, but not all could be checked as far as asked")
        }
        0 => ("good", "All backups that were read are intact"),
        2 if summary.unproven > 0 && summary.unchecked + summary.left_out + summary.problems.len() == 0 => {
            ("unsure", "No damage was found, but not all could be proven as far as is enough")
        }
        1 => ("bad", "Damaged backups were found"),
        _ => ("unsure", "Not everything could be checked"),
    };
    let _ = write!(
        html,
        "<h1>Verification of backups</h1>\n<p class=\"{}\">{}</p>\n<dl><dt>Begun</dt><dd>{}</dd><dt>Intact</dt><dd>{}</dd><dt>Damaged</dt><dd>{}</dd><dt>Could not be checked</dt><dd>{}</dd>",
        verdict.0,
        verdict.1,
        shown(summary.started),
        summary.intact,
        summary.damaged,
        summary.unchecked
    );
    if summary.unproven > 0 {
        let _ = write!(html, "<dt>Not proven as far as is enough</dt><dd>{}</dd>", summary.unproven);
    }
    if summary.short > 0 {
        let _ = write!(html, "<dt>Not as far as asked</dt><dd>{} of the intact</dd>", summary.short);
    }
    if let Some(passed) = summary.passed.words() {
        let _ = write!(html, "<dt>Not taken for backups</dt><dd>{passed}</dd>");
    }
    if summary.left_out > 0 {
        let _ = write!(html, "<dt>Not read</dt><dd>{} (stopped at the first damaged one)</dd>", summary.left_out);
    }
    let _ = writeln!(html, "<dt>By</dt><dd>firedrill {}</dd></dl>", summary.version);
    for problem in &summary.problems {
        let _ = writeln!(html, "<p class=\"unsure\">Could not look: {}</p>", escaped(problem));
    }
    table(summary, &mut html);
    for row in &summary.archives {
        details(row, &mut html);
    }
    html.push_str(
        "<h2>What the levels mean</h2>\n<p>1: the file is there and has content. 2: it decompresses to its end, and all checksums of the compressor are right. 3: its structure is complete: every disk, every cluster, every member, the configuration. None of them says that the guest boots.</p>\n</body>\n</html>\n",
    );
    html
}

fn table(summary: &Summary, html: &mut String) {
    html.push_str("<table>\n<thead><tr><th>Item</th><th>Guest</th><th>Archive</th><th>Verdict</th><th>Level</th><th>Size</th><th>Seconds</th><th>MB/s</th></tr></thead>\n<tbody>\n");
    for row in &summary.archives {
        let name = row.archive.rsplit('/').next().unwrap_or(&row.archive);
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{}</td></tr>",
            escaped(&row.item),
            escaped(row.guest.as_deref().unwrap_or("")),
            escaped(name),
            class(row),
            row.words(),
            row.level.map_or_else(|| "–".to_owned(), |level| level.to_string()),
            age::bytes(row.size),
            row.seconds,
            row.bytes_per_second.map_or_else(String::new, |rate| format!("{:.0}", rate / 1e6)),
        );
    }
    html.push_str("</tbody>\n</table>\n");
}

fn class(row: &Row) -> &'static str {
    match row.verdict {
        Verdict::Intact if row.level < Some(row.asked) => "unsure",
        Verdict::Intact => "good",
        Verdict::Damaged => "bad",
        Verdict::Unproven | Verdict::Unchecked => "unsure",
    }
}

fn details(row: &Row, html: &mut String) {
    let _ = writeln!(html, "<section>\n<h2>{}</h2>\n<dl>", escaped(&row.archive));
    let mut line = |what: &str, value: String| {
        let _ = writeln!(html, "<dt>{what}</dt><dd>{}</dd>", escaped(&value));
    };
    line("Verdict", row.words());
    line("Read", format!("{} in {:.1} s", shown(row.started), row.seconds));
    if let Some(digest) = &row.blake3 {
        line("BLAKE3", digest.clone());
    }
    let evidence = &row.evidence;
    if let (Some(container), Some(format)) = (&evidence.container, &evidence.format) {
        line("Content", format!("{format}, compression {container}, {} unpacked", age::bytes(row.unpacked)));
    }
    if let Some(created) = evidence.created {
        line("Made", shown(created));
    }
    for disk in &evidence.disks {
        line("Disk", format!("{}: {}", disk.name, age::bytes(disk.bytes)));
    }
    for network in &evidence.networks {
        line("Network", network.to_string());
    }
    if let Some(members) = evidence.members {
        line("Members", members.to_string());
    }
    if let Some(reason) = &row.reason {
        line("Could not be checked", reason.clone());
    }
    html.push_str("</dl>\n");
    if !row.findings.is_empty() {
        html.push_str("<ul>\n");
        for said in &row.findings {
            let severity = said.severity.as_str();
            let _ = writeln!(
                html,
                "<li class=\"{severity}\">{severity}: {} <code>{}</code></li>",
                escaped(&said.text),
                said.kind
            );
        }
        html.push_str("</ul>\n");
    }
    html.push_str("</section>\n");
}

fn shown(time: Timestamp) -> String {
    format!("{} UTC", time.strftime("%Y-%m-%d %H:%M:%S"))
}
