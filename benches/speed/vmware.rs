//! Exports of ESXi, against the tools that restore a disk and sum a package.

use std::path::Path;

use crate::archives::{DISK, against, fill, make};
use crate::table::{Goal, Table};

/// The description of a machine with that disk.
fn description() -> String {
    format!(
        "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\"><References><File id=\"f\" href=\"b.vmdk\"/></References><DiskSection><Disk diskId=\"d\" fileRef=\"f\" capacity=\"{DISK}\"/></DiskSection><VirtualSystem id=\"bench\"/></Envelope>"
    )
}

/// All measurements.
pub fn measure(table: &mut Table, place: &Path) {
    std::fs::create_dir_all(place).expect("a directory");
    println!("writing a stream-optimised disk of 1.5 GiB and a package of it …");
    fill(&place.join("root"));
    make(&format!("mke2fs -q -t ext4 -d root disk.img {}k; rm -r root", DISK >> 10), place);
    make("qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk.img b.vmdk; rm disk.img", place);
    std::fs::write(place.join("b.ovf"), description()).expect("a description");
    make("for f in b.ovf b.vmdk; do echo \"SHA256($f)= $(sha256sum < $f | cut -d' ' -f1)\"; done > b.mf", place);
    make("tar --format=ustar -cf b.ova b.ovf b.mf b.vmdk", place);
    let target = format!("driver=null-co,size={DISK}");
    let convert = ["qemu-img", "convert", "-n", "-f", "vmdk", "b.vmdk", "--target-image-opts", &target];
    let (ours, memory, theirs) = against(place, &["verify", "--json", "b.vmdk"], &[&convert]);
    let what = "verify a stream-optimised .vmdk, whole process";
    table.ratio(what, ours, "qemu-img convert to null", theirs[0], Goal::AtMost(0.5));
    table.memory("most memory of verify of a .vmdk", memory, 48.0);
    let (ours, memory, theirs) = against(place, &["verify", "--json", "b.ova"], &[&["sha256sum", "b.ova"], &convert]);
    let what = "verify an .ova with SHA-256, every grain inflated";
    table.ratio(what, ours, "sha256sum, nothing inflated", theirs[0], Goal::AtMost(1.05));
    table.ratio(what, ours, "qemu-img convert to null, nothing summed", theirs[1], Goal::AtMost(1.0));
    table.memory("most memory of verify of an .ova", memory, 48.0);
}
