mod arguments;
mod attributes;
mod output;
mod secret;
mod token;
