//! Whose container it is, written on it: so that what a killed agent left is found and removed by the next one.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions},
};

use serde::Deserialize;
use serde_json::json;

use super::{container::remove, endpoint::Endpoint, hijack, podman::VOLUME};

const ALL: &str = "agent.sandbox";
const SESSION: &str = "agent.session";
const OWNER: &str = "agent.owner";
const HOST: &str = "agent.host";
const DEADLINE: &str = "agent.deadline";
const KEPT: &str = "agent.kept";

/// Containers that nobody else can tell the owner of are removed after so many seconds: a week.
const LONGEST: u64 = 7 * 24 * 3600;
/// One that was kept for later, after so many: a day.
const KEPT_FOR: u64 = 24 * 3600;

/// What is written on a container of this process.
pub(super) fn labels(session: &Path, keep: bool) -> HashMap<String, String> {
    let deadline = now() + if keep { KEPT_FOR } else { LONGEST };
    let mut labels = HashMap::from([
        (ALL.to_owned(), "1".to_owned()),
        (SESSION.to_owned(), name(session)),
        (OWNER.to_owned(), owner(std::process::id()).unwrap_or_default()),
        (HOST.to_owned(), host()),
        (DEADLINE.to_owned(), deadline.to_string()),
    ]);
    if keep {
        labels.insert(KEPT.to_owned(), "1".to_owned());
    }
    labels
}

/// A container as engines list it. Our client crate knows it too, and fails where one of them is in a state that Docker
/// has no word for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(rename = "ImageID", default)]
    image: String,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
}

/// The containers with these labels: all of them, or those that run.
async fn list(endpoint: &Endpoint, labels: &[String], all: bool) -> Result<Vec<Listed>, Error> {
    let mut filters = json!({ "label": labels });
    if let Some(filters) = filters.as_object_mut().filter(|_| !all) {
        filters.insert("status".to_owned(), json!(["running"]));
    }
    let path = format!("/containers/json?all={all}&filters={}", hijack::encoded(&filters.to_string()));
    let found: Vec<Listed> = serde_json::from_value(hijack::get(endpoint, &path).await?)?;
    // Whatever an engine makes of filters: what is not ours is never touched.
    let ours = |listed: &Listed| {
        let has = |label: &String| {
            let (name, value) = label.split_once('=').unwrap_or((label, ""));
            listed.labels.as_ref().and_then(|labels| labels.get(name)).is_some_and(|found| found == value)
        };
        labels.iter().all(has)
    };
    Ok(found.into_iter().filter(ours).collect())
}

/// The running container that was kept for a session, of this image.
pub(super) async fn kept(endpoint: &Endpoint, session: &Path, image: &str) -> Result<Option<String>, Error> {
    let wanted = [(SESSION, name(session)), (KEPT, "1".to_owned()), (HOST, host())];
    let found = list(endpoint, &wanted.map(|(name, value)| format!("{name}={value}")), false).await?;
    // With or without the kind of number before it.
    let number = |id: &str| id.trim_start_matches("sha256:").to_owned();
    Ok(found.into_iter().find(|kept| number(&kept.image) == number(image)).map(|kept| kept.id))
}

/// Removes what dead agents left.
pub(super) async fn sweep(docker: &Docker, endpoint: &Endpoint) -> Result<(), Error> {
    for container in list(endpoint, &[format!("{ALL}=1")], true).await? {
        let labels = container.labels.unwrap_or_default();
        if is_left(&labels, &host(), now(), owner) {
            remove(docker, &container.id, &[]).await?;
        }
    }
    sweep_volumes(docker).await
}

/// Removes volumes whose container was removed by somebody who left them: none of ours is without one for long.
pub(super) async fn sweep_volumes(docker: &Docker) -> Result<(), Error> {
    let filters = HashMap::from([
        ("label".to_owned(), vec![format!("{ALL}=1")]),
        ("dangling".to_owned(), vec!["true".to_owned()]),
    ]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let mine = owner(std::process::id());
    for mut volume in docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default() {
        // Podman gives what fits any of the filters, and not all: others' volumes are none of ours.
        if volume.labels.get(ALL).is_none_or(|label| label != "1") {
            continue;
        }
        // What was kept for later was so with its container.
        volume.labels.remove(KEPT);
        // One with a name of ours may be about to be used by another session, and is seen to by whoever made it.
        let own = volume.labels.get(OWNER) == mine.as_ref()
            && volume.labels.get(HOST) == Some(&host())
            && !volume.name.starts_with(VOLUME);
        if own || is_left(&volume.labels, &host(), now(), owner) {
            // Taken again, or gone, in between.
            let _ = docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await;
        }
    }
    Ok(())
}

/// Whether nobody will use a container any more. `owner` is who a process is now.
fn is_left(
    labels: &HashMap<String, String>,
    host: &str,
    now: u64,
    owner: impl Fn(u32) -> Option<String>,
) -> bool {
    if labels
        .get(DEADLINE)
        .and_then(|deadline| deadline.parse().ok())
        .is_none_or(|deadline: u64| deadline < now)
    {
        return true;
    }
    if labels.get(HOST).is_none_or(|other| other != host) || labels.contains_key(KEPT) {
        return false;
    }
    let Some(known) = labels.get(OWNER) else { return true };
    let pid = known.split(' ').next().and_then(|pid| pid.parse().ok());
    pid.is_none_or(|pid| owner(pid).as_ref() != Some(known))
}

/// A process, with when it was started, for numbers come again.
fn owner(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // A process that ended and was not waited for is no owner.
    (*fields.first()? != "Z").then_some(())?;
    Some(format!("{pid} {}", fields.get(19)?))
}

/// This machine, since it was started: numbers of processes mean something only there.
fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn name(session: &Path) -> String {
    blake3::hash(session.as_os_str().as_encoded_bytes())
        .to_hex()
        .as_str()
        .get(..32)
        .unwrap_or_default()
        .to_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_whose_owner_is_gone_or_whose_time_is_over() {
        let mine = owner(std::process::id()).unwrap();
        let with = |changes: &[(&str, &str)]| {
            let mut labels = labels(Path::new("/session"), false);
            labels.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            labels
        };
        let pid = std::process::id();
        for (changes, left) in [
            (vec![], false),
            (vec![(OWNER, "1 999999999999")], true),
            (vec![(OWNER, "")], true),
            (vec![(OWNER, "1 999999999999"), (HOST, "another")], false),
            (vec![(OWNER, "1 999999999999"), (KEPT, "1")], false),
            (vec![(DEADLINE, "1")], true),
            (vec![(DEADLINE, "1"), (HOST, "another")], true),
            (vec![(DEADLINE, "nonsense")], true),
        ] {
            let known = |asked: u32| (asked == pid).then(|| mine.clone());
            assert_eq!(is_left(&with(&changes), &host(), now(), known), left, "{changes:?}");
        }
    }
}
