//! This machine: its clock, what runs on it, and what a process may take of it.

pub mod answer_file;
pub mod background;
pub mod clock;
pub mod open_files;
pub mod process;
pub mod tls;
pub mod trust;
pub mod waiter;
