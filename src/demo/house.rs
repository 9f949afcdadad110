//! An ESXi host of the demo estate, as it answers the question for its properties: one trouble of each sort.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::files;

/// The file that stands in for the host.
pub(super) fn file(directory: &Path) -> PathBuf {
    directory.join("esxi.xml")
}

/// Writes it.
pub(super) fn write(directory: &Path, now: Timestamp) -> anyhow::Result<()> {
    let mut objects = object(
        "HostSystem",
        "ha-host",
        &[
            ("name", "esx1"),
            ("runtime.connectionState", "connected"),
            ("runtime.inMaintenanceMode", "false"),
            ("summary.config.product.version", "8.0.3"),
            ("summary.config.product.build", "24022510"),
            ("summary.hardware.uuid", "30313436-3631-5a43-3231-343430443155"),
        ],
    );
    let old = snapshot(1, now - SignedDuration::from_hours(24 * 19), &[]);
    let deep = (0..4)
        .rev()
        .fold(String::new(), |inner, at| snapshot(at, now - SignedDuration::from_hours(20 - i64::from(at)), &[&inner]));
    objects += &machine(1, "web", "poweredOn", &[("config.changeTrackingEnabled", "true")]);
    objects += &machine(2, "db", "poweredOn", &[("snapshot", &roots(&old)), ("runtime.consolidationNeeded", "true")]);
    objects += &machine(3, "legacy", "poweredOn", &[("snapshot", &roots(&deep))]);
    objects += &machine(4, "erp", "poweredOn", &[("runtime.question", "<id>1</id><text>moved or copied?</text>")]);
    objects += &machine(5, "old-web", "poweredOff", &[]);
    objects += &datastore("1", "datastore1", true, 2_000_000_000_000, 820_000_000_000);
    objects += &datastore("2", "fast", true, 500_000_000_000, 45_000_000_000);
    objects += &datastore("3", "nas", false, 0, 0);
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body><RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval>\n\
         {objects}</returnval></RetrievePropertiesExResponse></e:Body></e:Envelope>\n"
    );
    files::with_content(&file(directory), text.as_bytes(), now)
}

fn object(kind: &str, id: &str, properties: &[(&str, &str)]) -> String {
    let mut text = format!("<objects><obj type=\"{kind}\">{id}</obj>");
    for (path, value) in properties {
        // Writing to a string can't fail.
        let _ = write!(text, "<propSet><name>{path}</name><val xsi:type=\"any\">{value}</val></propSet>");
    }
    text + "</objects>\n"
}

fn machine(number: u32, name: &str, power: &str, more: &[(&str, &str)]) -> String {
    let uuid = format!("5c6c5a36-0000-4000-8000-00000000000{number}");
    let usual = [
        ("name", name),
        ("config.instanceUuid", &uuid),
        ("config.uuid", &uuid),
        ("config.template", "false"),
        ("config.changeTrackingEnabled", "false"),
        ("runtime.host", "ha-host"),
        ("runtime.connectionState", "connected"),
        ("runtime.powerState", power),
        ("runtime.consolidationNeeded", "false"),
        ("guest.toolsRunningStatus", "guestToolsRunning"),
    ];
    let kept = usual.into_iter().filter(|(path, _)| more.iter().all(|(other, _)| other != path));
    let all: Vec<(&str, &str)> = kept.chain(more.iter().copied()).collect();
    object("VirtualMachine", &number.to_string(), &all)
}

fn roots(snapshot: &str) -> String {
    snapshot
        .replacen("<childSnapshotList>", "<rootSnapshotList>", 1)
        .strip_suffix("</childSnapshotList>")
        .map_or_else(String::new, |text| text.to_owned() + "</rootSnapshotList>")
}

fn snapshot(number: u32, made: Timestamp, children: &[&str]) -> String {
    format!(
        "<childSnapshotList><name>before-{number}</name><id>{number}</id><createTime>{made}</createTime>{}</childSnapshotList>",
        children.concat()
    )
}

fn datastore(id: &str, name: &str, accessible: bool, capacity: u64, free: u64) -> String {
    let summary = format!(
        "<name>{name}</name><url>ds:///vmfs/volumes/{id}/</url><capacity>{capacity}</capacity><freeSpace>{free}</freeSpace><accessible>{accessible}</accessible><type>VMFS</type>"
    );
    object("Datastore", id, &[("summary", &summary)])
}
