//! `agent sessions check`: whether all that is kept is what was written. Changes nothing.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use crate::protocol::{SessionId, SnapshotId, printable};
use crate::snapshot::{Stored, tarball_of};
use crate::store::BlobFault;

use super::{keep::Place, sessions::size, start::Start, workspace};

/// What was found.
#[derive(Default)]
struct Found {
    sessions: u64,
    blobs: u64,
    tarballs: u64,
    packs: u64,
    objects: u64,
    bytes: u64,
    /// Where, and what.
    damage: Vec<(String, String)>,
    /// What can't be done any more, though nothing is damaged.
    notes: Vec<(String, String)>,
}

pub(super) fn run(start: &Start, only: &[SessionId], json: bool) -> anyhow::Result<ExitCode> {
    let place = Place::of(start);
    let all = only.is_empty();
    let ids = if all { place.sessions.ids()? } else { only.to_vec() };
    let mut stores = Stored::all(&place.snapshots)?;
    let mut found = Found::default();
    let mut states: Vec<SnapshotId> = Vec::new();
    for id in ids {
        session(&place, id, &stores, &mut found, &mut states);
    }
    states.sort_by(|a, b| a.0.cmp(&b.0));
    states.dedup();
    if !all {
        stores.retain(|stored| states.iter().any(|state| stored.has(state)));
    }
    for stored in &stores {
        let checked = stored.check(&states, &AtomicBool::new(false))?;
        found.packs += checked.packs;
        found.objects += checked.objects;
        found.bytes += checked.bytes;
        let name = stored.folder().display().to_string();
        found.damage.extend(checked.damage.into_iter().map(|what| (name.clone(), what)));
        found.notes.extend(checked.withheld.into_iter().map(|what| (name.clone(), what)));
    }
    report(&found, stores.len(), json)?;
    Ok(if found.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn session(place: &Place, id: SessionId, stores: &[Stored], found: &mut Found, states: &mut Vec<SnapshotId>) {
    let name = format!("session {id}");
    let folder = place.sessions.folder(id);
    found.sessions += 1;
    let mut damaged = |what: String| found.damage.push((name.clone(), what));
    match place.sessions.verify(id, None) {
        Ok(verified) => {
            if let Some(damage) = verified.damage {
                damaged(damage.to_string());
            }
            // What is there is read below, whether it is named or not.
            if let Some((record, blob, BlobFault::Missing)) = verified.blob {
                damaged(format!("blob {blob} is missing, which record {record} names"));
            }
        }
        // It has gone meanwhile.
        Err(_) if !folder.exists() => return,
        Err(error) => damaged(error.to_string()),
    }
    for blob in fs::read_dir(folder.join("blobs")).into_iter().flatten().flatten() {
        let file = blob.file_name().to_string_lossy().into_owned();
        // What is still being written has a name that is not a hash.
        if file.len() != 64 {
            continue;
        }
        found.blobs += 1;
        match hash(&blob.path()) {
            Ok(hash) if hash == file => {}
            Ok(_) => damaged(format!("blob {file} is not what its name says")),
            Err(error) => damaged(format!("blob {file} can't be read: {error}")),
        }
    }
    let tarball = folder.join(workspace::TARBALL);
    if tarball.exists() {
        found.tarballs += 1;
        let read = File::open(&tarball)
            .and_then(zstd::stream::read::Decoder::new)
            .and_then(|mut decoder| io::copy(&mut decoder, &mut io::sink()));
        if let Err(error) = read {
            damaged(format!("{} can't be read to its end: {error}", workspace::TARBALL));
        } else if tarball_of(&tarball).is_none() {
            damaged(format!("{} was not written by this program", workspace::TARBALL));
        }
    }
    let mut named = place.sessions.states(id).unwrap_or_default();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.dedup();
    let missing = named.iter().filter(|state| !stores.iter().any(|stored| stored.has(state))).count();
    if missing > 0 {
        let what = format!(
            "{missing} of {} states of its files are not kept: they can't be brought back",
            named.len()
        );
        found.notes.push((name, what));
    }
    states.extend(named);
}

fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn report(found: &Found, stores: usize, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        let list = |list: &[(String, String)]| -> Vec<serde_json::Value> {
            list.iter().map(|(place, what)| serde_json::json!({ "where": place, "what": what })).collect()
        };
        let all = serde_json::json!({
            "sessions": found.sessions,
            "blobs": found.blobs,
            "tarballs": found.tarballs,
            "stores": stores,
            "packs": found.packs,
            "objects": found.objects,
            "bytes": found.bytes,
            "damage": list(&found.damage),
            "notes": list(&found.notes),
        });
        return writeln!(out, "{all}");
    }
    for (mark, list) in [("✗", &found.damage), ("·", &found.notes)] {
        for (place, what) in list {
            writeln!(out, "{mark} {}: {}", printable(place), printable(what).replace('\n', " "))?;
        }
    }
    let count = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    writeln!(
        out,
        "{}, {}, {}; {} of {}, {}, {}: {}",
        count(found.sessions, "session"),
        count(found.blobs, "blob"),
        count(found.tarballs, "tarball"),
        count(stores as u64, "store"),
        count(found.packs, "pack"),
        count(found.objects, "object"),
        size(found.bytes),
        match found.damage.len() {
            0 => "all are whole".to_owned(),
            1 => "1 is damaged".to_owned(),
            more => format!("{more} are damaged"),
        }
    )
}
