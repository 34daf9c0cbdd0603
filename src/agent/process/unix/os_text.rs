//! Paths and variables as JSON, whatever bytes they hold: a string where they
//! are UTF-8, an array of bytes where not.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

impl<'a> From<&'a OsStr> for Text<'a> {
    fn from(text: &'a OsStr) -> Self {
        match text.to_str() {
            Some(plain) => Self::Plain(plain.into()),
            None => Self::Bytes(text.as_bytes().into()),
        }
    }
}

impl From<Text<'_>> for OsString {
    fn from(text: Text<'_>) -> Self {
        match text {
            Text::Plain(plain) => plain.into_owned().into(),
            Text::Bytes(bytes) => Self::from_vec(bytes.into_owned()),
        }
    }
}

/// For `#[serde(with)]` on a path.
pub(super) mod path {
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{OsString, Text};

    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        Text::from(path.as_os_str()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Text::deserialize(from).map(|text| OsString::from(text).into())
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
        to.collect_seq(
            pairs.iter().map(|(name, value)| [Text::from(&**name), Text::from(&**value)]),
        )
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(OsString, OsString)>, D::Error> {
        let pairs = Vec::<[Text; 2]>::deserialize(from)?;
        Ok(pairs.into_iter().map(|[name, value]| (name.into(), value.into())).collect())
    }
}
