//! Having the provider make a conversation smaller: `POST responses/compact`.
//!
//! What comes back are messages and one item of type `compaction`, which stands for the rest and can be read by the
//! provider alone. Of these only that item is taken: messages have a source of their own here.

use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::decode::WireUsage;
use crate::model::{
    ModelError, ModelErrorKind as Kind, Sealed,
    hosted::{DEPTH_LIMIT, nesting},
    http::{Answer, Form},
};
use crate::protocol::Usage;

/// Below the address of the provider.
pub const PATH: &str = "responses/compact";
/// The most that one may bring, in bytes: it goes along with each request from then on.
const LIMIT: usize = 4 << 20;

#[derive(Deserialize)]
struct Compacted<'a> {
    #[serde(borrow)]
    output: Vec<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields {
    r#type: String,
    encrypted_content: Option<String>,
}

/// Waits for all of an answer, and takes the sealed item out of it.
///
/// # Errors
/// When it breaks off, or holds no such item.
pub async fn read(answer: Answer, host: &str) -> Result<Sealed, ModelError> {
    let garbage = |what: &str| ModelError::new(Kind::Garbage, format!("{host} sent {what}"));
    if answer.form == Form::Page {
        return Err(garbage("a page for people, and no compaction"));
    }
    let (mut bytes, mut all) = (answer.bytes, Vec::new());
    while let Some(part) = bytes.next().await {
        all.extend_from_slice(&part?);
        if all.len() > LIMIT {
            return Err(garbage(&format!("a compaction of more than {} MiB", LIMIT >> 20)));
        }
    }
    parse(&all, host).map_err(|what| garbage(&what))
}

fn parse(bytes: &[u8], host: &str) -> Result<Sealed, String> {
    let Compacted { output, usage } = serde_json::from_slice(bytes)
        .map_err(|error| format!("a compaction that can't be understood: {error}"))?;
    let sealed = output.iter().rev().find(|item| {
        let fields = serde_json::from_str::<Fields>(item.get());
        fields.is_ok_and(|item| {
            item.r#type == "compaction" && item.encrypted_content.is_some_and(|text| !text.is_empty())
        })
    });
    let sealed = sealed.ok_or("a compaction without a `compaction` item")?;
    let item: Value = serde_json::from_str(sealed.get()).map_err(|error| error.to_string())?;
    if nesting(&item) > DEPTH_LIMIT {
        return Err("a `compaction` item that is nested too deeply".to_owned());
    }
    // An account that can't be read costs nobody the rest.
    let usage = usage.and_then(|usage| serde_json::from_str::<WireUsage>(usage.get()).ok());
    Ok(Sealed { by: host.to_owned(), item, usage: usage.as_ref().map(Usage::from) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealed_item_is_taken_as_it_came_and_nothing_else_is() {
        let body = r#"{"id":"resp_1","object":"response.compaction","created_at":1,"output":[
            {"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},
            {"type":"compaction","id":"cmp_1","encrypted_content":"old"},
            {"type":"compaction","id":"cmp_2","encrypted_content":"gAAA","later":{"field":[1]}}],
            "usage":{"input_tokens":100,"output_tokens":7}}"#;
        let sealed = parse(body.as_bytes(), "example.com").unwrap();
        assert_eq!(sealed.by, "example.com");
        let item = r#"{"type":"compaction","id":"cmp_2","encrypted_content":"gAAA","later":{"field":[1]}}"#;
        assert_eq!(sealed.item, serde_json::from_str::<Value>(item).unwrap());
        assert_eq!(sealed.usage, Some(Usage { input: 100, output: 7, ..Usage::default() }));
    }

    #[test]
    fn what_holds_no_sealed_item_is_refused_in_words() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let deep = format!(r#"{{"output":[{{"type":"compaction","encrypted_content":"x","d":{deep}}}]}}"#);
        for (body, why) in [
            ("", "can't be understood"),
            (r#"{"output":null}"#, "can't be understood"),
            (r#"{"output":[]}"#, "without a `compaction` item"),
            (r#"{"output":[1,{"type":7},{"type":"message"}]}"#, "without a `compaction` item"),
            (r#"{"output":[{"type":"compaction"}]}"#, "without a `compaction` item"),
            (r#"{"output":[{"type":"compaction","encrypted_content":""}]}"#, "without a `compaction` item"),
            (&deep, "nested too deeply"),
        ] {
            let what = parse(body.as_bytes(), "example.com").unwrap_err();
            assert!(what.contains(why), "{body}: {what}");
        }
    }
}
