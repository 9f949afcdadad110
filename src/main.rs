//! The `firedrill` command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    firedrill::cli::Cli::parse().run()
}
