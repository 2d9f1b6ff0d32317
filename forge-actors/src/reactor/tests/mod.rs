mod pace;
mod table;
