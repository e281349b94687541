//! Reads an image's configuration and history from the daemon.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use xtask_core::docker::Engine;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InspectedImage {
    pub platform: String,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub workdir: String,
    pub user: String,
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// The digests of its layers, the lowest first.
    pub layers: Vec<String>,
    pub size: u64,
}

impl InspectedImage {
    pub fn is_built_on(&self, base: &Self) -> bool {
        !base.layers.is_empty() && self.layers.starts_with(&base.layers)
    }
}

/// Reads an image; `None` where the daemon has none of that name.
pub fn image(engine: &Engine, name: &str) -> Result<Option<InspectedImage>> {
    let done = engine.finish(&["image", "inspect", "--", name])?;
    if done.ok {
        let image = read_image(&done.stdout);
        let image = image.with_context(|| format!("reading what docker says about {name}"))?;
        return Ok(Some(image));
    }
    let message = done.message;
    anyhow::ensure!(
        message.to_lowercase().contains("no such"),
        "docker image inspect {name} failed: {message}"
    );
    Ok(None)
}

/// The instructions that made an image, the oldest first, with the values of their build arguments.
pub fn history(engine: &Engine, name: &str) -> Result<Vec<String>> {
    let format = ["--format", "{{json .CreatedBy}}"];
    let text = engine.output(&[&["history", "--no-trunc"], &format[..], &[name]].concat())?;
    let lines = serde_json::Deserializer::from_slice(&text).into_iter();
    let lines: Result<Vec<String>, _> = lines.collect();
    let mut lines = lines.with_context(|| format!("reading the history of {name}"))?;
    lines.reverse();
    Ok(lines)
}

fn read_image(text: &[u8]) -> Result<InspectedImage> {
    /// A value that may be missing, or `null`.
    fn read<'a, T: Deserialize<'a> + Default>(value: &'a Value) -> Result<T> {
        Ok(Option::deserialize(value)?.unwrap_or_default())
    }
    let all: Value = serde_json::from_slice(text)?;
    let raw = all.get(0).context("docker described nothing")?;
    let config = &raw["Config"];
    let env: Vec<String> = read(&config["Env"])?;
    let pair = |entry: &String| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        (name.to_owned(), value.to_owned())
    };
    let [os, architecture]: [&str; 2] = [read(&raw["Os"])?, read(&raw["Architecture"])?];
    Ok(InspectedImage {
        platform: format!("{os}/{architecture}"),
        cmd: read(&config["Cmd"])?,
        entrypoint: read(&config["Entrypoint"])?,
        workdir: read(&config["WorkingDir"])?,
        user: read(&config["User"])?,
        env: env.iter().map(pair).collect(),
        labels: read(&config["Labels"])?,
        layers: read(&raw["RootFS"]["Layers"])?,
        size: read(&raw["Size"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_with_what_is_null_left_empty() {
        let image = read_image(
            br#"[{"Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "Size": 7,
                "Config": {"Env": ["A=1=2", "B="], "Cmd": ["a", "b"], "Entrypoint": null,
                "WorkingDir": "/w", "Labels": null},
                "RootFS": {"Type": "layers", "Layers": ["x", "y"]}}]"#,
        )
        .unwrap();
        assert_eq!(image.platform, "linux/amd64");
        assert_eq!(image.env["A"], "1=2");
        assert_eq!(image.env["B"], "");
        assert_eq!(image.cmd, ["a", "b"]);
        assert!(image.entrypoint.is_empty());
        let base = |layers: &[&str]| InspectedImage {
            layers: layers.iter().map(ToString::to_string).collect(),
            ..InspectedImage::default()
        };
        assert!(image.is_built_on(&base(&["x"])));
        assert!(!image.is_built_on(&base(&["y"])));
        assert!(!image.is_built_on(&base(&[])));
    }
}
