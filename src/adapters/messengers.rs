//! Ways to receivers of notices; `web_client` holds what those share that call over HTTP.

pub mod slack;
pub mod smtp;
pub mod syslog;
pub mod telegram;
mod web_client;
pub mod webhook_out;
