//! The images that say what they were made from. For whoever only looks: any client that reaches a
//! daemon will do, and none may keep anybody waiting.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::find::{VARIABLE, programs, said};

/// The label with the commit that an image was made from.
const REVISION: &str = "org.opencontainers.image.revision";

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its first name, or else its id.
    pub name: String,
    /// The commit that it was made from.
    pub revision: String,
    /// Whether something was not committed then.
    pub dirty: bool,
    /// When it was made: RFC 3339.
    pub created: String,
}

/// All images with a revision, the newest first; or why they are not known.
pub fn images(patience: Duration) -> Result<Vec<Image>, String> {
    let deadline = Instant::now() + patience;
    let chosen = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
    let mut why = "there is no docker here".to_owned();
    for program in programs(chosen.as_deref()) {
        let ask = |args: &[&str]| {
            let left = deadline.saturating_duration_since(Instant::now());
            match said(&program, args, left) {
                Ok(Some(said)) if said.success => Ok(said.stdout),
                Ok(Some(said)) => Err(said.stderr.lines().next().unwrap_or("").to_owned()),
                Ok(None) => Err(format!("docker did not answer in {} s", patience.as_secs())),
                Err(error) => Err(error.to_string()),
            }
        };
        let filter = format!("label={REVISION}");
        let listed = ask(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]);
        let ids = match listed {
            Ok(ids) => ids,
            Err(reason) => {
                why = reason;
                continue;
            }
        };
        let ids: Vec<&str> = ids.lines().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inspected = ask(&[&["image", "inspect"], ids.as_slice()].concat())?;
        return read(&inspected);
    }
    Err(why)
}

/// Reads `docker image inspect`.
fn read(text: &str) -> Result<Vec<Image>, String> {
    let list: Vec<Value> =
        serde_json::from_str(text).map_err(|_| "docker answered no JSON".to_owned())?;
    let mut images: Vec<Image> = list.iter().filter_map(image).collect();
    images.sort_by(|one, other| other.created.cmp(&one.created));
    images.dedup();
    Ok(images)
}

fn image(value: &Value) -> Option<Image> {
    let label = value["Config"]["Labels"][REVISION].as_str()?;
    let name = value["RepoTags"][0].as_str().or(value["Id"].as_str())?;
    let revision = label.strip_suffix("-dirty").unwrap_or(label);
    Some(Image {
        name: name.to_owned(),
        revision: revision.to_owned(),
        dirty: revision != label,
        created: value["Created"].as_str()?.to_owned(),
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
             "Config": {"Labels": null}}]"#;
        let images = read(text).unwrap();
        let shown: Vec<_> = images
            .iter()
            .map(|image| (image.name.as_str(), image.revision.as_str(), image.dirty))
            .collect();
        assert_eq!(shown, [("sha256:2", "bb", true), ("worker:1", "aa", false)]);
        assert!(read("nonsense").is_err());
    }
}
