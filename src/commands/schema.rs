//! `schema`: the JSON Schema of the configuration, for editors.

use argh::{ArgsInfo, FromArgs};

use super::exit;
use crate::config::schema::schema;

/// Print the JSON Schema of the configuration, for editors that complete and check
/// it: save it and name the file in the configuration's `$schema`.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "schema")]
pub struct Schema {}

/// Prints it.
pub fn run(_arguments: &Schema) -> u8 {
    super::print(&format!("{:#}\n", schema()));
    exit::OK
}
