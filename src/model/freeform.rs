//! Freeform tools on wires that have none: a function with one string argument.

use serde_json::{Value, json};

use crate::protocol::{Args, Item, ToolForm, ToolSpec};

/// The argument that holds the text.
const FIELD: &str = "input";

/// What a tool is called and how it is described on a wire with functions only: its name, its description, and the JSON
/// Schema of its arguments. None for one that the provider would have to run.
#[must_use]
pub fn function(tool: &ToolSpec) -> Option<(&str, String, Value)> {
    Some(match &tool.form {
        ToolForm::Hosted { .. } => return None,
        ToolForm::Function { parameters } => (&tool.name, tool.description.clone(), parameters.clone()),
        ToolForm::Freeform { grammar } => {
            let description = format!(
                "{}\n\nHere the text is the value of the argument `{FIELD}`, a JSON string. It follows this grammar (Lark):\n\n{}",
                tool.description.trim_end(),
                grammar.trim_end()
            );
            let parameters = json!({
                "type": "object",
                "properties": { FIELD: { "type": "string", "description": "The text, as the grammar has it." } },
                "required": [FIELD],
                "additionalProperties": false,
            });
            (&tool.name, description, parameters)
        }
    })
}

/// All tools as functions, in the form that most servers know.
#[must_use]
pub fn functions(tools: &[ToolSpec]) -> Value {
    let functions = tools.iter().filter_map(function).map(|(name, description, parameters)| {
        let function = json!({"name": name, "description": description, "parameters": parameters});
        json!({"type": "function", "function": function})
    });
    functions.collect()
}

/// The names of those that are freeform.
#[must_use]
pub fn names(tools: &[ToolSpec]) -> Vec<String> {
    let freeform = tools.iter().filter(|tool| matches!(tool.form, ToolForm::Freeform { .. }));
    freeform.map(|tool| tool.name.clone()).collect()
}

/// The text that the arguments of such a function hold. Models that know the tool otherwise write the text alone, or give
/// the argument another name: what they meant is clear as long as there is one text.
#[must_use]
pub fn text(arguments: &str) -> String {
    let text = match serde_json::from_str::<Value>(arguments) {
        Ok(Value::String(text)) => Some(text),
        Ok(Value::Object(mut fields)) => match fields.remove(FIELD) {
            Some(Value::String(text)) => Some(text),
            _ if fields.len() == 1 => match fields.into_iter().next() {
                Some((_, Value::String(text))) => Some(text),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    text.unwrap_or_else(|| arguments.to_owned())
}

/// Arguments as a JSON object for functions. What is no object is wrapped into one: servers refuse the whole conversation
/// for it, and the model is to see what it wrote.
#[must_use]
pub fn object(args: &Args) -> String {
    match args {
        Args::Text(text) => json!({ FIELD: text }).to_string(),
        Args::Json(text) => match serde_json::from_str::<&serde_json::value::RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') => text.clone(),
            _ if text.trim().is_empty() => "{}".to_owned(),
            _ => json!({ "not_an_object": text }).to_string(),
        },
    }
}

/// A call of a function that is a freeform tool becomes one of that tool.
pub fn restore(item: &mut Item, freeform: &[String]) {
    if let Item::ToolCall { tool, args, .. } = item
        && let Args::Json(arguments) = args
        && freeform.contains(tool)
    {
        *args = Args::Text(text(arguments));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_found_however_the_model_writes_it() {
        for (arguments, expected) in [
            (r#"{"input":"a\nb"}"#, "a\nb"),
            (r#"{"patch":"a"}"#, "a"),
            (r#""a""#, "a"),
            ("*** Begin Patch\n*** End Patch", "*** Begin Patch\n*** End Patch"),
            (r#"{"input":7}"#, r#"{"input":7}"#),
            (r#"{"a":"b","c":"d"}"#, r#"{"a":"b","c":"d"}"#),
        ] {
            assert_eq!(text(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn what_is_sent_back_is_always_an_object() {
        for (args, expected) in [
            (Args::Text("a\"".into()), r#"{"input":"a\""}"#),
            (Args::Json(r#"{"cmd": 1}"#.into()), r#"{"cmd": 1}"#),
            (Args::Json(String::new()), "{}"),
            (Args::Json(r#"{"cmd": "#.into()), r#"{"not_an_object":"{\"cmd\": "}"#),
            (Args::Json("[1]".into()), r#"{"not_an_object":"[1]"}"#),
        ] {
            assert_eq!(object(&args), expected);
            assert_eq!(text(&object(&Args::Text("x".into()))), "x");
        }
    }
}
