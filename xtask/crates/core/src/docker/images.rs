//! The images with a label for their commit. Any client that reaches a daemon will do, within a
//! time limit.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::find::{chosen, programs, said};

/// The label with the commit that an image was made from.
const REVISION: &str = "org.opencontainers.image.revision";

/// The label with the build time, or that of a reproducible build. Docker's own time is that of the
/// last step, which a cached build ran earlier. The later of the two is nearer.
const CREATED: &str = "org.opencontainers.image.created";

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalImage {
    /// Its first name, or else its id.
    pub name: String,
    /// The commit that it was made from.
    pub commit: String,
    /// Whether something was not committed then.
    pub dirty: bool,
    /// When it was made: RFC 3339.
    pub created: String,
}

/// All images with a revision, the newest first; or why they are not known.
pub fn images(patience: Duration) -> Result<Vec<LocalImage>, String> {
    let deadline = Instant::now() + patience;
    let mut why = "there is no docker here".to_owned();
    for program in programs(chosen().as_deref()) {
        let ask = |args: &[&str]| {
            let left = deadline.saturating_duration_since(Instant::now());
            match said(&program, args, left) {
                // An image that was removed meanwhile is an error beside the others' output.
                Ok(Some(said)) if said.ok || !said.stdout.trim_ascii().is_empty() => {
                    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
                }
                Ok(Some(said)) => Err(said.stderr.lines().next().unwrap_or("").to_owned()),
                Ok(None) => Err(format!("docker did not answer in {} s", patience.as_secs())),
                Err(error) => Err(error.root_cause().to_string()),
            }
        };
        let filter = format!("label={REVISION}");
        match ask(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]) {
            Ok(ids) if ids.trim().is_empty() => return Ok(Vec::new()),
            Ok(ids) => {
                let inspect = ["image", "inspect"].into_iter().chain(ids.lines());
                return read(&ask(&inspect.collect::<Vec<_>>())?);
            }
            Err(reason) => why = reason,
        }
    }
    Err(why)
}

/// Reads `docker image inspect`.
fn read(text: &str) -> Result<Vec<LocalImage>, String> {
    let list: Vec<Value> =
        serde_json::from_str(text).map_err(|_| "docker answered no JSON".to_owned())?;
    let mut images: Vec<LocalImage> = list.iter().filter_map(image).collect();
    images.sort_by(|one, other| other.created.cmp(&one.created));
    images.dedup();
    Ok(images)
}

fn image(value: &Value) -> Option<LocalImage> {
    let labels = &value["Config"]["Labels"];
    let label = labels[REVISION].as_str()?;
    let name = value["RepoTags"][0].as_str().or(value["Id"].as_str())?;
    let commit = label.strip_suffix("-dirty").unwrap_or(label);
    Some(LocalImage {
        name: name.to_owned(),
        commit: commit.to_owned(),
        dirty: commit != label,
        created: [&labels[CREATED], &value["Created"]]
            .into_iter()
            .filter_map(Value::as_str)
            .max()?
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_image_comes_first() {
        let text = r#"[
            {"Id": "sha256:1", "RepoTags": ["worker:1"], "Created": "2024-01-01T00:00:00Z",
             "Config": {"Labels": {"org.opencontainers.image.revision": "aa"}}},
            {"Id": "sha256:2", "RepoTags": [], "Created": "2024-01-02T00:00:00Z",
             "Config": {"Labels": {"org.opencontainers.image.revision": "bb-dirty"}}},
            {"Id": "sha256:3", "RepoTags": [], "Created": "2024-01-03T00:00:00Z",
             "Config": {"Labels": null}},
            {"Id": "sha256:4", "RepoTags": ["worker:4"], "Created": "2023-12-31T00:00:00Z",
             "Config": {"Labels": {"org.opencontainers.image.revision": "cc",
                                   "org.opencontainers.image.created": "2024-01-04T00:00:00Z"}}}]"#;
        let images = read(text).unwrap();
        let shown: Vec<_> = images
            .iter()
            .map(|image| (image.name.as_str(), image.commit.as_str(), image.dirty))
            .collect();
        assert_eq!(
            shown,
            [
                ("worker:4", "cc", false),
                ("sha256:2", "bb", true),
                ("worker:1", "aa", false)
            ]
        );
        assert!(read("nonsense").is_err());
    }
}
