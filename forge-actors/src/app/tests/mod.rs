mod attributes;
mod arguments;
mod token;
