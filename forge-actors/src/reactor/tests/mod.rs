mod commits;
mod driver;
mod groups;
mod pace;
mod ticks;
