//! The stage `page`: a browser shows the page of `compare --format html` for the example's migration,
//! at the widths of a telephone and of a desktop.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::stages::{Checkout, cargo, command};
use super::{StageOutcome, hold, text_of};
use crate::example;
use xtask_core::git::Git;
use xtask_core::progress;

pub const NAME: &str = "page";

/// A file of the example.
pub const FILE: &str = "xtask/example/legacy/Dockerfile";

/// The folder of the page and its pictures, below the repository's root.
const FOLDER: &str = "target/page";

const WIDTHS: [u64; 2] = [400, 1200];

/// A page that shows the page in a frame, because a window can't be as narrow as a telephone, and
/// reports what is in it.
const PROBE: &str = include_str!("page.html");

/// The program that `CHROMIUM` names, or the first that is there.
pub fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").filter(|name| !name.is_empty());
    let known = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let names = named.map_or_else(|| known.map(Into::into).to_vec(), |name| vec![name]);
    names.iter().find_map(|name| which::which(name).ok())
}

pub fn run(checkout: &Checkout) -> Result<StageOutcome> {
    let root = checkout.root;
    let browser = browser().context("there is no browser")?;
    let _lock = hold(root, "page-stage", "run the stage page")?;
    let folder = root.join(FOLDER);
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    progress::at("migrating the example");
    let (worker, upstream) = example::repositories(&Git::find()?, &folder)?;
    let tool = |task: &str, codes: &[i32], words: &[&str]| -> Result<String> {
        let mut tool = cargo(root, "run --quiet --locked --package xtask --");
        let output = tool.args([task, "-C"]).arg(&worker).args(words).output()?;
        let code = output.status.code();
        if !code.is_some_and(|code| codes.contains(&code)) {
            bail!("{task} {} failed:\n{}", words.join(" "), text_of(&output));
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let upstream = upstream.display().to_string();
    tool("migrate", &[0], &["--upstream", &upstream, "--commit"])?;
    let report = tool("compare", &[0, 1], &["--format", "json"])?;
    let page = tool("compare", &[0, 1], &["--format", "html"])?;
    fs_err::write(folder.join("page.html"), page)?;
    let report: Value = serde_json::from_str(&report)?;
    let mut outcome = StageOutcome::default();
    for width in WIDTHS {
        progress::at(format!("showing it at {width} pixels"));
        let seen = show(&browser, &folder, width)?;
        for problem in check(&seen, width, &report) {
            outcome.fail(&format!("at {width} pixels {problem}\n"));
        }
    }
    Ok(outcome)
}

/// Shows the page at a width, keeps a picture, and returns what the browser has of it.
fn show(browser: &Path, folder: &Path, width: u64) -> Result<Value> {
    let probe = folder.join(format!("probe-{width}.html"));
    fs_err::write(&probe, PROBE.replace("WIDTH", &width.to_string()))?;
    let picture = folder.join(format!("{width}.png"));
    let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
    // The page is our own, and containers have no namespaces for a sandbox.
    let options = "--headless --no-sandbox --disable-gpu --hide-scrollbars --timeout=60000 \
                   --allow-file-access-from-files --enable-logging=stderr --dump-dom";
    let output = command(folder, browser, options)
        .arg(format!("--window-size={width},2000"))
        .arg(option("user-data-dir", &folder.join("profile")))
        .arg(option("screenshot", &picture))
        .arg(&probe)
        .output()
        .with_context(|| format!("running {}", browser.display()))?;
    let dom = String::from_utf8_lossy(&output.stdout);
    let seen = dom.split_once("<pre id=\"seen\" hidden=\"\">");
    let seen = seen.and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((seen, _)) = seen.filter(|_| output.status.success() && picture.is_file()) else {
        bail!("{} shows nothing:\n{}", browser.display(), text_of(&output));
    };
    let seen = seen
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let mut seen: Value = serde_json::from_str(&seen).with_context(|| text_of(&output))?;
    let console = String::from_utf8_lossy(&output.stderr);
    let lines = console.lines().filter(|line| line.contains(":CONSOLE:"));
    seen["console"] = lines.collect();
    Ok(seen)
}

/// The problems of the page as the browser shows it.
fn check(seen: &Value, width: u64, report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if seen["width"] != width || seen["scroll"].as_u64().is_none_or(|scroll| scroll > width) {
        wrong.push(format!(
            "its {} are wider than its {}",
            seen["scroll"], seen["width"]
        ));
    }
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        let texts = texts.filter_map(Value::as_str);
        texts.map(|text| text.trim().to_owned()).collect()
    };
    let shown = texts(&seen["entries"]);
    let entries = report["entries"].as_array().cloned().unwrap_or_default();
    if entries.is_empty() {
        wrong.push("there are no entries".to_owned());
    }
    let missing = entries.iter().filter_map(|entry| entry["id"].as_str());
    for id in missing.filter(|id| !shown.iter().any(|shown| shown == id)) {
        wrong.push(format!("the entry {id} is missing"));
    }
    for (side, line) in [
        ("old", "\"MODEL_NAME\": \"--model-path\","),
        ("upstream", "\"MODEL_PATH\": \"--model-path\","),
        ("new", "\"MODEL_PATH\": \"--model-path\","),
    ] {
        if !texts(&seen[side]).iter().any(|text| text == line) {
            wrong.push(format!("the {side} side has no line {line}"));
        }
    }
    // Side by side where there is room, one below the other where there is none.
    if seen["beside"] != (width > 760) {
        wrong.push("the sides are not where they should be".to_owned());
    }
    let console = texts(&seen["console"]).into_iter();
    wrong.extend(console.map(|line| format!("the console says {line}")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_page_lacks_is_told() {
        let report = json!({ "entries": [{ "id": "env:A" }] });
        let line = "    \"MODEL_PATH\": \"--model-path\",";
        let good = json!({
            "width": 400, "scroll": 400, "entries": ["env:A"], "beside": false, "console": [],
            "old": ["\"MODEL_NAME\": \"--model-path\","], "upstream": [line], "new": [line],
        });
        assert_eq!(check(&good, 400, &report), [""; 0]);
        for (key, value, told) in [
            ("width", json!(500), "wider"),
            ("scroll", json!(401), "wider"),
            ("entries", json!(["env:B"]), "the entry env:A is missing"),
            ("old", json!([]), "the old side has no line"),
            ("new", json!([]), "the new side has no line"),
            ("beside", json!(true), "where they should be"),
            ("console", json!(["[1:CONSOLE:2] no"]), "the console says"),
        ] {
            let mut seen = good.clone();
            seen[key] = value;
            let said = check(&seen, 400, &report);
            assert!(said.len() == 1 && said[0].contains(told), "{key}: {said:?}");
        }
        assert!(!check(&good, 400, &json!({})).is_empty());
    }
}
