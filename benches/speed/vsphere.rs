//! vSphere: one look at two thousand machines and two hundred datastores, against the client that VMware wrote. vcsim and pyVmomi are those
//! of `make prepare`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill::adapters::machine::clock::SystemClock;
use firedrill::adapters::machine::trust::Trust;
use firedrill::adapters::vsphere::{Account, EstateSource, Server};
use firedrill::domain::look::{Medium, PlaceSpec, SourceKind, SourceSpec};
use firedrill::domain::policy::Matcher;
use firedrill::domain::secret::Secret;
use firedrill::engine::ports::{Clock as _, Source as _};

use crate::http::free_address;
use crate::median;
use crate::table::{Goal, Table};

/// In each of the two pools of the simulated vCenter.
const MACHINES: usize = 1000;

const DATASTORES: usize = 200;

/// Times that each is measured.
const RUNS: usize = 5;

const PASSWORD: &str = "a-password-of-the-bench";

/// What a person would write with pyVmomi who knows how: the same properties by its property collector, page by page.
const SCRIPT: &str = "
import sys, time
from pyVim.connect import SmartConnect, Disconnect
from pyVmomi import vim, vmodl
host, port = sys.argv[1].split(':')
si = SmartConnect(protocol='http', host=host, port=int(port), user='firedrill', pwd=sys.argv[2])
content = si.RetrieveContent()
collector = content.propertyCollector
PC = vmodl.query.PropertyCollector
wanted = {
    vim.HostSystem: ['name', 'runtime.connectionState', 'runtime.inMaintenanceMode', 'summary.config.product.version', 'summary.config.product.build', 'summary.hardware.uuid'],
    vim.VirtualMachine: ['name', 'config.instanceUuid', 'config.uuid', 'config.template', 'config.changeTrackingEnabled', 'runtime.host', 'runtime.connectionState', 'runtime.powerState', 'runtime.question', 'runtime.consolidationNeeded', 'guest.toolsRunningStatus', 'guest.ipAddress', 'snapshot'],
    vim.Datastore: ['summary'],
}
for _ in range(int(sys.argv[3])):
    begun = time.time()
    view = content.viewManager.CreateContainerView(content.rootFolder, list(wanted), True)
    traversal = PC.TraversalSpec(name='view', path='view', skip=False, type=vim.view.ContainerView)
    objects = [PC.ObjectSpec(obj=view, skip=True, selectSet=[traversal])]
    properties = [PC.PropertySpec(type=kind, pathSet=paths, all=False) for kind, paths in wanted.items()]
    page = collector.RetrievePropertiesEx([PC.FilterSpec(objectSet=objects, propSet=properties)], PC.RetrieveOptions(maxObjects=250))
    found = {}
    while page:
        for it in page.objects: found[it.obj._moId] = {prop.name: prop.val for prop in it.propSet}
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    view.Destroy()
    assert len(found) > 2200, len(found)
    print(time.time() - begun)
Disconnect(si)
";

/// All measurements.
pub fn measure(table: &mut Table, place: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    if !root.join("vcsim").exists() {
        println!("no vSphere is measured: `make prepare` builds vcsim and installs pyVmomi");
        return;
    }
    std::fs::create_dir_all(place).expect("a directory");
    println!("a vCenter with {} machines and {DATASTORES} datastores …", 2 * MACHINES);
    let server = Vcsim::start(&root.join("vcsim"), place);
    let mut source = source(&server.url);
    let mut looks = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let seen = source.look(SystemClock.now());
        looks.push(begun.elapsed());
        let book = seen.estate.esxi.expect("it tells").expect("it can be looked at");
        assert_eq!((book.vms.len(), book.datastores.len()), (2 * MACHINES, DATASTORES));
    }
    let address = server.url.trim_start_matches("http://");
    let mut python = Command::new(root.join("python/bin/python"));
    let output = python.args(["-c", SCRIPT, address, PASSWORD, &RUNS.to_string()]).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let theirs: Vec<Duration> =
        text.lines().map(|it| Duration::from_secs_f64(it.parse().unwrap_or_default())).collect();
    let what = format!("a look at {} machines and {DATASTORES} datastores", 2 * MACHINES);
    let tool = "pyVmomi, the same properties";
    table.ratio(&what, median(looks), tool, median(theirs), Goal::AtMost(1.0));
}

fn source(url: &str) -> EstateSource {
    let spec = SourceSpec {
        name: "bench".parse().expect("a name"),
        kind: SourceKind::new("esxi"),
        places: vec![PlaceSpec { path: url.into(), medium: Medium::Local, node: None, readable: true }],
        expected: Vec::new(),
        exclude: Matcher::default(),
        scan_interval: Duration::from_secs(120),
        scan_timeout: Duration::from_secs(120),
    };
    let server = Server { url: url.parse().expect("an address"), trust: Trust::Machine };
    let account = Account { user: "firedrill".to_owned(), password: Secret::from(PASSWORD.to_owned()) };
    EstateSource::new(Arc::new(spec), &server, account).expect("a source")
}

/// A simulated vCenter without TLS, so that none of both is measured with it.
struct Vcsim {
    process: Child,
    url: String,
}

impl Vcsim {
    fn start(program: &Path, place: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(program);
        command.args(["-vpx", "-listen", &address, "-password", PASSWORD]);
        command.args(["-vm", &MACHINES.to_string(), "-ds", &DATASTORES.to_string()]);
        // Its datastores are directories there.
        command.env("TMPDIR", place).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("vcsim");
        let said = BufReader::new(process.stderr.take().expect("its words"));
        assert!(said.lines().map_while(Result::ok).any(|line| line.contains("listening at")), "vcsim doesn't listen");
        Self { process, url: format!("http://{address}") }
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
