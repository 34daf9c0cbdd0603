//! The file system, network and scoping part of a cage: Landlock rulesets, one
//! for each layer, each applied on top of the last. The kernel lets a child do
//! only what every layer allows.
//!
//! Paths are opened without following symbolic links: a link planted by an
//! agent must never widen the next session's rules.
//!
//! A layer that restricts TCP also forbids to listen: a port somebody may
//! connect to is a way out as well.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use super::paths::{command_file, open_of_system, open_strictly, without_nested};
use super::{Cage, StepError};
use crate::config::Enforce;

/// The Landlock version whose rights are asked for; older kernels do less.
/// Its signal and socket scopes are what makes the cage whole.
const WANTED: ABI = ABI::V6;

/// What a program needs to start, readable and executable.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What a program reads to start, to resolve names and to verify certificates.
const SYSTEM_FILES: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/passwd",
    "/etc/group",
    // Never the whole of these: private keys lie beside the certificates.
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/alternatives",
    // Where it exists and cannot be read, git does nothing at all.
    "/etc/gitconfig",
];

/// Names in `/etc` that begin so belong to interpreters: Debian's Java and
/// Python keep settings there that they read at every start.
const INTERPRETERS: &[&str] = &["java-", "python3"];

/// Devices that hold nobody's secrets. Never `ptmx` or `/dev/pts`: those are
/// other sessions' terminals.
const DEVICES: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// The highest Landlock version the running kernel offers, 0 for none. Found by
/// asking for each version's own right.
pub fn kernel_version() -> u8 {
    let offers = |abi: ABI| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let ruleset = ruleset.handle_access(AccessFs::from_all(abi));
        let ruleset = ruleset.and_then(|ruleset| match abi {
            ABI::V4 | ABI::V5 => ruleset.handle_access(AccessNet::from_all(abi)),
            ABI::V6 => ruleset.scope(Scope::from_all(abi)),
            _ => Ok(ruleset),
        });
        ruleset.and_then(Ruleset::create).is_ok()
    };
    let versions = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6];
    u8::try_from(versions.into_iter().take_while(|&abi| offers(abi)).count()).unwrap_or(0)
}

/// Puts the calling process into the cage, for good. Without Landlock in the
/// kernel it does nothing.
///
/// # Errors
/// A path that cannot be had, or what the system refused.
pub fn restrict(cage: &Cage) -> Result<(), StepError> {
    if kernel_version() == 0 {
        return Ok(());
    }
    let step = |source| StepError { step: "security.allowed_paths".into(), source };
    cage.layers.iter().try_for_each(|layer| restrict_layer(cage, layer).map_err(step))
}

fn restrict_layer(cage: &Cage, layer: &[PathBuf]) -> io::Result<()> {
    let level = match cage.enforce {
        Enforce::Required => CompatLevel::HardRequirement,
        Enforce::BestEffort | Enforce::Off => CompatLevel::BestEffort,
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(level)
        .handle_access(AccessFs::from_all(WANTED))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(WANTED)))
        .map_err(rule_error)?;
    if cage.tcp_ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::from_all(WANTED)).map_err(rule_error)?;
    }
    let mut rules = ruleset.create().map_err(rule_error)?.set_compatibility(level);

    let reading = AccessFs::from_read(WANTED);
    for path in SYSTEM {
        rules = allow_system(rules, Path::new(path), reading)?;
    }
    for path in SYSTEM_FILES.iter().map(PathBuf::from).chain(of_interpreters()) {
        rules = allow_system(rules, &path, reading & !AccessFs::Execute)?;
    }
    rules = allow_system(rules, Path::new("/proc"), of_proc())?;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    for path in DEVICES {
        rules = allow_system(rules, Path::new(path), device)?;
    }
    if let Some(file) = command_file(&cage.command, &cage.writable().collect::<Vec<_>>())? {
        rules = allow(rules, open_strictly(&file)?, AccessFs::ReadFile | AccessFs::Execute)?;
    }

    // Everything but making devices, which would be a way to the disks.
    let everything = AccessFs::from_all(WANTED) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    for path in without_nested(layer) {
        match open_strictly(path) {
            // What is not there (not mounted, or pushed by a hub that does not
            // know this machine) can be allowed to nobody; `check` tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                rules = allow(rules, opened?, everything)?;
            }
        }
    }
    for path in &cage.own_paths {
        rules = allow(rules, open_strictly(path)?, everything)?;
    }
    for port in cage.tcp_ports.iter().flatten() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(rule_error)?;
    }
    rules.restrict_self().map_err(rule_error)?;
    Ok(())
}

fn allow_system(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    match open_of_system(path)? {
        Some(fd) => allow(rules, fd, access),
        None => Ok(rules),
    }
}

/// What may be done beneath `/proc`. What a process keeps secret there is its
/// user's or, once it closes itself to its user, root's. So listing the
/// runtime's descriptors is refused to anybody but root; and to a child that is
/// root it can only be refused by refusing to list anything, which costs it `ps`.
fn of_proc() -> BitFlags<AccessFs> {
    let listing = !rustix::process::geteuid().is_root();
    if listing { AccessFs::ReadFile | AccessFs::ReadDir } else { AccessFs::ReadFile.into() }
}

/// What interpreters keep beneath `/etc` and cannot start without.
fn of_interpreters() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/etc").into_iter().flatten().flatten();
    let is_wanted = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        INTERPRETERS.iter().any(|start| name.as_encoded_bytes().starts_with(start.as_bytes()))
    };
    entries.filter(is_wanted).map(|entry| entry.path())
}

fn allow(
    rules: RulesetCreated,
    fd: OwnedFd,
    access: BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    // Rights about the content of directories mean nothing for a file, and the
    // kernel refuses them there.
    let is_directory = rustix::fs::fstat(&fd)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir());
    let access = if is_directory { access } else { access & AccessFs::from_file(WANTED) };
    rules.add_rule(PathBeneath::new(fd, access)).map_err(rule_error)
}

fn rule_error(error: RulesetError) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, error)
}
