mod config;
mod gate;
mod greeting;
mod outbox;
mod plan;
mod registry;
