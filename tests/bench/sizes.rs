//! What each crate adds to the binary: the symbols of an unstripped build,
//! summed by the crate they come from.
//!
//! A generic function counts for the crate that defines it. What was inlined
//! counts for where it went, and constants without a name for nobody.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Code and named data by crate, in bytes, largest first. Empty without `nm`
/// or without symbols.
pub fn of(program: &Path) -> Vec<(String, u64)> {
    let listing =
        output(Command::new("nm").args(["--print-size", "--radix=d", "--demangle"]).arg(program));
    let mut crates: HashMap<&str, u64> = HashMap::new();
    for line in listing.lines() {
        // address, size, kind, name
        let mut fields = line.splitn(4, ' ');
        let size = fields.nth(1).and_then(|size| size.parse::<u64>().ok());
        let kind = fields.next().unwrap_or_default();
        // "b" takes no room in the file.
        if let (Some(size), false, Some(name)) =
            (size, kind.eq_ignore_ascii_case("b"), fields.next())
        {
            *crates.entry(owner(name)).or_default() += size;
        }
    }
    let mut crates: Vec<_> =
        crates.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    crates.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    crates
}

/// Bytes of the binary without its symbols.
pub fn loaded(program: &Path) -> Option<u64> {
    let listing = output(Command::new("size").arg("-A").arg(program));
    let total: u64 = listing
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let section = fields.next()?.strip_prefix('.')?;
            let in_file = !["bss", "tbss", "debug", "comment", "symtab", "strtab"]
                .iter()
                .any(|absent| section.starts_with(absent));
            fields.next()?.parse::<u64>().ok().filter(|_| in_file)
        })
        .sum();
    (total > 0).then_some(total)
}

fn output(command: &mut Command) -> String {
    match command.output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(_) => String::new(),
    }
}

/// The crate of a demangled symbol. Of `<A as b::Trait>::method` it is A's, and
/// b's where A belongs to nobody. What is not Rust is OpenSSL or the C runtime.
fn owner(symbol: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut owners = symbol.split(" as ").filter_map(|side| {
        let side = side.trim_start_matches(|c| !is_name(c));
        let side = side.trim_start_matches("dyn ").trim_start_matches("mut ");
        side.split_once("::").map(|(name, _)| name)
    });
    match owners.find(|name| !name.is_empty() && name.chars().all(is_name)) {
        Some(name) => name,
        None if symbol.contains("::") => "other Rust",
        None => "C (OpenSSL and runtime)",
    }
}
