//! The web server: routes, limits, TLS, authentication. Reads snapshots; touches no disk and no other system.

mod api;
pub mod auth;
mod error;
mod health;
mod metrics;
mod pages;
pub mod reload;
pub mod router;
pub mod server;
mod state;
pub mod web_config;
pub mod webhook;

pub use self::state::{AppState, Operations};
