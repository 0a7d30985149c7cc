use std::fs;

use image::{Rgb, RgbImage, codecs::gif::GifEncoder};

use super::*;
use crate::tools::testing;

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x ^ y) as u8]));
    let mut bytes = Vec::new();
    DynamicImage::from(image).write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// Loads bytes that lie in a file without a telling name.
fn loaded(bytes: &[u8]) -> Result<(String, u32, u32, Vec<u8>), String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.txt");
    fs::write(&path, bytes).unwrap();
    let (content, blob, bytes) = load(&path).map_err(|error| error.0)?;
    assert_eq!(blob, BlobId::of(&bytes));
    let Content::Image { mime, width, height, .. } = content else { panic!("{content:?}") };
    let decoded = image::load_from_memory(&bytes).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (width, height));
    Ok((mime, width, height, bytes))
}

#[test]
fn what_fits_is_sent_byte_for_byte_whatever_its_name() {
    for (format, mime) in [
        (ImageFormat::Png, "image/png"),
        (ImageFormat::Jpeg, "image/jpeg"),
        (ImageFormat::WebP, "image/webp"),
    ] {
        let bytes = encoded(40, 30, format);
        assert_eq!(loaded(&bytes), Ok((mime.to_owned(), 40, 30, bytes)));
    }
}

#[test]
fn what_is_large_is_scaled_and_a_gif_becomes_a_png() {
    let cases = [
        (encoded(900, 800, ImageFormat::Png), "image/png", 864, 768),
        (encoded(16, 4096, ImageFormat::Jpeg), "image/jpeg", 8, 2048),
        (encoded(4096, 16, ImageFormat::Png), "image/png", 2048, 8),
        (encoded(40, 30, ImageFormat::Gif), "image/png", 40, 30),
    ];
    for (bytes, mime, width, height) in cases {
        let (got_mime, got_width, got_height, _) = loaded(&bytes).unwrap();
        assert_eq!((got_mime.as_str(), got_width, got_height), (mime, width, height));
    }
}

#[test]
fn sizes_keep_their_proportions_and_never_grow() {
    let cases = [
        ((1, 1), (1, 1)),
        ((2048, 768), (2048, 768)),
        ((1920, 1080), (1365, 768)),
        ((3000, 3000), (768, 768)),
        ((30_000, 1), (2048, 1)),
    ];
    for ((width, height), expected) in cases {
        assert_eq!(scaled(width, height), expected);
        assert_eq!(scaled(height, width), (expected.1, expected.0));
    }
}

#[test]
fn only_the_first_picture_of_an_animation_is_sent() {
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut bytes);
        for shade in [10, 200] {
            let frame = image::RgbaImage::from_pixel(8, 8, image::Rgba([shade, shade, shade, 255]));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
    }
    let (mime, .., sent) = loaded(&bytes).unwrap();
    assert_eq!(mime, "image/png");
    assert_eq!(image::load_from_memory(&sent).unwrap().to_rgb8().get_pixel(0, 0).0[0], 10);
}

#[test]
fn what_is_no_image_or_a_broken_one_is_refused() {
    let png = encoded(64, 64, ImageFormat::Png);
    let jpeg = encoded(64, 64, ImageFormat::Jpeg);
    let cases: [(&[u8], &str); 6] = [
        (b"", "is not a PNG, JPEG, GIF or WebP image"),
        (b"hello", "is not a PNG, JPEG, GIF or WebP image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a PNG, JPEG, GIF or WebP image"),
        (b"BM\0\0\0\0", "is not a PNG, JPEG, GIF or WebP image"),
        (&png[..png.len() / 2], "can't be decoded"),
        (&jpeg[..20], "can't be decoded"),
    ];
    for (bytes, expected) in cases {
        let error = loaded(bytes).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_small_file_that_claims_to_be_huge_is_refused_before_decoding() {
    // The header of a PNG with 60,000 x 60,000 pixels, with its right checksum, and no content.
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend([8, 6, 0, 0, 0]);
    let sum = crc(&bytes[12..]);
    bytes.extend(sum.to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT");
    bytes.extend(crc(b"IDAT").to_be_bytes());
    let error = loaded(&bytes).unwrap_err();
    assert!(error.contains("has 60000x60000 pixels, more than 40 million"), "{error}");
}

/// The checksum of a PNG chunk.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[test]
fn a_missing_file_is_told_in_known_words() {
    let error = load(Path::new("/nowhere/a.png")).unwrap_err();
    assert_eq!(error.0, "unable to locate image at `/nowhere/a.png`: No such file or directory (os error 2)");
    let dir = tempfile::tempdir().unwrap();
    let error = load(dir.path()).unwrap_err();
    assert_eq!(error.0, format!("image path `{}` is not a file", dir.path().display()));
}

#[tokio::test]
async fn a_file_is_read_where_it_was_judged_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for (place, width) in [("w/d", 4), ("out", 5)] {
        fs::create_dir_all(root.join(place)).unwrap();
        fs::write(root.join(place).join("a.png"), encoded(width, 3, ImageFormat::Png)).unwrap();
    }
    std::os::unix::fs::symlink("../out", root.join("w/l")).unwrap();
    let args = Args::Json(r#"{"path":"d/a.png"}"#.to_owned());
    let cx = testing::context(&root.join("w"));
    let intent = ViewImage.intent(&args, &cx.workspace).unwrap();
    // What a person allowed outside is read, and only that.
    let outside = Args::Json(r#"{"path":"l/a.png"}"#.to_owned());
    let asked = ViewImage.intent(&outside, &cx.workspace).unwrap();
    assert!(ViewImage.run(&outside, cx.clone()).await.unwrap_err().0.contains("leads to another place now"));
    let wider = ToolCx { workspace: cx.workspace.widened(&asked), ..cx.clone() };
    assert!(ViewImage.run(&outside, wider).await.is_ok());

    let _swaps = testing::Swaps::between(&root.join("w/d"), &root.join("w/l"));
    for _ in 0..300 {
        let cx = ToolCx { workspace: cx.workspace.widened(&intent), ..cx.clone() };
        if let Ok(Output { shown: Shown::Image { width, .. }, .. }) = ViewImage.run(&args, cx).await {
            assert_eq!(width, 4, "a file outside was shown");
        }
    }
}

#[tokio::test]
async fn the_tool_shows_the_picture_and_says_which_file_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::write(root.join("a.png"), encoded(4, 3, ImageFormat::Png)).unwrap();
    std::os::unix::fs::symlink("a.png", root.join("link")).unwrap();
    let args = Args::Json(r#"{"path":"link"}"#.to_owned());
    let intent = ViewImage.intent(&args, &testing::workspace(&root)).unwrap();
    assert_eq!(intent, Intent::Read { paths: vec![root.join("a.png")] });
    let output = ViewImage.run(&args, testing::context(&root)).await.unwrap();
    let (blob, _) = &output.blobs[0];
    assert_eq!(
        output.shown,
        Shown::Image { path: root.join("link"), blob: blob.clone(), width: 4, height: 3 }
    );
    assert!(matches!(&output.content[..], [Content::Image { blob: shown, .. }] if shown == blob));
}
