//! OpenAPI schemas of the rules' types, made from the tables that the code itself uses.

use utoipa::openapi::schema::{
    KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Schema};

/// A JSON string that is one of `words`.
pub fn words<'w>(description: &str, words: impl IntoIterator<Item = &'w str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(words.into_iter().map(str::to_owned)))
        .build()
        .into()
}

/// A JSON string that matches a regular expression (ECMA 262).
pub fn pattern(description: &str, pattern: String) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .build()
}

/// A JSON string with one of two formats.
pub fn either(description: &str, formats: [KnownFormat; 2]) -> RefOr<Schema> {
    let one = |format| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(format)))
    };
    let mut either = OneOfBuilder::new().description(Some(description));
    for format in formats {
        either = either.item(one(format));
    }
    RefOr::T(either.build().into())
}

/// Implements `ToSchema` for a type by an expression of its schema.
macro_rules! schema {
    ($type:ty, $name:literal, $schema:expr) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed($name)
            }
        }
    };
}

/// Serializes a type as the text that `$text` returns.
macro_rules! serialize_as_word {
    ($type:ty, $text:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text(*self))
            }
        }
    };
}

pub(crate) use {schema, serialize_as_word};
