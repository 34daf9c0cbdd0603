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
    /// A path that is none: what is wrong, and what to do.
    Path(PathBuf, String),
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
        /// The id it belongs to, where the hub told it.
        id: Option<String>,
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
                "there is no terminal to ask on; give --yes and what is needed as options \
                 (init --help lists them)",
            ),
            Self::Ended => f.write_str("the answers ended early; nothing was written"),
            Self::Interrupted => f.write_str("interrupted; nothing was written"),
            Self::Exists(path) => write!(
                f,
                "{path:?} is there already; replace it with --force, or write another file with \
                 --output FILE"
            ),
            Self::TwoTokens(one, other) => {
                write!(f, "{one} and {other} do not go together; keep one of them")
            }
            Self::NoToken => f.write_str(
                "there is no token; give it with --token-stdin, --token-file or $AMURG_TOKEN, or \
                 get one with --register",
            ),
            Self::Token(error) => {
                let (what, advice) = error.explain();
                write!(f, "the token cannot be used: {what}; {advice}")
            }
            Self::Address(why) => write!(f, "the hub's address {why}"),
            Self::Agent(given, why) => write!(f, "the agent {given:?} {why}"),
            Self::NoAgents => {
                f.write_str("no agent was found on this machine; name one with --agent ID=COMMAND")
            }
            Self::NoPlace => f.write_str(
                "no home directory is known to write to; name a file with --output FILE",
            ),
            Self::Path(path, why) => write!(f, "the path {path:?} {why}"),
            Self::Problems(findings) => {
                f.write_str("the configuration would not work; nothing was written")?;
                findings.iter().try_for_each(|finding| problem(f, finding))
            }
            Self::Unwritable(path, error) => {
                write!(f, "{path:?} cannot be written: {error}; write elsewhere with --output FILE")
            }
            Self::Register(error) => error.fmt(f),
            Self::AfterToken { token, id, cause } => {
                write!(f, "{cause}\nthe token is in {token:?}")?;
                if let Some(id) = id {
                    write!(f, ", and the hub knows this runtime as {id:?}")?;
                }
                f.write_str("; go on with --token-file and --id")
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_move_the_cursor() {
        let odd = "\u{1b}[2J\n".to_owned();
        for failure in [
            Failure::Agent(odd.clone(), String::new()),
            Failure::Exists(odd.clone().into()),
            Failure::Register(RegisterError::Refused(odd.clone())),
            Failure::Register(RegisterError::Moved(odd)),
        ] {
            let message = failure.to_string();
            assert!(!message.contains('\u{1b}') && !message.contains('\n'), "{message:?}");
        }
    }
}
