//! Registration by device code: the hub gives a code, an administrator confirms
//! it in a browser, the hub gives id and token.
//!
//! How it is shown and waited for is the [`Surroundings`]' business, and where the
//! token is kept that of [`Keep`]; nothing here knows a terminal or a file.

mod client;
pub mod qr;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

pub use client::Client;

use self::client::Reply;
use crate::logging::Quoted;

/// A hub that says it is busy is asked this often before it is given up.
const BUSY_ATTEMPTS: u32 = 6;
/// Bounds of the pause between two polls.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Bounds of the time somebody has to confirm.
const EXPIRIES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));
/// The pause where the hub names none.
const USUAL_PAUSE: Duration = Duration::from_secs(5);

/// What a person needs in order to confirm.
#[derive(Debug)]
pub struct Offer {
    /// The code to compare.
    pub code: String,
    /// The page to open; visible ASCII.
    pub address: String,
    /// How long both are good for.
    pub expires_in: Duration,
}

/// What the hub decided, apart from the token, which was kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Granted {
    /// The id the hub chose.
    pub runtime_id: String,
    /// The organisation, where it is not the default one.
    pub org_id: Option<String>,
}

/// What registration needs of whoever runs it.
pub trait Surroundings {
    /// Shows what a person needs in order to confirm.
    fn show(&mut self, offer: &Offer);
    /// Tells what is waited for, in a few words.
    fn waits_for(&mut self, what: &str);
    /// Waits this long; `false`: it shall end here.
    fn wait(&mut self, pause: Duration) -> bool;
}

/// Puts the token where it survives everything.
pub type Keep<'a> = dyn FnMut(&str) -> io::Result<()> + 'a;

/// Why there is no id and token.
#[derive(Debug)]
pub enum RegisterError {
    /// The hub knows nothing of registration.
    OlderHub,
    /// The hub cannot be asked: its address, and why.
    Unreachable(String, String),
    /// The hub is somewhere else.
    Moved(String),
    /// An answer that is none: what is wrong with it.
    Odd(String),
    /// The hub stays busy.
    Busy,
    /// Nobody confirmed in time.
    Expired,
    /// An administrator, or the hub, refused: its word for it.
    Refused(String),
    /// The hub does not know this registration any more.
    Forgotten,
    /// The token was given out before, and did not arrive.
    GivenOut,
    /// The token came, and could not be kept.
    Keep(io::Error),
    /// The token came and was kept, but without an id.
    NoId,
    /// Ctrl-C.
    Interrupted,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::OlderHub => {
                "this hub is older than registration by code; ask its administrator for a token, \
                 and give it with --token-stdin or --token-file, and the name with --id"
            }
            Self::Unreachable(hub, why) => {
                return write!(f, "the hub at {hub} cannot be asked: {why}; is --hub-url right?");
            }
            Self::Moved(to) => {
                return write!(f, "the hub is elsewhere; give {} as --hub-url", Quoted(to));
            }
            Self::Odd(what) => {
                return write!(
                    f,
                    "the answer cannot be used: {what}; is --hub-url the address of a hub?"
                );
            }
            Self::Busy => "the hub is busy and takes no registration; try again in a minute",
            Self::Expired => "nobody confirmed the code in time; run the command again",
            Self::Refused(status) => {
                return write!(
                    f,
                    "the hub refused this runtime: {}; ask its administrator",
                    Quoted(status)
                );
            }
            Self::Forgotten => {
                "the hub does not know this registration any more, perhaps it was restarted; run \
                 the command again"
            }
            Self::GivenOut => {
                "the hub has given the token out already, and it did not arrive here; remove the \
                 runtime in the hub, and run the command again"
            }
            Self::Keep(error) => {
                return write!(
                    f,
                    "the token cannot be written: {error}; remove the runtime in the hub if it was \
                     confirmed, write elsewhere with --output FILE"
                );
            }
            Self::NoId => {
                "the hub gave a token, which was kept, but no id; ask its administrator for it"
            }
            Self::Interrupted => "interrupted; nothing was written",
        };
        f.write_str(words)
    }
}

impl std::error::Error for RegisterError {}

/// Registers this machine. The token is given out once: `keep` gets it before
/// anything else is looked at.
///
/// # Errors
/// When the hub or the person at it does not want it, or time runs out.
pub fn register(
    client: &Client,
    around: &mut dyn Surroundings,
    keep: &mut Keep<'_>,
) -> Result<Granted, RegisterError> {
    let (offer, polling_token, pause) = begin(client, around)?;
    around.show(&offer);
    around.waits_for("your confirmation");
    let request =
        Zeroizing::new(serde_json::json!({"polling_token": polling_token.as_str()}).to_string());
    let mut pause = pause;
    // The hub says when it is over; this only bounds a hub that never does.
    let mut left = offer.expires_in + PAUSES.1;
    while left > Duration::ZERO {
        if !around.wait(pause) {
            return Err(RegisterError::Interrupted);
        }
        left = left.saturating_sub(pause);
        match client.post("/api/runtime/register/poll", Some(&request)) {
            // It may come back; the code is good for a while.
            Err(error) => around.waits_for(&format!("the hub: {}", error.short())),
            Ok(Reply { status: 429, retry_after, .. }) => {
                pause = retry_after.unwrap_or(pause * 2).clamp(pause, PAUSES.1);
                around.waits_for("a busy hub");
            }
            Ok(Reply { status: 500..=599, .. }) => around.waits_for("a hub that has a problem"),
            Ok(Reply { status: 404, .. }) => return Err(RegisterError::Forgotten),
            Ok(reply) => {
                let answer = json(&reply)?;
                match answer["status"].as_str().unwrap_or_default() {
                    "pending" => around.waits_for("your confirmation"),
                    "approved" => return approved(&answer, keep),
                    "expired" => return Err(RegisterError::Expired),
                    other => return Err(RegisterError::Refused(other.to_owned())),
                }
            }
        }
    }
    Err(RegisterError::Expired)
}

/// Asks for a code. Also gives what to poll with, and how often.
fn begin(
    client: &Client,
    around: &mut dyn Surroundings,
) -> Result<(Offer, Zeroizing<String>, Duration), RegisterError> {
    around.waits_for("the hub");
    let mut pause = Duration::from_secs(1);
    for _ in 0..BUSY_ATTEMPTS {
        let reply = client
            .post("/api/runtime/register", None)
            .map_err(|error| RegisterError::Unreachable(client.base().to_owned(), error.told()))?;
        match reply.status {
            404 => return Err(RegisterError::OlderHub),
            429 => {
                around.waits_for("a busy hub");
                if !around.wait(reply.retry_after.unwrap_or(pause).min(PAUSES.1)) {
                    return Err(RegisterError::Interrupted);
                }
                pause *= 2;
            }
            _ => return offer(&json(&reply)?),
        }
    }
    Err(RegisterError::Busy)
}

fn offer(answer: &Value) -> Result<(Offer, Zeroizing<String>, Duration), RegisterError> {
    let text = |key: &str, longest: usize| {
        let text = answer[key].as_str().unwrap_or_default();
        // It is shown, or sent back: nothing that moves a cursor, nothing endless.
        let fits =
            (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| text.to_owned()).ok_or_else(|| RegisterError::Odd(format!("it has no {key}")))
    };
    let seconds = |key: &str, usual: Duration, (low, high): (Duration, Duration)| {
        answer[key].as_u64().map_or(usual, Duration::from_secs).clamp(low, high)
    };
    let address = text("verification_url", 512)?;
    if !address.starts_with("https://") && !address.starts_with("http://") {
        return Err(RegisterError::Odd("its verification_url is no address".into()));
    }
    let offer = Offer {
        code: text("user_code", 64)?,
        address,
        expires_in: seconds("expires_in", Duration::from_secs(300), EXPIRIES),
    };
    let polling_token = Zeroizing::new(text("polling_token", 1024)?);
    Ok((offer, polling_token, seconds("interval", USUAL_PAUSE, PAUSES)))
}

fn approved(answer: &Value, keep: &mut Keep<'_>) -> Result<Granted, RegisterError> {
    let token = answer["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        return Err(RegisterError::GivenOut);
    }
    keep(token).map_err(RegisterError::Keep)?;
    let text = |key: &str| answer[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Granted {
        runtime_id: text("runtime_id").ok_or(RegisterError::NoId)?,
        org_id: text("org_id").filter(|org_id| org_id != "default"),
    })
}

/// The object a reply holds.
fn json(reply: &Reply) -> Result<Value, RegisterError> {
    match (reply.status, &reply.location) {
        (200..=299, _) => {}
        (300..=399, Some(location)) => return Err(RegisterError::Moved(location.clone())),
        (status, _) => return Err(RegisterError::Odd(format!("it has the status {status}"))),
    }
    match serde_json::from_str(&reply.body) {
        Ok(answer @ Value::Object(_)) => Ok(answer),
        _ => Err(RegisterError::Odd("it is not a JSON object".into())),
    }
}
