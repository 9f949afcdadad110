//! A state of Terraform or OpenTofu: whether it can be read, and what it says of itself.
//!
//! Source: `internal/states/statefile/version4.go` of hashicorp/terraform. The text is parsed as it streams by; of a state of
//! 200 MB a few numbers are kept. Unknown fields are ignored, as Terraform does; of keys that stand twice the last one counts.

pub mod contents;
pub mod lock;

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::stream::{Stop, Stream};
use crate::domain::finding::{Findings, Kind};
use crate::domain::printable::printable;
use crate::domain::state::StateFacts;

/// One text or key in a state may be so long; a longer one is not read.
const LONGEST_TEXT: usize = 16 << 20;

/// Reads a state to its end.
pub fn check(stream: &mut dyn Stream, findings: &mut Findings) -> Result<Option<StateFacts>, Stop> {
    let failure = Cell::new(None);
    let reader = io::BufReader::with_capacity(64 << 10, Guarded::new(stream, &failure));
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let parsed = Top::deserialize(&mut deserializer).and_then(|top| deserializer.end().map(|()| top));
    if let Some(stop) = failure.take() {
        return Err(stop);
    }
    match parsed {
        Ok(top) => top.judge(findings),
        Err(error) if error.is_eof() => {
            Err(Stop::damaged(Kind::Truncated, format_args!("the state ends in the middle: {error}")))
        }
        Err(error) => Err(Stop::damaged(
            Kind::StateUnreadable,
            format_args!("it is no state that Terraform could read: {}", printable(error.to_string().as_bytes())),
        )),
    }
}

/// What is kept of a state.
#[derive(Default)]
struct Top {
    version: Option<Number>,
    serial: Option<Number>,
    lineage: Option<Text>,
    terraform_version: Option<Text>,
    resources: Option<Resources>,
    failed_checks: u64,
    encrypted: bool,
    twice: Option<&'static str>,
}

impl Top {
    fn judge(self, findings: &mut Findings) -> Result<Option<StateFacts>, Stop> {
        let unreadable = |text: String| Err(Stop::damaged(Kind::StateUnreadable, text));
        if let Some(key) = self.twice {
            findings.say(Kind::StateDoubtful, format!("the key {key} stands in it twice: the last one counts"));
        }
        if self.encrypted {
            let text = "it is encrypted by OpenTofu, and not checkable without the key: only that it is there and stays the same is checked";
            findings.say(Kind::Encrypted, text.to_owned());
            return Ok(None);
        }
        match self.version {
            Some(Number::Whole(4)) => {}
            Some(Number::Whole(old @ 1..=3)) => {
                let text = format!(
                    "a state of version {old}: only that it is JSON was checked; Terraform upgrades it when it reads it"
                );
                findings.say(Kind::UnknownVersion, text);
                return Ok(None);
            }
            Some(Number::Whole(other)) => {
                return unreadable(format!("a state of version {other}: no Terraform of today reads it"));
            }
            Some(Number::Other) => return unreadable("its version is no number".to_owned()),
            None => return unreadable("it has no version: it is JSON, and no state".to_owned()),
        }
        let Some(Number::Whole(serial)) = self.serial else {
            return unreadable("its serial is missing or no whole number that Terraform reads".to_owned());
        };
        let resources = self.resources.unwrap_or_default();
        if let Some(reason) = resources.wrong {
            return unreadable(format!("one of its resources can't be read: {reason}"));
        }
        if self.failed_checks > 0 {
            let text = format!("{} of its checks failed when it was written", self.failed_checks);
            findings.say(Kind::StateChecks, text);
        }
        let text = |text: Option<Text>| text.map(|Text(text)| text).unwrap_or_default();
        let lineage = text(self.lineage);
        if lineage.is_empty() {
            findings.say(Kind::StateDoubtful, "it has no lineage: it was written by hand, or long ago".to_owned());
        }
        Ok(Some(StateFacts {
            serial,
            lineage,
            terraform_version: text(self.terraform_version),
            resources: resources.managed,
            instances: resources.instances,
        }))
    }
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTop;
        impl<'de> Visitor<'de> for OfTop {
            type Value = Top;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a state: a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top, A::Error> {
                let mut top = Top::default();
                while let Some(Text(key)) = map.next_key()? {
                    let twice = match &*key {
                        "version" => top.version.replace(map.next_value()?).is_some().then_some("version"),
                        "serial" => top.serial.replace(map.next_value()?).is_some().then_some("serial"),
                        "lineage" => top.lineage.replace(map.next_value()?).is_some().then_some("lineage"),
                        "terraform_version" => {
                            top.terraform_version = Some(map.next_value()?);
                            None
                        }
                        "resources" => top.resources.replace(map.next_value()?).is_some().then_some("resources"),
                        "check_results" => {
                            top.failed_checks = map.next_value::<Option<Checks>>()?.map_or(0, |checks| checks.0);
                            None
                        }
                        "encrypted_data" => {
                            top.encrypted = true;
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                        _ => map.next_value::<IgnoredAny>().map(|_| None)?,
                    };
                    top.twice = top.twice.or(twice);
                }
                Ok(top)
            }
        }
        deserializer.deserialize_map(OfTop)
    }
}

/// A whole number that isn't negative, or anything else.
enum Number {
    Whole(u64),
    Other,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfNumber;
        impl<'de> Visitor<'de> for OfNumber {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number::Whole(value))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Number, E> {
                Ok(Number::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Number, E> {
                Ok(Number::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Number, E> {
                Ok(Number::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Number, E> {
                Ok(Number::Other)
            }

            fn visit_unit<E>(self) -> Result<Number, E> {
                Ok(Number::Other)
            }
        }
        deserializer.deserialize_any(OfNumber)
    }
}

/// A short text; of a longer one, which no key or lineage is, the beginning.
#[derive(Default)]
struct Text(Box<str>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText;
        impl Visitor<'_> for OfText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                let end = (0..=text.len().min(200)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                Ok(Text(printable(&text.as_bytes()[..end]).into()))
            }
        }
        deserializer.deserialize_str(OfText)
    }
}

/// How many resources there are.
#[derive(Default)]
struct Resources {
    managed: u64,
    instances: u64,
    wrong: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfResources;
        impl<'de> Visitor<'de> for OfResources {
            type Value = Resources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of resources")
            }

            fn visit_unit<E>(self) -> Result<Resources, E> {
                Ok(Resources::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Resources, A::Error> {
                let mut all = Resources::default();
                while let Some(one) = list.next_element::<Resource>()? {
                    let mode = one.mode.map(|Text(mode)| mode).unwrap_or_default();
                    match &*mode {
                        "managed" => {
                            all.managed += 1;
                            all.instances += one.instances.0;
                        }
                        "data" => {}
                        _ => all.wrong = all.wrong.or(Some("its mode is neither managed nor data")),
                    }
                    if one.name.is_none() || one.sort.is_none() {
                        all.wrong = all.wrong.or(Some("it has no type or no name"));
                    }
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(OfResources)
    }
}

#[derive(Deserialize)]
struct Resource {
    mode: Option<Text>,
    #[serde(rename = "type")]
    sort: Option<Text>,
    name: Option<Text>,
    #[serde(default)]
    instances: Count,
}

/// How many elements a list has.
#[derive(Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfCount;
        impl<'de> Visitor<'de> for OfCount {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_any(OfCount)
    }
}

/// How many checks failed.
struct Checks(u64);

impl<'de> Deserialize<'de> for Checks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Check {
            status: Option<Text>,
        }
        struct OfChecks;
        impl<'de> Visitor<'de> for OfChecks {
            type Value = Checks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of checks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Checks, A::Error> {
                let mut failed = 0;
                while let Some(check) = list.next_element::<Check>()? {
                    let status = check.status.map(|Text(status)| status).unwrap_or_default();
                    failed += u64::from(matches!(&*status, "fail" | "error"));
                }
                Ok(Checks(failed))
            }
        }
        deserializer.deserialize_seq(OfChecks)
    }
}

/// A stream as a reader, that ends where one text is longer than memory is worth.
struct Guarded<'a, 'b> {
    stream: &'a mut dyn Stream,
    failure: &'b Cell<Option<Stop>>,
    in_text: bool,
    escaped: bool,
    length: usize,
}

impl<'a, 'b> Guarded<'a, 'b> {
    fn new(stream: &'a mut dyn Stream, failure: &'b Cell<Option<Stop>>) -> Self {
        Self { stream, failure, in_text: false, escaped: false, length: 0 }
    }

    fn fail(&self, stop: Stop) -> io::Error {
        self.failure.set(Some(stop));
        io::Error::other("the stream ended")
    }

    /// Follows texts; whether none is too long.
    fn follow(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match (self.in_text, byte) {
                (false, b'"') => (self.in_text, self.length) = (true, 0),
                (false, _) => {}
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (true, b'"') => self.in_text = false,
                (true, _) => self.length += 1,
            }
            if self.length > LONGEST_TEXT {
                return false;
            }
        }
        true
    }
}

impl Read for Guarded<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = match self.stream.chunk() {
            Ok(chunk) => chunk,
            Err(stop) => return Err(self.fail(stop)),
        };
        let count = chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&chunk[..count]);
        self.stream.consume(count);
        self.stream.landmark();
        if !self.follow(&buffer[..count]) {
            let text = format!("a text in it is longer than {} MiB: it is not read further", LONGEST_TEXT >> 20);
            return Err(self.fail(Stop::Limit(text)));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
