//! Paths and variables as JSON, whatever bytes they hold: a string where they
//! are UTF-8, an array of bytes where not.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

struct Text<'a>(Cow<'a, OsStr>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(plain) => to.serialize_str(plain),
            None => self.0.as_bytes().serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Text<'_> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OsString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or its bytes")
            }

            fn visit_str<E>(self, plain: &str) -> Result<OsString, E> {
                Ok(plain.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<OsString, A::Error> {
                let mut text = Vec::new();
                while let Some(byte) = bytes.next_element()? {
                    text.push(byte);
                }
                Ok(OsString::from_vec(text))
            }
        }

        from.deserialize_any(Either).map(|text| Self(text.into()))
    }
}

/// For `#[serde(with)]` on a path.
pub(super) mod path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Text;

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        Text(path.as_os_str().into()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Text::deserialize(from).map(|text| text.0.into_owned().into())
    }
}

/// For `#[serde(with)]` on a list of variables.
pub(super) mod pairs {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{OsString, Text};

    pub fn serialize<S: Serializer>(
        pairs: &[(OsString, OsString)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let pairs = pairs.iter();
        to.collect_seq(pairs.map(|(name, value)| [name, value].map(|text| Text(text.into()))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(OsString, OsString)>, D::Error> {
        let pairs = Vec::<[Text; 2]>::deserialize(from)?;
        Ok(pairs.into_iter().map(|pair| pair.map(|text| text.0.into_owned()).into()).collect())
    }
}
