//! Texts inside of events, borrowed from them where nothing in them is escaped.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// A text as it stands in JSON. Inside of an option serde would copy a `Cow`; this is not copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// A text that stands somewhere already.
    #[must_use]
    pub fn borrowed(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// A copy of a text.
    #[must_use]
    pub fn owned(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }

    /// The text of a value that is one.
    #[must_use]
    pub fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        from.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder<'a> {
        #[serde(borrow)]
        text: Option<Text<'a>>,
    }

    #[test]
    fn only_what_is_escaped_is_copied() {
        for (json, text, borrowed) in
            [(r#"{"text":"é plain"}"#, "é plain", true), (r#"{"text":"a\nb"}"#, "a\nb", false)]
        {
            let held = serde_json::from_str::<Holder<'_>>(json).unwrap().text.unwrap();
            assert_eq!((&*held, matches!(held.0, Cow::Borrowed(_))), (text, borrowed));
        }
        assert!(serde_json::from_str::<Holder<'_>>(r#"{"text":null}"#).unwrap().text.is_none());
        assert!(serde_json::from_str::<Holder<'_>>(r#"{"text":7}"#).is_err());
    }
}
