//! What the daemon says about an image, read into values.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use xtask_core::docker::Engine;

/// An image as `docker image inspect` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    /// `linux/amd64`.
    pub platform: String,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub workdir: String,
    pub user: String,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Folders that a container gets a volume of its own for.
    pub volumes: Vec<String>,
    /// The digests of its layers, the lowest first.
    pub layers: Vec<String>,
    pub size: u64,
}

impl Image {
    /// How many of the lowest layers are those of `base`; `None` when it is not built on it.
    pub fn layers_of(&self, base: &Self) -> Option<usize> {
        (!base.layers.is_empty() && self.layers.starts_with(&base.layers))
            .then_some(base.layers.len())
    }
}

/// A step of `docker history`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// The instruction, with the values of its build arguments.
    pub created_by: String,
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    id: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    config: Option<RawConfig>,
    #[serde(default, rename = "RootFS")]
    root: Option<RawRoot>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawConfig {
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    #[serde(default)]
    working_dir: String,
    #[serde(default)]
    user: String,
    labels: Option<BTreeMap<String, String>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawRoot {
    layers: Option<Vec<String>>,
}

/// Asks for an image; `None` when the daemon has none of that name.
pub fn image(engine: &Engine, name: &str) -> Result<Option<Image>> {
    let done = engine.finish(&["image", "inspect", "--", name])?;
    if done.ok {
        return read_image(&done.stdout)
            .with_context(|| format!("reading what docker says about {name}"))
            .map(Some);
    }
    let said = done.message;
    anyhow::ensure!(
        said.to_lowercase().contains("no such"),
        "docker image inspect {name} failed: {said}"
    );
    Ok(None)
}

/// The steps that made an image, the oldest first.
pub fn history(engine: &Engine, name: &str) -> Result<Vec<Step>> {
    let format = "{{json .}}";
    let text = engine.output(&[
        "history",
        "--no-trunc",
        "--human=false",
        "--format",
        format,
        name,
    ])?;
    read_history(&text).with_context(|| format!("reading the history of {name}"))
}

fn read_image(text: &[u8]) -> Result<Image> {
    let all: Vec<Raw> = serde_json::from_slice(text)?;
    let raw = all.into_iter().next().context("docker described nothing")?;
    let config = raw.config.unwrap_or_default();
    Ok(Image {
        id: raw.id,
        platform: format!("{}/{}", raw.os, raw.architecture),
        cmd: config.cmd.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        workdir: config.working_dir,
        user: config.user,
        env: config
            .env
            .unwrap_or_default()
            .iter()
            .map(|entry| {
                let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect(),
        labels: config.labels.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default().into_keys().collect(),
        layers: raw.root.and_then(|root| root.layers).unwrap_or_default(),
        size: raw.size,
    })
}

fn read_history(text: &[u8]) -> Result<Vec<Step>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Line {
        created_by: String,
        size: String,
    }
    let text = String::from_utf8_lossy(text);
    let mut steps = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line)?;
        steps.push(Step {
            created_by: line.created_by,
            // Newer clients write `0B` even where bytes were asked for.
            size: line.size.trim_end_matches('B').parse().unwrap_or_default(),
        });
    }
    steps.reverse();
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_with_what_is_null_left_empty() {
        let image = read_image(
            br#"[{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "Size": 7,
                "Config": {"Env": ["A=1=2", "B="], "Cmd": ["a", "b"], "Entrypoint": null,
                "WorkingDir": "/w", "Labels": null, "Volumes": {"/data": {}}},
                "RootFS": {"Type": "layers", "Layers": ["x", "y"]}}]"#,
        )
        .unwrap();
        assert_eq!(image.platform, "linux/amd64");
        assert_eq!(image.env["A"], "1=2");
        assert_eq!(image.env["B"], "");
        assert_eq!(image.cmd, ["a", "b"]);
        assert!(image.entrypoint.is_empty());
        assert_eq!(image.volumes, ["/data"]);
        let base = |layers: &[&str]| Image {
            layers: layers.iter().map(ToString::to_string).collect(),
            ..Image::default()
        };
        assert_eq!(image.layers_of(&base(&["x"])), Some(1));
        assert_eq!(image.layers_of(&base(&["y"])), None);
        assert_eq!(image.layers_of(&base(&[])), None);
    }

    #[test]
    fn the_history_is_turned_to_begin_with_the_oldest() {
        let steps = read_history(
            b"{\"CreatedBy\": \"CMD x\", \"Size\": \"0B\"}\n{\"CreatedBy\": \"COPY y\", \"Size\": \"120\"}\n",
        )
        .unwrap();
        let read: Vec<_> = steps
            .iter()
            .map(|s| (s.created_by.as_str(), s.size))
            .collect();
        assert_eq!(read, [("COPY y", 120), ("CMD x", 0)]);
    }
}
