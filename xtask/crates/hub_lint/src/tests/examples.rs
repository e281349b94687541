//! The examples on the rules' pages, run: a bad one is found by its rule and by no other, a good
//! one by none. And the pages, printed.

use super::*;
use annotate_snippets::Renderer;

/// One fenced block of a page: what kind of file, and its text.
struct Block {
    kind: String,
    text: String,
}

/// The blocks of a page below "Bad:" and below "Good:". In a block of `diff` the lines with `-` are of
/// the bad example, those with `+` of the good one, and the others of both.
fn blocks(rule: &Rule) -> (Vec<Block>, Vec<Block>) {
    let (mut bad, mut good) = (Vec::new(), Vec::new());
    let mut in_good = false;
    let mut lines = rule.page().lines();
    while let Some(line) = lines.next() {
        in_good = !line.starts_with("Bad:") && (in_good || line.starts_with("Good:"));
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = |kind: &str, lines: Vec<&str>| Block {
            kind: kind.to_owned(),
            text: lines.iter().map(|line| format!("{line}\n")).collect(),
        };
        if kind.starts_with("diff ") {
            let side = |other: char| {
                let own = inside.iter().filter(|line| !line.starts_with(other));
                own.map(|line| &line[2..]).collect()
            };
            // A worker for SGLang is told by its release alone.
            let kind = kind
                .strip_prefix("diff ")
                .filter(|k| k.starts_with("sglang"));
            let kind = kind.unwrap_or(line.trim_start_matches('`'));
            bad.push(block(kind, side('+')));
            good.push(block(kind, side('-')));
        } else {
            if in_good { &mut good } else { &mut bad }.push(block(kind, inside));
        }
    }
    (bad, good)
}

/// A worker on that release's image whose engine passes variables on, one line for each:
/// `--flag $NAME`, `--flag ${NAME:-default}` or `--flag if $NAME`.
fn sglang(version: &str, lines: &str) -> [(&'static str, String); 2] {
    let mut engine = "import os\nimport subprocess\nimport runpod\n\
        command = [\"python3\", \"-m\", \"sglang.launch_server\"]\n"
        .to_owned();
    for line in lines.lines() {
        let (flag, given) = line.split_once(' ').unwrap();
        let passed_on = match given.strip_prefix("if $") {
            Some(name) => format!(
                "if os.getenv(\"{name}\", \"\").lower() in (\"true\", \"1\", \"yes\"):\n    \
                 command.append(\"{flag}\")\n"
            ),
            None => match given
                .trim_start_matches("${")
                .trim_end_matches('}')
                .split_once(":-")
            {
                Some((name, default)) => {
                    format!("command += [\"{flag}\", os.getenv(\"{name}\", \"{default}\")]\n")
                }
                None => format!(
                    "if os.getenv(\"{0}\"):\n    command += [\"{flag}\", os.getenv(\"{0}\")]\n",
                    given.trim_start_matches('$')
                ),
            },
        };
        engine.push_str(&passed_on);
    }
    engine.push_str("subprocess.Popen(command)\nrunpod.serverless.start({\"handler\": print})\n");
    let dockerfile = format!(
        "FROM lmsysorg/sglang:{version}\nCOPY engine.py /\nCMD [\"python3\", \"/engine.py\"]\n"
    );
    [("engine.py", engine), ("Dockerfile", dockerfile)]
}

/// The good listing with these members of its root.
fn with_members(text: &str) -> String {
    let mut hub: serde_json::Value = serde_json::from_str(&listing("", "")).unwrap();
    let members: serde_json::Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
    for (key, value) in members.as_object().unwrap() {
        hub[key] = value.clone();
    }
    format!("{hub:#}\n")
}

/// A repository around the blocks of one example.
fn around(blocks: &[Block]) -> Memory {
    let mut hub = listing("", "");
    let mut tests = TESTS.to_owned();
    let mut others: Vec<(&str, String)> = Vec::new();
    for block in blocks {
        let text = block.text.trim_end();
        if let Some(version) = block.kind.strip_prefix("sglang ") {
            others.extend(sglang(version, text));
            continue;
        }
        match block
            .kind
            .split_once(' ')
            .map_or(block.kind.as_str(), |(_, kind)| kind)
        {
            "hub" => hub = text.to_owned(),
            "listing" => hub = with_members(text),
            "config" => hub = listing(text, ""),
            "env" => hub = listing("", text),
            "tests" => tests = text.to_owned(),
            "test" => {
                tests = TESTS.replace(r#"{ "name": "one", "input": { "prompt": "Hi" } }"#, text);
            }
            file => others.push((file, block.text.clone())),
        }
    }
    others
        .into_iter()
        .fold(repository_of(&hub, &tests), |tree, (path, text)| {
            tree.with(path, text)
        })
}

/// What a page can't hold as text: bytes, absences, lengths.
fn made_example(code: &str) -> Option<Memory> {
    let good = || listing("", "");
    let no = |file: &str| {
        let mut tree = Memory::new();
        for (path, text) in [
            ("Dockerfile", "FROM scratch\n".to_owned()),
            ("README.md", "# Worker\n".to_owned()),
            (".runpod/hub.json", good()),
            (".runpod/tests.json", TESTS.to_owned()),
        ] {
            if path != file {
                tree = tree.with(path, text);
            }
        }
        tree
    };
    Some(match code {
        "HUB002" => no("").with(".runpod/hub.json", b"\xff\xfe{\0}\0".to_vec()),
        "HUB003" => no("").with(".runpod/hub.json", format!("\u{feff}{}", good())),
        "HUB201" => {
            let long = "x".repeat(192);
            no("").with(".runpod/hub.json", good().replace("Does things.", &long))
        }
        "HUB241" => {
            let token = format!("hf_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z");
            let entry = format!(r#"{{ "key": "MODEL", "value": "{token}" }}"#);
            no("").with(".runpod/hub.json", listing("", &entry))
        }
        "HUB310" => no("Dockerfile"),
        "HUB311" => no("README.md"),
        "HUB312" => no("").with("hub.json", good()),
        "HUB313" => no(".runpod/tests.json"),
        "HUB318" => no(".runpod/tests.json").with(".runpod/tests_.json", TESTS),
        _ => return None,
    })
}

/// The bad example of a rule as a repository.
pub(super) fn bad_example(rule: &Rule) -> Memory {
    let (bad, _) = blocks(rule);
    match made_example(rule.code) {
        Some(tree) => tree,
        None if bad.is_empty() => panic!("{} has no bad example", rule.code),
        None => around(&bad),
    }
}

#[test]
fn every_bad_example_is_found_by_its_rule_and_no_other() {
    for rule in rule::all() {
        let report = lint(&bad_example(rule), true).unwrap();
        let codes: std::collections::BTreeSet<_> = report
            .findings
            .iter()
            .map(|finding| finding.rule.code)
            .collect();
        assert_eq!(
            codes.into_iter().collect::<Vec<_>>(),
            [rule.code],
            "{:#?}",
            report.findings
        );
        for finding in &report.findings {
            assert_eq!(finding.severity, rule.severity);
            assert!(report.sources.contains_key(&finding.place.path));
            let fixes = finding.fix.as_ref().map(|fix| fix.safety);
            let allowed = match fix_of(rule) {
                "none" => fixes.is_none(),
                "`--fix`" => fixes != Some(Safety::Unsafe),
                "`--unsafe-fixes`" => fixes != Some(Safety::Safe),
                either => either == "`--fix`, or `--unsafe-fixes` where it is a guess",
            };
            assert!(allowed, "{finding:#?}");
        }
    }
}

#[test]
fn every_bad_example_is_told_as_sarif_and_github_have_it() {
    for rule in rule::all() {
        let report = lint(&bad_example(rule), true).unwrap();
        let log = formats::sarif::render(rule::all(), &report.findings, &report.sources);
        assert_eq!(testing::sarif::problems(&log), [""; 0], "{}", rule.code);
        let lines = formats::github::render(&report.findings, &report.sources);
        assert_eq!(lines.lines().count(), report.findings.len(), "{lines}");
        for line in lines.lines() {
            let title = format!(",title={} {}::", rule.code, rule.name);
            assert!(line.starts_with("::") && line.contains(&title), "{line}");
        }
    }
}

#[test]
fn no_good_example_is_found_at_all() {
    for rule in rule::all() {
        let (_, good) = blocks(rule);
        if !good.is_empty() {
            assert_eq!(said(&around(&good)), [""; 0], "{}", rule.code);
        }
    }
    assert_eq!(said(&repository_of(&listing("", ""), TESTS)), [""; 0]);
}

#[test]
fn ids_and_names_are_told_apart() {
    let all = rule::all();
    for pair in all.windows(2) {
        assert!(pair[0].code < pair[1].code, "{}", pair[1].code);
    }
    let names: std::collections::BTreeSet<_> = all.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), all.len());
    for rule in all {
        assert!(
            rule.name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
        );
        assert_eq!(
            rule::find(&rule.name.to_uppercase()).unwrap().code,
            rule.code
        );
    }
}

/// No rule is called by a name that the pages don't have.
#[test]
fn the_program_knows_its_rules_by_their_names() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = xtask_core::tree::Directory::open(root, |path| path.name() == b"tests").unwrap();
    for path in tree.entries().keys().filter(|path| path.is_within("src")) {
        let text = fs_err::read_to_string(path.below(root)).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        let text = words.join(" ").replace("( ", "(");
        for call in [".at(\"", "named(\"", "missing(\""] {
            for argument in text.split(call).skip(1) {
                let (name, rest) = argument.split_once('"').unwrap();
                // The JSON's `at` takes a key alone.
                if call != ".at(\"" || rest.starts_with(',') {
                    assert!(rule::find(name).is_some(), "{path}: {name}");
                }
            }
        }
    }
}

/// Which option fixes it, by its page.
pub fn fix_of(rule: &Rule) -> &'static str {
    let (_, fix) = rule.page().split_once("; fix: ").unwrap();
    fix.split_once(".* ").unwrap().0
}

/// What stands in the table of RULES.md and in the pages.
#[test]
fn the_pages_agree_with_the_rules() {
    let mut headings = rule::PAGES.matches("\n### ").count();
    for rule in rule::all() {
        let (code, name, summary) = (rule.code, rule.name, rule.summary);
        let (severity, fix) = (rule.severity.word(), fix_of(rule));
        let mut words = summary.chars();
        let sentence: String = words.next().unwrap().to_uppercase().chain(words).collect();
        let head = format!("*{severity}; fix: {fix}.* {sentence}.\n\n");
        assert!(rule.page().starts_with(&head), "{code} begins with {head}");
        let source = rule.page().lines().next_back().unwrap();
        assert!(source.starts_with("Known from: "), "{code} says no source");
        let anchor = format!("#{}-{name}", code.to_lowercase());
        let summary = summary.replace('|', "\\|");
        let row = format!("| [{code} {name}]({anchor}) | {severity} | {fix} | {summary} |\n");
        assert!(rule::PAGES.contains(&row), "the table has the row {row}");
        headings -= 1;
    }
    assert_eq!(headings, 0, "a page without a rule");
    let listed = |code, words: &[&str]| {
        let page = rule::find(code).unwrap().page();
        let is_missing = |word: &&&str| !page.contains(&format!("`{word}`"));
        assert_eq!(words.iter().find(is_missing), None, "{code} lists them");
    };
    listed("HUB210", &facts::GPU_POOLS);
    listed("HUB211", &facts::GPU_IDS);
    listed("HUB215", &facts::CUDA_VERSIONS);
}

/// The words of every rule's bad example, which `UPDATE_WORDS` in the environment writes anew.
#[test]
fn the_words_are_these() {
    let mut words = String::new();
    for rule in rule::all() {
        let report = lint(&bad_example(rule), true).unwrap();
        let text = formats::text::render(&Renderer::plain(), &report.findings, &report.sources);
        words.push_str(&text.replace('\0', "␀"));
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/words.txt");
    if std::env::var_os("UPDATE_WORDS").is_some() {
        fs_err::write(&file, &words).unwrap();
    }
    let expected = fs_err::read_to_string(&file).unwrap();
    similar_asserts(&expected, &words);
}

fn similar_asserts(expected: &str, actual: &str) {
    if expected != actual {
        let diff = similar::TextDiff::from_lines(expected, actual);
        panic!("{}", diff.unified_diff().context_radius(6));
    }
}

/// The schemas, which `UPDATE_SCHEMAS` in the environment writes anew.
#[test]
fn the_schemas_are_those_of_the_tables() {
    for which in [Which::Hub, Which::Tests] {
        let name = which.name().replace(".json", ".schema.json");
        let file = xtask_core::tool_repo::repository()
            .join("xtask/schemas")
            .join(name);
        let schema = format!("{:#}\n", schema::of(which));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs_err::write(&file, &schema).unwrap();
        }
        similar_asserts(&fs_err::read_to_string(&file).unwrap(), &schema);
    }
}
