//! `schema.json`: every function with the JSON Schema of its arguments and its result, for forms and
//! playgrounds.

use forge_actors::app::handler::Access;
use serde_json::{Value, json};

use crate::contract::Contract;
use crate::json_schema::Definitions;

/// The file's content.
pub fn document(contract: &Contract) -> Value {
    let mut definitions = Definitions::new(contract, "#/$defs/");
    let functions: Vec<_> = contract
        .functions
        .iter()
        .map(|function| {
            json!({
                "name": function.name,
                "kind": function.kind,
                "access": access(function.access),
                "description": function.docs.text,
                "deprecated": function.docs.deprecated,
                "args": definitions.arguments(&function.args),
                "result": definitions.schema(&function.output),
                "error": definitions.schema(&function.error),
                "codes": function.codes,
            })
        })
        .collect();
    json!({ "contract": contract.hash, "functions": functions, "$defs": definitions.into_value() })
}

fn access(access: Access) -> Value {
    match access {
        Access::Public => json!({ "is": "public" }),
        Access::Authenticated => json!({ "is": "authenticated" }),
        Access::Role(role) => json!({ "is": "role", "role": role }),
        Access::Internal => json!({ "is": "internal" }),
    }
}
