//! Pictures from the clipboard, from programs that print what a desktop would have there.

use std::{fs, io::Cursor};

use serde_json::Value;

use super::terminal::{Place, Screen};
use crate::support::mock::{Mock, Step};

const CONTROL_V: &str = "\x16";

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::RgbImage::new(width, height)
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
        .unwrap();
    bytes
}

/// A PNG that says of itself that it is 60,000 pixels wide and high.
fn bomb() -> Vec<u8> {
    let mut bytes = png(1, 1);
    bytes.splice(16..24, [0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let mut sum = 0xffff_ffff_u32;
    for byte in &bytes[12..29] {
        sum ^= u32::from(*byte);
        (0..8).for_each(|_| sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 });
    }
    bytes.splice(29..33, (!sum).to_be_bytes());
    bytes
}

/// The pictures that a request brings.
fn pictures(request: &Value) -> usize {
    request.to_string().matches("data:image/png;base64,").count()
}

#[test]
fn a_picture_on_the_clipboard_is_attached_and_reaches_the_model() {
    for (tool, desktop, arguments) in [
        ("wl-paste", ("WAYLAND_DISPLAY", "wayland-0"), "--no-newline --type image/png"),
        ("xclip", ("DISPLAY", ":0"), "-selection clipboard -t image/png -o"),
    ] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mock = runtime.block_on(Mock::start([Step::text("a black square")]));
        let mut place = Place::served(&mock.base_url());
        place.set.push((desktop.0, desktop.1.to_owned()));
        place.program(tool, &format!("env > seen; [ \"$*\" = '{arguments}' ] && cat picture"));
        fs::write(place.root.join("picture"), png(3, 3)).unwrap();
        let mut screen = Screen::start(place, &[]);
        screen.shows("›");
        screen.press(CONTROL_V);
        screen.shows("[Image #1]");
        screen.press("what is it?");
        screen.shows("[Image #1] what is it?");
        screen.press("\r");
        screen.shows("a black square");
        assert_eq!(pictures(&runtime.block_on(mock.request(1)).body), 1, "{tool}");
        let seen = fs::read_to_string(screen.place.root.join("seen")).unwrap();
        assert!(seen.contains(desktop.0) && !seen.contains("a-key"), "the tool got a key: {seen}");
        screen.leave();
    }
}

#[test]
fn what_is_no_picture_is_said_and_nothing_is_attached() {
    let mut place = Place::new(&[]);
    place.set.push(("WAYLAND_DISPLAY", "wayland-0".to_owned()));
    place.program("wl-paste", ". ./clipboard");
    let clipboard = place.root.join("clipboard");
    fs::write(place.root.join("bomb"), bomb()).unwrap();
    fs::write(place.root.join("cut"), &png(64, 64)[..60]).unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    for (script, told) in [
        ("exit 1", "there is no picture on the clipboard"),
        ("echo just words", "there is no picture on the clipboard"),
        ("printf '\\033]52;c;ZXZpbA==\\007\\033[2J'", "there is no picture on the clipboard"),
        ("printf '\\211PNG'; exec cat /dev/zero", "the picture on the clipboard is larger than 32 MiB"),
        ("cat bomb", "the picture on the clipboard can't be used"),
        ("cat cut", "the picture on the clipboard can't be used"),
    ] {
        fs::write(&clipboard, script).unwrap();
        screen.press(CONTROL_V);
        screen.shows(told);
        // The next key takes the word away.
        screen.press("x\x7f");
        screen.until("the word is gone", |screen| !screen.terminal.screen().contents().contains(told));
        assert!(!screen.terminal.screen().contents().contains("[Image"), "{script}");
    }
    let kept = screen.place.home.join("state/clipboard");
    assert_eq!(fs::read_dir(kept).map_or(0, Iterator::count), 0, "something was kept");
    fs::remove_file(screen.place.root.join("bin/wl-paste")).unwrap();
    screen.press(CONTROL_V);
    screen.shows("pictures on the clipboard need `wl-paste`: install wl-clipboard");
    screen.leave_unsaid();
}

#[test]
fn a_clipboard_that_does_not_answer_holds_nobody_up() {
    let mut place = Place::new(&[]);
    place.set.push(("WAYLAND_DISPLAY", "wayland-0".to_owned()));
    place.program("wl-paste", "cat held");
    let held = place.fifo("held");
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.press(CONTROL_V);
    // The tool has begun when somebody reads; it hears nothing, and the screen goes on.
    let mut writer = fs::OpenOptions::new().write(true).open(&held).unwrap();
    screen.press("typed meanwhile");
    screen.shows("› typed meanwhile");
    std::io::Write::write_all(&mut writer, &png(2, 2)).unwrap();
    drop(writer);
    screen.shows("typed meanwhile[Image #1]");
    screen.press("\x03");
    screen.shows("› Say what to do");
    screen.leave_unsaid();
}
