//! All integration tests in one binary: structure of the code, contracts of what is shipped, the real binary with real
//! servers.

mod api;
mod approvals;
mod automation;
mod changes;
mod clients;
mod compose;
mod contracts;
mod crowd;
mod daemon;
mod golden;
mod hung_share;
mod intake;
mod layers;
mod mail;
mod matchers;
mod notify;
mod old_store;
mod reactor;
mod scan;
mod sets;
mod store;
mod store_faults;
mod support;
mod verify;
mod web;
