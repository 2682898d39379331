//! The JSON Schema of the configuration, for editors: they complete keys, show what they are for, and mark what is wrong.

use serde_json::{Map, Value as Json, json};

use super::super::keys::{self, Absent, Key, Literal, Text, Value};
use super::{facts, page};

/// The schema, of draft 7, which is what editors of TOML know best.
#[must_use]
pub fn schema() -> Json {
    let mut schema = object(keys::FILE, "");
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_owned(), json!("Configuration of lbd"));
    Json::Object(schema)
}

fn object(keys: &[Key], prefix: &str) -> Map<String, Json> {
    let properties: Map<String, Json> =
        keys.iter().map(|key| (key.name.to_owned(), property(key, &format!("{prefix}{}", key.name)))).collect();
    let required = keys.iter().filter(|key| matches!(key.absent, Absent::Required)).map(|key| key.name);
    let required: Vec<&str> = required.collect();
    let mut object = map(json!({ "type": "object", "additionalProperties": false, "properties": properties }));
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn property(key: &Key, name: &str) -> Json {
    let mut property = value(&key.value, name);
    let words = page::section(name).map(page::plain).unwrap_or_default();
    let description = format!("{}\n\n{words}", facts(key));
    property.insert("description".to_owned(), json!(description.trim_end()));
    if let Absent::Default(literal) = &key.absent {
        property.insert("default".to_owned(), json_of(literal));
    }
    Json::Object(property)
}

fn value(value: &Value, name: &str) -> Map<String, Json> {
    match value {
        Value::Boolean => map(json!({ "type": "boolean" })),
        Value::Integer(range) => map(json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })),
        Value::Duration(_) => map(json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })),
        Value::Size(_) => map(json!({ "type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB)$" })),
        Value::Words(words) => map(json!({ "type": "string", "enum": words })),
        Value::Name => map(json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })),
        Value::Interface => map(json!({ "type": "string", "pattern": "^[^/:\\s]{1,15}$" })),
        Value::Address => map(json!({ "type": "string", "pattern": "^[0-9A-Fa-f:.]+$" })),
        Value::Text(text) => self::text(text),
        Value::Path { .. } => map(json!({ "type": "string", "pattern": "^/" })),
        Value::List { of, count } => {
            let mut list = map(json!({ "type": "array", "items": self::value(of, name), "minItems": count.start() }));
            if *count.end() != usize::MAX {
                list.insert("maxItems".to_owned(), json!(count.end()));
            }
            list
        }
        Value::Either(values) => {
            let choices: Vec<Json> = values.iter().map(|choice| Json::Object(self::value(choice, name))).collect();
            map(json!({ "anyOf": choices }))
        }
        Value::Table(keys) => object(keys, &format!("{name}.")),
        Value::Tables(keys) => map(json!({ "type": "array", "items": object(keys, &format!("{name}.")) })),
    }
}

fn text(text: &Text) -> Map<String, Json> {
    let (least, most) = (text.length.start(), text.length.end());
    let mut schema = map(json!({ "type": "string", "minLength": least, "maxLength": most }));
    if !text.pattern.is_empty() {
        schema.insert("pattern".to_owned(), json!(text.pattern));
    }
    schema
}

fn json_of(literal: &Literal) -> Json {
    match literal {
        Literal::Boolean(value) => json!(value),
        Literal::Integer(number) => json!(number),
        Literal::Text(text) => json!(text),
        Literal::Texts(texts) => json!(texts),
        Literal::Duration(_) | Literal::Size(_) => json!(literal.to_string().trim_matches('"')),
    }
}

fn map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
