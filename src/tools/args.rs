//! Reading the arguments of a function tool, with errors in the words that models know.

use serde::de::DeserializeOwned;

use crate::protocol::Args;

use super::ToolError;

/// The arguments as the type that a tool wants.
///
/// # Errors
/// When they are not JSON, or not that type; serde's words say where.
pub fn parse_args<T: DeserializeOwned>(args: &Args) -> Result<T, ToolError> {
    // Some providers send nothing at all for an empty object.
    let text = match args.as_str() {
        text if text.trim().is_empty() => "{}",
        text => text,
    };
    serde_json::from_str(text)
        .map_err(|error| ToolError(format!("failed to parse function arguments: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Wanted {
        path: String,
    }

    #[test]
    fn wrong_arguments_are_told_in_serdes_words() {
        let cases = [
            ("{}", "failed to parse function arguments: missing field `path` at line 1 column 2"),
            ("", "failed to parse function arguments: missing field `path` at line 1 column 2"),
            (
                "{\"path\":1}",
                "failed to parse function arguments: invalid type: integer `1`, expected a string at line 1 column 9",
            ),
            (
                "{\"path\"",
                "failed to parse function arguments: EOF while parsing an object at line 1 column 7",
            ),
        ];
        for (text, expected) in cases {
            let error = parse_args::<Wanted>(&Args::Json(text.to_owned())).unwrap_err();
            assert_eq!(error.0, expected);
        }
        assert_eq!(
            parse_args::<Wanted>(&Args::Json("{\"path\":\"a\",\"x\":1}".to_owned())).unwrap().path,
            "a"
        );
    }
}
