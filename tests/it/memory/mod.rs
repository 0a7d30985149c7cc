//! What sessions remember of earlier ones: two sessions, notes of them, what a third one is told; and all that goes wrong.

mod background;
mod faults;
mod story;

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    mock::{Request, Step},
    world::{World, files},
};

/// An answer to the first request.
fn extract(slug: &str, notes: &[Value]) -> Step {
    let answer = json!({"slug": slug, "summary": "It was done.", "notes": notes, "used": [], "wrong": []});
    Step::text(answer.to_string())
}

fn note(about: &str, text: &str, quote: &str) -> Value {
    json!({"about": about, "topic": "Tests", "text": text, "quote": quote})
}

/// An answer to the second request that takes over these, each resting on a candidate.
fn takes(notes: &[(&str, &str)]) -> Step {
    let add: Vec<Value> =
        notes.iter().map(|(from, text)| json!({"topic": "Tests", "text": text, "from": [from]})).collect();
    Step::text(json!({"add": add, "change": [], "remove": [], "order": []}).to_string())
}

/// All text of a request, as it came.
fn raw(request: &Request) -> String {
    String::from_utf8_lossy(&request.raw).into_owned()
}

/// The folder of the only project.
fn project(world: &World) -> std::path::PathBuf {
    let projects: Vec<_> = fs::read_dir(world.home.join("memory/projects")).unwrap().collect();
    assert_eq!(projects.len(), 1, "{projects:?}");
    projects.into_iter().next().unwrap().unwrap().path()
}

/// `MEMORY.md` of the only project.
fn notes(world: &World) -> String {
    fs::read_to_string(project(world).join("current/MEMORY.md")).unwrap_or_default()
}

/// Every file of the memory, with its text.
fn kept(world: &World) -> Vec<(String, String)> {
    let folder = world.home.join("memory");
    if !folder.exists() {
        return Vec::new();
    }
    let text = |path: &std::path::PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    files(&folder).iter().map(|path| (path.display().to_string(), text(path))).collect()
}

/// The id of the note with this text.
fn id_of(notes: &str, text: &str) -> String {
    let line =
        notes.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text} in {notes}"));
    line.rsplit_once('(').unwrap().1.split(' ').next().unwrap().to_owned()
}
