//! Findings in every format, as it is printed.

use annotate_snippets::Renderer;

use super::samples::finding;
use super::*;
use crate::finding::Counts;

#[test]
fn text_is_what_rustc_would_show() {
    let (findings, sources) = finding();
    assert_eq!(
        text::render(&Renderer::plain(), &findings, &sources),
        "\
error[TST001 a-sample]: there is no key `typ`, 100%  sure
 --> .runpod/hub.json:3:3
  |
2 |   \"ä\": \"x\",
  |   --- beside this
3 |   \"typ\": 100%
  |   ^^^^^
  |
  = help: did you mean `type`?
  = help: `--fix` will write it

"
    );
}

#[test]
fn a_long_line_is_cut_and_the_position_stays_right() {
    let (mut findings, _) = finding();
    let mut sources = Sources::new();
    let line = format!("[\n{}\"typ\"{}]", "1, ".repeat(5000), ", 2".repeat(5000));
    samples::add(&mut sources, ".runpod/hub.json", &line);
    findings[0].place.span = 15002..15007;
    findings[0].related.clear();
    let shown = text::render(&Renderer::plain(), &findings, &sources);
    assert!(shown.contains("--> .runpod/hub.json:2:15001\n"), "{shown}");
    assert!(shown.contains("^^^^^"), "{shown}");
    assert!(shown.len() < 800, "{shown}");
}

/// Reads a line as the runner of GitHub Actions does.
fn as_github_reads(line: &str) -> (String, BTreeMap<String, String>, String) {
    let rest = line.strip_prefix("::").unwrap();
    let (command, message) = rest.split_once("::").unwrap();
    let (command, properties) = command.split_once(' ').unwrap_or((command, ""));
    let data = |text: &str| {
        text.replace("%0D", "\r")
            .replace("%0A", "\n")
            .replace("%25", "%")
    };
    let properties = properties
        .split(',')
        .map(|property| {
            let (key, value) = property.split_once('=').unwrap();
            let value = value.replace("%3A", ":").replace("%2C", ",");
            (key.to_owned(), data(&value))
        })
        .collect();
    (command.to_owned(), properties, data(message))
}

#[test]
fn github_reads_back_what_was_meant() {
    let (mut findings, mut sources) = finding();
    findings[0].place.path = "a,b/c:d%.json".into();
    samples::add(&mut sources, "a,b/c:d%.json", samples::TEXT);
    let out = github::render(&findings, &sources);
    assert_eq!(out.lines().count(), 1);
    let (command, properties, message) = as_github_reads(out.trim_end());
    assert_eq!(command, "error");
    assert_eq!(properties["file"], "a,b/c:d%.json");
    assert_eq!(properties["line"], "3");
    assert_eq!(properties["col"], "3");
    assert_eq!(properties["endColumn"], "8");
    assert_eq!(properties["title"], "TST001 a-sample");
    assert_eq!(
        message,
        "there is no key `typ`, 100%\r\nsure\ndid you mean `type`?"
    );
}

#[test]
fn sarif_names_the_rule_and_the_region() {
    let (findings, sources) = finding();
    let log = sarif::render(std::slice::from_ref(&samples::RULE), &findings, &sources);
    assert_eq!(testing::sarif::problems(&log), [""; 0]);
    let driver = &log["runs"][0]["tool"]["driver"];
    assert_eq!(driver["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(driver["rules"][0]["helpUri"], samples::RULE.address());
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["ruleIndex"], 0);
    assert_eq!(
        result["locations"][0]["physicalLocation"]["region"],
        serde_json::json!({"startLine": 3, "startColumn": 3, "endLine": 3, "endColumn": 8})
    );
}

#[test]
fn json_counts_lines_from_one_and_bytes_from_zero() {
    let (findings, sources) = finding();
    let value = json::render(&findings, &sources);
    assert_eq!(value["summary"]["errors"], 1);
    let place = &value["findings"][0]["related"][0]["place"];
    assert_eq!(place["path"], ".runpod/hub.json");
    assert_eq!((&place["line"], &place["column"]), (&2.into(), &3.into()));
    assert_eq!((&place["start"], &place["end"]), (&4.into(), &8.into()));
    assert_eq!(place["end_column"], 6);
}

#[test]
fn a_summary_counts() {
    let counts = Counts {
        errors: 1,
        warnings: 2,
    };
    assert_eq!(counts.to_string(), "1 error, 2 warnings");
}
