//! The subprotocols of the WebSocket, of which a client offers some and the server chooses one (RFC 6455,
//! section 1.9).

/// How frames are written. The frames themselves are the same in all subprotocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subprotocol {
    /// `forge.v1`: every frame is one WebSocket message.
    V1,
    /// `forge.v1.parts`: a large frame to the client comes in parts. A browser does not say that a message is
    /// arriving before all of it is there, so that a client takes a large frame on a slow line for a broken
    /// connection.
    V1Parts,
}

impl Subprotocol {
    /// All, the one that the server prefers first.
    pub const ALL: [Self; 2] = [Self::V1Parts, Self::V1];

    /// The name in `Sec-WebSocket-Protocol`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "forge.v1",
            Self::V1Parts => "forge.v1.parts",
        }
    }
}
