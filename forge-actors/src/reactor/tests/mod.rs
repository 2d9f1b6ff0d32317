mod commits;
mod driver;
mod groups;
mod lanes;
mod model;
mod pace;
mod ticks;
mod world;
