mod arguments;
mod attributes;
mod token;
