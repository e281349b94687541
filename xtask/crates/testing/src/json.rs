//! A second opinion on JSON.

use worker_files::json::{Kind, Node, ProblemKind, parse};

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

fn to_serde(node: &Node) -> serde_json::Value {
    match &node.kind {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool(value) => (*value).into(),
        Kind::Number(text) => serde_json::from_str(text).unwrap(),
        Kind::String(text) => text.clone().into(),
        Kind::Array(items) => items.iter().map(to_serde).collect(),
        Kind::Object(members) => members
            .iter()
            .map(|member| (member.key.clone(), to_serde(&member.value)))
            .collect(),
    }
}
