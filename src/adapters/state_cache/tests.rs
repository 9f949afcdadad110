use super::*;

const STATE: &str = r#"{"version":4,"serial":7,"lineage":"l","terraform_version":"1.15.5","resources":[
    {"mode":"managed","type":"vm","name":"web","instances":[{"attributes":{"id":"100","password":"hidden"}}]}]}"#;

fn name() -> StateName {
    ("minio".parse().unwrap(), "tfstate/a b/ü".parse().unwrap())
}

fn about(file: &str, content: &str) -> Kept {
    let (source, item) = name();
    Kept {
        source,
        item,
        root: "s3://tfstate/".into(),
        file: file.into(),
        modified: jiff::Timestamp::UNIX_EPOCH,
        kept: jiff::Timestamp::UNIX_EPOCH,
        size: content.len() as u64,
        digest: String::new(),
        serial: None,
        lineage: Box::default(),
        resources: Vec::new(),
    }
}

fn keep(cache: &AgeCache, file: &str, content: &str) -> io::Result<Kept> {
    cache.keep(about(file, content), &mut content.as_bytes())
}

fn files(directory: &Path) -> Vec<String> {
    let mut all: Vec<String> = walkdir::WalkDir::new(directory)
        .into_iter()
        .map(|it| it.unwrap())
        .filter(|it| it.file_type().is_file())
        .map(|it| it.file_name().to_str().unwrap().to_owned())
        .collect();
    all.sort();
    all
}

#[test]
fn a_copy_can_be_read_again_and_so_can_the_one_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let (directory, key) = (place.path().join("copies"), place.path().join("key"));
    let cache = AgeCache::new(&directory, &key);
    assert_eq!(cache.open(&name(), false).unwrap(), None);
    let kept = keep(&cache, "k@1.tfstate", STATE).unwrap();
    assert_eq!((kept.serial, &*kept.lineage), (Some(7), "l"));
    assert_eq!(kept.resources, [("vm.web".into(), Some("100".into()))]);
    let newer = STATE.replace(":7,", ":8,");
    keep(&cache, "k@2.tfstate", &newer).unwrap();
    // Opened anew, as a command does.
    let cache = AgeCache::existing(&directory, &key);
    let (kept, content) = cache.open(&name(), false).unwrap().unwrap();
    assert_eq!((kept.serial, &*kept.file, content.as_slice()), (Some(8), "k@2.tfstate", newer.as_bytes()));
    let (before, content) = cache.open(&name(), true).unwrap().unwrap();
    assert_eq!((before.serial, content.as_slice()), (Some(7), STATE.as_bytes()));
    assert_eq!(cache.kept().unwrap(), [kept]);
    // A third one: the first is gone.
    keep(&cache, "k@3.tfstate", &STATE.replace(":7,", ":9,")).unwrap();
    assert_eq!(files(&directory).len(), 4, "{:?}", files(&directory));
    for file in walkdir::WalkDir::new(place.path()).into_iter().map(|it| it.unwrap()).skip(1) {
        let mode = file.metadata().unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{:?} can be read by others", file.path());
        if file.file_type().is_file() && file.path() != key {
            let bytes = fs::read(file.path()).unwrap();
            assert!(!bytes.windows(6).any(|it| it == b"hidden"), "{:?}", file.path());
        }
    }
}

#[test]
fn what_is_no_state_is_not_kept_and_what_is_encrypted_is() {
    let place = tempfile::tempdir().unwrap();
    let cache = AgeCache::new(&place.path().join("copies"), &place.path().join("key"));
    keep(&cache, "k@1.tfstate", STATE).unwrap();
    for broken in ["<html>", "", "{}", "{\"version\":4,\"serial\":8", &format!("{STATE}}}")] {
        let error = keep(&cache, "k@2.tfstate", broken).unwrap_err();
        assert!(error.to_string().starts_with("it is no state"), "{broken}: {error}");
    }
    assert_eq!(cache.open(&name(), false).unwrap().unwrap().0.serial, Some(7));
    let opaque = r#"{"serial":9,"lineage":"l","meta":{"key_provider.pbkdf2.a":"e"},"encrypted_data":"x","encryption_version":"v0"}"#;
    assert_eq!(keep(&cache, "k@3.tfstate", opaque).unwrap().serial, None);
    assert_eq!(cache.open(&name(), false).unwrap().unwrap().1, opaque.as_bytes());
}

#[test]
fn what_is_not_whole_is_not_kept() {
    let place = tempfile::tempdir().unwrap();
    let (directory, key) = (place.path().join("copies"), place.path().join("key"));
    let cache = AgeCache::new(&directory, &key);
    keep(&cache, "k@1.tfstate", STATE).unwrap();
    let cut = cache.keep(about("k@2.tfstate", STATE), &mut &STATE.as_bytes()[..30]).unwrap_err();
    assert!(cut.to_string().contains("30 bytes came"), "{cut}");
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the server went away"))
        }
    }
    cache.keep(about("k@2.tfstate", STATE), &mut Broken).unwrap_err();
    assert_eq!(cache.open(&name(), false).unwrap().unwrap().0.file, "k@1.tfstate".into());
}

#[test]
fn another_key_and_a_changed_copy_are_noticed() {
    let place = tempfile::tempdir().unwrap();
    let (directory, key) = (place.path().join("copies"), place.path().join("key"));
    let cache = AgeCache::new(&directory, &key);
    keep(&cache, "k@1.tfstate", STATE).unwrap();
    keep(&AgeCache::new(&place.path().join("others"), &place.path().join("other")), "k@1.tfstate", STATE).unwrap();
    let stranger = AgeCache::existing(&directory, &place.path().join("other"));
    let kept = stranger.kept().unwrap().remove(0);
    assert!(cache.usable(&kept).is_ok() && stranger.usable(&kept).is_err());
    assert!(stranger.open(&name(), false).unwrap_err().to_string().contains("another key"));
    fs::remove_file(&key).unwrap();
    let lost = keep(&cache, "k@2.tfstate", STATE).unwrap_err();
    assert!(cache.usable(&kept).is_err(), "a copy that nobody can read is none");
    assert!(lost.to_string().contains("put the key back"), "{lost}");
    assert!(!key.exists(), "no key is made where copies lie that need the old one");
    fs::write(&key, "# nothing\n").unwrap();
    assert!(cache.usable(&kept).unwrap_err().to_string().contains("no key in it"));
    let mut copies = walkdir::WalkDir::new(&directory).into_iter().map(|it| it.unwrap());
    let copy = copies.find(|it| it.path().to_str().unwrap().ends_with(COPY)).unwrap();
    let mut bytes = fs::read(copy.path()).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(copy.path(), bytes).unwrap();
    assert!(cache.open(&name(), false).is_err());
}

/// Cut off at any moment, the old copy or the new one can be read.
#[test]
fn a_crash_leaves_the_old_copy_or_the_new_one() {
    let place = tempfile::tempdir().unwrap();
    let (directory, key) = (place.path().join("copies"), place.path().join("key"));
    let cache = AgeCache::new(&directory, &key);
    let newer = STATE.replace(":7,", ":8,");
    let old = keep(&cache, "k@1.tfstate", STATE).unwrap();
    let new = keep(&cache, "k@2.tfstate", &newer).unwrap();
    let of = cache.files_of(&new.source, &new.item.to_string());
    // As it is before the note is written: both copies are there, and the note is the old one.
    write(&of.directory.join("new.note"), &of.note(false), &old).unwrap();
    assert_eq!(cache.open(&name(), false).unwrap().unwrap().1, STATE.as_bytes());
    keep(&cache, "k@2.tfstate", &newer).unwrap();
    assert_eq!(cache.open(&name(), false).unwrap().unwrap().1, newer.as_bytes());
    assert_eq!(cache.open(&name(), true).unwrap().unwrap().1, STATE.as_bytes());
}

#[test]
fn long_names_fit() {
    let place = tempfile::tempdir().unwrap();
    let cache = AgeCache::new(&place.path().join("copies"), &place.path().join("key"));
    for end in ["a", "b"] {
        let item = format!("tfstate/{}{end}", "ü".repeat(200));
        let about = Kept { item: item.parse().unwrap(), ..about("f", STATE) };
        let name = (about.source.clone(), about.item.clone());
        cache.keep(about, &mut STATE.as_bytes()).unwrap();
        assert!(cache.open(&name, false).unwrap().is_some());
    }
    assert_eq!(cache.kept().unwrap().len(), 2);
}
