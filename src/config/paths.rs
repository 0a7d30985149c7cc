//! Where the program keeps its files.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The program's places. Nothing is created by naming them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub config: PathBuf,
    /// What must not be lost: sessions, snapshots.
    pub data: PathBuf,
    /// What may be lost without harm: logs, input history.
    pub state: PathBuf,
    /// What can be made anew, and commands see a part of: copies of skills.
    pub cache: PathBuf,
}

impl Home {
    /// `AGENT_HOME` with everything in it, or the places of the XDG base directories.
    ///
    /// # Errors
    /// When neither is known.
    pub fn find(env: &[(String, String)]) -> Result<Self, ConfigError> {
        let variable = |name: &str| {
            env.iter()
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| PathBuf::from(value))
        };
        if let Some(home) = variable("AGENT_HOME") {
            if !home.is_absolute() {
                return Err(ConfigError::new(format!(
                    "AGENT_HOME is not an absolute path: {}",
                    home.display()
                ))
                .hint("set it to a directory that begins with /, or unset it"));
            }
            return Ok(Self::below(&home));
        }
        let user = variable("HOME").filter(|home| home.is_absolute());
        // The standard tells to pass over relative paths.
        let place = |name: &str, default: &str| {
            let base = variable(name).filter(|dir| dir.is_absolute());
            base.or_else(|| Some(user.as_ref()?.join(default))).map(|base| base.join("agent")).ok_or_else(
                || {
                    ConfigError::new(format!("there is no place for files: neither HOME nor {name} is set"))
                        .hint("set HOME, or AGENT_HOME to a directory of your choice")
                },
            )
        };
        Ok(Self {
            config: place("XDG_CONFIG_HOME", ".config")?,
            data: place("XDG_DATA_HOME", ".local/share")?,
            state: place("XDG_STATE_HOME", ".local/state")?,
            cache: place("XDG_CACHE_HOME", ".cache")?,
        })
    }

    /// Everything under one directory.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        Self {
            config: dir.to_owned(),
            data: dir.to_owned(),
            state: dir.join("state"),
            cache: dir.join("cache"),
        }
    }

    /// The user's settings.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The person's own themes for the screen, a file each.
    #[must_use]
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// The person's own prompts, a file each.
    #[must_use]
    pub fn prompts(&self) -> PathBuf {
        self.config.join("prompts")
    }

    /// The person's own skills, a folder each.
    #[must_use]
    pub fn skills(&self) -> PathBuf {
        self.config.join("skills")
    }

    /// Skills from git repositories.
    #[must_use]
    pub fn installed_skills(&self) -> PathBuf {
        self.data.join("installed-skills")
    }

    /// Copies of skills for commands to see.
    #[must_use]
    pub fn shelf(&self) -> PathBuf {
        self.cache.join("skills")
    }

    /// One folder a session.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.data.join("sessions")
    }

    /// States of workspaces, a store for each.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.data.join("snapshots")
    }

    /// Notes of earlier sessions.
    #[must_use]
    pub fn memory(&self) -> PathBuf {
        self.data.join("memory")
    }

    /// What was decided about repositories.
    #[must_use]
    pub fn trust_file(&self) -> PathBuf {
        self.data.join("trust.json")
    }

    /// What was found out about models.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.data.join("models.json")
    }

    /// Provider keys, one file, readable by nobody else.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.config.join("auth.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(env: &[(&str, &str)]) -> Result<Home, ConfigError> {
        Home::find(&env.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn agent_home_holds_everything() {
        let home = find(&[("AGENT_HOME", "/x"), ("HOME", "/h"), ("XDG_CONFIG_HOME", "/c")]).unwrap();
        assert_eq!(home, Home::below(Path::new("/x")));
        assert_eq!(home.config_file(), Path::new("/x/config.toml"));
        assert_eq!(home.sessions(), Path::new("/x/sessions"));
    }

    #[test]
    fn the_standard_places_are_used_otherwise() {
        let home = find(&[
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "/d"),
            ("XDG_STATE_HOME", "relative"),
            ("AGENT_HOME", ""),
        ]);
        let home = home.unwrap();
        assert_eq!(home.config, Path::new("/h/.config/agent"));
        assert_eq!(home.data, Path::new("/d/agent"));
        assert_eq!(home.state, Path::new("/h/.local/state/agent"));
    }

    #[test]
    fn without_a_home_the_way_out_is_named() {
        for env in [&[][..], &[("HOME", "")], &[("HOME", "h")]] {
            let error = find(env).unwrap_err().to_string();
            assert!(error.contains("AGENT_HOME"), "{error}");
        }
        assert!(find(&[("AGENT_HOME", "x")]).unwrap_err().to_string().contains("absolute"));
    }
}
