//! How a service sees a path.

/// With the setting that makes it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As everybody does.
    Plainly,
    /// It can be read only.
    ReadOnly(String),
    /// What is there is not there for the service.
    Hidden(String),
}
