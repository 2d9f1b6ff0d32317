//! What application code sees: kinds, handlers, contexts, the catalog, models, errors.

pub mod model;
