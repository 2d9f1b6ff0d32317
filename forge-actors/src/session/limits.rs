//! Limits of sessions that are not configurable; each says what happens when it is reached.

use std::time::Duration;

use crate::kernel::time::{millis, secs};

/// Version of the frames; another `proto` in `hello` closes the connection with 4400.
pub(super) const PROTO: u32 = 1;
/// Nesting depth of objects and arrays in a frame; a deeper frame closes the connection with 4400. The
/// decoder of arguments stops at the same depth.
pub(super) const FRAME_DEPTH_MAX: usize = 128;
/// Characters of a parse error that are repeated to the client; the rest is cut.
pub(super) const REASON_CHARS_MAX: usize = 200;
/// Time for a client to send another token after its token expired; then the connection is closed with 4401.
pub(super) const TOKEN_GRACE: Duration = secs(5);
/// Frames and bytes that are read from a socket in a row; then other tasks get their turn.
pub(super) const FRAMES_AT_ONCE_MAX: usize = 32;
pub(super) const BYTES_AT_ONCE_MAX: usize = 16 * 1024;
/// Bytes that the heads of the fragments of one frame may take beside its payload; more closes the
/// connection with 1009. A head takes 6 to 14 bytes, and browsers send a frame in one fragment, or in
/// fragments of 16 KiB and more.
pub(super) const FRAGMENT_HEADS_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a control frame of a client beside its payload (RFC 6455, section 5.2).
pub(super) const CONTROL_HEAD_BYTES: usize = 6;
/// Bytes of the read buffer of an idle session, and of a read. The buffer grows to the frame that is read;
/// most frames of a browser fit.
pub(super) const READ_BUFFER_BYTES: usize = 512;
/// Bytes in the kernel's send buffer above which the socket counts as not writable. Bytes in that buffer can
/// no longer be replaced by newer results, so few are let in.
pub(super) const UNSENT_BYTES_MAX: u32 = 16 * 1024;
/// Bytes of one part of a frame to the client. A client that takes the least that is allowed
/// (`CLIENT_BYTES_PER_SECOND_MIN`) gets a part within the 10 s that it waits for a sign of life.
pub(super) const PART_BYTES_MAX: usize = 32 * 1024;
/// Bytes from which on a result is not copied into the frame that brings it to a client.
pub(super) const SHARED_BYTES_LEAST: usize = 1024;
/// Replies (`mutResult`, `pong`, …) that wait to be written; one more closes the connection with 1013. While
/// a write waits for the client, no frame is read, so a client that reads never comes near.
pub(super) const REPLIES_WAITING_MAX: usize = 4_096;
/// Time for which a client may go on sending after its close frame was written. Closing a socket with unread
/// bytes resets the connection, and the client would lose the close frame.
pub(super) const LINGER: Duration = millis(500);
/// A flood is read in steps of this many bytes, which are dropped. Read as fast as it comes, the flood would
/// cost as much as one that is not refused; and a client that is not closed at once cannot come again at
/// once.
pub(super) const LINGER_BYTES_AT_ONCE: usize = 16 * 1024;
/// A flood is read with this pause after each step.
pub(super) const LINGER_PAUSE: Duration = millis(25);
/// Sessions that start at the same time; further ones wait for their turn.
pub(super) const STARTS_MAX: usize = 64;
/// Time between two checks whether the reactor runs.
pub(super) const REACTOR_CHECK_INTERVAL: Duration = secs(1);
/// Time after which a session that drains is sent the message again, in case a full mailbox dropped the first
/// one.
pub(super) const DRAIN_AGAIN_AFTER: Duration = secs(1);
/// Time for which the reactor may be down, for example between two restarts; then sessions are closed with
/// 1013.
pub(super) const REACTOR_DOWN_MAX: Duration = secs(5);
/// Time for a session's actor to start; then the connection is closed with 1013.
pub(super) const START_TIMEOUT: Duration = secs(5);

/// Id of the supervisor of the sessions, which is a child of the gateway.
pub const SUPERVISOR_ID: &str = "sessions";
/// Id of the drainer, which is its sibling.
pub const DRAINER_ID: &str = "session_drainer";
