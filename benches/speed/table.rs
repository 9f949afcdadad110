//! The table of results.

use std::fmt;
use std::time::Duration;

/// What a result should be.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// For the reader to know.
    None,
    /// A ratio, or a number of milliseconds.
    AtMost(f64),
    /// A ratio, or a number per second.
    AtLeast(f64),
}

impl Goal {
    fn verdict(self, value: f64, unit: &str) -> String {
        let said = |sign, limit, met| format!("{sign} {limit}{unit}: {}", if met { "met" } else { "missed" });
        match self {
            Self::None => String::new(),
            Self::AtMost(limit) => said('≤', limit, value <= limit),
            Self::AtLeast(limit) => said('≥', limit, value >= limit),
        }
    }
}

/// Rows as they come.
pub struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A time against that of another tool.
    pub fn ratio(&mut self, what: &str, ours: Duration, tool: &str, peer: Duration, goal: Goal) {
        let ratio = ours.as_secs_f64() / peer.as_secs_f64();
        let peer = format!("{} ({tool})", milliseconds(peer));
        self.rows.push([what.to_owned(), milliseconds(ours), peer, format!("{ratio:.2}"), goal.verdict(ratio, " ×")]);
    }

    /// A time; the goal is in milliseconds.
    pub fn time(&mut self, what: &str, time: Duration, goal: Goal) {
        let verdict = goal.verdict(time.as_secs_f64() * 1e3, " ms");
        self.rows.push([what.to_owned(), milliseconds(time), String::new(), String::new(), verdict]);
    }

    /// A share in percent.
    pub fn percent(&mut self, what: &str, share: f64, goal: Goal) {
        let verdict = goal.verdict(share, " %");
        self.rows.push([what.to_owned(), format!("{share:.3} %"), String::new(), String::new(), verdict]);
    }

    /// A time, and a factor that should be reached.
    pub fn factor(&mut self, what: &str, time: Duration, factor: f64, goal: f64) {
        let verdict = format!("≥ {goal} ×: {}", if factor >= goal { "met" } else { "missed" });
        self.rows.push([what.to_owned(), milliseconds(time), String::new(), format!("{factor:.2}"), verdict]);
    }

    /// So many per second, alone or against another tool; the goal is about the ratio where there is one.
    pub fn rate(&mut self, what: &str, ours: f64, peer: Option<(&str, f64)>, goal: Goal) {
        let (beside, ratio, verdict) = match peer {
            Some((tool, theirs)) => {
                let ratio = ours / theirs;
                (format!("{theirs:.0}/s ({tool})"), format!("{ratio:.2}"), goal.verdict(ratio, " ×"))
            }
            None => (String::new(), String::new(), goal.verdict(ours, "/s")),
        };
        self.rows.push([what.to_owned(), format!("{ours:.0}/s"), beside, ratio, verdict]);
    }

    /// Memory in MiB.
    pub fn memory(&mut self, what: &str, mib: f64, limit: f64) {
        let verdict = Goal::AtMost(limit).verdict(mib, " MiB");
        self.rows.push([what.to_owned(), format!("{mib:.1} MiB"), String::new(), String::new(), verdict]);
    }
}

fn milliseconds(time: Duration) -> String {
    let value = time.as_secs_f64() * 1e3;
    if value < 10.0 { format!("{value:.2} ms") } else { format!("{value:.0} ms") }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | firedrill | beside it | ratio | goal |\n|---|---:|---:|---:|---|")?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}
