//! The loop of the screen, and all of its IO: keys, updates, time, and what is drawn.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use crossterm::event::{Event as TermEvent, EventStream};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::protocol::{Command, Content, Delivery, Event, Fact, Time, Update};

use super::{
    action::{Action, Input},
    app::{App, Recorded, notice},
    composer::{
        self, Composer, Message,
        files::{self, Listing},
    },
    ends::Ends,
    host::{Answer, Apart, Connection, Host, Offer, Question, Ready, Switch},
    linear,
    overlay::Trust,
    settings::{NotifyBy, Settings, When},
    slash,
    status::Ground,
    surface::{Abilities, Glass, Surface},
    term::{Caps, Late, Notices, Screen, Session as Terminal, Size, is_dark},
    text::link::Follow,
    theme::Theme,
};

/// The shortest time between two frames that nobody asked for with a key.
const FRAME: Duration = Duration::from_millis(17);
/// How long after a key what is being written is kept.
const SAVE: Duration = Duration::from_secs(1);
/// How often the time of something that runs is shown.
const TICK: Duration = Duration::from_millis(250);
/// With the last key so long ago, the cursor of a turn that runs may rest where resizes do no harm.
const PARK: Duration = Duration::from_secs(2);
/// Files that are offered for one `@`.
const FILES: usize = 50;

/// What the screen starts with.
pub struct Options {
    pub ground: Ground,
    /// What was said in earlier sessions, oldest first.
    pub history: Vec<String>,
    pub begin: Begin,
    /// What the repository brings along, if it is to be asked about first.
    pub offer: Option<Offer>,
    /// What to say first.
    pub say: Option<String>,
    pub settings: Settings,
    /// What was being written when the program ended.
    pub draft: Option<String>,
    /// A session that is only shown again.
    pub recorded: Option<Recorded>,
    /// Colours are welcome (`NO_COLOR` is not set).
    pub colours: bool,
    /// The variables that describe the terminal.
    pub term: Vec<(String, String)>,
}

/// What the screen shows first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    New,
    /// A session that is kept is gone on with.
    Resume,
    /// The person chooses one.
    Choose,
    /// A session is shown again, and nothing happens.
    Replay,
}

/// Runs the screen until the person leaves. Gives what to say then, and the host back.
///
/// # Errors
/// When there is no terminal, or it is gone.
pub async fn run<H: Host>(host: H, options: Options) -> anyhow::Result<(Option<String>, H)> {
    let variable =
        |name: &str| options.term.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    if options.settings.plain || Caps::from_variables(variable).dumb {
        return linear::run(host, options).await;
    }
    let mut terminal = Terminal::enter(variable)?;
    terminal.notify_by(match options.settings.notify_by {
        NotifyBy::Auto => None,
        NotifyBy::Bell => Some(Notices::Bell),
        NotifyBy::Osc9 => Some(Notices::Osc9),
        NotifyBy::Osc99 => Some(Notices::Osc99),
        NotifyBy::Osc777 => Some(Notices::Osc777),
    });
    let screen = terminal.screen()?;
    let caps = terminal.caps();
    let links = match (caps.links, caps.follows) {
        (false, _) => Follow::No,
        (true, false) => Follow::Maybe,
        (true, true) => Follow::Yes,
    };
    let abilities = Abilities { colours: options.colours, dark: caps.dark, links };
    let glass = Glass { terminal, screen, titled: String::new() };
    let (mut face, matches) = Face::new(host, options, abilities, glass).await?;
    let result = face.follow(matches).await;
    let farewell = face.app.farewell();
    face.leave().await;
    let Face { host, surface, .. } = face;
    drop(surface);
    result.map(|()| (farewell, host)).map_err(Into::into)
}

/// The conversation, and everything that it is held with.
pub(super) struct Face<H, S> {
    pub(super) app: App,
    pub(super) host: H,
    pub(super) surface: S,
    pub(super) connection: Option<Connection>,
    settings: Settings,
    /// Whether the person looks here, as far as the terminal tells.
    focused: bool,
    /// When a key was last pressed.
    typed: Instant,
    /// The draft that is kept outside, and when it is to be brought up to date.
    kept: String,
    save: Option<Instant>,
    found: mpsc::UnboundedSender<Input>,
    /// The command that the person runs.
    shell: Option<AbortOnDropHandle<()>>,
    /// A question that takes its time: the next one takes its place.
    asked: Option<AbortOnDropHandle<()>>,
    /// The clipboard is being asked for a picture.
    picture: Option<AbortOnDropHandle<()>>,
    /// The files of the workspace, walked anew for each `@` that is begun.
    listing: Arc<Mutex<Option<Arc<Listing>>>>,
    /// What comes first, and what is said first.
    begin: (Begin, Option<String>),
}

/// What comes after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Go,
    Quit,
    /// The terminal was somebody else's meanwhile.
    Reopen,
}

impl<H: Host, S: Surface> Face<H, S> {
    /// Begins a conversation as it was asked for. What is found for it later comes through the receiver.
    pub(super) async fn new(
        host: H,
        options: Options,
        abilities: Abilities,
        surface: S,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Input>)> {
        let Options { ground, history, begin, offer, say, settings, draft, recorded, .. } = options;
        let composer = Composer::new(composer::Options { history, commands: slash::specs(), vim: false });
        let (found, matches) = mpsc::unbounded_channel();
        let mut face = Self {
            app: App::new(composer, ground, Theme::plain()).with_links(abilities.links),
            host,
            surface,
            connection: None,
            settings,
            focused: true,
            typed: Instant::now(),
            kept: String::new(),
            save: None,
            found,
            shell: None,
            asked: None,
            picture: None,
            listing: Arc::default(),
            begin: (begin, say),
        };
        let actions = face.app.configure(&face.settings, abilities.colours, abilities.dark);
        face.perform(actions).await?;
        if let Some(recorded) = recorded {
            face.app.play(recorded, now_ms());
        }
        match offer {
            Some(offer) => face.app.open(Box::new(Trust::new(offer))),
            None => face.begin().await?,
        }
        if let Some(draft) = draft {
            face.app.restore(&draft);
            face.kept = draft;
        }
        Ok((face, matches))
    }

    /// Makes commands of the texts that are there now.
    fn read_prompts(&mut self) {
        let (prompts, notices) = self.host.prompts();
        self.app.set_prompts(prompts, notices);
    }

    async fn begin(&mut self) -> io::Result<()> {
        self.read_prompts();
        match self.begin.0 {
            Begin::New | Begin::Replay => {}
            Begin::Resume => self.connect().await,
            // What is to be said is said to the one that is chosen.
            Begin::Choose => {
                let actions = self.app.sessions(true);
                Box::pin(self.perform(actions)).await?;
                return Ok(());
            }
        }
        if let Some(text) = self.begin.1.take() {
            self.host.remember(&text);
            self.send(Command::Submit { content: vec![Content::text(text)], delivery: Delivery::Steer })
                .await;
        }
        Ok(())
    }

    pub(super) async fn input(&mut self, input: Input) -> io::Result<Flow> {
        let actions = self.app.update(input, now_ms());
        self.perform(actions).await
    }

    /// Does what is to be done, and what follows from it.
    pub(super) async fn perform(&mut self, actions: Vec<Action>) -> io::Result<Flow> {
        let mut flow = Flow::Go;
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let next = self.act(action, &mut actions).await?;
            if next != Flow::Go {
                flow = next;
            }
        }
        for text in self.app.composer.take_unsaved() {
            self.host.remember(&text);
        }
        Ok(flow)
    }

    /// Keeps what is being written now.
    fn keep_draft(&mut self) {
        self.save = None;
        let draft = self.app.composer.draft();
        if draft != self.kept {
            self.host.keep_draft(&draft);
            self.kept = draft;
        }
    }

    /// Does something. What follows from it comes into `then`.
    async fn act(&mut self, action: Action, then: &mut VecDeque<Action>) -> io::Result<Flow> {
        match action {
            Action::Send(command) => self.send(command).await,
            Action::Attach { message, delivery } => self.attach(message, delivery).await,
            Action::Quit => return Ok(Flow::Quit),
            Action::Suspend => {
                self.surface.stop()?;
                return Ok(Flow::Reopen);
            }
            Action::Edit(text) => {
                self.surface.hand_over()?;
                let edited = self.host.edit(&text);
                self.surface.take_back()?;
                let input = match edited {
                    Ok(text) => Input::Edited(text),
                    Err(problem) => Input::Said(problem),
                };
                drop(self.app.update(input, now_ms()));
                return Ok(Flow::Reopen);
            }
            Action::Files(query) => self.find(query),
            Action::Shell(command) => {
                let running = self.host.shell(&command);
                self.shell = Some(self.later(running, Input::Ran));
            }
            Action::StopShell => self.shell = None,
            Action::Copy(text) => {
                let said = self.surface.copy(&text)?.to_owned();
                drop(self.app.update(Input::Said(said), now_ms()));
            }
            Action::Export { file, text } => {
                let said = match self.host.export(&file, &text) {
                    Ok(file) => format!("written to {}", file.display()),
                    Err(problem) => problem,
                };
                drop(self.app.update(Input::Said(said), now_ms()));
            }
            Action::Ask(question) => {
                let mut answer = self.host.answer(question);
                match (&mut answer).now_or_never() {
                    Some(answer) => then.extend(self.app.update(Input::Answer(answer), now_ms())),
                    // The view says that it waits, and goes on hearing keys.
                    None => self.asked = Some(self.later(answer, Input::Answer)),
                }
            }
            Action::Recognize(paths) => {
                for path in paths {
                    if let Err(problem) = self.host.recognize(&path) {
                        self.app.composer.reject_image(&path);
                        drop(self.app.update(Input::Said(problem), now_ms()));
                    }
                }
            }
            Action::Clipboard => {
                let picture = self.host.clipboard();
                self.picture = Some(self.later(picture, Input::Clipboard));
            }
            Action::Feedback => {
                let error = self.app.last_error();
                let said = match self.host.feedback(&self.surface.describe(), error.as_deref()) {
                    Ok(path) => format!("written to {}: read it before you send it", path.display()),
                    Err(problem) => problem,
                };
                drop(self.app.update(Input::Said(said), now_ms()));
            }
            Action::Redraw => self.surface.clear()?,
            Action::Wear(name, theme) => then.extend(self.app.put_on(name, *theme)),
            Action::KeepTheme(name) => {
                let said = self.host.keep_theme(&name).unwrap_or_else(|problem| problem);
                drop(self.app.update(Input::Said(said), now_ms()));
            }
            Action::Prepare(settings) => {
                self.host.start_with(&settings);
                self.app.ground.settings = *settings;
            }
            Action::KeepModel(settings) => {
                let said = self.host.keep_model(&settings).unwrap_or_else(|problem| problem);
                drop(self.app.update(Input::Said(said), now_ms()));
            }
            Action::ForgetRule(rule) => {
                if let Err(problem) = self.host.forget_rule(&rule) {
                    drop(self.app.update(Input::Said(problem), now_ms()));
                }
            }
            Action::New => {
                let before = self.app.session.id;
                self.disconnect().await;
                let offer = self.host.forget();
                self.app.forget();
                if let Some(id) = before {
                    let said = format!("a new session; the one before: agent resume {id}");
                    drop(self.app.update(Input::Said(said), now_ms()));
                }
                self.begin.0 = Begin::New;
                match offer {
                    Some(offer) => self.app.open(Box::new(Trust::new(offer))),
                    None => self.read_prompts(),
                }
            }
            Action::Switch(next) => self.switch(next).await?,
            Action::Write(text) => drop(self.app.update(Input::Edited(text), now_ms())),
            Action::Trust(trusted) => match self.host.trust(trusted) {
                Ok(Some(offer)) => self.app.open(Box::new(Trust::new(offer))),
                Ok(None) => Box::pin(self.begin()).await?,
                Err(problem) => {
                    drop(self.app.update(Input::Said(problem), now_ms()));
                    Box::pin(self.begin()).await?;
                }
            },
        }
        Ok(Flow::Go)
    }

    /// Waits for something beside the screen. It ends when the handle is dropped.
    fn later<T: 'static>(
        &self,
        work: BoxFuture<'static, T>,
        input: impl FnOnce(T) -> Input + Send + 'static,
    ) -> AbortOnDropHandle<()> {
        let found = self.found.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            // The screen has been left meanwhile.
            let _ = found.send(input(work.await));
        }))
    }

    async fn send(&mut self, command: Command) {
        if matches!(command, Command::Submit { .. } | Command::SetGoal { .. }) && self.connection.is_none() {
            self.connect().await;
        }
        if let Some(connection) = &self.connection {
            // A session that has ended says so through its updates.
            let _ = connection.commands.send(command);
        }
    }

    async fn attach(&mut self, message: Message, delivery: Delivery) {
        if self.connection.is_none() {
            self.connect().await;
        }
        let mut content = vec![Content::text(message.text)];
        for path in &message.images {
            match self.host.attach(path) {
                Ok(image) => content.push(image),
                Err(problem) => drop(self.app.update(Input::Said(problem), now_ms())),
            }
        }
        self.send(Command::Submit { content, delivery }).await;
    }

    /// Opens another session, once it is sure that it can be opened. This one is closed in order before.
    async fn switch(&mut self, next: Switch) -> io::Result<()> {
        let forked = match &next {
            Switch::Resume(_) => None,
            Switch::Fork(_, Apart::No) => {
                Some("a copy goes on here; the session that it was made of is kept as it is")
            }
            Switch::Fork(..) => Some(
                "a copy goes on in a directory of its own; the session that it was made of is kept as it is",
            ),
        };
        let Ready { offer, notes } = match self.host.prepare(next) {
            Ok(ready) => ready,
            Err(problem) => {
                // Whoever has nothing but the list chooses another one, and reads there why.
                let input = if self.begin.0 == Begin::Choose {
                    Box::pin(self.begin()).await?;
                    Input::Answer(Answer::Failed { question: Question::Sessions, problem })
                } else {
                    Input::Said(problem)
                };
                drop(self.app.update(input, now_ms()));
                return Ok(());
            }
        };
        self.disconnect().await;
        self.app.forget();
        self.begin.0 = Begin::Resume;
        match offer {
            Some(offer) => self.app.open(Box::new(Trust::new(offer))),
            None => Box::pin(self.begin()).await?,
        }
        if !notes.is_empty() {
            self.app.tell(notes);
        }
        if let Some(said) = forked {
            drop(self.app.update(Input::Said(said.to_owned()), now_ms()));
        }
        Ok(())
    }

    /// Opens the session, and folds what it tells of before.
    async fn connect(&mut self) {
        let now = now_ms();
        match self.host.open().await {
            Ok(connection) => {
                self.app.ground.clone_from(&connection.ground);
                self.app.replay(&connection.history, now);
                self.connection = Some(connection);
            }
            Err(problem) => drop(self.app.update(Input::Said(problem), now)),
        }
    }

    /// Ends the session in order: the process it is in goes on.
    pub(super) async fn disconnect(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let _ = connection.commands.send(Command::Shutdown);
            while let Some(update) = connection.updates.next().await {
                drop(self.app.update(Input::Update(update), now_ms()));
            }
        }
    }

    /// Looks for files on a thread of its own. A new `@` walks the workspace; more letters only rank anew.
    fn find(&mut self, query: String) {
        let root = self.app.ground.workspace.clone();
        let (found, kept) = (self.found.clone(), Arc::clone(&self.listing));
        tokio::task::spawn_blocking(move || {
            let known = kept.lock().ok().and_then(|listing| listing.clone()).filter(|_| !query.is_empty());
            let listing = known.unwrap_or_else(|| Arc::new(files::walk(&root, &CancellationToken::new())));
            let matches = files::search(&query, &listing, FILES);
            if let Ok(mut kept) = kept.lock() {
                *kept = Some(listing);
            }
            // The screen has been left meanwhile.
            let _ = found.send(Input::Files { query, found: matches });
        });
    }
}

impl<H: Host> Face<H, Glass> {
    async fn follow(&mut self, mut found: mpsc::UnboundedReceiver<Input>) -> io::Result<()> {
        let mut end = Ends::new()?;
        let mut late = self.surface.terminal.take_late();
        for event in self.surface.terminal.take_typed() {
            if self.event(event).await? == Flow::Quit {
                return Ok(());
            }
        }
        let mut keys = EventStream::new();
        let mut drawn = Instant::now();
        // When the next frame is due: at once for a key, at the frame rate for everything else.
        let mut due = Some(drawn);
        loop {
            let tick = self.app.animated().then(|| drawn + TICK);
            let tick = [tick, self.app.wake_at(), played_on(&self.app)].into_iter().flatten().min();
            let save = self.save;
            let flow = tokio::select! {
                biased;
                () = end.next() => return Ok(()),
                event = keys.next() => match event {
                    None => return Ok(()),
                    Some(event) => {
                        due = Some(drawn);
                        self.keys(event?, &mut keys, &mut late).await?
                    }
                },
                () = at(due) => {
                    self.draw()?;
                    drawn = Instant::now();
                    due = None;
                    Flow::Go
                }
                update = next_update(&mut self.connection) => {
                    self.updates(update)?;
                    due = due.or(Some(drawn + FRAME));
                    Flow::Go
                }
                Some(input) = found.recv() => {
                    due = Some(drawn);
                    self.input(input).await?
                }
                () = at(save) => {
                    self.keep_draft();
                    Flow::Go
                }
                () = at(tick) => {
                    due = Some(drawn);
                    self.input(Input::Tick).await?
                }
            };
            match flow {
                Flow::Quit => return Ok(()),
                Flow::Reopen => {
                    keys = EventStream::new();
                    self.surface.screen.resize(Terminal::size()?);
                    self.app.appear(now_ms());
                    due = Some(drawn);
                }
                Flow::Go => {}
            }
        }
    }

    /// Takes in an event of the terminal, and all that are there already.
    async fn keys(&mut self, first: TermEvent, keys: &mut EventStream, late: &mut Late) -> io::Result<Flow> {
        let mut next = Some(first);
        while let Some(event) = next {
            for event in late.pass(event) {
                let flow = self.event(event).await?;
                if flow != Flow::Go {
                    return Ok(flow);
                }
            }
            next = ready(keys).await.transpose()?;
        }
        let sent = self.app.composer.is_empty() && !self.kept.is_empty();
        let now = Instant::now();
        self.save = if sent { Some(now) } else { self.save.or(Some(now + SAVE)) };
        if let Some(background) = late.take_background() {
            self.app.background(is_dark(background));
        }
        Ok(Flow::Go)
    }

    async fn event(&mut self, event: TermEvent) -> io::Result<Flow> {
        match event {
            TermEvent::Key(key) => {
                self.typed = Instant::now();
                self.input(Input::Key(key)).await
            }
            TermEvent::Paste(text) => self.input(Input::Paste(text)).await,
            TermEvent::Resize(columns, rows) => {
                self.surface.screen.resize(Size { columns, rows });
                Ok(Flow::Go)
            }
            TermEvent::FocusGained => {
                self.focused = true;
                Ok(Flow::Go)
            }
            TermEvent::FocusLost => {
                self.focused = false;
                Ok(Flow::Go)
            }
            TermEvent::Mouse(_) => Ok(Flow::Go),
        }
    }

    /// Takes in an update, and all that are there already.
    fn updates(&mut self, first: Option<Update>) -> io::Result<()> {
        let Some(first) = first else {
            self.connection = None;
            return Ok(());
        };
        let mut next = Some(first);
        while let Some(update) = next {
            let notice = notice(&update);
            if let Update::Event(Event { fact: Fact::TurnFinished { .. }, .. }) = &update {
                self.app.ground.branch = self.host.branch();
            }
            // What an update changes asks for nothing to be done.
            drop(self.app.update(Input::Update(update), now_ms()));
            let wanted = match self.settings.notifications {
                When::Off => false,
                When::Unfocused => !self.focused,
                When::Always => true,
            };
            if let Some(notice) = notice.filter(|_| wanted) {
                self.surface.terminal.notify(&format!("{notice}: {}", self.app.name()))?;
            }
            next = self.connection.as_mut().and_then(|connection| connection.updates.ready());
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        // Asked each time: multiplexers tell of another size late.
        self.surface.screen.resize(Terminal::size()?);
        self.surface.screen.park(self.app.session.turn.is_some() && self.typed.elapsed() > PARK);
        let title = self.app.title();
        if self.settings.title && self.surface.titled != title {
            self.surface.terminal.set_title(&title)?;
            self.surface.titled = title;
        }
        paint(&mut self.app, &mut self.surface.screen, now_ms())
    }

    async fn leave(&mut self) {
        self.keep_draft();
        self.disconnect().await;
        // A terminal that is gone shows nothing any more.
        let _ = self.draw();
        let _ = self.surface.screen.finish();
    }
}

/// Brings a terminal to show the state of the app.
pub(super) fn paint<W: io::Write>(app: &mut App, screen: &mut Screen<W>, now_ms: u64) -> io::Result<()> {
    let Size { columns, rows } = screen.size();
    if let Some(full) = app.full(screen.size(), now_ms) {
        screen.enter_full()?;
        return screen.draw_full_at(&full.rows, full.cursor);
    }
    screen.leave_full()?;
    let finished = app.transcript.take_finished(columns, &app.theme);
    screen.print(&finished);
    let live = app.live(columns, rows.saturating_sub(1).max(1), now_ms);
    screen.draw(&live.rows, live.cursor)
}

/// An event that is there already. It is asked for with the waker of this task: the stream keeps the one that it
/// was last asked with.
async fn ready(keys: &mut EventStream) -> Option<io::Result<TermEvent>> {
    std::future::poll_fn(|cx| match keys.poll_next_unpin(cx) {
        Poll::Ready(event) => Poll::Ready(event),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Milliseconds by the clock of the events.
pub(super) fn now_ms() -> u64 {
    u64::try_from(Time::now().as_millisecond()).unwrap_or(0)
}

/// When what is played goes on.
pub(super) fn played_on(app: &App) -> Option<Instant> {
    let due = app.due_ms()?;
    Some(Instant::now() + Duration::from_millis(due.saturating_sub(now_ms())))
}

/// Waits for a moment, or for ever.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_update(connection: &mut Option<Connection>) -> Option<Update> {
    match connection {
        Some(connection) => connection.updates.next().await,
        None => std::future::pending().await,
    }
}
