//! What of a message a wire can send: texts, and pictures where the model takes them.
//!
//! A picture that can't be sent is said in words, in the same words on every wire.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::ReadBlob;
use crate::protocol::Content;

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    Text(Cow<'a, str>),
    Picture { mime: &'a str, base64: String },
}

/// The part as it can be sent to a model that takes pictures, or does not.
#[must_use]
pub fn part<'a>(content: &'a Content, images: bool, blobs: &dyn ReadBlob) -> Part<'a> {
    match content {
        Content::Text { text } => Part::Text(text.into()),
        Content::Image { width, height, .. } if !images => {
            Part::Text(format!("[a picture of {width}×{height} pixels; this model takes no pictures]").into())
        }
        Content::Image { blob, mime, .. } => match blobs.read(blob) {
            Ok(bytes) => Part::Picture { mime, base64: BASE64_STANDARD.encode(bytes) },
            Err(error) => Part::Text(format!("[a picture that can't be read any more: {error}]").into()),
        },
        Content::Unknown(_) => Part::Text("[a part that this version of the program does not know]".into()),
    }
}
