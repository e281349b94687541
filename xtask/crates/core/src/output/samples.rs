//! Findings to print in tests.

use super::Sources;
use crate::finding::{Finding, FindingKind, Location, Safety, Severity};

pub struct Sample;

impl FindingKind for Sample {
    fn code(&self) -> &'static str {
        "TST001"
    }
    fn name(&self) -> &'static str {
        "a-sample"
    }
    fn severity(&self) -> Severity {
        Severity::Error
    }
}

pub const TEXT: &str = "{\n  \"ä\": \"x\",\n  \"typ\": 100%\n}\n";

pub fn finding() -> (Vec<Finding>, Sources) {
    let mut sources = Sources::default();
    sources.add(".runpod/hub.json".into(), TEXT.as_bytes());
    let at = TEXT.find("\"typ\"").unwrap();
    let finding = Finding::at(
        &Sample,
        Location::new(".runpod/hub.json", at..at + 5),
        "there is no key `typ`, 100%\r\nsure",
    )
    .label("this one")
    .related(Location::new(".runpod/hub.json", 4..8), "beside this")
    .help("did you mean `type`?")
    .fix(
        Safety::Safe,
        "write it",
        [(at + 1..at + 4, "type".to_owned())],
    );
    (vec![finding], sources)
}
