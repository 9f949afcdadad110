//! From an alert to an action: what may be done, and how it is decided.
//!
//! ```text
//!   alert ──► decide() ──► dry run, refused, cooldown .............. nothing happens, the reason is kept
//!                     ├──► proposed ──► denied, expired, cancelled
//!                     │        └─ approved ─┐
//!                     └──► scheduled ◄──────┘
//!                              └──► running ──► done, failed
//! ```
//! One occurrence of an alert leads to one action of one sort, for ever: its
//! [`identity`](action::Action::identity) holds the fingerprint, the [`occurrence`] and what is to be done.

pub mod action;
pub mod alert;
pub mod decide;
pub mod matcher;
pub mod occurrence;
pub mod record;
pub mod rule;
pub mod status;
pub mod subject;
pub mod telling;
