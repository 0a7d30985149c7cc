//! The loop of the screen, and all of its IO: keys, updates, time, and what is drawn.

use std::{
    io,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use crossterm::event::{Event as TermEvent, EventStream};
use futures::StreamExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::protocol::{Command, Content, Delivery, Time, Update};

use super::{
    app::{Action, App, Input, worth_a_bell},
    composer::{
        self, Composer, Message,
        files::{self, Listing},
    },
    host::{Connection, Host},
    slash,
    status::Ground,
    term::{Late, Screen, Session as Terminal, Size, Tty},
    theme::Theme,
};

/// The shortest time between two frames that nobody asked for with a key.
const FRAME: Duration = Duration::from_millis(17);
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
    /// A session that is kept is gone on with.
    pub resumed: bool,
    /// What to say first.
    pub say: Option<String>,
    /// Colours are welcome (`NO_COLOR` is not set).
    pub colours: bool,
    /// The variables that describe the terminal.
    pub term: Vec<(String, String)>,
}

/// Runs the screen until the person leaves. Gives what to say then, and the host back.
///
/// # Errors
/// When there is no terminal, or it is gone.
pub async fn run<H: Host>(host: H, options: Options) -> anyhow::Result<(Option<String>, H)> {
    let terminal = Terminal::enter(|name| {
        options.term.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    })?;
    let screen = terminal.screen()?;
    let theme = if options.colours { Theme::ansi() } else { Theme::plain() };
    let composer =
        Composer::new(composer::Options { history: options.history, commands: slash::specs(), vim: false });
    let (found, matches) = mpsc::unbounded_channel();
    let mut face = Face {
        app: App::new(composer, options.ground, theme),
        host,
        terminal,
        screen,
        connection: None,
        focused: true,
        typed: Instant::now(),
        found,
        shell: None,
        listing: Arc::default(),
    };
    face.begin(options.resumed, options.say).await;
    let result = face.follow(matches).await;
    let farewell = face.app.farewell();
    face.leave().await;
    let Face { host, screen, terminal, .. } = face;
    drop((screen, terminal));
    result.map(|()| (farewell, host)).map_err(Into::into)
}

struct Face<H> {
    app: App,
    host: H,
    terminal: Terminal,
    screen: Screen<Tty>,
    connection: Option<Connection>,
    /// Whether the person looks here, as far as the terminal tells.
    focused: bool,
    /// When a key was last pressed.
    typed: Instant,
    found: mpsc::UnboundedSender<Input>,
    /// The command that the person runs.
    shell: Option<AbortOnDropHandle<()>>,
    /// The files of the workspace, walked anew for each `@` that is begun.
    listing: Arc<Mutex<Option<Arc<Listing>>>>,
}

/// What comes after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    Quit,
    /// The terminal was somebody else's meanwhile.
    Reopen,
}

impl<H: Host> Face<H> {
    async fn begin(&mut self, resumed: bool, say: Option<String>) {
        if resumed {
            self.connect().await;
        }
        if let Some(text) = say {
            self.send(Command::Submit { content: vec![Content::text(text)], delivery: Delivery::Steer })
                .await;
        }
    }

    async fn follow(&mut self, mut found: mpsc::UnboundedReceiver<Input>) -> io::Result<()> {
        let mut end = Ends::new()?;
        let mut late = self.terminal.take_late();
        for event in self.terminal.take_typed() {
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
            let tick = [tick, self.app.wake_at()].into_iter().flatten().min();
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
                () = at(tick) => {
                    due = Some(drawn);
                    self.input(Input::Tick).await?
                }
            };
            match flow {
                Flow::Quit => return Ok(()),
                Flow::Reopen => {
                    keys = EventStream::new();
                    self.screen.resize(Terminal::size()?);
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
                self.screen.resize(Size { columns, rows });
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
            if !self.focused && worth_a_bell(&update) {
                self.terminal.notify("your turn")?;
            }
            // What an update changes asks for nothing to be done.
            drop(self.app.update(Input::Update(update), now_ms()));
            next = self.connection.as_mut().and_then(|connection| connection.updates.ready());
        }
        Ok(())
    }

    async fn input(&mut self, input: Input) -> io::Result<Flow> {
        let now = now_ms();
        let mut flow = Flow::Go;
        for action in self.app.update(input, now) {
            let next = self.act(action).await?;
            if next != Flow::Go {
                flow = next;
            }
        }
        Ok(flow)
    }

    async fn act(&mut self, action: Action) -> io::Result<Flow> {
        match action {
            Action::Send(command) => self.send(command).await,
            Action::Attach { message, delivery } => self.attach(message, delivery).await,
            Action::Quit => return Ok(Flow::Quit),
            Action::Suspend => {
                self.screen.finish()?;
                self.terminal.stop()?;
                return Ok(Flow::Reopen);
            }
            Action::Edit(text) => {
                self.screen.finish()?;
                self.terminal.suspend();
                let edited = self.host.edit(&text);
                self.terminal.resume()?;
                let input = match edited {
                    Ok(text) => Input::Edited(text),
                    Err(problem) => Input::Said(problem),
                };
                drop(self.app.update(input, now_ms()));
                return Ok(Flow::Reopen);
            }
            Action::Files(query) => self.find(query),
            Action::Shell(command) => {
                let (running, found) = (self.host.shell(&command), self.found.clone());
                let task = tokio::spawn(async move {
                    // The screen has been left meanwhile.
                    let _ = found.send(Input::Ran(running.await));
                });
                self.shell = Some(AbortOnDropHandle::new(task));
            }
            Action::StopShell => self.shell = None,
            Action::Copy(text) => {
                let said = if self.terminal.copy(&text)? { "copied" } else { "too long for the clipboard" };
                drop(self.app.update(Input::Said(said.to_owned()), now_ms()));
            }
            Action::Ask(question) => {
                let answer = self.host.answer(question).await;
                drop(self.app.update(Input::Answer(answer), now_ms()));
            }
            Action::New => {
                self.disconnect().await;
                self.host.forget();
                self.app.forget();
            }
        }
        Ok(Flow::Go)
    }

    async fn send(&mut self, command: Command) {
        if let Command::Submit { content, .. } = &command {
            for part in content {
                if let Content::Text { text } = part {
                    self.host.remember(text);
                }
            }
            if self.connection.is_none() {
                self.connect().await;
            }
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

    /// Opens the session, and folds what it tells of before.
    async fn connect(&mut self) {
        let now = now_ms();
        match self.host.open().await {
            Ok(connection) => {
                self.app.replay(&connection.history, now);
                self.connection = Some(connection);
            }
            Err(problem) => drop(self.app.update(Input::Said(problem), now)),
        }
    }

    /// Ends the session in order: the process it is in goes on.
    async fn disconnect(&mut self) {
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

    fn draw(&mut self) -> io::Result<()> {
        // Asked each time: multiplexers tell of another size late.
        self.screen.resize(Terminal::size()?);
        self.screen.park(self.app.session.turn.is_some() && self.typed.elapsed() > PARK);
        let Size { columns, rows } = self.screen.size();
        let now = now_ms();
        if let Some(full) = self.app.full(self.screen.size(), now) {
            self.screen.enter_full()?;
            return self.screen.draw_full_at(&full.rows, full.cursor);
        }
        self.screen.leave_full()?;
        let finished = self.app.transcript.take_finished(columns, &self.app.theme);
        self.screen.print(&finished);
        let live = self.app.live(columns, rows.saturating_sub(1).max(1), now);
        self.screen.draw(&live.rows, live.cursor)
    }

    async fn leave(&mut self) {
        self.disconnect().await;
        // A terminal that is gone shows nothing any more.
        let _ = self.draw();
        let _ = self.screen.finish();
    }
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
fn now_ms() -> u64 {
    u64::try_from(Time::now().as_millisecond()).unwrap_or(0)
}

/// Waits for a moment, or for ever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn next_update(connection: &mut Option<Connection>) -> Option<Update> {
    match connection {
        Some(connection) => connection.updates.next().await,
        None => std::future::pending().await,
    }
}

/// Signals that end the program in order.
struct Ends {
    terminate: Signal,
    hangup: Signal,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, hangup: signal(SignalKind::hangup())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
