use super::*;

fn open(directory: &Path, file: &str) -> io::Result<Box<dyn OpenArchive>> {
    let root = directory.to_str().unwrap().into();
    ArchiveFiles.open(&ArchiveId { source: "s".parse().unwrap(), root, file: file.into() })
}

fn read(directory: &Path, file: &str) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(directory, file)?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn what_the_kernel_makes_up_is_not_read() {
    for file in ["version", "self/status", "kmsg"] {
        let error = read(Path::new("/proc"), file).err().map(|error| error.to_string()).unwrap_or_default();
        // `kmsg` may be forbidden, or missing in a container.
        let known = ["made by the kernel", "ermission", "permitted", "No such file", "not a regular file"];
        assert!(known.iter().any(|text| error.contains(text)), "{file}: {error}");
    }
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("a"), "abc").unwrap();
    std::fs::write(place.path().join("empty"), "").unwrap();
    assert_eq!((read(place.path(), "a").unwrap(), read(place.path(), "empty").unwrap()), (b"abc".to_vec(), Vec::new()));
}

#[test]
fn a_file_that_ends_before_its_size_was_not_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    std::fs::write(&path, "abc").unwrap();
    let mut file = open(place.path(), "a").unwrap();
    std::fs::write(&path, "a").unwrap();
    assert!(file.read_to_end(&mut Vec::new()).unwrap_err().to_string().contains("after 1 of 3 bytes"));
    std::fs::write(&path, "").unwrap();
    let mut file = open(place.path(), "a").unwrap();
    std::fs::write(&path, "abc").unwrap();
    assert!(file.read_to_end(&mut Vec::new()).unwrap_err().to_string().contains("behind its size of 0 bytes"));
}

#[test]
fn a_changed_mode_or_link_is_no_change_of_what_was_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    std::fs::write(&path, "abc").unwrap();
    let mut file = open(place.path(), "a").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::hard_link(&path, place.path().join("b")).unwrap();
    assert!(file.unchanged().unwrap());
    let before = file.facts();
    let touched = open(place.path(), "a").unwrap().facts();
    assert!(touched.is_touched(before) && touched.same_write(before) && !before.is_touched(before));
    std::fs::write(&path, "abcd").unwrap();
    assert!(!file.unchanged().unwrap());
}

#[test]
fn checksum_files_of_all_names_and_of_a_links_target() {
    let place = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    ["a", "c"].iter().for_each(|name| put(name, "x"));
    put("a.sha256sum", "one");
    put("a.md5", "two");
    std::os::unix::fs::symlink("a", place.path().join("b")).unwrap();
    let all = |name: &str| {
        let mut file = open(place.path(), name).unwrap();
        let first = file.sidecar().unwrap().map(|(kind, text)| (kind, String::from_utf8(text).unwrap()));
        let further = file.further_sidecars().unwrap().into_iter().map(|it| (it.of, it.kind)).collect::<Vec<_>>();
        (first, further)
    };
    assert_eq!(all("c"), (None, vec![]));
    assert_eq!(all("a"), (Some((Sidecar::Sha256, "one".into())), vec![("a".into(), Sidecar::Md5)]));
    let of_target = [("a".to_owned(), Sidecar::Sha256), ("a".to_owned(), Sidecar::Md5)];
    assert_eq!(all("b"), (None, of_target.to_vec()));
    // What can't be read as one is there all the same, and says nothing.
    std::fs::create_dir(place.path().join("c.sha256")).unwrap();
    std::os::unix::fs::symlink("a.md5", place.path().join("c.md5")).unwrap();
    assert_eq!(all("c"), (Some((Sidecar::Sha256, String::new())), vec![("c".into(), Sidecar::Md5)]));
    put("b.md5sum", "own");
    assert_eq!(all("b"), (Some((Sidecar::Md5, "own".into())), of_target.to_vec()));
}
