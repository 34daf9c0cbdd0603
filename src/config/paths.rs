//! Paths of the configuration: `~/`, absolute paths, the state directory, and
//! names from outside made safe to be names of files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::environment::Environment;

/// Why a path cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It is the empty string.
    Empty,
    /// It begins with `~/`, but nobody knows the home.
    NoHome,
    /// It begins with `~name`.
    OtherHome,
}

impl BadPath {
    /// What is wrong, and what to do.
    pub fn explain(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("is empty", "name a path, or leave the key out"),
            Self::NoHome => {
                ("begins with ~/, but no home is known", "set HOME, or write the path out")
            }
            Self::OtherHome => {
                ("begins with the home of a user", "only ~/ is known; write the path out")
            }
        }
    }
}

/// Makes a path absolute: `~/` becomes the home, anything relative belongs to the
/// current directory. Links are not followed, `..` stays.
///
/// # Errors
/// When the path is empty or its home is not known.
pub fn absolute(text: &str, environment: &dyn Environment) -> Result<PathBuf, BadPath> {
    if text.is_empty() {
        return Err(BadPath::Empty);
    }
    let path = match text.strip_prefix('~') {
        None => environment.current_dir().join(text),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = environment.home_dir().ok_or(BadPath::NoHome)?;
            home.join(rest.trim_start_matches('/'))
        }
        Some(_) => return Err(BadPath::OtherHome),
    };
    Ok(without_dots(&path))
}

/// Where state is kept when the configuration does not say: `$STATE_DIRECTORY`
/// (systemd's), else `$XDG_STATE_HOME/amurg`, else `~/.local/state/amurg`; on
/// Windows beneath `%LOCALAPPDATA%`.
pub fn default_state_dir(environment: &dyn Environment) -> Option<PathBuf> {
    // systemd lists several, separated by colons; the first one is ours.
    let first = |list: OsString| std::env::split_paths(&list).next();
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let variable = |name: &str| environment.variable(name);
    variable("STATE_DIRECTORY")
        .and_then(first)
        .and_then(absolute)
        .or_else(|| {
            let name = if cfg!(windows) { "LOCALAPPDATA" } else { "XDG_STATE_HOME" };
            let state_home = variable(name).map(PathBuf::from).and_then(absolute)?;
            Some(state_home.join("amurg"))
        })
        .or_else(|| environment.home_dir().map(|home| home.join(".local/state/amurg")))
}

/// Longest name [`safe_name`] makes, in bytes.
const LONGEST_NAME: usize = 128;

/// Bytes of the checksum that keeps cut names apart.
const CHECKSUM: usize = 16;

/// A name from outside as the name of one file or directory.
///
/// Letters, digits, `_`, `-` and inner dots stay; every other byte becomes `%XX`.
/// Never empty, `.`, `..` or hidden, never longer than 128 bytes (the end of a
/// longer one is a checksum), and different names stay different.
pub fn safe_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if index == 0 => safe.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => safe.push(byte.into()),
            _ => {
                safe.push('%');
                push_hex(&mut safe, byte, b"0123456789ABCDEF");
            }
        }
    }
    if safe.is_empty() {
        return "%".to_owned();
    }
    if safe.len() > LONGEST_NAME {
        // `%-` stands in no name that was not cut.
        safe.truncate(LONGEST_NAME - 2 * CHECKSUM - 2);
        safe.push_str("%-");
        for byte in Sha256::digest(name).into_iter().take(CHECKSUM) {
            push_hex(&mut safe, byte, b"0123456789abcdef");
        }
    }
    safe
}

fn push_hex(text: &mut String, byte: u8, digits: &[u8; 16]) {
    for digit in [byte >> 4, byte & 15] {
        text.push(char::from(digits[usize::from(digit)]));
    }
}

fn without_dots(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests {
    use super::super::environment::FixedEnvironment;
    use super::*;

    #[test]
    fn paths_become_absolute() {
        let mut environment = FixedEnvironment::new([("HOME", "/home/me")]);
        environment.current_dir = "/srv/app".into();
        for (text, path) in [
            ("/a/b", "/a/b"),
            ("b", "/srv/app/b"),
            ("./b/./c", "/srv/app/b/c"),
            ("../b", "/srv/app/../b"),
            ("~", "/home/me"),
            ("~/b", "/home/me/b"),
            ("~//b", "/home/me/b"),
            ("a~", "/srv/app/a~"),
        ] {
            assert_eq!(absolute(text, &environment), Ok(PathBuf::from(path)), "{text}");
        }
        assert_eq!(absolute("", &environment), Err(BadPath::Empty));
        assert_eq!(absolute("~you/b", &environment), Err(BadPath::OtherHome));
        assert_eq!(absolute("~/b", &FixedEnvironment::new([])), Err(BadPath::NoHome));
    }

    #[test]
    fn the_state_directory_follows_its_variables() {
        let state = |variables: &[(&'static str, &'static str)]| {
            default_state_dir(&FixedEnvironment::new(variables.iter().copied()))
        };
        let home = ("HOME", "/home/me");
        assert_eq!(state(&[]), None);
        assert_eq!(state(&[home]), Some("/home/me/.local/state/amurg".into()));
        assert_eq!(state(&[home, ("XDG_STATE_HOME", "/x")]), Some("/x/amurg".into()));
        assert_eq!(state(&[("XDG_STATE_HOME", "relative")]), None);
        let systemd = ("STATE_DIRECTORY", "/var/lib/amurg:/var/lib/more");
        assert_eq!(
            state(&[home, ("XDG_STATE_HOME", "/x"), systemd]),
            Some("/var/lib/amurg".into())
        );
    }

    #[test]
    fn names_become_safe_and_stay_different() {
        for (name, safe) in [
            ("lab-1.example_x", "lab-1.example_x"),
            (".", "%2E"),
            ("..", "%2E."),
            (".ssh", "%2Essh"),
            ("", "%"),
            ("../../etc", "%2E.%2F..%2Fetc"),
            ("a:b c\n", "a%3Ab%20c%0A"),
            ("ä", "%C3%A4"),
            ("%2E", "%252E"),
        ] {
            assert_eq!(safe_name(name), safe, "{name}");
        }
        let long = ["x".repeat(4096), "x".repeat(4097), "/".repeat(4096)].map(|n| safe_name(&n));
        assert!(long.iter().all(|name| name.len() == LONGEST_NAME), "{long:?}");
        assert!(long[0] != long[1] && long[1] != long[2]);
    }
}
