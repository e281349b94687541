//! A second opinion on JSON.

use worker_files::json::{JsonKind, JsonNode, ProblemKind, parse};

/// `serde_json` is the second opinion: it takes exactly what has no problem here, and reads the
/// same from it.
pub fn agrees_with_serde(bytes: &[u8]) {
    let ours = parse(bytes);
    let refused = ours
        .problems
        .iter()
        .any(|problem| problem.kind != ProblemKind::DuplicateKey);
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(
        !refused,
        theirs.is_ok(),
        "{text:?}: {:?} {theirs:?}",
        ours.problems
    );
    if let (false, Some(root), Ok(value)) = (refused, &ours.root, &theirs) {
        assert_eq!(&to_serde(root), value, "{text:?}");
    }
    assert!(refused || ours.root.is_some());
    for problem in &ours.problems {
        assert!(problem.span.end <= bytes.len() && problem.span.start <= problem.span.end);
    }
}

fn to_serde(node: &JsonNode) -> serde_json::Value {
    match &node.kind {
        JsonKind::Null => serde_json::Value::Null,
        JsonKind::Bool(value) => (*value).into(),
        JsonKind::Number(text) => serde_json::from_str(text).unwrap(),
        JsonKind::String(text) => text.clone().into(),
        JsonKind::Array(items) => items.iter().map(to_serde).collect(),
        JsonKind::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), to_serde(&member.value)))
            .collect(),
    }
}
