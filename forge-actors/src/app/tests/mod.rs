mod arguments;
mod attributes;
mod secret;
mod token;
