//! A container in Podman's own language.
//!
//! Podman also speaks Docker's, and leaves out in silence what it does not know: what is hidden, whose a directory is,
//! who shares memory. On the same socket it has a language of its own, in which all of it can be said. Containers are
//! made in that one; what happens in them afterwards is the same as with Docker. Whether they are as they must be is
//! looked at from inside: see `walls`.

use std::{fs, io, path::Path};

use bollard::{
    Docker, errors::Error, models::VolumeCreateRequest, query_parameters::UploadToContainerOptionsBuilder,
};
use serde_json::{Value, json};

use super::{
    container::{
        Blueprint, FILE_SIZE, FILES, FIRST_USER, HOST, MASKED, OOM_SCORE, PROCESSES, Private, remove,
    },
    endpoint::Endpoint,
    hijack, script,
};

/// The oldest version in which all that is said here means something. Later ones understand it as well.
const CREATE: &str = "/v4.0.0/libpod/containers/create";
/// What distributions have Podman put into every container, beside what is empty inside anyway.
const THEIRS: &[&str] = &["/run/secrets", "/run/.containerenv"];
/// Processes and threads of one user at most: as Podman counts those of the whole machine, this is more than those of a
/// container, which are counted beside it. Without it Podman asks for more than it may have on some machines.
const OF_USER: i64 = 8192;
/// Programs of an image that does not say where they are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How names of volumes begin that we gave.
pub(super) const VOLUME: &str = "agent-";

/// How the name of the file ends in which the rules for system calls are.
const RULES: &str = ".seccomp.json";

/// Makes a container, and gives its number and the names of the volumes that don't go with it.
pub(super) async fn create(
    docker: &Docker,
    endpoint: &Endpoint,
    blueprint: &Blueprint,
    version_6: bool,
) -> Result<(String, Vec<String>), Error> {
    let mut volumes = Vec::new();
    let made = async {
        let (mut owned, mut mounts) = (Vec::new(), Vec::new());
        for private in blueprint.private().iter().chain([&blueprint.copy()]) {
            if private.path.starts_with("/dev") {
                mounts.push(mount(private));
                continue;
            }
            let name = format!("{VOLUME}{}", uuid::Uuid::new_v4().simple());
            docker.create_volume(volume(&name, private, blueprint)).await?;
            volumes.push(name.clone());
            owned.push(place(&name, private));
        }
        // Podman reads the rules from a file of its machine, and is told its name.
        fs::create_dir_all(&blueprint.scratch)?;
        let rules = tempfile::Builder::new().suffix(RULES).tempfile_in(&blueprint.scratch)?;
        fs::write(rules.path(), &blueprint.seccomp)?;
        let mut spec = spec(blueprint, rules.path(), version_6);
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("volumes".to_owned(), owned.into());
            spec.insert("mounts".to_owned(), mounts.into());
        }
        let answer = hijack::post(endpoint, CREATE, &spec).await.map_err(|error| told(&error))?;
        let id = answer.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let named = name_hosts(docker, &id).await;
        if named.is_err() {
            let _ = remove(docker, &id, &[]).await;
        }
        named.map(|()| id)
    };
    let made: Result<String, Error> = made.await;
    match made {
        Ok(id) => Ok((id, volumes)),
        Err(error) => {
            for volume in &volumes {
                // What stays is found by the next start.
                let _ = docker
                    .remove_volume(volume, None::<bollard::query_parameters::RemoveVolumeOptions>)
                    .await;
            }
            Err(error)
        }
    }
}

/// What Podman said, and what it means where that is not plain.
fn told(error: &io::Error) -> io::Error {
    let said = error.to_string();
    let more = if said.contains(RULES) {
        ". Podman reads the rules for system calls from a file, which must lie on its own machine where it may read it: \
         run agent on that machine and as the same user"
    } else {
        ""
    };
    io::Error::other(format!("{said}{more}"))
}

/// The volumes of a container that don't go with it.
pub(super) async fn volumes_of(docker: &Docker, id: &str) -> Vec<String> {
    let found = docker.inspect_container(id, None).await.ok().and_then(|container| container.mounts);
    let names = found.into_iter().flatten().filter_map(|mount| mount.name);
    names.filter(|name| name.starts_with(VOLUME)).collect()
}

fn spec(blueprint: &Blueprint, rules: &Path, version_6: bool) -> Value {
    let memory = blueprint.most_memory();
    let limit = |name: &str, most: i64| json!({ "type": name, "soft": most, "hard": most });
    let namespace = |kind: &str| json!({ "nsmode": kind });
    let sysctl = if version_6 { json!({ "net.ipv6.conf.lo.disable_ipv6": "0" }) } else { json!({}) };
    let hidden: Vec<&str> = MASKED.iter().chain(THEIRS).copied().collect();
    json!({
        "image": blueprint.image,
        "labels": blueprint.labels,
        "user": FIRST_USER,
        "entrypoint": ["sh", "-c", script::FIRST],
        "command": [],
        "env": { "PATH": PATH },
        "httpproxy": false,
        "env_host": false,
        "work_dir": "/",
        "hostname": HOST,
        "stdin": true,
        "terminal": false,
        "remove": true,
        "stop_timeout": 0,
        "systemd": "false",
        "sdnotifyMode": "ignore",
        "healthconfig": { "Test": ["NONE"] },
        "log_configuration": { "driver": "none" },
        // What is in the files of the machine is not for containers: they get their own.
        "use_image_hosts": true,
        "use_image_resolve_conf": true,
        "netns": namespace("none"),
        "ipcns": namespace("private"),
        "pidns": namespace("private"),
        "utsns": namespace("private"),
        "sysctl": sysctl,
        "privileged": false,
        "cap_drop": ["ALL"],
        "no_new_privileges": true,
        "seccomp_profile_path": rules,
        "read_only_filesystem": true,
        "image_volume_mode": "ignore",
        "mask": hidden,
        "oom_score_adj": OOM_SCORE,
        "r_limits": [
            limit("nofile", FILES),
            limit("nproc", OF_USER),
            limit("core", 1),
            limit("fsize", FILE_SIZE),
        ],
        "resource_limits": {
            "memory": { "limit": memory, "swap": memory },
            "pids": { "limit": PROCESSES },
        },
    })
}

/// A directory in memory that lies in another one.
fn mount(private: &Private) -> Value {
    let size = format!("size={}", private.size);
    let mode = format!("mode={}", private.mode);
    json!({
        "destination": private.path,
        "type": "tmpfs",
        "source": "tmpfs",
        // Not with what was there before.
        "options": ["rw", "nosuid", "nodev", "exec", "notmpcopyup", size, mode],
    })
}

/// One in the place of what the image has: Podman knows owners of volumes alone, and what is no volume gets the rights
/// that the image has there from older runtimes.
fn place(name: &str, private: &Private) -> Value {
    // Without what the image has there.
    let options = ["rw", "nosuid", "nodev", "exec", "nocopy"];
    json!({ "Name": name, "Dest": private.path, "Options": options })
}

fn volume(name: &str, private: &Private, blueprint: &Blueprint) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver: Some("local".to_owned()),
        driver_opts: Some(in_memory(private).map(|(key, value)| (key.to_owned(), value)).into()),
        labels: Some(blueprint.labels.clone()),
        ..VolumeCreateRequest::default()
    }
}

fn in_memory(private: &Private) -> [(&'static str, String); 3] {
    let Private { owner: (user, group), mode, size, .. } = private;
    // In pages: Podman takes a size in bytes for a quota, which most file systems don't have, and refuses it.
    let page = rustix::fs::statvfs("/proc").map_or(4096, |proc| proc.f_bsize);
    let pages = size / i64::try_from(page).unwrap_or(4096);
    [
        ("type", "tmpfs".to_owned()),
        ("device", "tmpfs".to_owned()),
        ("o", format!("nosuid,nodev,nr_blocks={pages},uid={user},gid={group},mode={mode}")),
    ]
}

/// Gives the container names of its own: the loopback is all there is.
async fn name_hosts(docker: &Docker, id: &str) -> Result<(), Error> {
    let archive = names()?;
    let options = UploadToContainerOptionsBuilder::default().path("/etc").build();
    docker.upload_to_container(id, Some(options), bollard::body_full(archive.into())).await
}

fn names() -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let hosts = format!("127.0.0.1 localhost {HOST}\n::1 localhost ip6-localhost ip6-loopback\n");
    for (name, text) in [("hosts", hosts.as_str()), ("resolv.conf", "nameserver 127.0.0.1\nsearch .\n")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(text.len() as u64);
        builder.append_data(&mut header, name, text.as_bytes())?;
    }
    builder.into_inner()
}
