//! The file system, network and scoping part of a cage: Landlock rulesets, one
//! for each layer, each applied on top of the last. The kernel lets a child do
//! only what every layer allows.
//!
//! Paths are opened without following symbolic links: a link planted by an
//! agent must never widen the next session's rules.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

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
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/alternatives",
    "/proc",
];

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

/// Puts the calling process into the cage, for good.
pub fn restrict(cage: &Cage) -> Result<(), StepError> {
    cage.layers.iter().enumerate().try_for_each(|(number, layer)| {
        restrict_layer(cage, layer, number == 0)
            .map_err(|error| StepError { step: format!("confine (layer {number})"), source: error })
    })
}

fn restrict_layer(cage: &Cage, layer: &[PathBuf], own: bool) -> io::Result<()> {
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
    for path in SYSTEM_FILES {
        rules = allow_system(rules, Path::new(path), reading & !AccessFs::Execute)?;
    }
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    for path in DEVICES {
        rules = allow_system(rules, Path::new(path), device)?;
    }
    rules = allow_system(rules, &cage.command, AccessFs::ReadFile | AccessFs::Execute)?;

    // Everything but making devices, which would be a way to the disks.
    let everything = AccessFs::from_all(WANTED) & !(AccessFs::MakeBlock | AccessFs::MakeChar);
    for path in without_nested(layer) {
        match open_strictly(path) {
            // A hub may push a path this machine does not have.
            Err(error) if !own && error.kind() == io::ErrorKind::NotFound => {}
            opened => {
                rules = allow(rules, opened.map_err(|error| name(path, &error))?, everything)?
            }
        }
    }
    for path in &cage.own_paths {
        rules = allow(rules, open_strictly(path).map_err(|error| name(path, &error))?, everything)?;
    }
    for port in cage.tcp_ports.iter().flatten() {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp)).map_err(rule_error)?;
    }
    rules.restrict_self().map_err(rule_error)?;
    Ok(())
}

/// Paths that are not beneath another one of the list: those are covered by it,
/// and whoever may write there could swap them.
fn without_nested(paths: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    paths
        .iter()
        .filter(move |path| !paths.iter().any(|other| other != *path && path.starts_with(other)))
}

/// A path of the system: links in it belong to the administrator; what does not
/// exist here is not needed here.
fn allow_system(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> io::Result<RulesetCreated> {
    match rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => allow(rules, fd, access),
        Err(rustix::io::Errno::NOENT) => Ok(rules),
        Err(error) => Err(name(path, &error.into())),
    }
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

fn open_strictly(path: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve) {
        Err(rustix::io::Errno::LOOP) => Err(io::Error::other(
            "is, or lies behind, a symbolic link; write the path it leads to instead",
        )),
        opened => Ok(opened?),
    }
}

fn name(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn rule_error(error: RulesetError) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_beneath_another_is_dropped() {
        let paths = ["/srv/a", "/srv/a/b", "/srv/ab"].map(PathBuf::from);
        let kept: Vec<_> = without_nested(&paths).collect();
        assert_eq!(kept, [&paths[0], &paths[2]]);
    }

    #[test]
    fn a_link_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let link = scratch.path().join("link");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        let error = open_strictly(&link).expect_err("a link").to_string();
        assert!(error.contains("symbolic link"), "{error}");
    }
}
