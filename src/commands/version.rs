//! `version`: what this binary is.

use argh::{ArgsInfo, FromArgs};

use super::exit;

/// Print version, commit, target and TLS library.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "version")]
pub struct Version {}

/// Prints one line.
pub fn run(_arguments: &Version) -> u8 {
    super::print(&format!(
        "amurg-runtime {} ({}, {}, TLS: {})\n",
        env!("CARGO_PKG_VERSION"),
        env!("AMURG_COMMIT"),
        env!("AMURG_TARGET"),
        tls_library()
    ));
    exit::OK
}

/// The TLS library this binary speaks `wss://` and `https://` with.
pub fn tls_library() -> &'static str {
    if cfg!(not(feature = "tls")) {
        "none"
    } else if cfg!(windows) {
        "SChannel"
    } else if cfg!(target_vendor = "apple") {
        "Security Framework"
    } else if cfg!(feature = "vendored") {
        "OpenSSL, built in"
    } else {
        "OpenSSL of the system"
    }
}
