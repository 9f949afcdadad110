//! Many notices in one message.

use std::sync::Arc;

use jiff::Timestamp;

use super::dedup::Why;
use super::{Notice, Phase, Topic, Urgency, headline};

/// More lines than this nobody reads; the rest is counted.
const MOST_LINES: usize = 40;

/// A title within a digest is cut at so many characters.
const LONGEST_TITLE: usize = 160;

/// What matters about a waiting notice for how it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// It waited for the end of quiet hours.
    pub held: bool,
    /// It asks something, and so needs a message of its own.
    pub asks: bool,
}

/// How many of the waiting notices, oldest first, go into the next message.
///
/// All together when there are more than `above` or some were held back, else one. What asks goes alone, but for more than `above` that do: nobody answers a
/// hundred messages one by one, and what waits behind them is late.
pub fn batch(waiting: &[Waiting], above: usize) -> usize {
    if waiting.iter().filter(|it| it.asks).count() > above {
        return waiting.len();
    }
    let together = waiting.iter().position(|it| it.asks).unwrap_or(waiting.len());
    let held = waiting[..together].iter().any(|it| it.held);
    if together > above || (together > 1 && held) { together } else { waiting.len().min(1) }
}

/// One notice that says what many say.
pub fn digest(notices: &[(Notice, Why)], now: Timestamp) -> Notice {
    let over = notices.iter().filter(|(it, _)| it.phase == Phase::Recovered).count();
    let mut parts: Vec<String> = Urgency::ALL
        .into_iter()
        .rev()
        .filter_map(|severity| {
            let lasting = |it: &&(Notice, Why)| it.0.phase != Phase::Recovered && it.0.severity == severity;
            let count = notices.iter().filter(lasting).count();
            (count > 0).then(|| format!("{count} {}", severity.as_str()))
        })
        .collect();
    if over > 0 {
        parts.push(format!("{over} recovered"));
    }
    let mut ranked: Vec<&(Notice, Why)> = notices.iter().collect();
    ranked.sort_by_key(|(it, _)| (it.phase == Phase::Recovered, std::cmp::Reverse(it.severity)));
    let mut lines: Vec<String> =
        ranked.iter().take(MOST_LINES).map(|(it, why)| cut(&headline(it, *why), LONGEST_TITLE)).collect();
    if let Some(rest) = notices.len().checked_sub(MOST_LINES).filter(|rest| *rest > 0) {
        lines.push(format!("… and {rest} more"));
    }
    let asking = notices.iter().filter(|(it, _)| it.proposal.is_some()).count();
    if asking > 0 {
        lines.push(format!("{asking} wait for approval: see /actions, or firedrill automation list --proposed"));
    }
    let lasting = notices.iter().filter(|(it, _)| it.phase != Phase::Recovered);
    let all_over = over == notices.len();
    Notice {
        key: "digest".into(),
        phase: if all_over { Phase::Recovered } else { Phase::Event },
        severity: lasting.map(|(it, _)| it.severity).max().unwrap_or(Urgency::Info),
        topic: notices.first().map_or(Topic::Daemon, |(it, _)| it.topic),
        source: None,
        item: None,
        environment: None,
        title: format!("{} notices: {}", notices.len(), parts.join(", ")).into(),
        body: lines.join("\n").into(),
        link: None,
        at: now,
        proposal: None,
        receivers: Vec::<Arc<str>>::new(),
    }
}

/// The first `longest` characters, with a mark where something was cut off.
pub fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(longest.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::notice;
    use super::*;

    const PLAIN: Waiting = Waiting { held: false, asks: false };

    #[test]
    fn few_go_alone_and_many_together() {
        assert_eq!(batch(&[], 5), 0);
        assert_eq!(batch(&[PLAIN; 5], 5), 1);
        assert_eq!(batch(&[PLAIN; 6], 5), 6);
        let held = Waiting { held: true, ..PLAIN };
        assert_eq!(batch(&[held], 5), 1);
        assert_eq!(batch(&[held, PLAIN], 5), 2);
        let asks = Waiting { asks: true, ..PLAIN };
        assert_eq!(batch(&[asks, PLAIN, PLAIN], 1), 1);
        assert_eq!(batch(&[PLAIN, PLAIN, asks, PLAIN], 1), 2);
        assert_eq!(batch(&[asks, PLAIN, asks], 1), 3);
    }

    #[test]
    fn a_digest_counts_and_puts_the_worst_first() {
        let over = Notice { phase: Phase::Recovered, title: "c is ok".into(), ..notice("c") };
        let worst = Notice { severity: Urgency::Critical, title: "b is missing".into(), ..notice("b") };
        let all = [(notice("a"), Why::First), (over.clone(), Why::Recovered), (worst, Why::RepeatDue)];
        let one = digest(&all, notice("a").at);
        assert_eq!(&*one.title, "3 notices: 1 critical, 1 warning, 1 recovered");
        assert_eq!(&*one.body, "CRITICAL, still: b is missing\nWARNING: a is late\nRECOVERED: c is ok");
        assert_eq!((one.severity, one.phase), (Urgency::Critical, Phase::Event));
        let many: Vec<_> = (0..100).map(|_| (over.clone(), Why::Recovered)).collect();
        let one = digest(&many, notice("a").at);
        assert!(one.body.ends_with("… and 60 more") && one.phase == Phase::Recovered);
    }
}
