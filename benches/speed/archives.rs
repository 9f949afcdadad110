//! Reading whole archives, against the tools that decompress them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use firedrill::formats::vma::{Builder, Disk};
use walkdir::WalkDir;

use crate::median;
use crate::table::{Goal, Table};

/// Times that each tool is measured.
const RUNS: usize = 5;

/// Size of the disk in the archive.
pub const DISK: u64 = 1536 << 20;

/// What of it is filled with files of this machine.
const FILLED: u64 = 1250 << 20;

/// Archives for the measurement of several at once.
const MANY: usize = 8;

/// Runs a pipeline that makes a file.
pub fn make(script: &str, place: &Path) {
    let status = Command::new("bash").args(["-ec", script]).current_dir(place).status().expect("bash");
    assert!(status.success(), "{script}");
}

/// Writes the archives: an ext4 file system filled from `/usr`, as VMA with each compressor; the same files as a container.
pub fn write(place: &Path) {
    fill(&place.join("root"));
    make(
        "mkdir -p root/etc/vzdump && printf 'arch: amd64\\nhostname: bench\\nrootfs: local:1,size=2G\\n' > root/etc/vzdump/pct.conf",
        place,
    );
    make(&format!("mke2fs -q -t ext4 -d root disk.img {}k", DISK >> 10), place);
    let mut disk = std::fs::File::open(place.join("disk.img")).expect("the disk");
    let config = "name: bench\nscsi0: local:vm-100-disk-0,size=1536M\n#qmdump#map:scsi0:drive-scsi0:local:raw:\n";
    let configs = vec![("qemu-server.conf".to_owned(), config.as_bytes().to_vec())];
    let builder = Builder { uuid: [7; 16], created: 1_700_000_000, configs };
    let mut out = std::io::BufWriter::new(std::fs::File::create(place.join("b.vma")).expect("the archive"));
    let disk = Disk { name: "drive-scsi0", size: DISK, content: &mut disk };
    builder.write(&mut [disk], &mut out).and_then(|()| out.flush()).expect("writing the archive");
    // As vzdump does it: from a pipe.
    make("rm disk.img; zstd -q < b.vma > b.vma.zst; lzop < b.vma > b.vma.lzo; pigz < b.vma > b.vma.gz", place);
    make(
        "tar -C root -cpf - --sparse --numeric-owner ./etc/vzdump/pct.conf ./ | zstd -q > b.tar.zst; mv b.tar.zst vzdump-lxc-100-2026_01_01-00_00_00.tar.zst; rm -r root",
        place,
    );
    make(&format!("mkdir many; for i in $(seq {MANY}); do ln b.vma.zst many/$i.vma.zst; done"), place);
}

/// Links or copies files of `/usr` until there are enough.
pub fn fill(root: &Path) {
    let mut filled = 0;
    for entry in WalkDir::new("/usr").sort_by_file_name().into_iter().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || filled + metadata.len() > FILLED {
            continue;
        }
        let target = root.join(entry.path().strip_prefix("/").expect("an absolute path"));
        std::fs::create_dir_all(target.parent().expect("a parent")).expect("a directory");
        if std::fs::copy(entry.path(), &target).is_ok() {
            filled += metadata.len();
        }
    }
}

/// How long a program ran, and the most memory that it held, in MiB.
pub fn run(program: &str, arguments: &[&str], place: &Path) -> (Duration, f64) {
    let (took, memory, well) = watched(program, arguments, place);
    assert!(well, "{program} {arguments:?}");
    (took, memory)
}

/// The same of one that may end with another code than 0, and whether it did not.
pub fn watched(program: &str, arguments: &[&str], place: &Path) -> (Duration, f64, bool) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut most = 0.0_f64;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let Some(line) = text.lines().find(|line| line.starts_with("VmHWM")) else { break };
            let kib = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
            most = most.max(kib / 1024.0);
            std::thread::sleep(Duration::from_millis(20));
        }
        most
    });
    let ended = child.wait().expect("its end");
    let took = begun.elapsed();
    (took, watch.join().expect("the watch"), ended.success())
}

/// Median times of ours and theirs, one after the other so that both meet the same machine; and our memory.
pub fn against(place: &Path, ours: &[&str], theirs: &[&[&str]]) -> (Duration, f64, Vec<Duration>) {
    let (mut own, mut others, mut memory) = (Vec::new(), vec![Vec::new(); theirs.len()], 0.0_f64);
    for _ in 0..RUNS {
        let (took, most) = run(env!("CARGO_BIN_EXE_firedrill"), ours, place);
        own.push(took);
        memory = memory.max(most);
        for (times, command) in others.iter_mut().zip(theirs) {
            times.push(run(command[0], &command[1..], place).0);
        }
    }
    (median(own), memory, others.into_iter().map(median).collect())
}

/// All measurements.
pub fn measure(table: &mut Table, place: &Path) {
    std::fs::create_dir_all(place).expect("a directory");
    println!("writing archives of a disk of 1.5 GiB …");
    write(place);
    let bash = |script: &'static str| vec!["bash", "-c", script];
    type Peer = (Vec<&'static str>, &'static str, Goal);
    let cases: [(&str, &str, Vec<Peer>); 4] = [
        (
            ".vma.zst",
            "b.vma.zst",
            vec![
                (vec!["zstd", "-q", "-t", "b.vma.zst"], "zstd -t", Goal::AtMost(1.05)),
                (bash("zstd -q -dc b.vma.zst | cat > /dev/null"), "zstd -dc into cat", Goal::AtMost(1.0)),
            ],
        ),
        (
            ".vma.gz",
            "b.vma.gz",
            vec![
                (vec!["gzip", "-t", "b.vma.gz"], "gzip -t", Goal::AtMost(0.5)),
                (vec!["pigz", "-t", "b.vma.gz"], "pigz -t", Goal::AtMost(1.0)),
            ],
        ),
        (".vma.lzo", "b.vma.lzo", vec![(vec!["lzop", "-t", "b.vma.lzo"], "lzop -t", Goal::AtMost(1.0))]),
        (
            ".tar.zst of a container",
            "vzdump-lxc-100-2026_01_01-00_00_00.tar.zst",
            vec![(
                vec!["zstd", "-q", "-t", "vzdump-lxc-100-2026_01_01-00_00_00.tar.zst"],
                "zstd -t",
                Goal::AtMost(1.1),
            )],
        ),
    ];
    let mut most = 0.0_f64;
    let mut single = Duration::ZERO;
    for (what, file, peers) in cases {
        let commands: Vec<&[&str]> = peers.iter().map(|(command, ..)| command.as_slice()).collect();
        let (ours, memory, theirs) = against(place, &["verify", "--json", file], &commands);
        most = most.max(memory);
        if file == "b.vma.zst" {
            single = ours;
        }
        for ((_, name, goal), theirs) in peers.iter().zip(theirs) {
            table.ratio(&format!("verify a {what}, whole process"), ours, name, theirs, *goal);
        }
    }
    let plain = std::fs::metadata(place.join("b.vma")).expect("the archive").len();
    let (ours, memory, _) = against(place, &["verify", "--json", "b.vma"], &[]);
    let goal = Goal::AtMost(plain as f64 / 1.5e9 * 1e3);
    table.time(&format!("verify a plain .vma, {:.2} GB/s", plain as f64 / ours.as_secs_f64() / 1e9), ours, goal);
    let (many, both, _) = against(place, &["verify", "--json", "--jobs", "2", "many"], &[]);
    let throughput = single.as_secs_f64() * MANY as f64 / many.as_secs_f64();
    table.factor(&format!("{MANY} archives with --jobs 2 on 2 cores, throughput against one"), many, throughput, 1.8);
    table.memory("most memory of verify, one worker", most.max(memory), 48.0);
    table.memory("most memory of verify, two workers", both, 96.0);
}
