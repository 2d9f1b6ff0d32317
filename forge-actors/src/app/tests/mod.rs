mod arguments;
mod token;
