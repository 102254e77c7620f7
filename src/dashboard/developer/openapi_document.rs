//! The OpenAPI document, from which the pages of the documentation take methods, parameters and responses.

use std::sync::LazyLock;

use serde_json::Value;

use crate::api::openapi;

/// The document is built from static types, so it is always valid JSON.
pub static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(openapi::text()).unwrap_or(Value::Null));

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    /// `body`, `query`, `path` or `header`.
    pub place: &'static str,
    pub is_required: bool,
    pub description: &'static str,
}

/// The fields of the operation's body and its parameters.
pub fn parameters(path: &str, method: &str) -> Vec<Parameter> {
    let operation = &DOCUMENT["paths"][path][method];
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let schema = resolved(schema);
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<Parameter> = fields
        .map(|(name, field)| {
            // An optional field of a named type is one of null and a reference, which may have a description.
            let alternatives = field["oneOf"].as_array().into_iter().flatten();
            let described = [field].into_iter().chain(alternatives);
            let mut described = described.flat_map(|schema| [schema, resolved(schema)]);
            let description = described.find_map(|schema| schema["description"].as_str());
            let description = description.unwrap_or_default();
            let is_required = required.contains(&name.as_str());
            Parameter { name, place: "body", is_required, description }
        })
        .collect();
    // The list of required fields has the order of their declaration; the map is sorted.
    let place = |field: &Parameter| required.iter().position(|name| *name == field.name);
    fields.sort_by_key(|field| place(field).unwrap_or(usize::MAX));
    let given = operation["parameters"].as_array().into_iter().flatten().map(|one| Parameter {
        name: text(one, "name"),
        place: text(one, "in"),
        is_required: one["required"] == true,
        description: text(one, "description"),
    });
    fields.into_iter().chain(given).collect()
}

/// The text of a member; empty if there is none.
pub fn text(value: &'static Value, name: &str) -> &'static str {
    value[name].as_str().unwrap_or_default()
}

/// The schema that a reference names.
fn resolved(schema: &'static Value) -> &'static Value {
    match text(schema, "$ref").strip_prefix("#/components/schemas/") {
        Some(name) => &DOCUMENT["components"]["schemas"][name],
        None => schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_an_operation_are_found() {
        let found = parameters("/api/v1/send-otp", "post");
        let names: Vec<_> =
            found.iter().map(|one| (one.name, one.place, one.is_required)).collect();
        for expected in
            [("phone", "body", true), ("code", "body", true), ("Idempotency-Key", "header", false)]
        {
            assert!(names.contains(&expected), "{expected:?} is not in {names:?}");
        }
        assert!(found.iter().all(|one| !one.description.is_empty()), "{found:?}");
        assert!(parameters("/api/v1/nothing", "get").is_empty());
    }
}
