//! Sessions: one supervised actor for each WebSocket, which speaks the frames of the reference
//! (`websocket.md`).
//!
//! ```text
//!   socket task ──frames──▶ mailbox ──▶ actor: State decides, the actor acts
//!       ▲                                 │ subscribe            │ submit
//!       │ takes when writable             ▼                      ▼
//!   Outlet (a Slot<Pending>) ◀──merge── reactor              function room
//!       └─ View: one transition frame per take
//!
//!   Greeting ──hello──▶ Open ──drain──▶ Open, goAway told ──go_away_after──▶ Leaving ──last mutation ended──▶ closed (1001)
//!      └─ 5 s without hello ─▶ closed (1008)
//!   signed in ──exp──▶ lapsed: nothing of the database is told ──5 s──▶ closed (4401)
//!       ▲────────── auth ─────────┘
//! ```
//!
//! Invariants
//! - What waits for a client is a set of what is newest, never a queue: a slow reader costs one result for
//!   each of its subscriptions and one frame under way.
//! - A frame from the client is read only when nothing waits to be written, so replies cannot pile up either.
//! - A subscription has a new inner id whenever it is made anew (another caller, a reactor that restarted): a
//!   result of the former one that is still under way belongs to nothing and is dropped.
//! - Nothing that was computed for one caller is told after the next one is known, and nothing at all after a
//!   token expired.
//! - Mutations of a connection run one after the other, as the caller they were sent by. While the token has
//!   lapsed none begins.
//!
//! Memory: an idle session with one subscription keeps 18 KiB resident (`just bench fanout`). Most of it are
//! ractor's two mailboxes (7 KB), its task with the session's state (5) and the socket's task (2). Hyper's
//! read buffer would be another 16, so it is let go.
//!
//! The `door` lets clients in and sees them out.
//!
//! Failure: a session is never restarted, since its socket is gone with it. However it ends (a stop, a
//! crash), its socket says 1012 on the way out, and the client connects again. What the client sent wrong
//! ends the connection with a `fault` and a code.

mod actor;
pub mod config;
mod door;
mod frame;
mod limits;
pub mod messages;
mod outlet;
mod render;
mod seats;
pub mod signals;
mod socket;
mod state;
mod view;
mod wire;

#[cfg(test)]
mod tests;
