//! `schema`: the tables that the models describe.
