use std::collections::HashMap;

use super::*;
use crate::domain::operation::plan::Repeat;
use crate::engine::ports::state_store::{Content, Current};

/// Objects in memory.
#[derive(Default)]
struct Memory(Mutex<HashMap<String, Vec<u8>>>);

impl Memory {
    fn get(&self, place: &Place) -> Option<(Vec<u8>, Current)> {
        let content = self.0.lock().unwrap().get(&place.key).cloned()?;
        let current = Current { version: None, e_tag: digest(&content), size: content.len() as u64 };
        Some((content, current))
    }

    fn put(&self, key: &str, content: &str) {
        self.0.lock().unwrap().insert(key.to_owned(), content.as_bytes().to_vec());
    }
}

impl StateStore for Memory {
    fn current<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Current>, StateFault>> {
        Box::pin(async move { Ok(self.get(place).map(|(_, current)| current)) })
    }

    fn read<'a>(&'a self, place: &'a Place, _: Option<&'a str>) -> BoxFuture<'a, Result<Content, StateFault>> {
        Box::pin(async move { Ok(self.get(place)) })
    }

    fn write<'a>(&'a self, place: &'a Place, content: Vec<u8>, _: Over) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async move {
            self.0.lock().unwrap().insert(place.key.clone(), content);
            Ok(())
        })
    }

    fn copy<'a>(&'a self, _: &'a Place, _: &'a str, _: &'a Place) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<(), StateFault>> {
        Box::pin(async move {
            self.0.lock().unwrap().remove(&place.key);
            Ok(())
        })
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

async fn perform(memory: &Arc<Memory>, deed: Deed) -> Result<String, String> {
    let parameters =
        [("source", "minio"), ("bucket", "b"), ("key", "k"), ("id", "1"), ("expected", "x"), ("digest", "y")];
    let effect = Effect {
        name: deed.as_str().to_owned(),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        timeout: Duration::from_secs(1),
        repeat: Repeat::Safe,
    };
    let store: Arc<dyn StateStore> = memory.clone();
    let work = StateWork {
        stores: [("minio".parse().unwrap(), store)].into(),
        cache: None,
        workspace: None,
        clock: Arc::new(Fixed),
        at_hand: Arc::default(),
    };
    work.once(deed, &Given(&effect.parameters)).await.map_err(|fault| fault.to_string())
}

/// A restore that could not be taken back must not take the last copy of what was there with it.
#[tokio::test]
async fn what_was_copied_aside_stays_until_it_is_current_again() {
    let memory = Arc::new(Memory::default());
    memory.put("k.before-1", "old");
    for current in [Some("somebody else's"), None] {
        match current {
            Some(content) => memory.put("k", content),
            None => drop(memory.0.lock().unwrap().remove("k")),
        }
        perform(&memory, Deed::DropAside).await.unwrap();
        assert!(memory.0.lock().unwrap().contains_key("k.before-1"), "{current:?}");
    }
    assert!(perform(&memory, Deed::PutBack).await.is_err());
    memory.put("k", "old");
    perform(&memory, Deed::DropAside).await.unwrap();
    assert!(!memory.0.lock().unwrap().contains_key("k.before-1"));
    perform(&memory, Deed::DropAside).await.unwrap();
}
