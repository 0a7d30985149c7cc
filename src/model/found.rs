//! What was found out about models: the lists of their providers, and what was measured. Kept in a file.
//!
//! All of it can be found out again, so that a file that can't be read is as good as none.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::listing::Listed;
use crate::protocol::ModelRef;

/// What was found out, so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// The models of providers, as these listed them last.
    pub listed: BTreeMap<String, Vec<Listed>>,
    /// What models did when they were measured, by `PROVIDER/MODEL`.
    pub measured: BTreeMap<String, Measured>,
}

/// What a model did when it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// What was measured, where its provider says so: the name may mean something else later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Tokens of a request of which it knew both ends. None: not even of a small one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// It called a tool when it was asked to.
    pub tools: bool,
    /// It answered with JSON of the form that was asked for.
    pub json: bool,
    /// It saw what was in a picture.
    pub images: bool,
    /// Of an answer, once it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
}

impl Found {
    /// What the file at this path says; nothing, if there is none that can be read.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes all of it. The file is replaced as a whole, or not at all.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder: PathBuf = path.parent().unwrap_or(Path::new(".")).to_owned();
        fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(path)?;
        Ok(())
    }

    /// Takes in the list of a provider. Gives the models whose measurements are of something else by now, and forgets
    /// these.
    pub fn list(&mut self, provider: &str, models: Vec<Listed>) -> Vec<String> {
        let mut outdated = Vec::new();
        self.measured.retain(|name, measured| {
            let model = name.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/'));
            let now = models.iter().find(|listed| Some(listed.name.as_str()) == model);
            let other = |now: &Listed| {
                now.digest.is_some() && measured.digest.is_some() && now.digest != measured.digest
            };
            let keep = !now.is_some_and(other);
            if !keep {
                outdated.push(name.clone());
            }
            keep
        });
        self.listed.insert(provider.to_owned(), models);
        outdated
    }

    /// How a provider lists a model.
    #[must_use]
    pub fn listed(&self, model: &ModelRef) -> Option<&Listed> {
        self.listed.get(&model.provider)?.iter().find(|listed| listed.name == model.model)
    }

    /// What a model did when it was measured.
    #[must_use]
    pub fn measured(&self, model: &ModelRef) -> Option<&Measured> {
        self.measured.get(&model.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_kept_until_the_name_means_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/models.json");
        assert_eq!(Found::read(&path), Found::default());
        let listed =
            |digest: &str| Listed { name: "q:8b".into(), digest: Some(digest.into()), ..Listed::default() };
        let mut found = Found::default();
        found.list("ollama", vec![listed("one")]);
        for (name, digest) in [("ollama/q:8b", Some("one")), ("vllm/q:8b", None), ("ollama/gone", Some("x"))]
        {
            let measured = Measured { digest: digest.map(str::to_owned), tools: true, ..Measured::default() };
            found.measured.insert(name.to_owned(), measured);
        }
        found.write(&path).unwrap();
        let mut found = Found::read(&path);
        assert!(found.measured(&"ollama/q:8b".parse().unwrap()).is_some_and(|measured| measured.tools));
        assert_eq!(found.list("ollama", vec![listed("one")]), Vec::<String>::new());
        assert_eq!(found.list("ollama", vec![listed("two")]), ["ollama/q:8b"]);
        assert_eq!(found.measured.keys().collect::<Vec<_>>(), ["ollama/gone", "vllm/q:8b"]);
        fs::write(&path, "{damaged").unwrap();
        assert_eq!(Found::read(&path), Found::default());
    }
}
