//! `openapi.json`: the functions as OpenAPI 3.1, for other languages than TypeScript.

use std::collections::BTreeMap;

use forge_actors::app::KindName;
use forge_actors::app::handler::Access;
use forge_actors::kernel::fault::Code;
use serde_json::{Map, Value, json};

use crate::contract::{Contract, Function};
use crate::json_schema::Definitions;
use crate::shape::Shape;

/// The name of the schema of errors that are Forge's own.
const FAULT: &str = "ForgeFault";

/// The file's content; `title` names the application.
pub fn document(contract: &Contract, title: &str) -> Value {
    let mut definitions = Definitions::new(contract, "#/components/schemas/");
    let mut paths = Map::new();
    for function in &contract.functions {
        let mut path = json!({ "post": operation(function, false, &mut definitions) });
        if function.kind == KindName::Query {
            path["get"] = operation(function, true, &mut definitions);
        }
        paths.insert(format!("/rpc/{}", function.name), path);
    }
    let mut schemas = definitions.into_value();
    schemas[FAULT] = fault();
    json!({
        "openapi": "3.1.0",
        "info": { "title": title, "version": contract.hash },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
        },
    })
}

fn operation(function: &Function, is_get: bool, definitions: &mut Definitions<'_>) -> Value {
    let module: Vec<_> = function.name.rsplitn(2, '.').collect();
    let mut operation = json!({
        "operationId": if is_get { format!("{}.get", function.name) } else { function.name.to_owned() },
        "tags": [module.last()],
        "responses": responses(function, definitions),
        "security": security(function.access),
    });
    if !function.docs.text.is_empty() {
        operation["summary"] = json!(function.docs.text);
    }
    if let Access::Role(role) = function.access {
        operation["description"] = json!(format!("The token's roles must contain `{role}`."));
    }
    if function.docs.deprecated.is_some() {
        operation["deprecated"] = json!(true);
    }
    let content = json!({ "application/json": { "schema": definitions.arguments(&function.args) } });
    let required = needs_arguments(&function.args);
    if is_get {
        operation["parameters"] =
            json!([{ "name": "args", "in": "query", "required": required, "content": content }]);
    } else {
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    operation
}

/// Without a body the arguments are an empty object.
fn needs_arguments(args: &Shape) -> bool {
    match args {
        Shape::Object(object) => object.properties.iter().any(|property| !property.optional),
        _ => true,
    }
}

/// Without a token first, where none is needed.
fn security(access: Access) -> Value {
    match access {
        Access::Public => json!([{}, { "bearer": [] }]),
        Access::Authenticated | Access::Role(_) | Access::Internal => json!([{ "bearer": [] }]),
    }
}

/// One answer for each status: the result, the function's own errors, and everything that Forge itself may
/// say.
fn responses(function: &Function, definitions: &mut Definitions<'_>) -> Value {
    let data = definitions.schema(&function.output);
    let mut responses = Map::new();
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let success = json!({ "type": "object", "properties": { "data": data }, "required": ["data"] });
    responses.insert("200".to_owned(), json!({ "description": "The result.", "content": content(success) }));
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in &function.codes {
        by_status.entry(code.status).or_default().push(code.name);
    }
    let own = definitions.schema(&function.error);
    for (status, codes) in by_status {
        let chosen = json!({
            "properties": { "code": { "enum": codes }, "traceId": { "type": "string" } },
            "required": ["traceId"],
        });
        let own = json!({ "allOf": [own.clone(), chosen] });
        // Forge's own codes share statuses with those of applications.
        let error = json!({ "anyOf": [own, { "$ref": format!("#/components/schemas/{FAULT}") }] });
        let schema = json!({ "type": "object", "properties": { "error": error }, "required": ["error"] });
        responses.insert(
            status.to_string(),
            json!({ "description": codes.join(", "), "content": content(schema) }),
        );
    }
    let fault = json!({ "$ref": format!("#/components/schemas/{FAULT}") });
    let schema = json!({ "type": "object", "properties": { "error": fault }, "required": ["error"] });
    responses.insert(
        "default".to_owned(),
        json!({
            "description": "Forge's own errors.",
            "headers": {
                "Retry-After": {
                    "description": "Seconds after which the call may be sent again.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
                "Allow": {
                    "description": "With 405: the methods that the path answers.",
                    "schema": { "type": "string" },
                },
            },
            "content": content(schema),
        }),
    );
    Value::Object(responses)
}

fn fault() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    json!({
        "type": "object",
        "properties": {
            "code": { "type": "string", "examples": codes },
            "message": { "type": "string" },
            "details": {},
            "traceId": { "type": "string" },
            "retryAfterMs": { "type": "integer", "minimum": 0 },
        },
        "required": ["code", "message", "details", "traceId"],
    })
}
