//! What SARIF 2.1.0 asks of a log: the objects that this tool writes, with the
//! properties that the standard knows and those that it requires. It forbids all others.

use serde_json::Value;

/// What a property holds.
enum Is {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from this on.
    From(i64),
    Object(&'static Shape),
    /// Objects, at least so many of them.
    List(&'static Shape, usize),
}

struct Shape {
    required: &'static [&'static str],
    known: &'static [(&'static str, Is)],
}

const LEVELS: &[&str] = &["none", "note", "warning", "error"];
const COLUMNS: &[&str] = &["utf16CodeUnits", "unicodeCodePoints"];

static MESSAGE: Shape = Shape {
    required: &["text"],
    known: &[("text", Is::Text), ("markdown", Is::Text)],
};
static ARTIFACT: Shape = Shape {
    required: &["uri"],
    known: &[("uri", Is::Text)],
};
static REGION: Shape = Shape {
    required: &["startLine"],
    known: &[
        ("startLine", Is::From(1)),
        ("startColumn", Is::From(1)),
        ("endLine", Is::From(1)),
        ("endColumn", Is::From(1)),
    ],
};
static PHYSICAL: Shape = Shape {
    required: &["artifactLocation"],
    known: &[
        ("artifactLocation", Is::Object(&ARTIFACT)),
        ("region", Is::Object(&REGION)),
    ],
};
static LOCATION: Shape = Shape {
    required: &[],
    known: &[
        ("id", Is::From(0)),
        ("physicalLocation", Is::Object(&PHYSICAL)),
        ("message", Is::Object(&MESSAGE)),
    ],
};
static REPLACEMENT: Shape = Shape {
    required: &["deletedRegion"],
    known: &[
        ("deletedRegion", Is::Object(&REGION)),
        ("insertedContent", Is::Object(&MESSAGE)),
    ],
};
static CHANGE: Shape = Shape {
    required: &["artifactLocation", "replacements"],
    known: &[
        ("artifactLocation", Is::Object(&ARTIFACT)),
        ("replacements", Is::List(&REPLACEMENT, 1)),
    ],
};
static FIX: Shape = Shape {
    required: &["artifactChanges"],
    known: &[
        ("description", Is::Object(&MESSAGE)),
        ("artifactChanges", Is::List(&CHANGE, 1)),
    ],
};
static RESULT: Shape = Shape {
    required: &["message"],
    known: &[
        ("ruleId", Is::Text),
        ("ruleIndex", Is::From(0)),
        ("level", Is::Word(LEVELS)),
        ("message", Is::Object(&MESSAGE)),
        ("locations", Is::List(&LOCATION, 0)),
        ("relatedLocations", Is::List(&LOCATION, 0)),
        ("fixes", Is::List(&FIX, 0)),
    ],
};
static CONFIGURATION: Shape = Shape {
    required: &[],
    known: &[("level", Is::Word(LEVELS))],
};
static RULE: Shape = Shape {
    required: &["id"],
    known: &[
        ("id", Is::Text),
        ("name", Is::Text),
        ("shortDescription", Is::Object(&MESSAGE)),
        ("help", Is::Object(&MESSAGE)),
        ("helpUri", Is::Text),
        ("defaultConfiguration", Is::Object(&CONFIGURATION)),
    ],
};
static DRIVER: Shape = Shape {
    required: &["name"],
    known: &[
        ("name", Is::Text),
        ("version", Is::Text),
        ("informationUri", Is::Text),
        ("semanticVersion", Is::Text),
        ("rules", Is::List(&RULE, 0)),
    ],
};
static TOOL: Shape = Shape {
    required: &["driver"],
    known: &[("driver", Is::Object(&DRIVER))],
};
static RUN: Shape = Shape {
    required: &["tool"],
    known: &[
        ("tool", Is::Object(&TOOL)),
        ("columnKind", Is::Word(COLUMNS)),
        ("results", Is::List(&RESULT, 0)),
    ],
};
static LOG: Shape = Shape {
    required: &["version", "runs"],
    known: &[
        ("$schema", Is::Text),
        ("version", Is::Word(&["2.1.0"])),
        ("runs", Is::List(&RUN, 0)),
    ],
};

/// What is wrong with a log; nothing where it is one.
pub fn problems(log: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    object(log, &LOG, "log", &mut problems);
    for run in log["runs"].as_array().into_iter().flatten() {
        let rules = &run["tool"]["driver"]["rules"];
        for result in run["results"].as_array().into_iter().flatten() {
            let index = result["ruleIndex"].as_u64();
            let named = index.and_then(|index| rules.get(usize::try_from(index).ok()?));
            if named.is_some_and(|rule| rule["id"] != result["ruleId"]) {
                problems.push(format!("{} has another rule's index", result["ruleId"]));
            }
        }
    }
    problems
}

fn object(value: &Value, shape: &Shape, at: &str, problems: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        problems.push(format!("{at} is no object"));
        return;
    };
    for key in shape.required {
        if !members.contains_key(*key) {
            problems.push(format!("{at} has no {key}"));
        }
    }
    for (key, value) in members {
        let at = format!("{at}.{key}");
        let Some((_, is)) = shape.known.iter().find(|(known, _)| known == key) else {
            problems.push(format!("{at} is not known"));
            continue;
        };
        match is {
            Is::Text if value.is_string() => {}
            Is::Word(words) if value.as_str().is_some_and(|text| words.contains(&text)) => {}
            Is::From(least) if value.as_i64().is_some_and(|number| number >= *least) => {}
            Is::Object(shape) => object(value, shape, &at, problems),
            Is::List(shape, least) if value.as_array().is_some_and(|l| l.len() >= *least) => {
                for item in value.as_array().into_iter().flatten() {
                    object(item, shape, &at, problems);
                }
            }
            _ => problems.push(format!("{at} is {value}")),
        }
    }
    // A region ends where it begins, or behind it.
    let number = |key: &str| members.get(key).and_then(Value::as_i64);
    if let (Some(line), Some(end)) = (number("startLine"), number("endLine"))
        && (end, number("endColumn")) < (line, number("startColumn"))
    {
        problems.push(format!("{at} ends before it begins"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_no_log_is_told() {
        let empty = json!({ "version": "2.1.0", "runs": [] });
        assert_eq!(problems(&empty), [""; 0]);
        let log = json!({ "version": "2.0", "runs": [{ "tool": { "driver": {
            "name": "t", "rules": [{ "id": "A" }] } }, "results": [{
            "ruleId": "B", "ruleIndex": 0, "level": "info", "message": {}, "text": "x",
            "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "a" },
                "region": { "startLine": 2, "endLine": 1 } } }],
            "fixes": [{ "artifactChanges": [] }] }] }] });
        assert_eq!(
            problems(&log),
            [
                "log.version is \"2.0\"",
                "log.runs.results.level is \"info\"",
                "log.runs.results.message has no text",
                "log.runs.results.text is not known",
                "log.runs.results.locations.physicalLocation.region ends before it begins",
                "log.runs.results.fixes.artifactChanges is []",
                "\"B\" has another rule's index",
            ]
        );
    }
}
