//! The web server: routes, limits, TLS, authentication. Reads snapshots; touches no disk and no other system.

mod actions_page;
mod api;
pub mod auth;
mod error;
mod health;
mod landing;
mod landing_automation;
mod landing_proofs;
mod metrics;
mod page;
pub mod reload;
pub mod router;
pub mod server;
mod state;
pub mod web_config;
pub mod webhook;

pub use self::state::AppState;
