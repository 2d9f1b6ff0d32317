//! The `db` room.
#![allow(missing_docs)]
#[derive(Clone, Debug)]
pub struct Db;
pub struct Nested(Db);
impl Db {
    pub async fn nested(&self, _read_only: bool) -> Result<Nested, sqlx::Error> {
        Ok(Nested(Db))
    }
}
impl Nested {
    pub fn db(&self) -> Db {
        self.0.clone()
    }
    pub async fn release(self) -> Result<(), sqlx::Error> {
        Ok(())
    }
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        Ok(())
    }
}
