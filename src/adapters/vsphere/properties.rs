//! Properties of all objects of some kinds, page by page, by the `PropertyCollector` of the server.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::client::Client;
use super::failure::Failure;
use super::session::{Content, Reference, body};
use super::xml::{Element, escaped};

/// Objects of one page.
const PAGE: usize = 250;

/// More objects are refused; no vCenter holds as many.
const MOST_OBJECTS: usize = 100_000;

/// A server may hand out pages without an object for ever.
const MOST_PAGES: usize = 2_000;

/// A way from objects of a kind to others: its name, the kind, the property, and the ways that go on from there.
type Way = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// From the topmost folder to all that is below: folders in folders, data centers, hosts and clusters, and virtual
/// appliances, whose machines are in no folder. An ESXi host has the same tree, only smaller.
const WAYS: &[Way] = &[
    ("folder", "Folder", "childEntity", &["folder", "vms", "hosts", "stores", "computes", "appliances", "parts"]),
    ("vms", "Datacenter", "vmFolder", &["folder"]),
    ("hosts", "Datacenter", "hostFolder", &["folder"]),
    ("stores", "Datacenter", "datastore", &[]),
    ("computes", "ComputeResource", "host", &[]),
    ("appliances", "VirtualApp", "vm", &[]),
    ("parts", "VirtualApp", "resourcePool", &["appliances", "parts"]),
];

/// From an appliance to its machines, also those of appliances in it.
const APPLIANCES: &[&str] = &["appliances", "parts"];

/// What the server says of one object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) reference: Reference,
    values: BTreeMap<Box<str>, Element>,
    /// What it doesn't tell, each with the fault that says why.
    pub(super) missing: BTreeMap<Box<str>, Box<str>>,
}

impl Object {
    fn read(element: &Element) -> Option<Self> {
        let reference = element.child("obj").and_then(Reference::read)?;
        let value = |it: &Element| Some((it.text_of("name")?.into(), it.child("val")?.clone()));
        let fault = |it: &Element| {
            // A fault within what tells of it, as everywhere in this API.
            let fault = it.child("fault").and_then(|it| it.child("fault")).map_or("", |it| &it.sort);
            Some((it.text_of("path")?.into(), fault.into()))
        };
        Some(Self {
            reference,
            values: element.all("propSet").filter_map(value).collect(),
            missing: element.all("missingSet").filter_map(fault).collect(),
        })
    }

    /// A property; `None` where it isn't set as well as where it isn't told.
    pub(super) fn get(&self, path: &str) -> Option<&Element> {
        self.values.get(path)
    }

    /// The text of a property.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.get(path).map(|it| it.text.trim()).filter(|text| !text.is_empty())
    }

    /// A property that is yes or no.
    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        flag(self.text(path)?)
    }

    /// Whether the server said that it doesn't tell this.
    pub(super) fn is_missing(&self, path: &str) -> bool {
        self.missing.contains_key(path)
    }

    /// Whether it was removed while it was looked at.
    fn is_gone(&self) -> bool {
        self.missing.values().any(|fault| &**fault == "ManagedObjectNotFound")
    }
}

/// Yes or no as XML has it.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The properties of all objects of these kinds below the topmost folder. One may come twice: several ways lead to it.
pub(super) fn each(
    client: &mut Client,
    content: &Content,
    wanted: &[(&str, &[&str])],
    take: impl FnMut(&Object),
) -> Result<(), Failure> {
    let kinds: Vec<&str> = wanted.iter().map(|(kind, _)| *kind).collect();
    let Some(all) = view(client, content, &kinds)? else {
        return pages(client, content, &question(wanted, &from_the_top(content)), take);
    };
    // Whether the machines of appliances are in a view isn't written anywhere. In a view of their own they cost nothing where there are
    // none; as ways that go on from each machine they do.
    let appliances = view(client, content, &["VirtualApp"])?;
    let from = from_view(&all, &[]) + &appliances.as_ref().map_or_else(String::new, |it| from_view(it, APPLIANCES));
    let done = pages(client, content, &question(wanted, &from), take);
    if !done.as_ref().is_err_and(Failure::is_of_the_connection) {
        for view in std::iter::once(all).chain(appliances) {
            // A session has room for many, and takes them with it when it ends.
            let _ = client.call("DestroyView", &body("DestroyView", &view, ""));
        }
    }
    done
}

/// A view of all objects of these kinds: a server keeps those at hand, and walks the whole tree for each look otherwise. `None`
/// where it makes none.
fn view(client: &mut Client, content: &Content, kinds: &[&str]) -> Result<Option<Reference>, Failure> {
    let Some(views) = &content.views else { return Ok(None) };
    let mut arguments = content.root.element("container");
    for kind in kinds {
        let _ = write!(arguments, "<type>{kind}</type>");
    }
    arguments.push_str("<recursive>true</recursive>");
    match client.call("CreateContainerView", &body("CreateContainerView", views, &arguments)) {
        Ok(reply) => Ok(reply.child("returnval").and_then(Reference::read)),
        Err(failure) if matches!(failure, Failure::Fault { .. }) && !failure.is_fault("NotAuthenticated") => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// All pages of an answer.
fn pages(client: &mut Client, content: &Content, question: &str, mut take: impl FnMut(&Object)) -> Result<(), Failure> {
    let mut method = "RetrievePropertiesEx";
    let mut asked = body(method, &content.collector, question);
    let mut count = 0;
    for _ in 0..MOST_PAGES {
        let reply = client.call(method, &asked)?;
        // Without any there is nothing, or nothing more.
        let Some(page) = reply.child("returnval") else { return Ok(()) };
        count += of_page(page, &mut take)?;
        if count > MOST_OBJECTS {
            return Err(Failure::TooMuch("objects"));
        }
        let Some(token) = page.text_of("token") else { return Ok(()) };
        method = "ContinueRetrievePropertiesEx";
        asked = body(method, &content.collector, &format!("<token>{}</token>", escaped(token)));
    }
    Err(Failure::TooMuch("pages"))
}

/// The objects of one page; how many there were.
pub(super) fn of_page(page: &Element, mut take: impl FnMut(&Object)) -> Result<usize, Failure> {
    let mut count = 0;
    for element in page.all("objects") {
        let object = Object::read(element).ok_or(Failure::Lacks("of which object it speaks"))?;
        if object.missing.values().any(|fault| &**fault == "NotAuthenticated") {
            return Err(Failure::Fault { name: "NotAuthenticated".to_owned(), words: String::new() });
        }
        if !object.is_gone() {
            take(&object);
        }
        count += 1;
    }
    Ok(count)
}

/// Which properties of which objects. Children stand in the order that the schema asks for.
fn question(wanted: &[(&str, &[&str])], from: &str) -> String {
    let mut text = String::from("<specSet>");
    // Writing to a string can't fail.
    for (kind, paths) in wanted {
        let _ = write!(text, "<propSet><type>{kind}</type>");
        for path in *paths {
            let _ = write!(text, "<pathSet>{path}</pathSet>");
        }
        text.push_str("</propSet>");
    }
    let _ = write!(text, "{from}</specSet><options><maxObjects>{PAGE}</maxObjects></options>");
    text
}

/// All that is below the topmost folder.
fn from_the_top(content: &Content) -> String {
    objects(&content.root, WAYS.iter())
}

/// All that is in a view, and what these ways lead to from there.
fn from_view(view: &Reference, next: &'static [&'static str]) -> String {
    let start: Way = ("view", "ContainerView", "view", next);
    objects(view, std::iter::once(&start).chain(WAYS.iter().filter(|(name, ..)| next.contains(name))))
}

/// What is asked about: not the first object itself, but what these ways lead to from it.
fn objects<'a>(first: &Reference, ways: impl Iterator<Item = &'a Way>) -> String {
    let ways: String = ways.map(select).collect();
    format!("<objectSet>{}<skip>true</skip>{ways}</objectSet>", first.element("obj"))
}

fn select((name, kind, path, next): &Way) -> String {
    let next: String = next.iter().map(|name| format!("<selectSet><name>{name}</name></selectSet>")).collect();
    format!(
        "<selectSet xsi:type=\"TraversalSpec\"><name>{name}</name><type>{kind}</type><path>{path}</path><skip>false</skip>{next}</selectSet>"
    )
}
