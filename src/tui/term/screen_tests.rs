//! Screens against terminals: vt100, which cuts its rows when it gets narrower, and a model that can wrap them anew.

use std::{num::NonZeroU16, time::Duration};

use proptest::prelude::*;
use ratatui::text::Line;

use super::{
    Caps, Screen, Size,
    model_tests::{Kind, Model},
};

fn size(columns: u16, rows: u16) -> Size {
    Size { columns, rows }
}

/// The terminal under a screen.
enum Under {
    Vt100(Box<vt100::Parser>),
    Model(Model, Kind),
}

impl Under {
    fn vt100(size: Size) -> Self {
        let (rows, columns) = (NonZeroU16::new(size.rows).unwrap(), NonZeroU16::new(size.columns).unwrap());
        Self::Vt100(Box::new(vt100::Parser::new(rows, columns, 100_000)))
    }

    fn model(size: Size, kind: Kind) -> Self {
        Self::Model(Model::new(size, kind), kind)
    }

    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Vt100(parser) => parser.process(bytes),
            Self::Model(model, _) => model.feed(std::str::from_utf8(bytes).unwrap()),
        }
    }

    fn resize(&mut self, size: Size) {
        match self {
            Self::Vt100(parser) => parser
                .screen_mut()
                .set_size(NonZeroU16::new(size.rows).unwrap(), NonZeroU16::new(size.columns).unwrap()),
            Self::Model(model, _) => model.resize(size),
        }
    }

    fn above(&mut self) -> Vec<String> {
        match self {
            Self::Vt100(parser) => {
                let count = parser.screen().scrollback_len();
                rows_of(parser).into_iter().take(count).collect()
            }
            Self::Model(model, _) => model.above().collect(),
        }
    }

    /// Scrollback and screen, without blanks at the end of lines and without empty lines at the end.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = match self {
            Self::Vt100(parser) => rows_of(parser),
            Self::Model(model, _) => model.lines(),
        };
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

fn rows_of(parser: &mut vt100::Parser) -> Vec<String> {
    let screen = parser.screen_mut();
    let (rows, columns) = screen.size();
    let height = usize::from(rows.get());
    let mut lines = Vec::new();
    let back = screen.scrollback_len();
    for offset in (1..=back).rev() {
        screen.set_scrollback(offset);
        lines.push(screen.rows(0, columns.get()).next().unwrap());
    }
    screen.set_scrollback(0);
    lines.extend(screen.rows(0, columns.get()).take(height));
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

struct World {
    screen: Screen<Vec<u8>>,
    under: Under,
    bytes: usize,
    printed: Vec<String>,
    live: Vec<String>,
    /// Live rows may have gone up: the terminal became too low for them, or wrapped them out of itself.
    left_some: bool,
    /// The screen knows the size that the terminal has, which is this high.
    told: bool,
    height: u16,
}

impl World {
    fn new(under: Under, size: Size, sync: bool) -> Self {
        let reflow = !matches!(under, Under::Vt100(_) | Under::Model(_, Kind::Cuts));
        let caps = Caps { sync, reflow, ..Caps::default() };
        Self {
            screen: Screen::new(Vec::new(), size, caps),
            under,
            bytes: 0,
            printed: Vec::new(),
            live: Vec::new(),
            left_some: false,
            told: true,
            height: size.rows,
        }
    }

    /// No frame counts as painted lately; in the other case, every one does.
    fn settled(mut self, settled: bool) -> Self {
        self.screen.set_quiet(if settled { Duration::ZERO } else { Duration::MAX });
        self
    }

    fn print(&mut self, widths: &[u16]) {
        let most = self.screen.size().columns;
        let lines: Vec<Line<'static>> = widths
            .iter()
            .map(|width| {
                let text = filled(&format!("p{:04}", self.printed.len()), *width.min(&most), '·');
                self.printed.push(text.clone());
                Line::from(text)
            })
            .collect();
        self.screen.print(&lines);
    }

    fn draw(&mut self, rows: &[(u16, char)], cursor: Option<(u16, u16)>) {
        let most = self.screen.size();
        let lines: Vec<Line<'static>> = rows
            .iter()
            .enumerate()
            .map(|(index, (width, fill))| {
                Line::from(filled(&format!("~{index}"), *width.min(&most.columns), *fill))
            })
            .collect();
        self.screen.draw(&lines, cursor).unwrap();
        let room = usize::from(most.rows.saturating_sub(1).max(1));
        let row = cursor.map_or(usize::MAX, |(_, row)| usize::from(row).min(lines.len().saturating_sub(1)));
        let from = lines.len().saturating_sub(room).min(row);
        self.live = lines.iter().skip(from).take(room).map(ToString::to_string).collect();
        self.left_some |= self.live.len() >= usize::from(self.height);
        self.flow();
    }

    fn resize(&mut self, size: Size) {
        self.under.resize(size);
        self.screen.resize(size);
        (self.told, self.height) = (true, size.rows);
        self.left_some |= self.under.above().iter().any(|row| row.starts_with('~'));
    }

    /// The terminal has another size, and the screen will be told later.
    fn resize_untold(&mut self, size: Size) {
        self.under.resize(size);
        self.left_some |= self.under.above().iter().any(|row| row.starts_with('~'));
        (self.told, self.height) = (false, size.rows);
    }

    fn flow(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(self.screen.out());
        let text = String::from_utf8(bytes.clone()).unwrap();
        for sequence in text.split("\x1b[").skip(1) {
            let end = sequence.trim_start_matches(|char: char| char.is_ascii_digit() || ";?".contains(char));
            let clears = ["1J", "2J", "3J"].iter().any(|clear| sequence.starts_with(clear));
            assert!(!clears && !end.starts_with(['S', 'T', 'L', 'M', 'r']), "{sequence:?} in {text:?}");
        }
        self.bytes += bytes.len();
        self.under.feed(&bytes);
        bytes
    }

    /// Every printed line stands once and in order; the live rows stand below them and nowhere else.
    fn check(&mut self) {
        let cut = matches!(self.under, Under::Vt100(_) | Under::Model(_, Kind::Cuts));
        let lines = self.under.lines();
        let tag = |line: &str| line.chars().take(5).collect::<String>();
        // A fragment that is left of an old frame may have been wrapped by the terminal: what is printed in the row
        // below it then counts as the same line.
        let behind = |line: &String| line.find('p').filter(|at| *at == 0 || self.left_some);
        let found: Vec<String> = lines
            .iter()
            .filter_map(|line| line.get(behind(line)?..))
            .map(|line| if cut { tag(line) } else { line.to_owned() })
            .collect();
        let wanted: Vec<String> =
            self.printed.iter().map(|line| if cut { tag(line) } else { line.clone() }).collect();
        assert_eq!(found, wanted, "the printed lines; all: {lines:#?}");
        if !self.told {
            return;
        }
        let mut below: Vec<&str> =
            lines.iter().rev().take(self.live.len()).rev().map(String::as_str).collect();
        let wanted: Vec<&str> = self.live.iter().map(|row| row.trim_end()).collect();
        if let (true, Some(first), Some(live)) = (self.left_some, below.first_mut(), wanted.first())
            && first.ends_with(live)
        {
            *first = live;
        }
        assert_eq!(below, wanted, "the live rows; all: {lines:#?}");
        let live = lines.iter().filter(|line| line.starts_with('~')).count();
        assert!(self.left_some || live == self.live.len(), "old live rows are left: {lines:#?}");
    }
}

/// A text of a width (or one less, where a wide character doesn't fit).
fn filled(tag: &str, width: u16, fill: char) -> String {
    let mut text = tag.to_owned();
    while Line::from(format!("{text}{fill}")).width() <= usize::from(width) {
        text.push(fill);
    }
    text
}

#[derive(Debug, Clone)]
enum Step {
    Print(Vec<u16>),
    Draw(Vec<(u16, char)>, Option<(u16, u16)>),
    Resize(u16, u16),
    ResizeUntold(u16, u16),
    Park(bool),
    Full,
    ClearLive,
}

fn step() -> impl Strategy<Value = Step> {
    let fill = prop_oneof![Just('-'), Just('漢'), Just('é')];
    let rows = prop::collection::vec((3..120_u16, fill), 1..14);
    prop_oneof![
        3 => prop::collection::vec(6..120_u16, 1..8).prop_map(Step::Print),
        4 => (rows, prop::option::of((0..90_u16, 0..14_u16))).prop_map(|(rows, cursor)| Step::Draw(rows, cursor)),
        2 => (10..120_u16, 3..50_u16).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => (10..120_u16, 3..50_u16).prop_map(|(columns, rows)| Step::ResizeUntold(columns, rows)),
        1 => any::<bool>().prop_map(Step::Park),
        1 => Just(Step::Full),
        1 => Just(Step::ClearLive),
    ]
}

fn sizes() -> impl Strategy<Value = Size> {
    prop_oneof![Just(size(80, 24)), Just(size(40, 12)), Just(size(220, 50))]
}

/// What a run is about, besides drawing, printing and resizing.
#[derive(Clone, Copy)]
struct Story {
    /// Some resizes are told later, with frames between.
    untold: bool,
    /// The cursor is parked. Nothing: now and then.
    parked: Option<bool>,
}

const PLAIN: Story = Story { untold: false, parked: None };

fn run(mut world: World, steps: &[Step], story: Story) {
    let mut drawn = vec![(10, '-')];
    let mut real = world.screen.size();
    world.screen.park(story.parked.unwrap_or_default());
    for step in steps {
        match step {
            Step::Print(widths) => world.print(widths),
            Step::Draw(rows, cursor) => {
                world.draw(rows, *cursor);
                world.check();
                let before = world.bytes;
                world.draw(rows, *cursor);
                assert_eq!(world.bytes, before, "a draw that changes nothing writes nothing");
                drawn.clone_from(rows);
            }
            Step::ResizeUntold(columns, rows) if story.untold => {
                real = size(*columns, *rows);
                world.resize_untold(real);
            }
            Step::Resize(columns, rows) | Step::ResizeUntold(columns, rows) => {
                real = size(*columns, *rows);
                world.resize(real);
            }
            Step::Park(park) => world.screen.park(story.parked.unwrap_or(*park)),
            Step::Full => {
                world.screen.enter_full().unwrap();
                world.screen.draw_full(&[Line::from("a view"), Line::from("of all")]).unwrap();
                world.print(&[20]);
                world.screen.leave_full().unwrap();
                world.flow();
            }
            Step::ClearLive => {
                world.screen.clear_live().unwrap();
                world.live.clear();
                world.flow();
            }
        }
    }
    world.screen.resize(real);
    world.told = true;
    world.draw(&drawn, Some((3, 0)));
    world.check();
    world.screen.finish().unwrap();
    world.live.clear();
    world.flow();
    world.check();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_stands_once_in_vt100(at in sizes(), steps in steps(), sync: bool) {
        run(World::new(Under::vt100(at), at, sync).settled(true), &steps, PLAIN);
    }

    #[test]
    fn every_line_stands_once_where_rows_are_wrapped_anew(at in sizes(), steps in steps(), sync: bool) {
        run(World::new(Under::model(at, Kind::Wraps), at, sync).settled(true), &steps, PLAIN);
    }

    #[test]
    fn a_parked_cursor_is_right_whatever_is_known(at in sizes(), steps in steps(), cuts: bool, untold: bool) {
        let under = Under::model(at, if cuts { Kind::Cuts } else { Kind::Wraps });
        run(World::new(under, at, true).settled(false), &steps, Story { untold, parked: Some(true) });
    }

    /// Fragments of old frames may stay, but what is printed stands once.
    #[test]
    fn nothing_printed_is_lost_whatever_is_not_known(
        at in sizes(),
        steps in steps(),
        kind in prop_oneof![Just(Kind::Cuts), Just(Kind::Wraps), Just(Kind::WrapsBlanks)],
        reflow: bool,
    ) {
        let mut world = World::new(Under::model(at, kind), at, true).settled(false);
        let caps = Caps { sync: true, reflow, ..Caps::default() };
        world.screen = Screen::new(Vec::new(), at, caps);
        world.left_some = true;
        run(world.settled(false), &steps, Story { untold: true, parked: None });
    }

    #[test]
    fn nothing_printed_is_lost_wherever_the_cursor_goes(at in sizes(), steps in steps()) {
        let mut world = World::new(Under::model(at, Kind::WrapsBlanks), at, true).settled(true);
        world.left_some = true;
        run(world, &steps, PLAIN);
    }
}

/// Found by the property above, once in some thousand stories.
#[test]
fn a_cursor_does_not_go_down_over_rows_that_may_have_been_wrapped() {
    let at = size(80, 24);
    let mut world = World::new(Under::model(at, Kind::Wraps), at, true).settled(false);
    world.screen = Screen::new(Vec::new(), at, Caps { sync: true, ..Caps::default() });
    world.left_some = true;
    let rows = vec![(3, '-'), (42, '-'), (3, '-')];
    let steps = [
        Step::Print(vec![6; 5]),
        Step::Draw(rows.clone(), None),
        Step::ResizeUntold(10, 7),
        Step::Draw(rows, Some((0, 2))),
        Step::Resize(11, 4),
    ];
    run(world.settled(false), &steps, Story { untold: true, parked: None });
}

/// Found by the property above, once in a thousand stories.
#[test]
fn a_row_that_gets_shorter_is_not_joined_with_the_next_one() {
    let at = size(80, 24);
    let mut world = World::new(Under::model(at, Kind::Wraps), at, true).settled(false);
    world.screen = Screen::new(Vec::new(), at, Caps { sync: true, ..Caps::default() });
    world.left_some = true;
    let steps = [
        Step::Print(vec![6, 6, 6]),
        Step::Resize(27, 3),
        Step::Draw(vec![(27, 'é')], None),
        Step::ResizeUntold(10, 3),
        Step::Draw(vec![(3, '-'), (3, '-')], Some((0, 1))),
        Step::Resize(11, 3),
    ];
    run(world.settled(false), &steps, Story { untold: true, parked: None });
}
