mod config;
mod dial_plan;
mod handshake;
mod outbox;
mod pre_auth_limiter;
mod registry;
