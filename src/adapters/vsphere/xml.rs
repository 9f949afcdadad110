//! Replies as trees of elements, read as they stream in and within limits. What comes is hostile until it was read.

use std::io::{self, BufRead};

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// A reply that is longer is refused: a page of 250 machines is less than one. In bytes.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// Elements of a reply. Each is some hundred bytes here, however short it is in the reply.
const MOST_ELEMENTS: usize = 1_000_000;

/// Elements within elements. Snapshots of one machine are at most 32 deep, and everything else is flat.
const MOST_DEPTH: usize = 100;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const VIM: &str = "urn:vim25";
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Why a reply isn't read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum XmlError {
    /// It didn't come, or not to its end.
    #[error("the reply breaks off: {0}")]
    Io(#[from] io::Error),
    /// More than [`MOST_BYTES`].
    #[error("the reply is longer than {} MiB", MOST_BYTES >> 20)]
    TooLong,
    /// More than [`MOST_DEPTH`].
    #[error("the reply has elements more than {MOST_DEPTH} deep")]
    TooDeep,
    /// More than [`MOST_ELEMENTS`].
    #[error("the reply has more than {MOST_ELEMENTS} elements")]
    TooMany,
    /// A document type can declare entities that grow without end; no server of vSphere sends one.
    #[error("the reply declares a document type")]
    Declares,
    /// It isn't XML.
    #[error("the reply is no XML that can be understood: {0}")]
    Malformed(String),
}

/// Whose word the name of an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Of the envelope.
    Soap,
    /// Of the API.
    Vim,
    /// Nobody's: some elements of a fault.
    None,
    /// Somebody else's.
    Other,
}

/// An element, without prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Box<str>,
    pub(super) space: Space,
    /// The local name of `xsi:type`; empty without.
    pub(super) sort: Box<str>,
    /// The attribute `type`: of what kind the object is that is referred to.
    pub(super) of: Box<str>,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Its first child of the API with this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.child_in(Space::Vim, name)
    }

    /// Its children of the API with this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |it| &*it.name == name && it.space == Space::Vim)
    }

    /// The text of a child.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|it| it.text.trim())
    }

    /// The same, without the rest of it.
    pub(super) fn into_child(self, space: Space, name: &str) -> Option<Self> {
        self.children.into_iter().find(|it| &*it.name == name && it.space == space)
    }

    /// Its first child of a namespace with this name.
    pub(super) fn child_in(&self, space: Space, name: &str) -> Option<&Self> {
        self.children.iter().find(|it| &*it.name == name && it.space == space)
    }
}

/// Reads a reply to its end: the outermost element.
pub(super) fn read(reply: impl BufRead) -> Result<Element, XmlError> {
    let mut reader = NsReader::from_reader(reply);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut outermost, mut count) = (Vec::<Element>::new(), None, 0_usize);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(refused)? {
            Event::Start(start) => {
                count += 1;
                if open.len() >= MOST_DEPTH {
                    return Err(XmlError::TooDeep);
                }
                if count > MOST_ELEMENTS {
                    return Err(XmlError::TooMany);
                }
                if outermost.is_some() {
                    return Err(XmlError::Malformed("something follows its end".to_owned()));
                }
                open.push(element(&reader, &start)?);
            }
            Event::End(_) => {
                let Some(done) = open.pop() else {
                    return Err(XmlError::Malformed("an end without a start".to_owned()));
                };
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => outermost = Some(done),
                }
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()),
            Event::CData(text) => add(&mut open, &text),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(refused)?;
                let mut space = [0; 4];
                let known = character.map(|it| &*it.encode_utf8(&mut space)).or_else(|| resolve_xml_entity(&reference));
                let unknown = || XmlError::Malformed("it refers to an entity that nobody declared".to_owned());
                add(&mut open, known.ok_or_else(unknown)?);
            }
            Event::DocType(_) => return Err(XmlError::Declares),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !open.is_empty() {
        return Err(XmlError::Malformed("it ends in the middle".to_owned()));
    }
    outermost.ok_or_else(|| XmlError::Malformed("it is empty".to_owned()))
}

fn add(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn element<R>(reader: &NsReader<R>, start: &BytesStart<'_>) -> Result<Element, XmlError> {
    let resolver = reader.resolver();
    let (space, name) = resolver.resolve_element(start.name());
    let mut element = Element {
        name: name.as_ref().into(),
        space: match space {
            ResolveResult::Bound(Namespace(SOAP)) => Space::Soap,
            ResolveResult::Bound(Namespace(VIM)) => Space::Vim,
            ResolveResult::Unbound => Space::None,
            ResolveResult::Bound(_) | ResolveResult::Unknown(_) => Space::Other,
        },
        sort: Box::default(),
        of: Box::default(),
        text: String::new(),
        children: Vec::new(),
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| XmlError::Malformed(error.to_string()))?;
        let (space, name) = resolver.resolve_attribute(attribute.key);
        if name.as_ref() != "type" {
            continue;
        }
        match space {
            ResolveResult::Unbound => element.of = attribute.value.as_ref().into(),
            ResolveResult::Bound(Namespace(INSTANCE)) => {
                element.sort = attribute.value.rsplit(':').next().unwrap_or_default().into();
            }
            _ => {}
        }
    }
    Ok(element)
}

fn refused(error: quick_xml::Error) -> XmlError {
    match error {
        quick_xml::Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => XmlError::TooLong,
        quick_xml::Error::Io(error) => XmlError::Io(io::Error::new(error.kind(), error.to_string())),
        other => XmlError::Malformed(other.to_string()),
    }
}

/// A text as it stands in an element.
pub(super) fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn names_are_read_by_their_namespace_whatever_the_prefix() {
        let text = "<?xml version=\"1.0\"?><q:Envelope xmlns:q=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">\
            <q:Body><v:R xmlns:v=\"urn:vim25\"><v:val i:type=\"v:HostSystem\" type=\"Of\">a &amp;&#x41;<![CDATA[<b>]]></v:val>\
            <val xmlns=\"urn:else\">x</val><val>y</val><v:e/></v:R></q:Body></q:Envelope>";
        let envelope = read(text.as_bytes()).unwrap();
        assert_eq!((&*envelope.name, envelope.space), ("Envelope", Space::Soap));
        let body = envelope.child_in(Space::Soap, "Body").unwrap();
        let reply = body.child("R").unwrap();
        let values: Vec<_> = reply.all("val").collect();
        assert_eq!(values.len(), 1, "others' words aren't ours");
        assert_eq!((&*values[0].sort, &*values[0].of, &*values[0].text), ("HostSystem", "Of", "a &A<b>"));
        assert_eq!(reply.child_in(Space::None, "val").unwrap().text, "y");
        assert_eq!(reply.text_of("e"), Some(""));
    }

    #[test]
    fn what_could_grow_without_end_is_refused() {
        let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
        assert!(refused(laughs).contains("document type"));
        assert!(refused("<l>&b;</l>").contains("entity"));
        assert!(refused(&"<a>".repeat(MOST_DEPTH + 1)).contains("deep"));
        let deepest = "<a>".repeat(MOST_DEPTH) + &"</a>".repeat(MOST_DEPTH);
        assert!(read(deepest.as_bytes()).is_ok());
        let many = format!("<a>{}</a>", "<b/>".repeat(MOST_ELEMENTS));
        assert!(refused(&many).contains("elements"));
        let spaces: String = (0..5000).map(|nth| format!(" xmlns:p{nth}=\"u{nth}\"")).collect();
        assert!(refused(&format!("<a{spaces}/>")).contains("bindings"), "resolving would take for ever");
    }

    #[test]
    fn what_is_cut_or_odd_is_refused() {
        let good = "<a b=\"c\"><d>e</d></a>";
        for end in 0..good.len() {
            assert!(read(&good.as_bytes()[..end]).is_err(), "{}", &good[..end]);
        }
        for odd in ["", "<a></b>", "<a/><b/>", "<a b=\"1\" b=\"2\"/>", "<html><br></html>", "text"] {
            assert!(read(odd.as_bytes()).is_err(), "{odd}");
        }
        assert!(read(&b"<a>\xff</a>"[..]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[<>/a&;!\\[\\]\"=: x-]{0,60}") {
            let _ = read(text.as_bytes());
        }
    }
}
