//! Limits of sessions that no configuration moves; each says what happens when it is reached.

use std::time::Duration;

use crate::kernel::time::{millis, secs};

/// Subprotocol that client and server agree on; a client that does not offer it is not upgraded.
pub(crate) const SUBPROTOCOL: &str = "forge.v1";
/// The one version of the frames; another one ends the connection with 4400.
pub(super) const PROTO: u32 = 1;
/// How deep objects and arrays of a frame may nest; a deeper one is no frame (4400). What decodes arguments
/// stops at the same depth.
pub(super) const FRAME_DEPTH_MAX: usize = 128;
/// Characters of what was wrong with a frame that are repeated to the client.
pub(super) const REASON_CHARS_MAX: usize = 200;
/// Time between a token's expiry and the end of the connection, for another token to come.
pub(super) const TOKEN_GRACE: Duration = secs(5);
/// Messages that are read from a socket before others get their turn.
pub(super) const READS_AT_ONCE_MAX: usize = 32;
/// Bytes of the read buffer of an idle session, and of a read; it grows to the frame that comes. Most frames
/// of a page fit.
pub(super) const READ_BUFFER_BYTES: usize = 512;
/// Bytes that wait unsent in the kernel before the socket counts as not writable: what lies there is old when
/// it arrives.
pub(super) const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// How long the client may still send after it was told the end; a close under unread bytes would overtake
/// the words.
pub(super) const LINGER: Duration = millis(500);
/// Bytes that are read and dropped meanwhile.
pub(super) const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// Sessions that start at the same time; further ones wait their turn at the supervisor's door.
pub(super) const STARTS_MAX: usize = 64;
/// Between two looks whether the reactor runs.
pub(super) const DOOR_LOOK_EVERY: Duration = secs(1);
/// Time that the reactor may be away, for example between two of its restarts; then sessions are closed with
/// 1013.
pub(super) const REACTOR_PATIENCE: Duration = secs(5);
/// Time for a session to start; then the connection is closed with 1013.
pub(super) const START_PATIENCE: Duration = secs(5);
