//! The JSON Schema of the settings, and what can be read from it: which keys and which words there are.

use std::sync::LazyLock;

use serde_json::Value;

use super::Config;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(Config).to_value();
    close(&mut schema);
    schema
});

/// Says of every table with known keys that it has no others: such a key is an error when the file is read.
fn close(node: &mut Value) {
    if let Some(table) = node.as_object_mut()
        && table.contains_key("properties")
    {
        table.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    match node {
        Value::Object(table) => table.values_mut().for_each(close),
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// The JSON Schema of `config.toml`, for editors.
#[must_use]
pub fn schema() -> String {
    serde_json::to_string_pretty(&*SCHEMA).expect("a JSON value can be written") + "\n"
}

/// The keys of the table at `path`.
pub(super) fn keys(path: &[String]) -> Vec<&'static str> {
    let properties = node(path).and_then(|node| node.get("properties")).and_then(Value::as_object);
    properties.into_iter().flat_map(serde_json::Map::keys).map(String::as_str).collect()
}

/// The words that the value at `path` may be, when it is one of a few.
pub(super) fn words(path: &[String]) -> Vec<&'static str> {
    let Some(node) = node(path) else { return Vec::new() };
    let listed = node.get("enum").and_then(Value::as_array).into_iter().flatten();
    let described = node.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let described = described.flat_map(|one| {
        one.get("const").into_iter().chain(one.get("enum").and_then(Value::as_array).into_iter().flatten())
    });
    listed.chain(described).filter_map(Value::as_str).collect()
}

/// The place in the whole tree where a key of this name belongs, if there is exactly one.
pub(super) fn elsewhere(key: &str) -> Option<String> {
    let mut found = Vec::new();
    for table in keys(&[]) {
        let path = vec![table.to_owned()];
        if keys(&path).contains(&key) {
            found.push(format!("{table}.{key}"));
        }
        if keys(&[table.to_owned(), String::new()]).contains(&key) {
            found.push(format!("{table}.NAME.{key}"));
        }
    }
    (found.len() == 1).then(|| found.remove(0))
}

fn node(path: &[String]) -> Option<&'static Value> {
    path.iter().try_fold(resolve(&SCHEMA), |node, key| {
        let inner = node.get("properties").and_then(|all| all.get(key));
        inner.or_else(|| node.get("additionalProperties").filter(|rest| rest.is_object())).map(resolve)
    })
}

/// Follows references, and takes the part of an optional value that is not null.
fn resolve(node: &'static Value) -> &'static Value {
    let inner = match (node.get("$ref").and_then(Value::as_str), node.get("anyOf").and_then(Value::as_array))
    {
        (Some(name), _) => name.strip_prefix('#').and_then(|pointer| SCHEMA.pointer(pointer)),
        (None, Some(any)) => any.iter().find(|one| one.get("type").and_then(Value::as_str) != Some("null")),
        (None, None) => None,
    };
    inner.map_or(node, resolve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_knows_keys_and_words() {
        assert!(keys(&[]).contains(&"sandbox") && !keys(&[]).contains(&"notices"));
        assert_eq!(
            keys(&path("providers.x")),
            [
                "base_url",
                "wire",
                "env_key",
                "key_header",
                "token_command",
                "headers",
                "script",
                "idle_timeout_s",
                "tools",
                "window",
                "reasoning_field",
                "short_call_ids",
                "ask_usage",
                "server_compaction"
            ]
        );
        assert_eq!(keys(&path("projects./a")), ["trusted", "allow", "ask", "deny"]);
        assert_eq!(words(&path("sandbox")), ["read-only", "workspace-write", "danger-full-access"]);
        assert_eq!(words(&path("approval")), ["untrusted", "on-request", "never"]);
        assert_eq!(words(&path("providers.x.wire")), ["responses", "chat", "anthropic", "ollama", "replay"]);
        assert_eq!(words(&path("model")), [""; 0]);
        assert_eq!(keys(&path("nothing.here")), [""; 0]);
        assert_eq!(elsewhere("base_url").as_deref(), Some("providers.NAME.base_url"));
        assert_eq!(elsewhere("env_allow").as_deref(), Some("shell.env_allow"));
        assert_eq!(elsewhere("nothing"), None);
    }

    #[test]
    fn the_schema_is_valid_and_accepts_what_the_program_accepts() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let good = r#"{"model":"a/b","sandbox":"read-only","backend":"docker:x","providers":{"o":{"wire":"replay"}},
                       "projects":{"/x":{"trusted":true}},"effort":"high","context_window":8192}"#;
        assert!(validator.is_valid(&serde_json::from_str(good).unwrap()));
        for bad in
            [r#"{"model":"a"}"#, r#"{"sandbox":"x"}"#, r#"{"context_window":1}"#, r#"{"backend":"podman"}"#]
        {
            assert!(!validator.is_valid(&serde_json::from_str(bad).unwrap()), "{bad}");
        }
    }
}
