//! `schema`: the JSON Schema of the configuration, for editors.

use argh::{ArgsInfo, FromArgs};

use super::exit;
use crate::config::schema::schema;

/// Print the JSON Schema of the configuration.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "schema",
    note = "Editors complete and check with it: save it, and name the file in the configuration under `$schema`."
)]
pub struct Schema {}

/// Prints it.
pub fn run(_arguments: &Schema) -> u8 {
    super::print(&format!("{:#}\n", schema()));
    exit::OK
}
