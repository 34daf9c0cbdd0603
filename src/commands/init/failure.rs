//! Why no configuration was written, in words for whoever typed the command.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::super::check::Finding;
use super::super::exit;
use super::register::RegisterError;
use crate::config::token::TokenError;

/// Why no configuration was written.
#[derive(Debug)]
pub enum Failure {
    /// Nobody to ask, and `--yes` was not given.
    NoTerminal,
    /// The input ended before all was answered.
    Ended,
    /// Ctrl-C.
    Interrupted,
    /// A file that would be replaced.
    Exists(PathBuf),
    /// Options that do not go together.
    TwoTokens(&'static str, &'static str),
    /// No token, and no way to one.
    NoToken,
    /// The token cannot be used.
    Token(TokenError),
    /// The hub's address cannot be used: what is wrong, and what to do.
    Address(String),
    /// An `--agent` that cannot be understood: what was given, and why.
    Agent(String, String),
    /// No agent was given, and none found.
    NoAgents,
    /// No place to write to is known.
    NoPlace,
    /// The configuration would not pass `check`.
    Problems(Vec<Finding>),
    /// A file or directory cannot be written.
    Unwritable(PathBuf, io::Error),
    /// The hub gave no id and token.
    Register(RegisterError),
    /// The hub gave a token, which was kept, and the rest failed.
    AfterToken {
        /// Where the token is.
        token: PathBuf,
        /// The id it belongs to.
        id: String,
        /// What failed.
        cause: Box<Failure>,
    },
}

impl Failure {
    /// The exit code it ends the command with.
    pub fn code(&self) -> u8 {
        match self {
            Self::Interrupted | Self::Register(RegisterError::Interrupted) => exit::INTERRUPTED,
            Self::Register(RegisterError::Keep(..)) | Self::Unwritable(..) => exit::INTERNAL,
            Self::Register(_) => exit::UNAVAILABLE,
            Self::AfterToken { cause, .. } => cause.code(),
            _ => exit::USAGE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTerminal => f.write_str(
                "There is no terminal to ask on. Give --yes and what is needed as options; \
                 init --help lists them.",
            ),
            Self::Ended => f.write_str("The answers ended early. Nothing was written."),
            Self::Interrupted => f.write_str("Interrupted. Nothing was written."),
            Self::Exists(path) => write!(
                f,
                "{path:?} is there already. Replace it with --force, or write another file \
                 with --output FILE."
            ),
            Self::TwoTokens(one, other) => {
                write!(f, "{one} and {other} do not go together. Keep one of them.")
            }
            Self::NoToken => f.write_str(
                "There is no token. Give it with --token-stdin, --token-file or $AMURG_TOKEN, \
                 or get one with --register.",
            ),
            Self::Token(error) => {
                let (what, advice) = error.explain();
                write!(f, "The token cannot be used: {what}. Please {advice}.")
            }
            Self::Address(why) => write!(f, "The hub's address {why}."),
            Self::Agent(given, why) => write!(f, "The agent {given:?} {why}."),
            Self::NoAgents => f.write_str(
                "No agent was found on this machine. Name one with --agent ID=COMMAND.",
            ),
            Self::NoPlace => f.write_str(
                "No home directory is known to write to. Name a file with --output FILE.",
            ),
            Self::Problems(findings) => {
                f.write_str("The configuration would not work. Nothing was written.")?;
                findings.iter().try_for_each(|finding| problem(f, finding))
            }
            Self::Unwritable(path, error) => {
                write!(f, "{path:?} cannot be written: {error}. Write elsewhere with --output FILE.")
            }
            Self::Register(error) => error.fmt(f),
            Self::AfterToken { token, id, cause } => write!(
                f,
                "{cause}\nThe hub has registered this runtime as {id:?}, and its token is in \
                 {token:?}. Go on with --id and --token-file."
            ),
        }
    }
}

impl std::error::Error for Failure {}

fn problem(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    write!(f, "\n  {}: {}", finding.path, finding.message)?;
    match &finding.hint {
        Some(hint) => write!(f, "\n    hint: {hint}"),
        None => Ok(()),
    }
}
