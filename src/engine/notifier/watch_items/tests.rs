use super::*;
use crate::config::section::Section as _;
use crate::domain::notice::Topic;
use crate::domain::policy::Policy;
use crate::engine::ports::Source as _;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A dump source with one dump of the given age before `now`, looked at just now.
struct Place {
    directory: tempfile::TempDir,
    view: SourceView,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let view = SourceView::unseen(source(directory.path()).spec().clone(), &Policy::default());
        Self { directory, view }
    }

    fn dump(&self, day: &str) {
        std::fs::write(self.directory.path().join(format!("shop_{day}.sql")), "x").unwrap();
    }

    fn scan(&mut self, now: Timestamp) -> Inventory {
        let look = source(self.directory.path()).look(now);
        self.view = self.view.after(look, Duration::from_millis(1), &Policy::default(), now);
        self.inventory()
    }

    fn inventory(&self) -> Inventory {
        Inventory { sources: vec![Arc::new(self.view.clone())] }
    }
}

fn source(path: &std::path::Path) -> crate::adapters::directories::dump_dir::DumpDir {
    let text = format!(
        "[[dump]]\nname = \"db\"\ntime_zone = \"UTC\"\nexpected = [\"shop\"]\nroots = [{{ path = \"{}\" }}]\npatterns = [{{ pattern = \"{{db}}_{{time}}.sql\" }}]\n",
        path.display()
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let config = crate::config::load(Some(file.path())).unwrap();
    let it = &config.dump[0];
    let roots = it
        .roots
        .iter()
        .map(|root| crate::adapters::directories::directory::Root { path: root.path.clone(), require_mount: None });
    let patterns = it.patterns.iter().map(|pattern| pattern.compiled().unwrap()).collect();
    crate::adapters::directories::dump_dir::DumpDir::new(
        it.spec().into(),
        crate::adapters::directories::directory::places(roots),
        it.time_zone.clone(),
        patterns,
    )
}

fn step(watcher: &mut Watcher, inventory: &Inventory, now: Timestamp) -> Vec<(String, Phase, Urgency)> {
    let notices = watcher.changes(inventory, now);
    watcher.posted(&notices);
    notices.iter().map(|it| (it.key.to_string(), it.phase, it.severity)).collect()
}

#[test]
fn each_change_is_told_once() {
    let mut place = Place::new();
    let mut watcher = Watcher::of(Vec::new(), DAY);
    let key = || "backup/db/dump/shop".to_owned();
    let now = at("2026-11-21T08:00:00Z");
    assert_eq!(step(&mut watcher, &place.scan(now), now), [(key(), Phase::Problem, Urgency::Critical)]);
    assert!(step(&mut watcher, &place.scan(now), now).is_empty());
    // A restart, with the memory of the store: nothing is repeated before it is due.
    let story = Story { key: key().into(), severity: Urgency::Critical, at: now };
    let mut again = Watcher::of(vec![story], DAY);
    assert!(step(&mut again, &place.scan(now), now).is_empty());
    let tomorrow = now + DAY;
    assert_eq!(step(&mut again, &place.scan(tomorrow), tomorrow), [(key(), Phase::Problem, Urgency::Critical)]);
    // It got well while nobody watched.
    place.dump("2026-11-22_07-00-00");
    assert_eq!(step(&mut again, &place.scan(tomorrow), tomorrow), [(key(), Phase::Recovered, Urgency::Critical)]);
    assert!(step(&mut again, &place.scan(tomorrow), tomorrow).is_empty());
    let late = tomorrow + DAY + 4 * HOUR;
    let notices = again.changes(&place.scan(late), late);
    assert_eq!((notices[0].severity, notices[0].topic), (Urgency::Warning, Topic::Backup));
    assert_eq!(&*notices[0].title, "dump/shop of db is late");
    assert!(notices[0].body.contains("expected every"), "{}", notices[0].body);
}

#[test]
fn a_source_that_cannot_be_looked_at_is_told_of_when_it_lasts() {
    let mut place = Place::new();
    let now = at("2026-11-21T08:00:00Z");
    place.dump("2026-11-21_07-00-00");
    let mut watcher = Watcher::of(Vec::new(), DAY);
    assert!(step(&mut watcher, &place.scan(now), now).is_empty());
    let away = place.directory.path().with_extension("away");
    std::fs::rename(place.directory.path(), &away).unwrap();
    assert!(step(&mut watcher, &place.scan(now), now).is_empty());
    let later = now + 11 * HOUR / 60;
    let told = step(&mut watcher, &place.scan(later), later);
    assert_eq!(told, [("source/db".to_owned(), Phase::Problem, Urgency::Warning)]);
    std::fs::rename(&away, place.directory.path()).unwrap();
    assert_eq!(
        step(&mut watcher, &place.scan(later), later),
        [("source/db".to_owned(), Phase::Recovered, Urgency::Warning)]
    );
}

#[test]
fn what_is_gone_is_over_but_not_while_nobody_can_look() {
    let mut place = Place::new();
    let now = at("2026-11-21T08:00:00Z");
    place.dump("2026-11-21_07-00-00");
    let story = |key: &str| Story { key: key.into(), severity: Urgency::Critical, at: now };
    let stories = || vec![story("backup/db/dump/old"), story("backup/other/dump/x")];
    let mut watcher = Watcher::of(stories(), DAY);
    assert_eq!(step(&mut watcher, &place.scan(now), now).len(), 2);
    let away = place.directory.path().with_extension("away");
    std::fs::rename(place.directory.path(), &away).unwrap();
    let mut blind = Watcher::of(stories(), DAY);
    let told = step(&mut blind, &place.scan(now), now);
    assert_eq!(told, [("backup/other/dump/x".to_owned(), Phase::Recovered, Urgency::Info)]);
    std::fs::rename(&away, place.directory.path()).unwrap();
}
