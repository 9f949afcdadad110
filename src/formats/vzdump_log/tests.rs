use proptest::prelude::*;

use super::*;

const GOOD: &str = "\
2024-01-31 02:00:05 INFO: Starting Backup of VM 100 (qemu)
2024-01-31 02:00:05 INFO: status = running
2024-01-31 02:00:05 INFO: VM Name: web
2024-01-31 02:00:05 INFO: include disk 'scsi0' 'local-lvm:vm-100-disk-0' 32G
2024-01-31 02:00:08 INFO:   3% (1.0 GiB of 32.0 GiB) in 3s, read: 349.5 MiB/s, write: 120.3 MiB/s
2024-01-31 02:01:07 INFO: archive file size: 5.43GB
2024-01-31 02:01:07 INFO: Finished Backup of VM 100 (00:01:02)
";

#[test]
fn a_good_run() {
    let log = parse(GOOD.as_bytes(), 100);
    assert_eq!(log.end, LogEnd::Finished(Duration::from_secs(62)));
    assert_eq!(log.guest_name.as_deref(), Some("web"));
    assert_eq!(log.archive_size.unwrap().at_least, ((5.43 - 0.005) * 1024f64.powi(3)) as u64);
    assert_eq!((log.complaint_count, &*log.complaints, &*log.left_out), (0, &[][..], &[][..]));
}

#[test]
fn a_failure_with_a_reason_of_several_lines() {
    let text = "\
2024-01-31 02:00:05 INFO: CT Name: dns
2024-01-31 02:00:09 ERROR: Backup of VM 200 failed - command 'tar' failed:
2024-01-31 02:00:09 ERROR: tar: No space left on device
";
    let log = parse(text.as_bytes(), 200);
    let LogEnd::Failed(reason) = log.end else { panic!("{log:?}") };
    assert_eq!(&*reason, "command 'tar' failed: tar: No space left on device");
    assert_eq!(log.guest_name.as_deref(), Some("dns"));
}

#[test]
fn a_freeze_that_failed_is_a_complaint() {
    let text =
        format!("2024-01-31 02:00:06 ERROR: VM 100 qmp command 'guest-fsfreeze-freeze' failed - got timeout\n{GOOD}");
    let log = parse(text.as_bytes(), 100);
    assert!(matches!(log.end, LogEnd::Finished(_)));
    assert_eq!((log.complaint_count, log.complaints[0].error), (1, true));
    assert!(log.complaints[0].text.contains("fsfreeze"));
}

#[test]
fn another_guests_log_says_nothing_of_this_one() {
    assert_eq!(parse(GOOD.as_bytes(), 1).end, LogEnd::Open);
    assert_eq!(parse(GOOD.as_bytes(), 1000).end, LogEnd::Open);
}

#[test]
fn hours_may_exceed_99_and_junk_is_no_end() {
    let of = |text: &str| parse(format!("2024-01-31 02:00:05 {text}\n").as_bytes(), 100).end;
    assert_eq!(of("INFO: Finished Backup of VM 100 (123:00:01)"), LogEnd::Finished(Duration::from_secs(442_801)));
    for junk in [
        "INFO: Finished Backup of VM 100",
        "INFO: Finished Backup of VM 100 (1:2)",
        "INFO: Finished Backup of VM 100 (1:2:3:4)",
        "INFO: Finished Backup of VM 100 (-1:00:00)",
        "INFO: Finished Backup of VM 100 (99999999999999999999:00:00)",
        "INFO: xFinished Backup of VM 100 (00:00:01)",
    ] {
        assert_eq!(of(junk), LogEnd::Open, "{junk}");
    }
    assert_eq!(of("DEBUG: Finished Backup of VM 100 (00:00:01)"), LogEnd::Foreign);
    assert_eq!(parse(b"Finished Backup of VM 100 (00:00:01)", 100).end, LogEnd::Foreign, "without a time stamp");
}

#[test]
fn sizes_as_printed() {
    let of = |text: &str| logged_size(text.as_bytes()).map(|size| size.at_least);
    assert_eq!(of("0KB"), Some(0));
    assert_eq!(of("17KB"), Some(17 << 10));
    assert_eq!(of("5MB"), Some(5 << 20));
    assert_eq!(of("1.00GB"), Some((0.995 * (1u64 << 30) as f64) as u64));
    for junk in ["", "B", "GB", "5", "5XB", "-5MB", "infGB", "NaNGB", "1e300TB", "\u{20ac}"] {
        assert_eq!(of(junk), None, "{junk}");
    }
}

#[test]
fn one_line_of_a_megabyte_and_binary_rubbish_are_read_through() {
    let mut text = vec![b'x'; 1 << 20];
    text.push(b'\n');
    text.extend_from_slice(&[0, 159, 146, 150, b'\n']);
    text.extend_from_slice(GOOD.as_bytes());
    assert!(matches!(parse(&text, 100).end, LogEnd::Finished(_)));
    let mut reason = b"2024-01-31 02:00:05 ERROR: Backup of VM 100 failed - ".to_vec();
    reason.extend(std::iter::repeat_n(b'y', 1 << 20));
    let LogEnd::Failed(reason) = parse(&reason, 100).end else { panic!() };
    assert!(reason.len() <= MAX_REASON + 4);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
        parse(&text, 100);
    }

    #[test]
    fn any_lines_after_a_stamp_are_read_without_panic(lines in proptest::collection::vec("(INFO|WARN|ERROR): (Finished Backup of VM |Backup of VM |archive file size: |VM Name: )?.{0,40}", 0..20)) {
        let text: String = lines.iter().map(|line| format!("2024-01-31 02:00:05 {line}\n")).collect();
        parse(text.as_bytes(), 100);
    }

    /// A log cut anywhere before its last line never reads as finished.
    #[test]
    fn a_cut_log_is_not_finished(cut in 0..GOOD.len() - 2) {
        let end = parse(&GOOD.as_bytes()[..cut], 100).end;
        prop_assert!(matches!(end, LogEnd::Open | LogEnd::Foreign), "{:?}", end);
    }
}

/// What `perl -MPOSIX -e 'print strftime("%b %d %H:%M:%S", …)'` prints for a day of each month, as vzdump did before
/// Proxmox VE 5.1; then some names of months in other languages.
const MONTHS: [&str; 22] = [
    "Jan 01",
    "Feb 05",
    "Mar 09",
    "Apr 13",
    "May 17",
    "Jun 21",
    "Jul 25",
    "Aug 29",
    "Sep 30",
    "Oct 31",
    "Nov 25",
    "Dec 31",
    "M\u{e4}r 09",
    "Mai 17",
    "Okt 31",
    "Dez 31",
    "f\u{e9}vr. 05",
    "ao\u{fb}t 29",
    "11\u{6708} 25",
    "\u{43d}\u{43e}\u{44f} 25",
    "Jan  1",
    "Jan 1",
];

#[test]
fn logs_of_before_have_the_month_as_a_word() {
    let old = |stamp: &str| GOOD.replace("2024-01-31", stamp);
    for stamp in MONTHS {
        assert_eq!(parse(old(stamp).as_bytes(), 100), parse(GOOD.as_bytes(), 100), "{stamp}");
    }
    // Both forms in one log, and a run over the end of a year.
    let mixed = "Dec 31 23:59:58 INFO: VM Name: erp\nJan 01 00:00:03 INFO: archive file size: 17KB\n\
        2018-01-01 00:00:05 ERROR: Backup of VM 112 failed - no space\nJan 01 00:00:05 ERROR: left\n";
    let log = parse(mixed.as_bytes(), 112);
    assert_eq!(log.end, LogEnd::Failed("no space left".into()));
    assert_eq!((log.guest_name.as_deref(), log.archive_size.unwrap().at_least), (Some("erp"), 17 << 10));
    for junk in ["Nov 25 01:02 INFO: VM Name: x", "Nov 111 01:02:03 INFO: VM Name: x", "25 01:02:03 INFO: VM Name: x"] {
        assert_eq!(parse(junk.as_bytes(), 100), RunLog { end: LogEnd::Foreign, ..RunLog::default() }, "{junk}");
    }
}

#[test]
fn a_log_of_another_program_is_not_an_interrupted_one() {
    for text in ["", "\n\n", "INFO: starting new backup job\nTASK OK\n", "<html>404</html>", "\u{0}\u{1}"] {
        assert_eq!(parse(text.as_bytes(), 100).end, LogEnd::Foreign, "{text:?}");
    }
    let mostly = format!("rubbish\n\n{}", &GOOD[..60]);
    assert_eq!(parse(mostly.as_bytes(), 100).end, LogEnd::Open, "one line is enough");
}

#[test]
fn all_complaints_are_kept_within_bounds_and_an_error_always() {
    let mut text = String::new();
    for number in 0..100 {
        text.push_str(&format!("2024-01-31 02:00:06 WARN: warning {number}\n"));
    }
    text.push_str("2024-01-31 02:00:07 ERROR: the worst\n");
    text.push_str(GOOD);
    let log = parse(text.as_bytes(), 100);
    assert_eq!((log.complaint_count, log.complaints.len()), (101, MAX_COMPLAINTS));
    assert_eq!((&*log.complaints[0].text, &*log.complaints[18].text), ("warning 0", "warning 18"));
    assert_eq!((&*log.complaints[19].text, log.complaints[19].error), ("the worst", true));
}

#[test]
fn volumes_that_were_left_out() {
    let of = |text: &str| {
        let log = parse(format!("Nov 25 01:20:46 INFO: {text}\n").as_bytes(), 100);
        log.left_out.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        of("excluding volume mount point mp0 ('/var/lib/etcd') from backup (disabled)"),
        ["mp0 (/var/lib/etcd)"]
    );
    assert_eq!(of("exclude disk 'scsi1' 'local-lvm:vm-100-disk-1' (backup=no)"), ["scsi1 (local-lvm:vm-100-disk-1)"]);
    assert_eq!(of("exclude disk 'virtio1' (backup=no)"), ["virtio1"]);
    for none in [
        "excluding bind mount point mp1 ('/shared') from backup (not a volume)",
        "excluding device mount point mp2 ('/d') from backup (not a volume)",
        "including mount point rootfs ('/') in backup",
        "skip unused drive 'local-lvm:vm-100-disk-9' (not included into backup)",
        "exclude disk",
        "exclude disk 'efidisk0' 'local-lvm:vm-100-disk-0' (efidisk but no OMVF BIOS)",
        "excluding volume mount point mp0",
        "exclude disk 'scsi1",
    ] {
        assert_eq!(of(none), [""; 0], "{none}");
    }
    let many: String =
        (0..1000).map(|n| format!("2026-11-25 01:20:46 INFO: exclude disk 'scsi{n}' 'x' (backup=no)\n")).collect();
    assert_eq!(parse(many.as_bytes(), 100).left_out.len(), MAX_LEFT_OUT);
}

#[test]
fn logs_of_operators() {
    let of = |name: &str, vmid| {
        let path = format!("{}/tests/fixtures/vzdump/{name}.log", env!("CARGO_MANIFEST_DIR"));
        parse(&std::fs::read(path).unwrap(), vmid)
    };
    let cut = of("old-log/vzdump-qemu-112-2026_11_25-00_01_53", 112);
    assert_eq!((cut.guest_name.as_deref(), cut.end), (Some("erp"), LogEnd::Finished(Duration::from_secs(7))));
    assert!(cut.archive_size.unwrap().at_least > 4 << 30);
    let failed = of("old-log/vzdump-qemu-113-2026_11_25-01_01_53", 113);
    assert_eq!(failed.end, LogEnd::Failed("no such volume 'local-lvm:vm-113-disk-1'".into()));
    let container = of("vzdump-lxc-155-2026_11_25-01_20_46", 155);
    assert_eq!(container.left_out.iter().map(ToString::to_string).collect::<Vec<_>>(), ["mp0 (/var/lib/etcd)"]);
    assert_eq!((container.end, container.complaint_count), (LogEnd::Finished(Duration::from_secs(3)), 0));
}
