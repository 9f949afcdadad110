//! vSphere: a simulator with TLS (vcsim), changed under us by pyVmomi, and a stand-in that misbehaves.

mod hostile;
mod stand_in;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::machine::trust::Trust;
use firedrill::adapters::vsphere::{Account, EstateSource, Server};
use firedrill::domain::esxi::EsxiBook;
use firedrill::domain::look::{ErrorKind, Look, LookError, Medium, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::policy::Matcher;
use firedrill::domain::secret::Secret;
use firedrill::domain::thumbprint::Thumbprint;
use firedrill::engine::ports::{Clock as _, Source as _};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::daemon::all_panels_have_data;
use crate::support::{Daemon, Prometheus, Running, free_port, repository, stderr, stdout, until};
use stand_in::{StandIn, host, object, page, vm};

/// Of the simulator.
const PASSWORD: &str = "a<b&c";

fn spec(url: &str) -> Arc<SourceSpec> {
    Arc::new(SourceSpec {
        name: "lab".parse().unwrap(),
        kind: SourceKind::new("esxi"),
        places: vec![PlaceSpec { path: url.into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(120),
        scan_timeout: Duration::from_secs(8),
    })
}

fn source(url: &str, password: &str, trust: Trust) -> EstateSource {
    let server = Server { url: url.parse().unwrap(), trust };
    let account = Account { user: "firedrill".to_owned(), password: Secret::from(password.to_owned()) };
    EstateSource::new(spec(url), &server, account).unwrap()
}

fn source_as(url: &str, password: &str) -> EstateSource {
    source(url, password, Trust::Machine)
}

fn source_at(url: &str) -> EstateSource {
    source_as(url, PASSWORD)
}

async fn look(mut source: EstateSource) -> (EstateSource, Look) {
    let looking = tokio::task::spawn_blocking(move || {
        let seen = source.look(SystemClock.now());
        (source, seen)
    });
    looking.await.unwrap()
}

fn error(seen: &Look) -> &LookError {
    seen.places[0].listing.as_ref().expect_err("it can't be looked at")
}

fn book(seen: &Look) -> &EsxiBook {
    let listing = seen.places[0].listing.as_ref().unwrap();
    assert!(listing.attempts.is_empty(), "it knows of no backups");
    seen.estate.esxi.as_ref().unwrap().as_ref().unwrap()
}

/// A simulated server with a certificate of its own.
struct Vcsim {
    process: Option<Running>,
    arguments: Vec<String>,
    port: u16,
    url: String,
    authority: PathBuf,
    thumbprint: Thumbprint,
    directory: TempDir,
}

impl Vcsim {
    async fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let authority = directory.path().join("cert.pem");
        std::fs::write(&authority, made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let mut it = Self {
            process: None,
            arguments: arguments.iter().map(|it| (*it).to_owned()).collect(),
            port,
            url: format!("https://127.0.0.1:{port}"),
            authority,
            thumbprint: Thumbprint(Sha256::digest(made.cert.der()).into()),
            directory,
        };
        it.revive().await;
        it
    }

    /// Starts it, again or for the first time. It knows nothing of before.
    async fn revive(&mut self) {
        let mut command = Command::new(repository("target/vcsim"));
        command.args(["-listen", &format!("127.0.0.1:{}", self.port), "-password", PASSWORD]).args(&self.arguments);
        command.arg("-cert").arg(&self.authority).arg("-key").arg(self.directory.path().join("key.pem"));
        // Its datastores are directories there.
        command.env("TMPDIR", self.directory.path()).stdout(Stdio::null());
        let process = Running::start(command);
        until("vcsim listens", || async { process.log().contains("listening at").then_some(()) }).await;
        self.process = Some(process);
    }

    fn kill(&mut self) {
        self.process = None;
    }

    /// Runs a script of pyVmomi with `content`, `everything(kind)`, `named(kind, name)` and `done(task)`; what it prints.
    async fn pyvmomi(&self, script: &str) -> String {
        let head = format!(
            "import json, ssl\nfrom pyVim.connect import SmartConnect, Disconnect\nfrom pyVim.task import WaitForTask as done\nfrom pyVmomi import vim, vmodl\n\
             si = SmartConnect(host='127.0.0.1', port={}, user='firedrill', pwd='{PASSWORD}', sslContext=ssl._create_unverified_context())\n\
             content = si.RetrieveContent()\n\
             def everything(kind):\n    \
                 view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)\n    \
                 found = list(view.view); view.Destroy(); return found\n\
             def named(kind, name): return [it for it in everything(kind) if it.name == name][0]\n",
            self.port
        );
        let mut command = tokio::process::Command::new(repository("target/python/bin/python"));
        let output = command.arg("-c").arg(head + script + "\nDisconnect(si)\n").output().await.unwrap();
        assert!(output.status.success(), "{script}\n{}", stderr(&output));
        stdout(&output)
    }
}

fn configuration(directory: &Path, keys: &str) -> PathBuf {
    let file = directory.join("firedrill.toml");
    let store = directory.join("firedrill.db");
    let text = format!(
        "[store]\nurl = \"sqlite://{}\"\n[[esxi]]\nname = \"lab\"\nusername = \"firedrill\"\nscan_interval = \"1s\"\nscan_timeout = \"8s\"\n{keys}\n",
        store.display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

async fn shows(daemon: &Daemon, lines: &[&str]) {
    let mut text = String::new();
    for _ in 0..600 {
        text = daemon.metrics().await;
        if lines.iter().all(|line| text.lines().any(|it| it == *line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let missing: Vec<_> = lines.iter().filter(|line| !text.lines().any(|it| it == **line)).collect();
    let ours: Vec<_> = text.lines().filter(|it| it.contains("source=\"lab\"")).collect();
    panic!("{missing:#?} not in {ours:#?}\n{}", daemon.process.log());
}

fn keys(server: &Vcsim) -> String {
    format!("url = \"{}\"\npassword = '{PASSWORD}'\nthumbprint = \"{}\"", server.url, server.thumbprint)
}

/// From one end to the other, on a host: what another client changes is seen, and so is that the host is gone and back.
#[tokio::test]
async fn what_another_client_changes_on_a_host_is_seen() {
    let mut server = Vcsim::start(&["-vm", "2"]).await;
    let place = tempfile::tempdir().unwrap();
    let config = configuration(place.path(), &keys(&server));
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    let uuid = server.pyvmomi("print(named(vim.VirtualMachine, 'ha-host_VM0').config.instanceUuid)").await;
    let bios = server.pyvmomi("print(named(vim.VirtualMachine, 'ha-host_VM0').config.uuid)").await;
    let info = format!(
        "firedrill_esxi_vm_info{{source=\"lab\",vm=\"ha-host_VM0\",server=\"localhost.localdomain\",uuid=\"{}\",bios_uuid=\"{}\",template=\"false\"}} 1",
        uuid.trim(),
        bios.trim()
    );
    shows(
        &daemon,
        &[
            &info,
            "firedrill_source_up{source=\"lab\",kind=\"esxi\"} 1",
            "firedrill_esxi_host_up{source=\"lab\",server=\"localhost.localdomain\"} 1",
            "firedrill_esxi_host_maintenance_mode{source=\"lab\",server=\"localhost.localdomain\"} 0",
            "firedrill_esxi_vm_powered_on{source=\"lab\",vm=\"ha-host_VM0\"} 1",
            "firedrill_esxi_vm_tools_running{source=\"lab\",vm=\"ha-host_VM0\"} 0",
            "firedrill_esxi_vm_snapshots{source=\"lab\",vm=\"ha-host_VM0\"} 0",
            "firedrill_esxi_vm_question_pending{source=\"lab\",vm=\"ha-host_VM1\"} 0",
            "firedrill_esxi_datastore_accessible{source=\"lab\",datastore=\"LocalDS_0\"} 1",
            "firedrill_esxi_unreadable_properties{source=\"lab\"} 0",
        ],
    )
    .await;
    let text = daemon.metrics().await;
    assert!(
        text.contains("firedrill_esxi_host_info{source=\"lab\",server=\"localhost.localdomain\",version=\"6.5.0\"")
    );
    assert!(
        !text.contains("firedrill_item_info{source=\"lab\""),
        "without a way to know of backups there are no items"
    );
    let made = server
        .pyvmomi(
            "first, second = named(vim.VirtualMachine, 'ha-host_VM0'), named(vim.VirtualMachine, 'ha-host_VM1')\n\
             done(first.PowerOff())\n\
             for name in 'abc': done(first.CreateSnapshot(name, '', False, False))\n\
             done(first.Rename('web/%2f'))\n\
             done(second.Reconfigure(vim.vm.ConfigSpec(changeTrackingEnabled=True)))\n\
             print(first.snapshot.rootSnapshotList[0].createTime.timestamp())",
        )
        .await;
    // To the millisecond.
    let oldest = (made.trim().parse::<f64>().unwrap() * 1000.0).floor() / 1000.0;
    shows(
        &daemon,
        &[
            // The simulator keeps what a real server escapes, and what comes is taken for that.
            &info.replace("ha-host_VM0", "web//"),
            "firedrill_esxi_vm_powered_on{source=\"lab\",vm=\"web//\"} 0",
            "firedrill_esxi_vm_snapshots{source=\"lab\",vm=\"web//\"} 3",
            "firedrill_esxi_vm_snapshot_depth{source=\"lab\",vm=\"web//\"} 3",
            &format!("firedrill_esxi_vm_snapshot_oldest_timestamp_seconds{{source=\"lab\",vm=\"web//\"}} {oldest}"),
            "firedrill_esxi_vm_change_tracking_enabled{source=\"lab\",vm=\"ha-host_VM1\"} 1",
        ],
    )
    .await;
    let text = daemon.metrics().await;
    assert!(!text.contains("vm=\"ha-host_VM0\""), "nothing is left under the old name");
    assert!(!text.contains("tools_running{source=\"lab\",vm=\"web//\""), "one that is off has no Tools to run");
    server.pyvmomi("done(named(vim.VirtualMachine, 'web/%2f').RemoveAllSnapshots())").await;
    shows(&daemon, &["firedrill_esxi_vm_snapshots{source=\"lab\",vm=\"web//\"} 0"]).await;
    assert!(!daemon.metrics().await.contains("snapshot_oldest_timestamp_seconds{source=\"lab\""), "none has no age");
    // Gone, and back without what it knew: nothing stays as it was, and nobody restarts the daemon.
    server.kill();
    shows(&daemon, &["firedrill_source_up{source=\"lab\",kind=\"esxi\"} 0"]).await;
    let ours = |text: &str| text.lines().any(|it| it.starts_with("firedrill_esxi_") && it.contains("source=\"lab\""));
    until("its series are gone", || async { (!ours(&daemon.metrics().await)).then_some(()) }).await;
    server.revive().await;
    shows(
        &daemon,
        &[
            "firedrill_source_up{source=\"lab\",kind=\"esxi\"} 1",
            "firedrill_esxi_vm_powered_on{source=\"lab\",vm=\"ha-host_VM0\"} 1",
            "firedrill_esxi_vm_snapshots{source=\"lab\",vm=\"ha-host_VM0\"} 0",
        ],
    )
    .await;
    assert!(daemon.process.stop().success());
}

/// All that a vCenter has, however deep in folders, as another client sees it; and a session that somebody ends.
#[tokio::test]
async fn a_vcenter_is_seen_whole_and_ended_sessions_are_begun_anew() {
    let server = Vcsim::start(&["-vpx", "-vm", "3", "-ds", "2", "-dc", "2", "-folder", "1"]).await;
    let (source, seen) = look(source(&server.url, PASSWORD, Trust::Certificate(server.thumbprint))).await;
    let found = book(&seen);
    let theirs = server
        .pyvmomi(
            "print(json.dumps({'vms': sorted([[it.name, it.config.instanceUuid, it.runtime.host.name] for it in everything(vim.VirtualMachine)]),\n\
             'hosts': sorted(it.name for it in everything(vim.HostSystem)),\n\
             'stores': sorted({it.summary.url: it.summary.capacity for it in everything(vim.Datastore)}.items())}))",
        )
        .await;
    let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
    let ours = serde_json::json!({
        "vms": found.vms.iter().map(|(name, vm)| (&**name, &*vm.uuid, vm.host.as_deref().unwrap())).collect::<Vec<_>>(),
        "hosts": found.hosts.keys().map(|it| &**it).collect::<Vec<_>>(),
        "stores": found.datastores.values().map(|it| (it.url.to_string(), it.capacity)).collect::<std::collections::BTreeMap<_, _>>().into_iter().collect::<Vec<_>>(),
    });
    assert_eq!(ours, theirs);
    assert_eq!((found.vms.len(), found.hosts.len(), found.datastores.len()), (12, 8, 4));
    // Somebody ends our session between two looks.
    let sessions = "mine = content.sessionManager.currentSession.key\n\
         others = [it.key for it in content.sessionManager.sessionList if it.key != mine]\n";
    let ended = format!("{sessions}content.sessionManager.TerminateSession(others)\nprint(len(others))");
    assert_eq!(server.pyvmomi(&ended).await.trim(), "1");
    let (source, seen) = look(source).await;
    assert_eq!(book(&seen).vms.len(), 12);
    let left = format!("{sessions}print(len(others))");
    assert_eq!(server.pyvmomi(&left).await.trim(), "1", "one session, not one more for each look");
    drop(source);
    assert_eq!(server.pyvmomi(&left).await.trim(), "0", "the session is given back");
    // A machine that is removed is gone.
    let (_, seen) = look(source_of(&server)).await;
    assert!(book(&seen).vms.contains_key("DC0_H0_VM0"));
    server.pyvmomi("it = named(vim.VirtualMachine, 'DC0_H0_VM0'); done(it.PowerOff()); done(it.Destroy())").await;
    let (_, seen) = look(source_of(&server)).await;
    assert!(!book(&seen).vms.contains_key("DC0_H0_VM0"));
}

fn source_of(server: &Vcsim) -> EstateSource {
    source(&server.url, PASSWORD, Trust::Authorities(server.authority.clone()))
}

#[tokio::test]
async fn who_is_not_known_or_not_trusted_is_told_so() {
    let server = Vcsim::start(&[]).await;
    let (_, seen) = look(source(&server.url, "another password", Trust::Certificate(server.thumbprint))).await;
    let refused = error(&seen);
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    assert!(refused.message.contains("firedrill or the password is wrong"), "{refused}");
    // Another certificate than the one that somebody saw: the message has the new one.
    let (_, seen) = look(source(&server.url, PASSWORD, Trust::Certificate(Thumbprint([7; 32])))).await;
    let refused = error(&seen);
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    assert!(refused.message.contains(&server.thumbprint.to_string()), "{refused}");
    // Nobody vouches for it.
    let (_, seen) = look(source_at(&server.url)).await;
    assert_eq!(error(&seen).kind, ErrorKind::PermissionDenied, "{}", error(&seen));
    assert!(error(&seen).message.contains("thumbprint or ca_file"), "{}", error(&seen));
    let (_, seen) = look(source_of(&server)).await;
    assert_eq!(book(&seen).vms.len(), 2);
    let (_, seen) = look(source_at(&format!("https://127.0.0.1:{}", free_port()))).await;
    assert!(error(&seen).message.contains("does the server run"), "{}", error(&seen));
}

/// What vcsim has none of: a question, files to consolidate, two of one name, snapshots side by side, a host that is away.
fn troubles() -> StandIn {
    let snapshots = "<rootSnapshotList><createTime>2026-10-20T10:00:00+02:00</createTime>\
         <childSnapshotList><createTime>2026-10-21T08:00:00.5Z</createTime></childSnapshotList>\
         <childSnapshotList><createTime>2026-10-22T08:00:00Z</createTime><childSnapshotList><createTime>2026-10-23T08:00:00Z</createTime><childSnapshotList/></childSnapshotList></childSnapshotList>\
         </rootSnapshotList><rootSnapshotList><createTime>no time</createTime></rootSnapshotList>";
    StandIn::new(move |_| {
        let away =
            [("name", "esx2"), ("runtime.connectionState", "notResponding"), ("runtime.inMaintenanceMode", "true")];
        let store = |name: &str, url: &str, accessible: &str| {
            let summary = format!(
                "<name>{name}</name><url>{url}</url><capacity>1000</capacity><freeSpace>100</freeSpace><accessible>{accessible}</accessible><type>VMFS</type>"
            );
            object("Datastore", url, &[("summary", &summary)], &[])
        };
        let all = [
            host("h1", "esx1"),
            object("HostSystem", "h2", &away, &[]),
            vm(
                "1",
                "db",
                &[
                    ("config.instanceUuid", "5c6c5a36-df4d-524e-ab5d-4b1bb43ee274"),
                    ("runtime.host", "h1"),
                    ("runtime.question", "<id>1</id>"),
                    ("runtime.consolidationNeeded", "true"),
                    ("config.changeTrackingEnabled", "true"),
                    ("config.template", "false"),
                    ("guest.toolsRunningStatus", "guestToolsRunning"),
                    ("guest.ipAddress", "192.0.2.7"),
                    ("snapshot", snapshots),
                ],
            ),
            vm("2", "web", &[("config.instanceUuid", "11111111-0000")]),
            vm("3", "web", &[("config.instanceUuid", "22222222-0000")]),
            store("fast", "ds:///vmfs/volumes/aaaaaaaa-1/", "true"),
            store("lost", "ds:///vmfs/volumes/bbbbbbbb-1/", "false"),
        ];
        page("RetrievePropertiesEx", &all, None)
    })
}

/// A daemon that watches a house with troubles.
struct Troubled {
    daemon: Daemon,
    _server: StandIn,
    _place: TempDir,
}

async fn troubled() -> Troubled {
    let server = troubles();
    let (url, certificate) = crate::s3::tls::before(&server.url).await;
    let place = tempfile::tempdir().unwrap();
    let (authority, password) = (place.path().join("ca.pem"), place.path().join("password"));
    std::fs::write(&authority, certificate).unwrap();
    std::fs::write(&password, PASSWORD).unwrap();
    let keys = format!("url = \"{url}\"\npassword_file = {password:?}\nca_file = {authority:?}");
    let config = configuration(place.path(), &keys);
    let daemon = Daemon::start(&["--config.file", config.to_str().unwrap()]).await;
    shows(
        &daemon,
        &[
            "firedrill_esxi_host_up{source=\"lab\",server=\"esx1\"} 1",
            "firedrill_esxi_host_up{source=\"lab\",server=\"esx2\"} 0",
            "firedrill_esxi_host_maintenance_mode{source=\"lab\",server=\"esx2\"} 1",
            "firedrill_esxi_vm_snapshots{source=\"lab\",vm=\"db\"} 6",
            "firedrill_esxi_vm_snapshot_depth{source=\"lab\",vm=\"db\"} 4",
            // 2026-10-20T08:00:00Z
            "firedrill_esxi_vm_snapshot_oldest_timestamp_seconds{source=\"lab\",vm=\"db\"} 1792483200",
            "firedrill_esxi_vm_question_pending{source=\"lab\",vm=\"db\"} 1",
            "firedrill_esxi_vm_consolidation_needed{source=\"lab\",vm=\"db\"} 1",
            "firedrill_esxi_vm_change_tracking_enabled{source=\"lab\",vm=\"db\"} 1",
            "firedrill_esxi_vm_tools_running{source=\"lab\",vm=\"db\"} 1",
            "firedrill_esxi_vm_powered_on{source=\"lab\",vm=\"web~11111111\"} 1",
            "firedrill_esxi_vm_powered_on{source=\"lab\",vm=\"web~22222222\"} 1",
            "firedrill_esxi_datastore_capacity_bytes{source=\"lab\",datastore=\"fast\"} 1000",
            "firedrill_esxi_datastore_free_bytes{source=\"lab\",datastore=\"fast\"} 100",
            "firedrill_esxi_datastore_accessible{source=\"lab\",datastore=\"lost\"} 0",
        ],
    )
    .await;
    Troubled { daemon, _server: server, _place: place }
}

/// What it exports.
pub async fn exposition() -> String {
    troubled().await.daemon.metrics().await
}

/// All that rules and panels ask for is there where there are troubles, and the alerts about them fire.
#[tokio::test]
async fn a_house_with_troubles_is_shown_whole_and_alarms() {
    let house = troubled().await;
    let text = house.daemon.metrics().await;
    assert!(!text.contains("datastore_free_bytes{source=\"lab\",datastore=\"lost\""), "old numbers are none");
    let families = firedrill::metrics::catalogue::descriptions();
    let families: Vec<_> = families.iter().filter(|it| it.name.starts_with("firedrill_esxi_")).collect();
    assert!(families.len() >= 18);
    for family in families {
        assert!(text.contains(&format!("\n{}{{", family.name)), "{}", family.name);
    }
    let compat = crate::support::get(&house.daemon.url("/api/metrics")).await.unwrap().1;
    let shown: Vec<&str> = firedrill::metrics::esxi_compat::names()
        .into_iter()
        .filter(|name| compat.contains(&format!("\n{name}")))
        .collect();
    // Nothing is verified there, and no backup tells how long it took.
    assert_eq!(shown.len(), 23, "{shown:?}\n{compat}");
    assert!(!compat.contains("esxi_verifications_"), "{compat}");
    let used =
        compat.lines().find(|it| it.starts_with("esxi_datastore_used_percent{datastore=\"fast\",server=\"lab\"} "));
    assert!(
        used.is_some_and(|it| it.rsplit(' ').next().unwrap().parse::<f64>().is_ok_and(|it| it > 85.0 && it < 95.0)),
        "{compat}"
    );
    assert!(!compat.contains("datastore=\"lost\"") && compat.contains("\nesxi_servers_total "), "{compat}");
    let prometheus = Prometheus::scraping(house.daemon.address).await;
    let firing = || async {
        let rows = prometheus.query("ALERTS{alertstate=\"firing\", alertname=~\"FiredrillEsxi.*\"}").await;
        let of = |row: &serde_json::Value, label: &str| row["metric"][label].as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = rows
            .iter()
            .map(|row| of(row, "alertname") + " " + &of(row, "vm") + &of(row, "datastore") + &of(row, "server"))
            .collect();
        found.sort();
        let expected = [
            "FiredrillEsxiConsolidationNeeded db",
            "FiredrillEsxiDatastoreFilling fast",
            "FiredrillEsxiDatastoreInaccessible lost",
            "FiredrillEsxiQuestionPending db",
            "FiredrillEsxiSnapshotOld db",
            "FiredrillEsxiSnapshotsDeep db",
        ];
        (found == expected).then_some(())
    };
    until("the alerts fire, and none about the host that is in maintenance", firing).await;
    assert!(all_panels_have_data(&prometheus, "esxi").await > 15);
}

#[test]
fn a_recorded_reply_says_the_same_and_one_that_is_none_is_said_so() {
    let place = tempfile::tempdir().unwrap();
    let (file, config) = (place.path().join("esxi.xml"), place.path().join("firedrill.toml"));
    let text = format!(
        "[[esxi]]\nname = \"lab\"\nurl = \"file://{}\"\nscan_interval = \"1s\"\nscan_timeout = \"3s\"\n",
        file.display()
    );
    std::fs::write(&config, text).unwrap();
    let scanned = || crate::support::run(&["scan", "--config.file", config.to_str().unwrap()]);
    let reply = |inner: &str| {
        let envelope = "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>";
        std::fs::write(&file, format!("{envelope}{inner}</e:Body></e:Envelope>\n\n")).unwrap();
    };
    let host = stand_in::host("ha-host", "esx1");
    let waits = stand_in::vm("1", "erp", &[("runtime.question", "<id>1</id>")]);
    let of = |objects: &str| {
        format!(
            "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval>{objects}</returnval></RetrievePropertiesExResponse>"
        )
    };
    reply(&of(&(host + &waits)));
    let output = scanned();
    assert!(
        stdout(&output).contains("lab: machine erp: it waits for an answer"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(1));
    for (inner, said) in [
        (of(&waits), "shows"),
        ("<Fault/>".to_owned(), "lacks"),
        ("<LoginResponse xmlns=\"urn:vim25\"/>".to_owned(), "lacks"),
        ("<unclosed>".to_owned(), "esxi.xml"),
    ] {
        reply(&inner);
        let output = scanned();
        assert_eq!(output.status.code(), Some(2), "{inner}");
        assert!(
            stdout(&output).contains("could not look") && stdout(&output).contains(said),
            "{said}: {}",
            stdout(&output)
        );
    }
    let long_ago = std::fs::metadata("/proc/self").unwrap().modified().unwrap() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let output = scanned();
    assert!(
        output.status.code() == Some(2) && stdout(&output).contains("nothing of it is relied on"),
        "{}",
        stdout(&output)
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(scanned().status.code(), Some(2));
}
