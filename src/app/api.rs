//! Wires who may do what: users, tokens, and who may deliver alerts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::adapters::store::Store;
use crate::config::Config;
use crate::engine::ports::Clock;
use crate::http::auth::{Access, Gate};

/// The gate in front of everything that is served. `users` are those of the web config file.
pub(super) fn gate(
    config: &Config,
    store: &Store,
    users: HashMap<String, String>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Gate> {
    let access = Access {
        roles: config.api.users.clone(),
        tokens: Some(Arc::new(store.clone())),
        webhook_token: config.webhook.secret()?,
        webhook_users: config.webhook.users.iter().cloned().collect(),
    };
    Ok(Gate::new(users, access, clock))
}
