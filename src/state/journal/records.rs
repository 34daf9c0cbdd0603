//! The journal's records: what each says, as JSON.
//!
//! The shape may grow: readers ignore fields they do not know, and a new field
//! has a default. What an older program must not misread is a new [`VERSION`].
//! How records lie in a file is [`lines`](super::lines)' business.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::json::{from_bytes, take_text};
use crate::protocol::outbound::Frame;

/// Version of the format, in every file's header.
pub const VERSION: u32 = 1;

/// The first line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub journal: u32,
    /// How many records follow that say what was true when the file was begun.
    /// With all of them, no older file matters.
    pub snapshot: usize,
}

/// One thing that has become true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Record {
    /// A process of this runtime began to run.
    Run(Run),
    /// Nothing is left of that process and its children.
    RunOver {
        /// Its nonce.
        nonce: String,
    },
    /// A session can be made again.
    Session(RememberedSession),
    /// It cannot any more.
    SessionForgotten {
        /// The session.
        session: String,
    },
    /// `turn.started` is about to be sent.
    TurnOpened(OpenTurn),
    /// The turn is over, and these are its last frames.
    TurnEnded(EndedTurn),
    /// The hub has handled the turn's `turn.completed`.
    TurnConfirmed(MessageRef),
    /// A message waits for its turn.
    Queued(MessageRef),
    /// It does not wait any more, and never had a turn.
    Unqueued(MessageRef),
    /// The newest message ids of a session, oldest first (snapshots only).
    Recent {
        /// The session.
        session: String,
        /// The ids.
        messages: Vec<String>,
    },
    /// What a shutdown could not deliver.
    Undelivered(Undelivered),
}

impl Record {
    /// Reads a record: its kind first, then what belongs to that kind. A derived reader
    /// gathers all of it in a tree before it knows the kind, by code of its own for
    /// every type in it.
    ///
    /// # Errors
    /// When it is no record that is known here.
    pub fn read(json: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Kind {
            t: String,
        }
        let text = |name| take_text(&mut from_bytes(json)?, name);
        Ok(match from_bytes::<Kind>(json)?.t.as_str() {
            "run" => Self::Run(from_bytes(json)?),
            "run_over" => Self::RunOver { nonce: text("nonce")? },
            "session" => Self::Session(from_bytes(json)?),
            "session_forgotten" => Self::SessionForgotten { session: text("session")? },
            "turn_opened" => Self::TurnOpened(from_bytes(json)?),
            "turn_ended" => Self::TurnEnded(from_bytes(json)?),
            "turn_confirmed" => Self::TurnConfirmed(from_bytes(json)?),
            "queued" => Self::Queued(from_bytes(json)?),
            "unqueued" => Self::Unqueued(from_bytes(json)?),
            "recent" => {
                #[derive(Deserialize)]
                struct Messages {
                    messages: Vec<String>,
                }
                let Messages { messages } = from_bytes(json)?;
                Self::Recent { session: text("session")?, messages }
            }
            "undelivered" => Self::Undelivered(from_bytes(json)?),
            _ => return Err(serde_json::Error::custom("a kind that is not known here")),
        })
    }
}

/// A process of this runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The random part of its children's mark.
    pub nonce: String,
    /// Its process id.
    pub pid: u32,
}

/// What is needed to make a session again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedSession {
    /// The hub's id.
    #[serde(rename = "session")]
    pub session_id: String,
    /// Its endpoint.
    #[serde(rename = "endpoint")]
    pub endpoint_id: String,
    /// Whose it is.
    #[serde(rename = "user")]
    pub user_id: String,
    /// The user's prompt profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_profile: Option<String>,
    /// A command may still have been running in it when its last turn ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
}

/// A turn that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTurn {
    /// The session.
    #[serde(rename = "session")]
    pub session_id: String,
    /// The message that began it.
    #[serde(rename = "message")]
    pub message_id: String,
    /// The session's endpoint.
    #[serde(rename = "endpoint")]
    pub endpoint_id: String,
}

/// A turn that is over, while the hub is not known to have heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTurn {
    /// The session.
    #[serde(rename = "session")]
    pub session_id: String,
    /// The message that began it.
    #[serde(rename = "message")]
    pub message_id: String,
    /// A `system` line before the end, to be sent again exactly so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_frame")]
    pub note: Option<Frame>,
    /// Its `turn.completed`, to be sent again exactly so.
    #[serde(with = "frame")]
    pub completed: Frame,
}

/// A message of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRef {
    /// The session.
    #[serde(rename = "session")]
    pub session_id: String,
    /// The message.
    #[serde(rename = "message")]
    pub message_id: String,
}

/// What a shutdown could not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undelivered {
    /// Frames.
    pub entries: usize,
    /// Sessions they were of.
    pub sessions: usize,
}

/// A frame as `[id, text]`.
mod frame {
    use super::{Deserialize, Frame, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(frame: &Frame, to: S) -> Result<S::Ok, S::Error> {
        (&frame.id, &frame.text).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Frame, D::Error> {
        <(String, String)>::deserialize(from).map(|(id, text)| Frame { id, text })
    }
}

mod optional_frame {
    use super::{Deserialize, Frame, Serialize};

    // Serde passes a reference to the field, whatever its type.
    #[allow(clippy::ref_option)]
    pub(super) fn serialize<S: serde::Serializer>(
        frame: &Option<Frame>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        frame.as_ref().map(|frame| (&frame.id, &frame.text)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Frame>, D::Error> {
        let pair = <Option<(String, String)>>::deserialize(from)?;
        Ok(pair.map(|(id, text)| Frame { id, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize) -> MessageRef {
        MessageRef { session_id: "s".into(), message_id: format!("m{number}") }
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        let frame = |id: &str| Frame { id: id.into(), text: "{\"a\":\"\\u0000\\n\"}".into() };
        let session = RememberedSession {
            session_id: "s\n\"\u{1F600}".into(),
            prompt_profile: Some(String::new()),
            uncertain: true,
            ..RememberedSession::default()
        };
        let turn = EndedTurn {
            session_id: "s".into(),
            message_id: "m".into(),
            note: Some(frame("1")),
            completed: frame("2"),
        };
        let records = [
            Record::Run(Run { nonce: "n".into(), pid: 7 }),
            Record::RunOver { nonce: "n".into() },
            Record::Session(session.clone()),
            Record::Session(RememberedSession { prompt_profile: None, ..session }),
            Record::SessionForgotten { session: "s".into() },
            Record::TurnOpened(OpenTurn {
                session_id: "s".into(),
                message_id: "m".into(),
                endpoint_id: "e".into(),
            }),
            Record::TurnEnded(turn.clone()),
            Record::TurnEnded(EndedTurn { note: None, ..turn }),
            Record::TurnConfirmed(message(1)),
            Record::Queued(message(2)),
            Record::Unqueued(message(3)),
            Record::Recent { session: "s".into(), messages: vec!["a".into(), "b".into()] },
            Record::Undelivered(Undelivered { entries: 1, sessions: 2 }),
        ];
        for record in records {
            let json = serde_json::to_string(&record).unwrap();
            assert_eq!(Record::read(json.as_bytes()).unwrap(), record);
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_missing_ones_have_defaults() {
        let old = br#"{"t":"session","session":"s","endpoint":"e","user":"u","later":[1]}"#;
        let Record::Session(session) = Record::read(old).unwrap() else { panic!() };
        assert_eq!(session.prompt_profile, None);
        assert!(!session.uncertain);
        // Also such as have a meaning in other kinds.
        let odd = br#"{"t":"queued","session":"s","message":"m","messages":3,"nonce":{}}"#;
        let Record::Queued(message) = Record::read(odd).unwrap() else { panic!() };
        assert_eq!((message.session_id.as_str(), message.message_id.as_str()), ("s", "m"));
        let odd = br#"{"t":"run_over","nonce":"n","session":{}}"#;
        assert_eq!(Record::read(odd).unwrap(), Record::RunOver { nonce: "n".into() });
        for json in [&br#"{"t":"later"}"#[..], br#"{"t":"run_over","nonce":1}"#, b"{}", b"\xff"] {
            assert!(Record::read(json).is_err());
        }
    }
}
