//! What a state manages: addresses of its resources, for lists, differences and imports. No value of an attribute leaves this
//! file but `id`, which an import needs: states hold secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::printable::{printable, shown};
use crate::domain::state::contents::{Contents, Mark, Unread};

/// Reads a state of version 4. An error says what can't be understood.
pub fn read(text: impl Read) -> Result<Contents, Unread> {
    let mut deserializer = serde_json::Deserializer::from_reader(text);
    contents(State::deserialize(&mut deserializer).and_then(|it| deserializer.end().map(|()| it)))
}

/// The same for one that is in memory, which is much faster.
pub fn of(text: &[u8]) -> Result<Contents, Unread> {
    contents(serde_json::from_slice(text))
}

fn contents(state: serde_json::Result<State>) -> Result<Contents, Unread> {
    let state = state.map_err(|error| Unread::Broken(printable(error.to_string().as_bytes())))?;
    if state.encrypted_data.is_some() {
        return Err(Unread::Encrypted);
    }
    match state.version {
        Some(4) => {}
        Some(other) => return Err(Unread::Version(other)),
        None => return Err(Unread::Broken("it has no version".to_owned())),
    }
    let mut resources = BTreeMap::new();
    for resource in state.resources.unwrap_or_default() {
        let address = resource.address();
        for instance in resource.instances.unwrap_or_default() {
            let address = format!("{address}{}", instance.index.map(|it| it.suffix()).unwrap_or_default());
            let address = match &instance.deposed {
                Some(deposed) => format!("{address} (deposed {})", shown(deposed)),
                None => address,
            };
            let attributes = instance.attributes.unwrap_or_default();
            let mark = Mark { digest: attributes.digest, id: attributes.id, tainted: instance.status.is_some() };
            resources.insert(address.into_boxed_str(), mark);
        }
    }
    Ok(Contents {
        serial: state.serial,
        lineage: state.lineage.unwrap_or_default(),
        terraform_version: state.terraform_version.unwrap_or_default(),
        resources,
    })
}

/// The same state under another serial; nothing else of the text changes. `None` where it has no serial of its own.
pub fn with_serial(text: &[u8], serial: u64) -> Option<Vec<u8>> {
    let place = serial_of(text)?;
    let mut changed = Vec::with_capacity(text.len() + 20);
    changed.extend_from_slice(text.get(..place.start)?);
    changed.extend_from_slice(serial.to_string().as_bytes());
    changed.extend_from_slice(text.get(place.end..)?);
    Some(changed)
}

/// Where the number stands that is the serial: the last one of the outermost object, as that is the one that counts.
fn serial_of(text: &[u8]) -> Option<std::ops::Range<usize>> {
    #[derive(Deserialize)]
    struct Top<'a>(#[serde(borrow, deserialize_with = "serials")] Option<&'a serde_json::value::RawValue>);

    fn serials<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<&'de serde_json::value::RawValue>, D::Error> {
        struct Last;
        impl<'de> Visitor<'de> for Last {
            type Value = Option<&'de serde_json::value::RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a state: a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "serial" {
                        found = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Last)
    }

    let Top(found) = serde_json::from_slice(text).ok()?;
    let number = found?.get();
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let start = (number.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some(start..start + number.len())
}

#[derive(Deserialize)]
struct State {
    version: Option<u64>,
    serial: u64,
    lineage: Option<Box<str>>,
    terraform_version: Option<Box<str>>,
    resources: Option<Vec<Resource>>,
    encrypted_data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Resource {
    module: Option<Box<str>>,
    mode: Box<str>,
    #[serde(rename = "type")]
    sort: Box<str>,
    name: Box<str>,
    instances: Option<Vec<Instance>>,
}

impl Resource {
    /// As Terraform writes it: `module.net["a"].data.aws_ami.it`.
    fn address(&self) -> String {
        let module = self.module.as_ref().map(|it| format!("{it}.")).unwrap_or_default();
        let data = if &*self.mode == "data" { "data." } else { "" };
        shown(&format!("{module}{data}{}.{}", self.sort, self.name))
    }
}

#[derive(Deserialize)]
struct Instance {
    #[serde(rename = "index_key")]
    index: Option<Index>,
    status: Option<IgnoredAny>,
    deposed: Option<Box<str>>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Number(i64),
    Text(Box<str>),
}

impl Index {
    fn suffix(&self) -> String {
        match self {
            Self::Number(number) => format!("[{number}]"),
            Self::Text(text) => format!("[{text:?}]"),
        }
    }
}

/// Of all attributes of an instance: a digest, and the one that is called `id`.
#[derive(Default)]
struct Attributes {
    digest: [u8; 16],
    id: Option<Box<str>>,
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAll;
        impl<'de> Visitor<'de> for OfAll {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("attributes: a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let (mut hasher, mut id) = (blake3::Hasher::new(), None);
                while let Some(key) = map.next_key::<Box<str>>()? {
                    token(&mut hasher, b'k', key.as_bytes());
                    let mut said = None;
                    map.next_value_seed(Hashed { hasher: &mut hasher, text: Some(&mut said) })?;
                    if &*key == "id" {
                        id = said;
                    }
                }
                let mut digest = [0; 16];
                digest.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
                Ok(Attributes { digest, id })
            }
        }
        deserializer.deserialize_map(OfAll)
    }
}

/// Length and kind go with each value: `["ab"]` isn't `["a", "b"]`.
fn token(hasher: &mut blake3::Hasher, kind: u8, bytes: &[u8]) {
    hasher.update(&[kind]).update(&bytes.len().to_le_bytes()).update(bytes);
}

/// Takes a value into a digest as it is read, and keeps nothing of it but a short text, where somebody wants that.
struct Hashed<'a> {
    hasher: &'a mut blake3::Hasher,
    text: Option<&'a mut Option<Box<str>>>,
}

/// An id that is longer is none that one would type.
const LONGEST_ID: usize = 1024;

impl Hashed<'_> {
    fn keep(self, text: &str) {
        if let Some(kept) = self.text.filter(|_| text.len() <= LONGEST_ID) {
            *kept = Some(shown(text).into());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Hashed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Hashed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        token(self.hasher, b'0', b"");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        token(self.hasher, b'b', &[u8::from(value)]);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        token(self.hasher, b'u', &value.to_le_bytes());
        self.keep(&value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        token(self.hasher, b'i', &value.to_le_bytes());
        self.keep(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        token(self.hasher, b'f', &value.to_le_bytes());
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        token(self.hasher, b's', value.as_bytes());
        self.keep(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        token(self.hasher, b'[', b"");
        while list.next_element_seed(Hashed { hasher: &mut *self.hasher, text: None })?.is_some() {}
        token(self.hasher, b']', b"");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        token(self.hasher, b'{', b"");
        while let Some(key) = map.next_key::<Box<str>>()? {
            token(self.hasher, b'k', key.as_bytes());
            map.next_value_seed(Hashed { hasher: &mut *self.hasher, text: None })?;
        }
        token(self.hasher, b'}', b"");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{"version":4,"serial":7,"lineage":"l","terraform_version":"1.15.5","outputs":{"serial":{"value":3}},
        "resources":[
        {"module":"module.net[\"a\"]","mode":"managed","type":"vm","name":"web","instances":[
          {"index_key":"x","attributes":{"id":"pve1/100","password":"secret","n":[1,{"a":null}]}},
          {"index_key":0,"status":"tainted","attributes":{"id":101}}]},
        {"mode":"data","type":"ami","name":"it","instances":[{"attributes":{}}]}]}"#;

    #[test]
    fn resources_have_the_addresses_that_terraform_gives_them() {
        let contents = read(TWO.as_bytes()).unwrap();
        assert_eq!(of(TWO.as_bytes()).as_ref(), Ok(&contents));
        let shown: Vec<(&str, Option<&str>, bool)> =
            contents.resources.iter().map(|(address, it)| (&**address, it.id.as_deref(), it.tainted)).collect();
        let expected = [
            ("data.ami.it", None, false),
            ("module.net[\"a\"].vm.web[\"x\"]", Some("pve1/100"), false),
            ("module.net[\"a\"].vm.web[0]", Some("101"), true),
        ];
        assert_eq!(shown, expected);
        assert!(!format!("{contents:?}").contains("secret"));
        let changed = read(TWO.replace("secret", "another").as_bytes()).unwrap();
        let differences = contents.changes(&changed);
        assert_eq!(differences.changed, [Box::from("module.net[\"a\"].vm.web[\"x\"]")]);
        assert!(differences.added.is_empty() && differences.removed.is_empty());
    }

    #[test]
    fn only_the_serial_changes() {
        let changed = with_serial(TWO.as_bytes(), 123).unwrap();
        assert_eq!(String::from_utf8(changed).unwrap(), TWO.replace("\"serial\":7", "\"serial\":123"));
        let twice = br#"{"serial": 1, "a": {"serial": 5}, "serial" : 2 }"#;
        assert_eq!(with_serial(twice, 9).unwrap(), br#"{"serial": 1, "a": {"serial": 5}, "serial" : 9 }"#);
        for none in ["{}", "[1]", r#"{"serial":"1"}"#, r#"{"serial":-1}"#, r#"{"serial":1"#, ""] {
            assert_eq!(with_serial(none.as_bytes(), 9), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_state_says_so() {
        for (text, words) in [
            ("<html>", "expected value"),
            (r#"{"version":3,"serial":1}"#, "version 3"),
            (r#"{"serial":1}"#, "no version"),
            (r#"{"version":4,"serial":1,"encrypted_data":"x"}"#, "OpenTofu"),
            (r#"{"version":4,"serial":1,"resources":[{"mode":"managed"}]}"#, "missing field"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(of(text.as_bytes()).unwrap_err().to_string().contains(words), "{text}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
