//! Runtime → hub: a frame for each thing the runtime can say.

/// One text frame, ready for the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The envelope's `id`, the same whenever the frame is sent again.
    pub id: String,
    /// The whole envelope as JSON text.
    pub text: String,
}
