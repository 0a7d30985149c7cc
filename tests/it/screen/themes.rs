//! A theme that is chosen is there the next time.

use std::fs;

use super::terminal::{Place, Screen};

#[test]
fn a_theme_is_kept_in_the_settings_and_what_else_is_there_stays() {
    let place = Place::new(&[]);
    let config = place.home.join("config.toml");
    let before = format!("# mine\n{}", fs::read_to_string(&config).unwrap());
    fs::write(&config, &before).unwrap();
    fs::create_dir(place.home.join("themes")).unwrap();
    fs::write(place.home.join("themes/mine.toml"), "accent = 'red'\n").unwrap();
    let kept = |name: &str| {
        assert_eq!(fs::read_to_string(&config).unwrap(), format!("{before}\n[tui]\ntheme = \"{name}\"\n"));
    };

    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.say("/theme dark");
    screen.shows("kept in ~/home/config.toml: theme = \"dark\"");
    kept("dark");
    screen.say("/theme mine");
    screen.shows("theme = \"mine\"");
    kept("mine");
    screen.say("/theme none");
    screen.shows("theme `none`: there is no such file");
    kept("mine");
    let mut screen = Screen::start(screen.give_place(), &[]);
    screen.shows("›");
    screen.say("/theme");
    screen.shows("mine (current)");
    screen.press("1");
    screen.shows("theme = \"ansi\"");
    kept("ansi");

    // Something else goes before the file here, which is said.
    let mut screen = Screen::start(screen.give_place(), &["-c", "tui.theme=light"]);
    screen.shows("›");
    screen.say("/theme contrast");
    screen.shows("kept in ~/home/config.toml, but -c sets another one here");
    kept("contrast");
    screen.leave_unsaid();
}
