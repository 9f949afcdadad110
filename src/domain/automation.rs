//! From an alert to an action: what may be done, and how it is decided.
//!
//! ```text
//!   alert ──► decide() ──► dry run, refused, cooldown .............. nothing happens, the reason is kept
//!                     ├──► proposed ──► denied, expired, cancelled
//!                     │        └─ approved ─┐
//!                     └──► scheduled ◄──────┘
//!                              └──► running ──► done, failed
//! ```
//! One alert of one rule leads to one action, for ever: its
//! [`identity`](action::Action::identity) holds the fingerprint and start of the alert and what is to be done.

pub mod action;
pub mod alert;
pub mod decide;
pub mod matcher;
pub mod record;
pub mod rule;
pub mod status;
pub mod telling;
