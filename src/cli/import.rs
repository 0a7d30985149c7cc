//! `agent import`: takes over a session that `agent export` has written, here or elsewhere.
//!
//! The file may come from anybody. All of it is looked at before anything is written, and what it says of permissions
//! does not count here: the session goes on as this machine's configuration has it, with nothing allowed in advance.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::Path,
    process::ExitCode,
};

use crate::protocol::{BlobId, By, Event, Fact, Level, SandboxMode, Scope, Settings, printable};
use crate::session::{CallState, Session};
use crate::snapshot::{self, Bounds, Foreign, Stored, Weight};
use crate::store::{self, Blobs, Log};

use super::{
    args::ImportArgs,
    bundle::{FORMAT, Manifest, Part, withheld_words},
    error::CliError,
    sessions::size,
    start::{Start, now},
};

/// What the name of a folder begins with that is no session yet.
pub(super) const COMING: &str = ".import-";
/// A longer list of what is in it is none.
const MANIFEST: u64 = 256 << 20;
/// Below so many bytes it is no bomb, whatever it was made of.
const RATIO_FROM: u64 = 1 << 20;

pub(super) fn run(start: &Start, args: &ImportArgs) -> Result<ExitCode, CliError> {
    let refused = |error: anyhow::Error| {
        CliError::failed(format!(
            "{} was not imported, and nothing was written: {error:#}",
            args.file.display()
        ))
    };
    let file = File::open(&args.file)
        .map_err(|error| CliError::usage(format!("can't read {}: {error}", args.file.display())))?;
    let bundle = Bundle::look(start, args, &file).map_err(refused)?;
    let id = bundle.manifest.session;
    let folder = start.sessions().folder(id);
    if folder.exists() {
        return Err(CliError::usage(format!("session {id} is here already")).hint(format!(
            "look at it with: agent sessions show {id}; delete it with: agent sessions rm {id}"
        )));
    }
    bundle.take(start).map_err(|error| {
        CliError::failed(format!("{} was not imported: {error:#}", args.file.display()))
            .hint("nothing of it is left here; make room, and try again")
    })?;
    bundle.report(start, args.json).map_err(CliError::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    at: u64,
    bytes: u64,
}

/// A bundle that was looked at.
struct Bundle<'a> {
    file: &'a File,
    manifest: Manifest,
    places: HashMap<String, Place>,
    packs: Vec<(u64, u64)>,
    events: Vec<Event>,
    weight: Weight,
    limits: Limits,
}

#[derive(Clone, Copy)]
struct Limits {
    bytes: u64,
    ratio: u64,
}

impl<'a> Bundle<'a> {
    /// Looks at all of it. The error says what is wrong with it.
    fn look(start: &Start, args: &ImportArgs, file: &'a File) -> anyhow::Result<Self> {
        let limits = Limits { bytes: args.max_bytes, ratio: args.max_ratio };
        let places = members(file, args.max_members)?;
        let place = |name: &str| {
            let whole = "it is no bundle of `agent export`, or was cut off";
            places.get(name).copied().ok_or_else(|| anyhow::anyhow!("{whole}: it has no {name}"))
        };
        let place_of_manifest = place(super::bundle::MANIFEST)?;
        if place_of_manifest.bytes > MANIFEST {
            anyhow::bail!("its list of what is in it is too long");
        }
        let text = bytes(file, place_of_manifest)?;
        let version: Version = serde_json::from_slice(&text)
            .map_err(|error| anyhow::anyhow!("its list of what is in it can't be read: {error}"))?;
        if version.format > FORMAT {
            anyhow::bail!("it was written in format {}; this program knows up to {FORMAT}", version.format);
        }
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| anyhow::anyhow!("its list of what is in it can't be read: {error}"))?;
        same(file, &manifest, &places)?;
        let mut left = limits.bytes;
        let log = place(super::bundle::LOG)?;
        let mut log = limits.open(file, log, super::bundle::LOG, left)?;
        let (events, damage) = store::read_stream(&mut log)?;
        left -= log.taken;
        if let Some(damage) = damage {
            anyhow::bail!("its log is damaged: {damage}");
        }
        whose(&events, &manifest)?;
        let mut names: Vec<&String> = places.keys().collect();
        names.sort();
        let mut packs = Vec::new();
        for name in names {
            let Some(part) = places.get(name).copied() else { continue };
            match Part::of(name) {
                Some(Part::Blob(blob)) => {
                    let mut content = limits.open(file, part, name, left)?;
                    let mut hasher = blake3::Hasher::new();
                    io::copy(&mut content, &mut hasher)
                        .map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
                    left -= content.taken;
                    if hasher.finalize().to_hex().as_str() != blob {
                        anyhow::bail!("{name} is not what its name says");
                    }
                }
                Some(Part::Pack) => packs.push((part.at, part.bytes)),
                Some(Part::Log | Part::Manifest) | None => {}
            }
        }
        let bounds = Bounds {
            bytes: left,
            members: args.max_members,
            ratio: args.max_ratio,
            caseless: snapshot::caseless(&start.home.data),
        };
        let weight = Foreign::open(file, &packs)?.look(&manifest.snapshots, &manifest.withheld, &bounds)?;
        Ok(Self { file, manifest, places, packs, events, weight, limits })
    }

    /// Writes it where it belongs: the states of files first, then the session, which is there whole or not at all.
    fn take(&self, start: &Start) -> anyhow::Result<()> {
        let sessions = start.home.sessions();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&sessions)?;
        // No list knows this name.
        let coming = tempfile::Builder::new().prefix(COMING).tempdir_in(&sessions)?;
        let log = self.place(super::bundle::LOG)?;
        let path = coming.path().join("log.jsonl");
        let mut file = File::options().write(true).create_new(true).open(&path)?;
        io::copy(&mut self.limits.open(self.file, log, super::bundle::LOG, u64::MAX)?, &mut file)?;
        file.sync_all()?;
        drop(file);
        let blobs = Blobs::new(coming.path().join("blobs"));
        for (name, place) in &self.places {
            if let Some(Part::Blob(blob)) = Part::of(name) {
                let mut content = Vec::new();
                self.limits.open(self.file, *place, name, u64::MAX)?.read_to_end(&mut content)?;
                if BlobId::of(&content).as_str() != blob {
                    anyhow::bail!("it was changed while it was read");
                }
                blobs.put(&BlobId(blob.to_owned()), &content)?;
            }
        }
        let (mut log, events) = Log::open(&path)?;
        if events != self.events {
            anyhow::bail!("it was changed while it was read");
        }
        log.append(tame(start, &Session::replay(&events)), now())?;
        log.sync()?;
        if !self.packs.is_empty() {
            let stored = Stored::of(&start.home.snapshots(), &self.manifest.workspace)?;
            stored.adopt(&Foreign::open(self.file, &self.packs)?, &self.manifest.snapshots)?;
        }
        File::open(coming.path())?.sync_all()?;
        fs::rename(coming.path(), start.sessions().folder(self.manifest.session))?;
        // It has another name now.
        let _ = coming.keep();
        File::open(&sessions)?.sync_all()?;
        Ok(())
    }

    fn place(&self, name: &str) -> anyhow::Result<Place> {
        self.places.get(name).copied().ok_or_else(|| anyhow::anyhow!("it has no {name}"))
    }

    fn report(&self, start: &Start, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let Manifest { session, title, workspace, snapshots, withheld, .. } = &self.manifest;
        if json {
            let all = serde_json::json!({
                "session": session,
                "title": title,
                "workspace": workspace,
                "there": workspace.is_dir(),
                "snapshots": snapshots.len(),
                "withheld": withheld.iter().map(|one| &one.path).collect::<Vec<_>>(),
                "members": self.weight.members,
                "bytes": self.weight.bytes,
            });
            return writeln!(out, "{all}");
        }
        let title = printable(title).replace('\n', " ");
        writeln!(out, "imported session {session}{}{title}", if title.is_empty() { "" } else { ": " })?;
        let place = printable(&workspace.to_string_lossy()).replace('\n', "\\n");
        match snapshots.len() {
            0 => writeln!(out, "it worked in {place}, and brings no files")?,
            count => writeln!(
                out,
                "it worked in {place}, and brings {count} states of its files (the largest: {} in {} files and \
                 directories)",
                size(self.weight.bytes),
                self.weight.members
            )?,
        }
        if let Some(names) = withheld_words(withheld) {
            writeln!(out, "secret files that it does not bring: {names}")?;
        }
        writeln!(
            out,
            "nothing that was allowed there is allowed here; commands run in `{}` at most",
            start.config.sandbox
        )?;
        if !workspace.is_dir() {
            writeln!(out, "that directory is not here yet")?;
        }
        writeln!(out, "go on with: agent resume {session}")
    }
}

#[derive(serde::Deserialize)]
struct Version {
    format: u32,
}

/// What the log brings along that would let something happen here unasked is taken back: permissions, calls that were
/// allowed or wait for an answer (what they say of themselves may be made up), and the settings of commands.
fn tame(start: &Start, session: &Session) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(settings) = &session.settings {
        let settings = Settings {
            sandbox: stricter(start.config.sandbox, settings.sandbox),
            approval: start.config.approval.unwrap_or(crate::protocol::Approval::OnRequest),
            backend: start.config.backend.to_string(),
            snapshots: start.config.snapshots.mode,
            ..settings.clone()
        };
        facts.push(Fact::Configured { settings });
    }
    let rules = session.rules.iter().filter(|rule| rule.scope == Scope::Session).cloned();
    facts.extend(rules.map(|rule| Fact::Revoked { rule }));
    facts.push(Fact::RulesRead { rules: Vec::new() });
    for call in session.calls() {
        if matches!(call.state, CallState::Asked { .. } | CallState::Allowed { .. }) {
            let reason =
                "The session was moved to another machine before this was done. Ask again.".to_owned();
            facts.push(Fact::CallRefused { call: call.id.clone(), by: By::Policy, reason });
        }
    }
    let text = "this session was imported; what was allowed elsewhere is not allowed here".to_owned();
    facts.push(Fact::Noted { level: Level::Info, text });
    facts
}

/// Neither more than it had, nor more than is configured here.
fn stricter(here: SandboxMode, there: SandboxMode) -> SandboxMode {
    let rank = |mode: &SandboxMode| match mode {
        SandboxMode::ReadOnly => 0,
        SandboxMode::WorkspaceWrite => 1,
        SandboxMode::DangerFullAccess => 2,
    };
    if rank(&here) <= rank(&there) { here } else { there }
}

/// One beginning, and the one that the list names.
fn whose(events: &[Event], manifest: &Manifest) -> anyhow::Result<()> {
    let mut beginnings = events.iter().filter_map(|event| match &event.fact {
        Fact::SessionStarted { session, workspace, .. } => Some((event.seq.0, *session, workspace)),
        _ => None,
    });
    let Some((1, session, workspace)) = beginnings.next() else {
        anyhow::bail!("its log does not begin as one does");
    };
    if beginnings.next().is_some() {
        anyhow::bail!("its log begins twice");
    }
    if session != manifest.session || *workspace != manifest.workspace {
        anyhow::bail!("its log is that of another session than it says");
    }
    if !workspace.is_absolute() {
        anyhow::bail!("it worked in {}, which is no absolute path", workspace.display());
    }
    Ok(())
}

/// Where the members of a tar lie. Refuses whatever a bundle does not have.
fn members(mut file: &File, most: u64) -> anyhow::Result<HashMap<String, Place>> {
    file.seek(SeekFrom::Start(0))?;
    let end = file.metadata()?.len();
    let mut archive = tar::Archive::new(file);
    let mut places: HashMap<String, Place> = HashMap::new();
    let mut lower: HashSet<String> = HashSet::new();
    let mut count = 0;
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry.map_err(|error| anyhow::anyhow!("it is no bundle of `agent export`: {error}"))?;
        count += 1;
        if count > most {
            anyhow::bail!("it has more than {most} members");
        }
        let raw = entry.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&raw).into_owned();
        let shown = printable(&name).into_owned();
        let kind = entry.header().entry_type();
        let leads =
            || entry.link_name_bytes().map(|to| printable(&String::from_utf8_lossy(&to)).into_owned());
        match kind {
            tar::EntryType::Regular => {}
            tar::EntryType::Symlink | tar::EntryType::Link => {
                anyhow::bail!(
                    "{shown} is a link (to {}), and a bundle has none",
                    leads().unwrap_or_default()
                );
            }
            tar::EntryType::Block | tar::EntryType::Char | tar::EntryType::Fifo => {
                anyhow::bail!("{shown} is a device or a pipe, and a bundle has none");
            }
            other => anyhow::bail!(
                "{shown} is of kind {:?}, and a bundle has only files",
                char::from(other.as_byte())
            ),
        }
        if name.starts_with('/') {
            anyhow::bail!("{shown} is an absolute name");
        }
        if name.split('/').any(|part| part == "..") {
            anyhow::bail!("{shown} leads out of the folder that it would be put in");
        }
        if places.contains_key(&name) {
            anyhow::bail!("{shown} is there twice");
        }
        if !lower.insert(name.to_lowercase()) {
            anyhow::bail!("{shown} differs only in case from another name");
        }
        if Part::of(&name).is_none() {
            anyhow::bail!("{shown} has no place in a bundle");
        }
        let place = Place { at: entry.raw_file_position(), bytes: entry.header().entry_size()? };
        if place.at.checked_add(place.bytes).is_none_or(|behind| behind > end) {
            anyhow::bail!("{shown} was cut off");
        }
        places.insert(name, place);
    }
    Ok(places)
}

/// Whether all that the list names is there, and nothing else, as it was written.
fn same(file: &File, manifest: &Manifest, places: &HashMap<String, Place>) -> anyhow::Result<()> {
    let mut listed = HashSet::new();
    for member in &manifest.members {
        let shown = printable(&member.name).into_owned();
        if !listed.insert(&member.name) {
            anyhow::bail!("{shown} is listed twice");
        }
        let Some(place) = places.get(&member.name) else {
            anyhow::bail!("{shown} is listed, and not there");
        };
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut Window { file, at: place.at, end: place.at + place.bytes }, &mut hasher)?;
        if place.bytes != member.bytes || hasher.finalize().to_hex().as_str() != member.hash {
            anyhow::bail!("{shown} is damaged: it is not what was written");
        }
    }
    let more = places.keys().find(|name| name.as_str() != super::bundle::MANIFEST && !listed.contains(name));
    match more {
        Some(name) => anyhow::bail!("{name} is there, and not listed"),
        None => Ok(()),
    }
}

fn bytes(file: &File, place: Place) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Window { file, at: place.at, end: place.at + place.bytes }.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A part of a file, from its beginning to its end.
struct Window<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl io::Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// What comes out of a compressed part, up to what is taken.
struct Opened<'a> {
    decoder: zstd::stream::read::Decoder<'static, io::BufReader<Window<'a>>>,
    taken: u64,
    most: u64,
    name: String,
}

impl Limits {
    fn open<'a>(self, file: &'a File, place: Place, name: &str, left: u64) -> io::Result<Opened<'a>> {
        let window = Window { file, at: place.at, end: place.at + place.bytes };
        let most = left.min(place.bytes.saturating_mul(self.ratio).max(RATIO_FROM));
        let decoder = zstd::stream::read::Decoder::new(window)?;
        Ok(Opened { decoder, taken: 0, most, name: name.to_owned() })
    }
}

impl io::Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer)?;
        self.taken += read as u64;
        if self.taken > self.most {
            let what = format!(
                "{} becomes more than {} bytes, which is more than is taken (--max-bytes, --max-ratio)",
                self.name, self.most
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(read)
    }
}

/// What an import that was killed has left. Only what is old: another one may be at it.
pub(super) fn remove_abandoned(sessions: &Path, older: std::time::Duration) {
    for entry in fs::read_dir(sessions).into_iter().flatten().flatten() {
        let old = entry.metadata().and_then(|meta| meta.modified()).ok();
        let old = old.and_then(|then| then.elapsed().ok()).is_some_and(|since| since > older);
        if old && entry.file_name().to_string_lossy().starts_with(COMING) {
            // The next time is another try.
            let _ = store::remove_tree(&entry.path());
        }
    }
}
