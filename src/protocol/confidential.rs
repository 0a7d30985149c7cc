//! Files that hold secrets, by their usual names.

/// Whether a file of this name is a secret. What it holds is asked only where that matters.
#[must_use]
pub fn is_secret(name: &str, text: impl FnOnce() -> String) -> bool {
    const EXAMPLES: &[&str] = &["example", "sample", "template", "dist", "defaults", "schema"];
    if name == ".env" || name == ".netrc" {
        return true;
    }
    if let Some(kind) = name.strip_prefix(".env.") {
        return !EXAMPLES.iter().any(|word| kind.ends_with(word));
    }
    if matches!(name, ".npmrc" | ".pypirc" | ".yarnrc.yml") {
        let text = text().to_ascii_lowercase();
        return ["_auth", "_password", "password", "npmauthtoken"].iter().any(|word| text.contains(word));
    }
    let key = [".pem", ".key"].iter().any(|end| name.ends_with(end)) || name.starts_with("id_");
    key && !name.ends_with(".pub") && text().contains("PRIVATE KEY-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_and_by_what_it_holds() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
        for (name, text, secret) in [
            (".env", "", true),
            (".env.local", "", true),
            (".env.production", "", true),
            (".env.example", "", false),
            (".env.local.sample", "", false),
            (".environment", "", false),
            (".netrc", "", true),
            (".npmrc", "//r/:_authToken=x", true),
            (".npmrc", "save-exact=true", false),
            ("server.pem", key, true),
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n", false),
            ("tls.key", key, true),
            ("id_ed25519", key, true),
            ("id_ed25519.pub", key, false),
            ("main.rs", key, false),
        ] {
            assert_eq!(is_secret(name, || text.to_owned()), secret, "{name}");
        }
    }
}
