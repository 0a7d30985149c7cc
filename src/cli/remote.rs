//! The bucket that snapshots are sent to, from the settings, the environment and the profiles of the AWS tools. What is
//! found here stays in this process.

use std::{env, fs, path::PathBuf};

use crate::config::SnapshotSettings;
use crate::snapshot::Remote;

/// Variables that the tools of the providers know begin with these.
const PREFIXES: &[&str] = &["AWS_", "GOOGLE_", "AZURE_"];

/// The bucket of the settings, if there is one.
pub(super) fn remote(settings: &SnapshotSettings) -> Option<Remote> {
    let url = settings.remote.clone()?;
    let known = |name: &String| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let mut options: Vec<(String, String)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    options.retain(|(name, value)| known(name) && !value.is_empty());
    let has = |options: &[(String, String)], name: &str| options.iter().any(|(known, _)| known == name);
    let profile = settings.remote_profile.clone().or_else(|| env::var("AWS_PROFILE").ok());
    if settings.remote_profile.is_some() || !has(&options, "AWS_ACCESS_KEY_ID") {
        let found = aws_profile(profile.as_deref().unwrap_or("default"));
        options.retain(|(name, _)| found.iter().all(|(other, _)| other != name));
        options.extend(found);
    }
    let mut set = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            options.retain(|(known, _)| known != name);
            options.push((name.to_owned(), value.to_owned()));
        }
    };
    set("AWS_REGION", settings.remote_region.as_deref());
    let endpoint = settings.remote_endpoint.as_deref();
    let (name, plain) = match url.split_once(':') {
        Some(("az", _)) => ("AZURE_ENDPOINT", "AZURE_ALLOW_HTTP"),
        Some(("gs", _)) => ("GOOGLE_BASE_URL", "GOOGLE_ALLOW_HTTP"),
        _ => ("AWS_ENDPOINT_URL", "AWS_ALLOW_HTTP"),
    };
    set(name, endpoint);
    if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        set(plain, Some("true"));
    }
    Some(Remote { url, options, secrets: settings.remote_secrets })
}

/// What must be in no transcript.
pub(super) fn secrets(settings: &SnapshotSettings) -> Vec<String> {
    let secret = |name: &str| {
        ["SECRET", "TOKEN", "KEY"].iter().any(|word| name.contains(word)) && name != "AWS_ACCESS_KEY_ID"
    };
    let options = remote(settings).map(|remote| remote.options).unwrap_or_default();
    options.into_iter().filter(|(name, _)| secret(name)).map(|(_, value)| value).collect()
}

/// The credentials of a profile of the AWS tools, by the names of their variables; none if there is no such profile.
fn aws_profile(profile: &str) -> Vec<(String, String)> {
    let file = env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let usual = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
    let text = file.or_else(usual).and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    section(&text, profile)
}

fn section(text: &str, profile: &str) -> Vec<(String, String)> {
    let mut within = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            within = name.trim() == profile;
        } else if within
            && let Some((key, value)) = line.split_once('=')
            && ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"].contains(&key.trim())
        {
            found.push((key.trim().to_ascii_uppercase(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_its_own_section_only() {
        let text = "# x\n[default]\naws_access_key_id = A\naws_secret_access_key=B\nregion = nowhere\n\n[ work ]\n\
                    aws_access_key_id = C\naws_secret_access_key = D=E\naws_session_token = F\n";
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            section(text, "default"),
            [pair("AWS_ACCESS_KEY_ID", "A"), pair("AWS_SECRET_ACCESS_KEY", "B")]
        );
        assert_eq!(
            section(text, "work"),
            [
                pair("AWS_ACCESS_KEY_ID", "C"),
                pair("AWS_SECRET_ACCESS_KEY", "D=E"),
                pair("AWS_SESSION_TOKEN", "F")
            ]
        );
        assert_eq!(section(text, "none"), []);
    }
}
