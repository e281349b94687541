//! docker-bake.hcl: variables, targets, and what a target hands to the Dockerfile.

mod resolve;

use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Body;

use super::dockerfile::Named;
use super::source::one_line;
use super::{Hides, Place, Reading, Source, Unread, too_deep};

pub use resolve::Settings;
use resolve::{Environment, File, texts};

pub const FILE: &str = "docker-bake.hcl";
/// What bake reads besides.
pub const OTHERS: [&str; 3] = [
    "docker-bake.json",
    "docker-bake.override.hcl",
    "docker-bake.override.json",
];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bake {
    /// Variables with their defaults; each can be set from the environment of the build.
    pub variables: Vec<Named>,
    pub targets: Vec<Target>,
    pub groups: Vec<Named>,
    /// The targets of the group `default`.
    default: Option<Vec<String>>,
    /// What could not be resolved, each with its line.
    pub unresolved: Vec<String>,
}

impl Bake {
    /// The one target that is built when none is named; `None` where there are several or none.
    pub fn default_target(&self) -> Option<&Target> {
        let called = |name: &str| self.targets.iter().rfind(|target| target.name == name);
        match (self.default.as_deref(), &self.targets[..]) {
            (Some([name]), _) => called(name),
            (Some(_), _) => None,
            // Bake asks for a name where no target is the default; with only one it is clear.
            (None, [only]) => Some(only),
            (None, _) => called("default"),
        }
    }

    /// A target and those that it inherits from, the one that wins first.
    pub fn lineage<'b>(&'b self, target: &'b Target) -> Vec<&'b Target> {
        let mut all = Vec::new();
        let mut todo = vec![target];
        while let Some(own) = todo.pop() {
            if all.contains(&own) {
                continue;
            }
            all.push(own);
            // The last of several wins, with all that it inherits itself.
            let names = own.setting("inherits").unwrap_or_default().split('"');
            let names = names.skip(1).step_by(2);
            let base = |name: &str| self.targets.iter().find(|base| base.name == name);
            todo.extend(names.filter_map(base));
        }
        all
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    /// As written.
    pub args: Vec<Named>,
    pub settings: Vec<Named>,
    /// As bake sees them: with variables filled in, and with what the target inherits.
    pub resolved: Settings,
    pub place: Place,
}

impl Target {
    pub fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter().filter(|setting| setting.name == name);
        settings.next().map(|setting| setting.value.as_str())
    }
}

const HIDES: [Hides; 2] = [Hides::Settings, Hides::Image];

fn parse(source: &Source) -> Result<Body, Unread> {
    if too_deep(&source.text) {
        return Err(source.unread(0..0, "nested too deeply to be read", &HIDES));
    }
    hcl_edit::parser::parse_body(&source.text).map_err(|error| {
        let (line, column) = (error.location().line(), error.location().column());
        let line = source.lines().nth(line.saturating_sub(1));
        let at = line.map_or(0, |(at, _)| at) + column.saturating_sub(1);
        source.unread(at..at, format!("not HCL: {}", error.message()), &HIDES)
    })
}

/// Reads a bake file; `environment` is what variables may be set by.
pub fn read(source: &Source, environment: Environment<'_>) -> Result<Reading<Bake>, Unread> {
    let mut bake = Bake::default();
    let mut unread = Vec::new();
    let body = parse(source)?;
    let file = File {
        source,
        body: &body,
        environment,
    };
    let written = |expression: &Expression| {
        let span = expression.span().unwrap_or_default();
        plain(source.text.get(span).unwrap_or_default())
    };
    let named = |name: &str, value: String, span: Option<Range<usize>>| {
        Named::new(name, value, source.place(span.unwrap_or_default()))
    };
    // Constants that other expressions name.
    let constants = body.attributes().map(|item| {
        let value = written(&item.value);
        named(item.key.as_str(), value, item.key.span())
    });
    bake.variables.extend(constants);
    for block in body.blocks() {
        let name = block.labels.first().map_or("", |label| label.as_str());
        let span = block.ident.span();
        let setting = |name: &str| Some(&block.body.get_attribute(name)?.value);
        let text = |name: &str| setting(name).map(written).unwrap_or_default();
        match block.ident.as_str() {
            "variable" => bake.variables.push(named(name, text("default"), span)),
            "group" => {
                let settings = file.settings(block, &mut bake.unresolved);
                if name == "default" {
                    let names = texts(&settings, "targets").map(str::to_owned);
                    bake.default = Some(names.collect());
                }
                bake.groups.push(named(name, text("targets"), span));
            }
            "target" => {
                let mut target = Target {
                    name: name.to_owned(),
                    resolved: file.target(block, &mut bake.unresolved),
                    place: source.place(span.unwrap_or_default()),
                    ..Target::default()
                };
                for item in block.body.attributes() {
                    if let ("args", Expression::Object(args)) = (item.key.as_str(), &item.value) {
                        target.args.extend(args.iter().map(|(key, value)| {
                            let quoted = || key.as_expr().and_then(|key| key.as_str());
                            let name = key.as_ident().map(hcl_edit::Ident::as_str);
                            let name = name.or_else(quoted).unwrap_or_default();
                            named(name, written(value.expr()), key.span())
                        }));
                    } else {
                        // Of the Dockerfile's stages, and no target of this file.
                        let key = Some(item.key.as_str()).filter(|key| *key != "target");
                        let value = written(&item.value);
                        let setting = named(key.unwrap_or("stage"), value, item.key.span());
                        target.settings.push(setting);
                    }
                }
                if let Some(matrix) = setting("matrix") {
                    let what = "a matrix makes many targets of this one";
                    unread.push(source.unread(matrix.span().unwrap_or_default(), what, &HIDES));
                }
                bake.targets.push(target);
            }
            kind => {
                let what = format!("a block `{kind}`, which is not read");
                unread.push(source.unread(block.span().unwrap_or_default(), what, &HIDES));
            }
        }
    }
    bake.unresolved.sort();
    bake.unresolved.dedup();
    Ok(Reading::new(bake, unread))
}

/// The file without these arguments of targets. One that shares its line with something else stays.
pub fn without_arguments(text: &str, mut gone: Vec<Named>) -> String {
    let mut out = text.to_owned();
    gone.sort_by_key(|arg| std::cmp::Reverse(arg.place.start));
    for arg in gone {
        let start = text[..arg.place.start].rfind('\n').map_or(0, |at| at + 1);
        let mut lines = text[start..].split_inclusive('\n');
        let line = lines.next().unwrap_or_default();
        let setting = line.trim().trim_end_matches(',').split_once(['=', ':']);
        let is_alone = setting.is_some_and(|(name, value)| {
            name.trim().trim_matches('"') == arg.name && plain(value.trim()) == arg.value
        });
        if is_alone {
            out.replace_range(start..start + line.len(), "");
        }
    }
    out
}

/// Source text as if it stood in one line, a plain string without its quotes.
fn plain(text: &str) -> String {
    let text = one_line(text).replace("[ ", "[");
    let text = text.replace(", ]", "]").replace(" ]", "]");
    let inside = text.strip_prefix('"');
    match inside.and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) if !inside.contains('"') => inside.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_targets_and_their_arguments() {
        let source = Source::new(
            "docker-bake.hcl".into(),
            b"variable \"A\" {\n  default = \"x\"\n}\ngroup \"default\" { targets = [\"t\"] }\ntarget \"t\" {\n  tags = [\"${A}\"]\n  args = {\n    B = \"1\"\n    \"C\" = \"${A}\"\n  }\n}\n",
        );
        let (bake, unread) = read(&source, &|_| None).unwrap().split();
        assert!(unread.is_empty());
        assert_eq!(bake.variables[0].value, "x");
        let args: Vec<_> = bake.targets[0]
            .args
            .iter()
            .map(|a| format!("{}={}@{}", a.name, a.value, a.place.line))
            .collect();
        assert_eq!(args, ["B=1@8", "C=${A}@9"]);
        assert_eq!(bake.targets[0].settings[0].name, "tags");
        assert_eq!(bake.groups[0].value, "[\"t\"]");
    }

    #[test]
    fn arguments_are_dropped_with_their_lines() {
        let all = |text: &str| -> Vec<Named> {
            let read = read(&Source::new(FILE.into(), text.as_bytes()), &|_| None);
            let targets = read.map(|read| read.split().0.targets).unwrap_or_default();
            targets.into_iter().flat_map(|it| it.args).collect()
        };
        let text = "target \"t\" {\n  args = {\n    A = \"1\"\n    \"B\" = \"${X}\",\n    C = { a = 1 }\n  }\n}\ntarget \"u\" {\n  args = { A = 1, D = 2 }\n}\n";
        assert_eq!(
            without_arguments(text, all(text)),
            "target \"t\" {\n  args = {\n    C = { a = 1 }\n  }\n}\ntarget \"u\" {\n  args = { A = 1, D = 2 }\n}\n"
                .replace("    C = { a = 1 }\n", "")
        );
        assert_eq!(without_arguments(text, Vec::new()), text);
        assert_eq!(without_arguments("target {", all("target {")), "target {");
    }

    #[test]
    fn broken_and_hostile_files_are_gaps() {
        let read = |text: &str| read(&Source::new("b.hcl".into(), text.as_bytes()), &|_| None);
        let broken = read("variable \"A\" {\n  x = \n").unwrap_err();
        assert!(broken.what.contains("not HCL"));
        let matrix = read("function \"f\" {}\ntarget \"t\" {\n  matrix = { a = [1] }\n}\n");
        let (_, matrix) = matrix.unwrap().split();
        assert_eq!(
            matrix.iter().map(|u| u.place.line).collect::<Vec<_>>(),
            [1, 3]
        );
        for text in [
            "a = [".repeat(10_000),
            "a {".repeat(10_000),
            "\0".to_owned(),
        ] {
            let _ = read(&text);
        }
    }
}
