//! `agent export`: a session with all that belongs to it, in one file.

use std::{
    fs::{self, File},
    io::{self, Read, SeekFrom, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use crate::protocol::{Fact, SessionId, SnapshotId, Time, printable};
use crate::snapshot::{Parcel, Stored};
use crate::store::{self, LogError};

use super::{
    args::ExportArgs,
    bundle::{BLOB, FORMAT, LOG, MANIFEST, Manifest, Member, PACK, withheld_words},
    error::CliError,
    sessions::size,
    start::{Start, now},
};

/// Compression of logs and blobs.
const LEVEL: i32 = 3;

pub(super) fn run(start: &Start, args: &ExportArgs) -> Result<ExitCode, CliError> {
    let id = start.find(args.id.as_deref())?;
    let short: String = id.to_string().chars().take(13).collect();
    let to = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("agent-{short}.tar")));
    let failed = |error: &dyn std::fmt::Display| {
        CliError::failed(format!("session {id} was not exported to {}: {error}", to.display()))
    };
    if to.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("{} is there already, and is not overwritten", to.display()))
            .hint("agent export ID -o ANOTHER-FILE"));
    }
    let (events, damage) =
        store::read_whole_lines(&start.sessions().log(id)).map_err(|error| failed(&error))?;
    if let Some(LogError::Damaged { damage, .. }) = damage {
        return Err(failed(&damage).hint(format!("agent sessions show {id} prints what can be read")));
    }
    let workspace = events.iter().find_map(|event| match &event.fact {
        Fact::SessionStarted { workspace, .. } => Some(workspace.clone()),
        _ => None,
    });
    let workspace = workspace.ok_or_else(|| failed(&"it ended before it had begun"))?;
    let title = events.iter().rev().find_map(|event| match &event.fact {
        Fact::Renamed { title } => Some(title.clone()),
        _ => None,
    });
    drop(events);
    let manifest = Manifest {
        format: FORMAT,
        agent: env!("CARGO_PKG_VERSION").to_owned(),
        exported: now(),
        session: id,
        title: title.unwrap_or_default(),
        workspace,
        snapshots: Vec::new(),
        withheld: Vec::new(),
        members: Vec::new(),
    };
    let states = match args.no_files {
        true => Vec::new(),
        false => states(start, id).map_err(|error| failed(&error))?,
    };
    let (manifest, missing) = write(start, manifest, &states, args.with_secrets, &to)
        .map_err(|error| failed(&format!("{error:#}")))?;
    report(&manifest, &missing, args, &to).map_err(CliError::failed)?;
    Ok(ExitCode::SUCCESS)
}

fn states(start: &Start, id: SessionId) -> io::Result<Vec<SnapshotId>> {
    let mut states = start.sessions().states(id)?;
    states.sort_by(|a, b| a.0.cmp(&b.0));
    states.dedup();
    Ok(states)
}

fn report(manifest: &Manifest, missing: &[SnapshotId], args: &ExportArgs, to: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let bytes = fs::metadata(to)?.len();
    if args.json {
        let all = serde_json::json!({
            "session": manifest.session,
            "file": to,
            "bytes": bytes,
            "snapshots": manifest.snapshots.len(),
            "missing": missing.len(),
            "withheld": manifest.withheld.iter().map(|one| &one.path).collect::<Vec<_>>(),
        });
        return writeln!(out, "{all}");
    }
    writeln!(out, "exported session {} to {} ({})", manifest.session, to.display(), size(bytes))?;
    if args.no_files {
        writeln!(out, "without the states of files: nothing can be undone or brought back from it")?;
    } else if manifest.snapshots.is_empty() {
        writeln!(out, "it has no states of files")?;
    } else {
        let count = manifest.snapshots.len();
        writeln!(out, "with {count} state{} of its files", if count == 1 { "" } else { "s" })?;
        writeln!(out, "not in it: installed packages, build results, and the database of a git repository")?;
    }
    if let Some(names) = withheld_words(&manifest.withheld) {
        writeln!(out, "secret files that are not in it: {names}")?;
        writeln!(out, "  (--with-secrets puts them in: then whoever has the bundle has them)")?;
    }
    if !missing.is_empty() {
        writeln!(out, "! {} states of files are not kept any more, and are not in it", missing.len())?;
    }
    writeln!(out, "take it over on the other machine with: agent import {}", printable(&to.to_string_lossy()))
}

/// Writes it beside its place, and gives it its name when it is whole and on the disk.
fn write(
    start: &Start,
    mut manifest: Manifest,
    states: &[SnapshotId],
    secrets: bool,
    to: &Path,
) -> anyhow::Result<(Manifest, Vec<SnapshotId>)> {
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new().prefix(".agent-export-").tempfile_in(folder)?;
    let mut bundle =
        Bundle { out: tar::Builder::new(file.as_file()), folder, at: manifest.exported, members: Vec::new() };
    let sessions = start.sessions();
    let mut log = fs::read(sessions.log(manifest.session))?;
    // What is being written at this moment is not true yet.
    log.truncate(log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    bundle.compressed(LOG, &log[..])?;
    drop(log);
    let blobs = match fs::read_dir(sessions.folder(manifest.session).join("blobs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    for blob in blobs {
        let name = blob.file_name().to_string_lossy().into_owned();
        // What is still being written has a name that is not a hash.
        if name.len() == 64 {
            bundle.compressed(&format!("{}{name}{}", BLOB.0, BLOB.1), File::open(blob.path())?)?;
        }
    }
    let mut parcel = Parcel::default();
    if !states.is_empty() {
        // On the file system that they go to, which has the room or is to say so.
        let packs = tempfile::Builder::new().prefix(".agent-export-").tempdir_in(folder)?;
        let stored = Stored::of(&start.home.snapshots(), &manifest.workspace)?;
        parcel = stored.parcel(states, packs.path(), secrets, &AtomicBool::new(false))?;
        for pack in &parcel.packs {
            let name = pack.file_name().unwrap_or_default().to_string_lossy().into_owned();
            bundle.member(&format!("{}{name}", PACK.0), &mut File::open(pack)?)?;
            fs::remove_file(pack)?;
        }
    }
    manifest.snapshots = parcel.snapshots;
    manifest.withheld = parcel.withheld;
    manifest.members = std::mem::take(&mut bundle.members);
    let text = serde_json::to_vec_pretty(&manifest)?;
    bundle.member(MANIFEST, &mut io::Cursor::new(text))?;
    bundle.out.finish()?;
    drop(bundle);
    file.as_file().sync_all()?;
    file.persist_noclobber(to)?;
    File::open(folder)?.sync_all()?;
    Ok((manifest, parcel.missing))
}

struct Bundle<'a> {
    out: tar::Builder<&'a File>,
    folder: &'a Path,
    at: Time,
    members: Vec<Member>,
}

impl Bundle<'_> {
    fn compressed(&mut self, name: &str, mut content: impl Read) -> anyhow::Result<()> {
        let mut encoder = zstd::stream::write::Encoder::new(tempfile::tempfile_in(self.folder)?, LEVEL)?;
        encoder.include_checksum(true)?;
        io::copy(&mut content, &mut encoder)?;
        let mut file = encoder.finish()?;
        file.flush()?;
        self.member(name, &mut file)
    }

    fn member(&mut self, name: &str, content: &mut (impl Read + io::Seek)) -> anyhow::Result<()> {
        content.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(content, &mut hasher)?;
        content.seek(SeekFrom::Start(0))?;
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.at.as_second()).unwrap_or_default());
        self.out.append_data(&mut header, name, content)?;
        self.members.push(Member {
            name: name.to_owned(),
            bytes,
            hash: hasher.finalize().to_hex().to_string(),
        });
        Ok(())
    }
}
