//! The tool `view_image`, and loading images for a person's message.
//!
//! What a file is decides its content and never its name. Every image is decoded once before it is sent: a
//! provider refuses a broken one, and with it every later request of the conversation. What it can take as it
//! is goes out byte for byte; what is too large is scaled, and animations are reduced to their first picture.

use std::{
    fs::{File, OpenOptions},
    io::{self, Cursor, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, Limits,
    codecs::{gif::GifDecoder, jpeg::JpegDecoder, jpeg::JpegEncoder, png::PngDecoder, webp::WebPDecoder},
    imageops::FilterType,
    metadata::Orientation,
};
use serde::Deserialize;
use serde_json::json;

use crate::protocol::{Args, BlobId, Content, Intent, Shown, ToolForm, ToolSpec};

use super::{
    Output, Tool, ToolCx, ToolError, Workspace,
    args::parse_args,
    opened,
    places::{Inside, Last, resolve},
};

/// Shows the model an image file.
#[derive(Debug, Clone, Copy)]
pub struct ViewImage;

/// Pixels of the longer and of the shorter side that are sent. Our choice: models with 512-pixel tiles reduce
/// images to this themselves, so that more costs bandwidth and shows nothing.
const MOST_LONG: u32 = 2048;
const MOST_SHORT: u32 = 768;
/// Bytes of a file that is looked at.
const MOST_FILE: u64 = 32 << 20;
/// Bytes that are sent as they are; above that the image is encoded anew. Providers take 5 MB and more.
const MOST_SENT: usize = 4 << 20;
/// Pixels that are decoded: an 8K screenshot has 33 million. At four bytes each this is 160 MB.
const MOST_PIXELS: u64 = 40_000_000;

#[derive(Debug, Deserialize)]
struct Wanted {
    path: String,
}

#[async_trait::async_trait]
impl Tool for ViewImage {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "view_image".to_owned(),
            description: include_str!("../../assets/tools/view_image.md").trim_end().to_owned(),
            form: ToolForm::Function {
                parameters: json!({
                    "type": "object",
                    "required": ["path"],
                    "properties": {
                        "path": {
                            "type": "string",
                            "description": "The image file, absolute or relative to the workspace.",
                        },
                    },
                    "additionalProperties": false,
                }),
            },
        }
    }

    fn intent(&self, args: &Args, workspace: &Workspace) -> Result<Intent, ToolError> {
        let path = workspace.absolute(parse_args::<Wanted>(args)?.path);
        // Links are resolved, so that the file that is judged is the file that is read.
        let real = resolve(&path, Last::Follow).map_err(|error| not_found(&path, &error))?;
        if Inside::of(workspace).keeps(&real) {
            return Err(ToolError(format!("image path `{}` belongs to this program", path.display())));
        }
        Ok(Intent::Read { paths: vec![real] })
    }

    async fn run(&self, args: &Args, cx: ToolCx) -> Result<Output, ToolError> {
        let path = cx.workspace.absolute(parse_args::<Wanted>(args)?.path);
        let inside = Inside::of(&cx.workspace);
        let work = tokio::task::spawn_blocking(move || {
            // The file that was judged, or none: a command may have put a link in its way.
            let real = resolve(&path, Last::Follow).map_err(|error| not_found(&path, &error))?;
            if !inside.holds(&real) {
                return Err(ToolError(format!("image path `{}` leads to another place now", path.display())));
            }
            let file = opened::parent(&real).and_then(|(directory, name)| opened::file(directory, name));
            let (content, blob, bytes) = loaded(file, &path)?;
            let Content::Image { width, height, .. } = content else {
                return Err(ToolError(format!("`{}` is no image", path.display())));
            };
            let shown = Shown::Image { path, blob: blob.clone(), width, height };
            Ok(Output { content: vec![content], shown, blobs: vec![(blob, bytes)] })
        });
        work.await.unwrap_or_else(|error| Err(ToolError(format!("view_image failed: {error}"))))
    }
}

/// An image file as a part of a message, with the bytes that are to be kept under its blob. Blocks.
///
/// # Errors
/// When there is no such file, or it is not an image that can be sent.
pub fn load(path: &Path) -> Result<(Content, BlobId, Vec<u8>), ToolError> {
    // A pipe would never answer.
    loaded(OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path), path)
}

fn loaded(file: io::Result<File>, path: &Path) -> Result<(Content, BlobId, Vec<u8>), ToolError> {
    let bytes = file.map_err(|error| not_found(path, &error)).and_then(|file| read(file, path))?;
    let picture =
        Picture::of(bytes).map_err(|why| ToolError(format!("image at `{}` {why}", path.display())))?;
    let blob = BlobId::of(&picture.bytes);
    let content = Content::Image {
        blob: blob.clone(),
        mime: picture.format.to_mime_type().to_owned(),
        width: picture.width,
        height: picture.height,
    };
    Ok((content, blob, picture.bytes))
}

/// Whether a file looks like an image that can be sent, by its first bytes.
///
/// # Errors
/// When it does not, or can't be read.
pub fn recognize(path: &Path) -> Result<(), ToolError> {
    let told = |error: io::Error| not_found(path, &error);
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(told)?;
    let mut bytes = Vec::new();
    if file.metadata().map_err(told)?.is_file() {
        file.take(64).read_to_end(&mut bytes).map_err(told)?;
    }
    match image::guess_format(&bytes) {
        Ok(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP) => Ok(()),
        _ => Err(ToolError(format!("`{}` is not a PNG, JPEG, GIF or WebP image", path.display()))),
    }
}

fn not_found(path: &Path, error: &io::Error) -> ToolError {
    ToolError(format!("unable to locate image at `{}`: {error}", path.display()))
}

fn read(file: File, path: &Path) -> Result<Vec<u8>, ToolError> {
    let told = |error: io::Error| not_found(path, &error);
    let meta = file.metadata().map_err(told)?;
    if !meta.is_file() {
        return Err(ToolError(format!("image path `{}` is not a file", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(MOST_FILE + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MOST_FILE {
        return Err(ToolError(format!(
            "image at `{}` is larger than {} MiB: make a smaller one first",
            path.display(),
            MOST_FILE >> 20
        )));
    }
    Ok(bytes)
}

/// An image as it is sent.
struct Picture {
    bytes: Vec<u8>,
    format: ImageFormat,
    width: u32,
    height: u32,
}

impl Picture {
    fn of(bytes: Vec<u8>) -> Result<Self, String> {
        let Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP)) =
            image::guess_format(&bytes)
        else {
            return Err("is not a PNG, JPEG, GIF or WebP image".to_owned());
        };
        let Decoded { image, turned, animated } = decode(&bytes, format)?;
        let (width, height) = scaled(image.width(), image.height());
        let fits = (width, height) == (image.width(), image.height());
        if fits && !turned && !animated && bytes.len() <= MOST_SENT {
            return Ok(Self { bytes, format, width, height });
        }
        let image = if fits { image } else { image.resize_exact(width, height, FilterType::CatmullRom) };
        let (bytes, format) = encode(&image, format).map_err(|error| format!("can't be scaled: {error}"))?;
        Ok(Self { bytes, format, width, height })
    }
}

struct Decoded {
    image: DynamicImage,
    /// The pixels were turned as the file's metadata says, which do not survive.
    turned: bool,
    /// Only the first picture was decoded.
    animated: bool,
}

fn decode(bytes: &[u8], format: ImageFormat) -> Result<Decoded, String> {
    let broken = |error: ImageError| match error {
        ImageError::Limits(_) => "needs too much memory to decode".to_owned(),
        error => format!("can't be decoded: {error}"),
    };
    let input = || Cursor::new(bytes);
    match format {
        ImageFormat::Png => pixels(PngDecoder::new(input()).map_err(broken)?, false),
        ImageFormat::Jpeg => pixels(JpegDecoder::new(input()).map_err(broken)?, false),
        // Whether a GIF moves is only known at its end, and some providers take no GIF at all.
        ImageFormat::Gif => pixels(GifDecoder::new(input()).map_err(broken)?, true),
        _ => {
            let decoder = WebPDecoder::new(input()).map_err(broken)?;
            let animated = decoder.has_animation();
            pixels(decoder, animated)
        }
    }
}

fn pixels(mut decoder: impl ImageDecoder, animated: bool) -> Result<Decoded, String> {
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err("has no pixels".to_owned());
    }
    // Before anything is decoded: a few bytes can claim to be gigabytes of pixels.
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!(
            "has {width}x{height} pixels, more than {} million: make a smaller one first",
            MOST_PIXELS / 1_000_000
        ));
    }
    let mut limits = Limits::default();
    // Up to eight bytes a pixel while decoding, and some working space.
    limits.max_alloc = Some(MOST_PIXELS * 8 + (64 << 20));
    let broken = |error: ImageError| format!("can't be decoded: {error}");
    decoder.set_limits(limits).map_err(broken)?;
    // Wrong metadata is no reason to refuse a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    image.apply_orientation(orientation);
    Ok(Decoded { image, turned: orientation != Orientation::NoTransforms, animated })
}

/// The size in which an image is sent: the proportions stay, and nothing grows.
fn scaled(width: u32, height: u32) -> (u32, u32) {
    let (long, short) = (width.max(height), width.min(height));
    let factor = (f64::from(MOST_LONG) / f64::from(long)).min(f64::from(MOST_SHORT) / f64::from(short));
    if factor >= 1.0 {
        return (width, height);
    }
    let side = |side: u32| ((f64::from(side) * factor).round() as u32).max(1);
    (side(width), side(height))
}

/// Photographs stay JPEG; everything else becomes PNG, which loses nothing.
fn encode(image: &DynamicImage, format: ImageFormat) -> Result<(Vec<u8>, ImageFormat), ImageError> {
    let mut bytes = Vec::new();
    if format != ImageFormat::Jpeg {
        image_to_png(image, &mut bytes)?;
        if bytes.len() <= MOST_SENT {
            return Ok((bytes, ImageFormat::Png));
        }
        bytes.clear();
    }
    JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(&image.to_rgb8())?;
    Ok((bytes, ImageFormat::Jpeg))
}

fn image_to_png(image: &DynamicImage, bytes: &mut Vec<u8>) -> Result<(), ImageError> {
    // Sixteen bits a channel would only double the size.
    let image = match image.color().has_alpha() {
        true => DynamicImage::from(image.to_rgba8()),
        false => DynamicImage::from(image.to_rgb8()),
    };
    image.write_to(&mut Cursor::new(bytes), ImageFormat::Png)
}

#[cfg(test)]
#[path = "view_image_tests.rs"]
mod tests;
