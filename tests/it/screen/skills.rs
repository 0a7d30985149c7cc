//! Skills on the screen: offered while one writes, listed, and taken up by name.

use std::fs;

use super::{
    say,
    terminal::{Place, Screen},
};

#[test]
fn a_skill_is_offered_by_its_letters_listed_and_taken_up() {
    let place = Place::new(&[say("reviewed"), say("made")]);
    let folder = place.home.join("skills/make-tea");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("SKILL.md"),
        "---\nname: make-tea\ndescription: Makes tea. Use at four.\n---\nBoil it.\n",
    )
    .unwrap();
    let broken = place.home.join("skills/broken");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("SKILL.md"), "no front matter\n").unwrap();
    let mut screen = Screen::start(place, &[]);
    screen.shows("›");
    screen.press("$rev");
    screen.shows("$review");
    screen.press("\t");
    screen.shows("› $review");
    screen.press("it\r");
    screen.shows("took up the skill review");
    screen.shows("• reviewed");

    screen.say("/skills");
    screen.shows("$make-tea  Makes tea. Use at four. (user)");
    screen.shows("broken/SKILL.md:1: it does not begin");
    screen.press("tea\r");
    screen.shows("› $make-tea");
    screen.press("now\r");
    screen.shows("took up the skill make-tea");
    screen.shows("• made");
    screen.leave();
}
