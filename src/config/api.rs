//! `[api]`: who may do what by the API.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::access::Role;

/// The API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Roles of the basic auth users of the web config; who isn't listed is a viewer.
    pub users: BTreeMap<String, Role>,
}
