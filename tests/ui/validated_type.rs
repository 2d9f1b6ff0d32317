//! Validated types without a rule, or with a way around it.

#[forge::validated_type(len = 1..200, trimm)] //~ 2
pub struct HalfOpen(String);

#[forge::validated_type(len = 200, check = "is_slug", trim = true)] //~ 3
pub struct Values(String);

#[forge::validated_type(len = 5..=1)] //~
pub struct NoLength(String);

#[forge::validated_type(trim)]
pub struct Public(pub String); //~

#[forge::validated_type(trim)]
pub struct Number(u32); //~

#[forge::validated_type(trim)]
pub struct Named { //~
    text: String,
}

#[forge::validated_type(trim)]
#[derive(Debug)] //~
pub struct Derived<T>(String); //~

#[forge::validated_type(trim)] //~
pub enum NotAStruct {}

fn main() {}
