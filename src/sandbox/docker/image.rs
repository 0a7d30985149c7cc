//! The image that a container is made of: one that the engine has, or the default one, which is built there once.
//!
//! Nothing is pulled unasked: what would be pulled under a name is somebody else's decision.

use std::time::Duration;

use bollard::{Docker, errors::Error, query_parameters::BuildImageOptionsBuilder};
use futures::StreamExt as _;
use tokio::time::timeout;

use super::reason;
use crate::sandbox::SandboxError;

const DOCKERFILE: &str = include_str!("../../../assets/docker/Dockerfile");

/// How long a build may say nothing.
const SILENCE: Duration = Duration::from_secs(600);

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// By its content.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) env: Vec<(String, String)>,
}

/// The image of this name, or the default one, which is built if it is not there. `say` is told how that goes on.
pub(super) async fn find(
    docker: &Docker,
    name: Option<&str>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Image, SandboxError> {
    match name {
        Some(name) => inspect(docker, name).await?.ok_or_else(|| SandboxError {
            message: format!(
                "the engine has no image `{name}`. Images are not pulled unasked: `docker pull {name}` gets it, if it is \
                 the one you mean"
            ),
        }),
        None => {
            let name = default_name();
            if let Some(image) = inspect(docker, &name).await? {
                return Ok(image);
            }
            build(docker, &name, say).await?;
            inspect(docker, &name).await?.ok_or_else(|| SandboxError {
                message: format!("the image `{name}` was built, and the engine does not have it"),
            })
        }
    }
}

/// The name of the image that would be used, if it is there.
pub(super) async fn known(docker: &Docker, name: Option<&str>) -> Result<Option<String>, SandboxError> {
    let name = name.map_or_else(default_name, str::to_owned);
    Ok(inspect(docker, &name).await?.map(|image| image.name))
}

/// The default image under a name that changes with what it is made from.
fn default_name() -> String {
    let hash = blake3::hash(DOCKERFILE.as_bytes()).to_hex();
    format!("agent-default:{}", hash.as_str().get(..12).unwrap_or_default())
}

async fn inspect(docker: &Docker, name: &str) -> Result<Option<Image>, SandboxError> {
    let found = match docker.inspect_image(name).await {
        Ok(found) => found,
        Err(Error::DockerResponseServerError { status_code: 404 | 400, .. }) => return Ok(None),
        Err(error) => return Err(super::unreachable(&error)),
    };
    if found.os.as_deref().is_some_and(|os| os != "linux") {
        return Err(SandboxError { message: format!("the image `{name}` is not one of Linux") });
    }
    let env = found.config.and_then(|config| config.env).unwrap_or_default();
    let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Some(Image {
        id: found.id.unwrap_or_else(|| name.to_owned()),
        name: name.to_owned(),
        env: env.iter().filter_map(pair).collect(),
    }))
}

async fn build(docker: &Docker, name: &str, say: &(dyn Fn(&str) + Send + Sync)) -> Result<(), SandboxError> {
    say(&format!("building the image {name}: once, a few minutes"));
    let failed = |why: &str| SandboxError {
        message: format!(
            "the default image could not be built: {why}. It is made from debian:bookworm-slim, which the engine must \
             have or reach (`docker pull debian:bookworm-slim`), and Debian's packages; any other image with a shell \
             does as well: --backend docker:IMAGE"
        ),
    };
    let context = context().map_err(|error| failed(&error.to_string()))?;
    let options =
        BuildImageOptionsBuilder::default().dockerfile("Dockerfile").t(name).rm(true).forcerm(true).build();
    let mut steps = Box::pin(docker.build_image(options, None, Some(bollard::body_full(context.into()))));
    loop {
        match timeout(SILENCE, steps.next()).await {
            Err(_) => return Err(failed("it said nothing for ten minutes")),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(failed(&reason(&error))),
            Ok(Some(Ok(step))) => {
                let text = step.stream.or(step.status).unwrap_or_default();
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    say(line);
                }
            }
        }
    }
}

/// What the image is made from, as an archive.
fn context() -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(DOCKERFILE.len() as u64);
    builder.append_data(&mut header, "Dockerfile", DOCKERFILE.as_bytes())?;
    builder.into_inner()
}
