//! The hub token: from the file, from a file of its own, or from systemd.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Longest token, in bytes.
pub const LONGEST: usize = 8192;

/// Why there is no token. Never holds a part of one.
#[derive(Debug)]
pub enum TokenError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The path is a directory, a pipe or the like.
    NotAFile(PathBuf),
    /// The file is not text.
    NotText(PathBuf),
    /// `token_credential` is used, but systemd gave no credentials.
    NoCredentials,
    /// A credential's name is not the name of a file.
    BadCredentialName,
    /// Nothing in it.
    Empty,
    /// Longer than any token.
    TooLong,
    /// A character that no token has.
    BadCharacter,
}

impl TokenError {
    /// What is wrong, and what to do.
    pub fn explain(&self) -> (String, &'static str) {
        match self {
            Self::Unreadable(path, error) => (
                format!("{path:?} cannot be read: {error}"),
                "write the token there, readable by the user this runs as (mode 0600)",
            ),
            Self::NotAFile(path) => {
                (format!("{path:?} is not a file"), "name a file that holds the token")
            }
            Self::NotText(path) => {
                (format!("{path:?} is not text"), "name a file that holds the token")
            }
            Self::NoCredentials => (
                "there are no credentials: CREDENTIALS_DIRECTORY is not set".into(),
                "add LoadCredential= or SetCredential= to the systemd unit, or use hub.token_file",
            ),
            Self::BadCredentialName => (
                "is not the name of a credential".into(),
                "give the name of LoadCredential=, without a path",
            ),
            Self::Empty => {
                ("the token is empty".into(), "put in the token the hub was given for this runtime")
            }
            Self::TooLong => {
                (format!("the token is longer than {LONGEST} bytes"), "name the token only")
            }
            Self::BadCharacter => (
                "the token holds a control character or something else than ASCII".into(),
                "a token is one line of ASCII; check for a line break or a byte order mark",
            ),
        }
    }
}

/// Takes a text as a token.
///
/// # Errors
/// When it is empty, too long, or not visible ASCII and spaces: it travels in a header too.
pub fn accept(text: &str) -> Result<Secret, TokenError> {
    if text.is_empty() {
        Err(TokenError::Empty)
    } else if text.len() > LONGEST {
        Err(TokenError::TooLong)
    } else if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        Err(TokenError::BadCharacter)
    } else {
        Ok(Secret::new(text.to_owned()))
    }
}

/// Reads a token from a file; white space around it does not belong to it.
///
/// # Errors
/// When the file cannot be read or holds no token.
pub fn read(path: &Path) -> Result<Secret, TokenError> {
    let unreadable = |error| TokenError::Unreadable(path.to_owned(), error);
    // Asked before opening, since opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TokenError::NotAFile(path.to_owned()));
    }
    // One buffer that is never moved, so that no copy stays behind unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LONGEST));
    let file = File::open(path).map_err(unreadable)?;
    file.take(2 * LONGEST as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::NotText(path.to_owned()))?;
    accept(text.trim())
}

/// The file of a systemd credential.
///
/// # Errors
/// When the name is no plain name, or systemd gave this process no credentials.
pub fn credential(name: &str, directory: Option<PathBuf>) -> Result<PathBuf, TokenError> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(TokenError::BadCredentialName);
    }
    match directory.filter(|directory| directory.is_absolute()) {
        Some(directory) => Ok(directory.join(name)),
        None => Err(TokenError::NoCredentials),
    }
}

/// Whether everybody on this machine can read the file.
#[cfg(unix)]
pub fn readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

/// Whether everybody on this machine can read the file: not told by a mode here.
#[cfg(not(unix))]
pub fn readable_by_others(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_file_holds_one_token() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        for (content, result) in [
            (&b"s3cret"[..], Ok("s3cret")),
            (b" s3cret\r\n\n", Ok("s3cret")),
            (b"\n", Err("is empty")),
            (b"two\nlines", Err("control character")),
            ("s3crét".as_bytes(), Err("ASCII")),
            (b"\xff\xfe", Err("is not text")),
            (&vec![b'x'; LONGEST + 1], Err("longer than")),
            (&vec![b'x'; 4 * LONGEST], Err("longer than")),
        ] {
            fs::write(&path, content).unwrap();
            match (read(&path), result) {
                (Ok(token), Ok(expected)) => assert_eq!(token.expose(), expected),
                (Err(error), Err(words)) => {
                    let (message, hint) = error.explain();
                    assert!(message.contains(words), "{message}");
                    assert!(!hint.is_empty() && !message.contains("s3cr"), "{message}");
                }
                (got, _) => panic!("{got:?}"),
            }
        }
        for path in [dir.path().join("none"), dir.path().to_owned()] {
            assert!(read(&path).unwrap_err().explain().0.contains(path.to_str().unwrap()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_instead_of_waited_for() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        assert!(matches!(read(&path), Err(TokenError::NotAFile(_))));
    }

    #[test]
    fn credentials_are_names_in_systemds_directory() {
        let directory = || Some(PathBuf::from("/run/credentials/amurg"));
        let path = credential("token", directory()).unwrap();
        assert_eq!(path, Path::new("/run/credentials/amurg/token"));
        assert!(matches!(credential("token", None), Err(TokenError::NoCredentials)));
        for name in ["", ".", "..", "../token", "/etc/shadow"] {
            assert!(matches!(credential(name, directory()), Err(TokenError::BadCredentialName)));
        }
    }
}
