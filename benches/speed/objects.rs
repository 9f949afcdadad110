//! Buckets: listing a hundred thousand versions, restoring a state, reading an archive out of one, against what one would use
//! instead. SeaweedFS, boto3 and rclone are those of `make prepare`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::archives::{self, run, watched};
use crate::http::free_address;
use crate::median;
use crate::table::{Goal, Table};

/// Keys, each with a page of versions.
const KEYS: usize = 100;

/// Versions of a page.
const PAGE: usize = 1000;

/// Times that each is measured.
const RUNS: usize = 3;

const ACCESS: &str = "bench";
const SECRET: &str = "a-secret-of-the-bench";

fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin").join(name)
}

/// All measurements.
pub fn measure(table: &mut Table, place: &Path, archives: &Path) {
    if !tool("rclone").exists() {
        println!("no buckets are measured: `make prepare` installs SeaweedFS, boto3 and rclone");
        return;
    }
    std::fs::create_dir_all(place).expect("a directory");
    listing(table, place);
    let server = Weed::start(&place.join("weed"));
    restoring(table, place, &server);
    if !archives.join("b.vma.zst").exists() {
        std::fs::create_dir_all(archives).expect("a directory");
        println!("writing archives of a disk of 1.5 GiB …");
        archives::write(archives);
    }
    streaming(table, place, archives, &server);
}

/// Runs a script with a client `s3`; the seconds that it prints.
fn boto(url: &str, script: &str) -> Duration {
    let head = format!(
        "import boto3, json, time\nfrom botocore.config import Config\n\
         s3 = boto3.client('s3', endpoint_url='{url}', aws_access_key_id='{ACCESS}', aws_secret_access_key='{SECRET}', \
         region_name='us-east-1', config=Config(s3={{'addressing_style': 'path'}}))\n"
    );
    let output = Command::new(tool("python")).arg("-c").arg(head + script).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(text.trim().parse().unwrap_or_default())
}

fn configuration(place: &Path, url: &str, rest: &str) -> String {
    let file = place.join("firedrill.toml");
    let text = format!(
        "[store]\nurl = \"sqlite://{}/firedrill.db\"\n[[s3]]\nname = \"bench\"\nendpoint = \"{url}\"\n\
         access_key = \"{ACCESS}\"\nsecret_key = \"{SECRET}\"\n{rest}",
        place.display()
    );
    std::fs::write(&file, text).expect("the configuration");
    file.to_str().expect("UTF-8").to_owned()
}

fn ours(arguments: &[&str], place: &Path) -> (Duration, f64) {
    run(env!("CARGO_BIN_EXE_firedrill"), arguments, place)
}

/// Both ask a server that does nothing but hand out pages.
fn listing(table: &mut Table, place: &Path) {
    println!("listing {} versions …", KEYS * PAGE);
    let url = pages();
    let config = configuration(place, &url, "states = [{ bucket = \"tfstate\" }]\n");
    let script = "begun = time.time(); count = 0\n\
        for page in s3.get_paginator('list_object_versions').paginate(Bucket='tfstate'): count += len(page['Versions'])\n\
        assert count == 100000, count\nprint(time.time() - begun)\n";
    let (mut own, mut others, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..RUNS {
        // All of the program, with judging what it found: nothing was read of them, so it doesn't say that all is well.
        let (took, most, _) =
            watched(env!("CARGO_BIN_EXE_firedrill"), &["scan", "--json", "--config.file", &config], place);
        own.push(took);
        memory = memory.max(most);
        others.push(boto(&url, script));
    }
    table.ratio(
        "100,000 versions listed and judged",
        median(own),
        "boto3's paginator",
        median(others),
        Goal::AtMost(1.1),
    );
    table.memory("memory of that", memory, 100.0);
}

/// A server that hands out pages of versions.
fn pages() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let all: Vec<String> = (0..KEYS).map(page).collect();
    let all: &'static [String] = all.leak();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream, all));
        }
    });
    url
}

fn page(at: usize) -> String {
    let more = at + 1 < KEYS;
    let mut text = format!(
        "<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>tfstate</Name><MaxKeys>{PAGE}</MaxKeys>\
         <IsTruncated>{more}</IsTruncated><NextKeyMarker>k{at:03}.tfstate</NextKeyMarker><NextVersionIdMarker>v{at:03}</NextVersionIdMarker>"
    );
    for version in 0..PAGE {
        text.push_str(&format!(
            "<Version><Key>k{at:03}.tfstate</Key><VersionId>{at:03}-{version:04}-0f1e2d3c4b5a</VersionId><IsLatest>{}</IsLatest>\
             <LastModified>2026-10-01T{:02}:{:02}:00.000Z</LastModified><ETag>&quot;{at:016x}{version:016x}&quot;</ETag><Size>{}</Size>\
             <StorageClass>STANDARD</StorageClass></Version>",
            version == 0,
            23 - version / 60,
            59 - version % 60,
            4000 + version
        ));
    }
    text + "</ListVersionsResult>"
}

fn answer(stream: TcpStream, pages: &[String]) {
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or_default() == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or_default() == 0 || line.trim().is_empty() {
                break;
            }
        }
        let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        let (status, body) = if first.contains("versioning") {
            (200, versioning)
        } else if first.contains("versions") {
            let marker = first.split("key-marker=k").nth(1).and_then(|rest| rest.get(..3)?.parse::<usize>().ok());
            (200, &*pages[marker.map_or(0, |at| at + 1)])
        } else {
            (404, "<Error><Code>ObjectLockConfigurationNotFoundError</Code></Error>")
        };
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n", body.len());
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(body.as_bytes())).is_err() {
            return;
        }
    }
}

/// A state of 50 MB, against a copy of the object and a read of it.
fn restoring(table: &mut Table, place: &Path, server: &Weed) {
    println!("restoring a state of 50 MB …");
    let url = &server.url;
    let config = configuration(place, url, "states = [{ bucket = \"tfstate\" }]\n");
    let spoil = "s3.put_object(Bucket='tfstate', Key='prod.tfstate', Body='broken')\n";
    boto(
        url,
        &format!(
            "s3.create_bucket(Bucket='tfstate')\n\
             s3.put_bucket_versioning(Bucket='tfstate', VersioningConfiguration={{'Status': 'Enabled'}})\n\
             one = lambda n: {{'mode': 'managed', 'type': 'vm', 'name': f'r{{n}}', 'instances': [{{'attributes': {{'id': str(n), 'text': 'x' * 400}}}}]}}\n\
             state = {{'version': 4, 'terraform_version': '1.15.5', 'serial': 7, 'lineage': 'a', 'outputs': {{}}, 'resources': [one(n) for n in range(100000)]}}\n\
             s3.put_object(Bucket='tfstate', Key='prod.tfstate', Body=json.dumps(state))\n{spoil}"
        ),
    );
    let by_hand = "import sys\nversions = s3.list_object_versions(Bucket='tfstate', Prefix='prod.tfstate')['Versions']\n\
        large = [it for it in versions if it['Key'] == 'prod.tfstate' and it['Size'] > 10**7][-1]\n\
        begun = time.time()\n\
        s3.copy_object(Bucket='tfstate', Key='prod.tfstate', CopySource={'Bucket': 'tfstate', 'Key': 'prod.tfstate', 'VersionId': large['VersionId']})\n\
        s3.get_object(Bucket='tfstate', Key='prod.tfstate')['Body'].read()\nprint(time.time() - begun)\n";
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        own.push(ours(&["state", "restore", "--env", "prod", "--yes", "--config.file", &config], place).0);
        boto(url, spoil);
        others.push(boto(url, by_hand));
        boto(url, spoil);
    }
    table.ratio(
        "a state of 50 MB restored: found, judged, locked, kept aside, written, compared",
        median(own.clone()),
        "copy_object and get_object",
        median(others),
        Goal::AtMost(2.0),
    );
    table.time("the same by the clock", median(own), Goal::AtMost(10_000.0));
}

/// An archive out of a bucket, without a copy of it on a disk.
fn streaming(table: &mut Table, place: &Path, archives: &Path, server: &Weed) {
    println!("an archive of 1.5 GiB out of a bucket …");
    let url = &server.url;
    let remote = format!(
        "'{}' --config /dev/null --s3-provider SeaweedFS --s3-region us-east-1 --s3-endpoint {url} --s3-access-key-id {ACCESS} \
         --s3-secret-access-key {SECRET}",
        tool("rclone").display()
    );
    let name = "vzdump-qemu-100-2026_01_01-00_00_00.vma.zst";
    boto(url, "s3.create_bucket(Bucket='backups')\n");
    archives::make(&format!("{remote} copyto b.vma.zst :s3:backups/dump/{name}"), archives);
    let roots = "[[vzdump]]\nname = \"pve\"\nroots = [{ path = \"s3://backups/dump\", server = \"bench\" }]\n[verify]\nnice = 0\nidle_io = false\n";
    let config = configuration(place, url, roots);
    let theirs = format!("{remote} cat :s3:backups/dump/{name} | zstd -q -t");
    let (mut own, mut others, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..RUNS {
        let (took, most) = ours(&["verify", "--json", "--config.file", &config, "--source", "pve"], place);
        own.push(took);
        memory = memory.max(most);
        others.push(run("bash", &["-c", &theirs], place).0);
    }
    let (own, others) = (median(own), median(others));
    table.ratio(
        "verify .vma.zst of 1.5 GiB out of a bucket",
        own,
        "rclone cat into zstd -t",
        others,
        Goal::AtMost(1.15),
    );
    table.memory("memory of that", memory, 256.0);
}

/// SeaweedFS.
struct Weed {
    process: Child,
    url: String,
}

impl Weed {
    fn start(place: &Path) -> Self {
        std::fs::create_dir_all(place).expect("a directory");
        let identity = format!(
            "{{\"identities\": [{{\"name\": \"admin\", \"credentials\": [{{\"accessKey\": \"{ACCESS}\", \"secretKey\": \"{SECRET}\"}}], \"actions\": [\"Admin\", \"Read\", \"List\", \"Write\"]}}]}}"
        );
        let config = place.join("s3.json");
        std::fs::write(&config, identity).expect("its keys");
        let port = || free_address().rsplit_once(':').expect("a port").1.to_owned();
        let s3 = port();
        let mut command = Command::new(tool("weed"));
        command.arg("server").arg(format!("-dir={}", place.display()));
        command.args([
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-filer",
            "-s3",
            "-volume.max=100",
        ]);
        for (name, port) in [("master", port()), ("volume", port()), ("filer", port()), ("s3", s3.clone())] {
            command.arg(format!("-{name}.port={port}"));
        }
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=1024"]);
        command.arg(format!("-s3.config={}", config.display()));
        for (name, socket) in [("filer", "f.sock"), ("s3", "s.sock")] {
            command.arg(format!("-{name}.localSocket={}", place.join(socket).display()));
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("weed");
        let (it, address) = (Self { process, url: format!("http://127.0.0.1:{s3}") }, format!("127.0.0.1:{s3}"));
        crate::http::wait("SeaweedFS answers", || TcpStream::connect(&address).is_ok());
        // It takes connections before it can do anything.
        std::thread::sleep(Duration::from_secs(5));
        it
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        // It ends by nothing else while its own parts wait for each other.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
