//! The Dockerfile: what the image is made from, what it sets, holds and starts.

use std::collections::BTreeMap;
use std::ops::Range;

use parse_dockerfile::{
    Command as DockerCommand, Flag, Instruction, Source as CopySource, Span, UnescapedString,
};

use super::shell::{self, Script};
use super::{Place, Source, Unread};

/// A name with a value: ENV, ARG, LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// As written, quotes removed.
    pub value: String,
    pub place: Place,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub place: Place,
}

/// COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<String>,
    pub dest: String,
    /// Another stage or image that it copies from.
    pub from: Option<String>,
    /// The folder that `dest` starts from, as WORKDIR named it before this line.
    pub workdir: Option<String>,
    pub place: Place,
}

/// `RUN --mount=type=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `cache` or `secret`, or another of `BuildKit`'s.
    pub kind: String,
    /// The secret's id, or where it is mounted.
    pub name: String,
    pub place: Place,
}

/// A RUN line, or a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub script: Script,
    /// Where the script begins in the file.
    pub base: usize,
}

/// The image that a Dockerfile builds: its last stage with those it builds on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The base image with its arguments' defaults filled in.
    pub base: Option<Text>,
    pub env: Vec<Named>,
    pub args: Vec<Named>,
    pub workdir: Option<Text>,
    pub user: Option<Text>,
    pub expose: Vec<Text>,
    pub entrypoint: Option<Text>,
    pub cmd: Option<Text>,
    pub volumes: Vec<Text>,
    pub healthcheck: Option<Text>,
    pub copies: Vec<Copy>,
    pub mounts: Vec<Mount>,
    pub runs: Vec<Run>,
}

impl Image {
    /// `SGLang`'s release, from the base image's tag: `0.4.6.post4`.
    pub fn sglang(&self) -> Option<String> {
        let (name, tag) = split_image(&self.base.as_ref()?.text);
        if !name.contains("sglang") {
            return None;
        }
        let tag = tag?;
        let version = tag.strip_prefix('v').unwrap_or(tag);
        let version = version.split('-').next()?;
        version
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| version.to_owned())
    }

    /// The CUDA version in the image, from the base image's tag: `12.4`.
    pub fn cuda(&self) -> Option<String> {
        let (name, tag) = split_image(&self.base.as_ref()?.text);
        let tag = tag?;
        if let Some(at) = tag.find("cu1")
            && let Some(version) = undotted(&tag[at + 2..])
        {
            return Some(version);
        }
        if let Some(at) = tag.find("cuda") {
            let version = tag[at + 4..].trim_start_matches(['-', ':']);
            if let Some(version) = undotted(version).or_else(|| major_minor(version)) {
                return Some(version);
            }
        }
        if name.ends_with("nvidia/cuda") {
            return major_minor(tag);
        }
        // From 0.5.20 on a tag without a suffix means CUDA 13.
        let sglang = self.sglang()?;
        (name.contains("sglang") && xtask_core::sglang::order(&sglang, "0.5.20").is_ge())
            .then(|| "13.0".to_owned())
    }

    /// The files that the image starts, as written in ENTRYPOINT and CMD.
    pub fn starts(&self) -> impl Iterator<Item = &Text> {
        self.entrypoint.iter().chain(self.cmd.iter())
    }
}

/// A version without its dots: `126` is 12.6, and `1281` is 12.8.1, of which the patch is left out.
fn undotted(text: &str) -> Option<String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() >= 3).then(|| format!("{}.{}", &digits[..2], &digits[2..3]))
}

fn major_minor(text: &str) -> Option<String> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (parts.next()?, parts.next()?);
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}

/// Name and tag of an image, its digest left out.
fn split_image(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// Reads a Dockerfile, with every argument at its default.
pub fn read(source: &Source) -> Result<Image, Unread> {
    read_with(source, BTreeMap::new())
}

/// Reads a Dockerfile as a build with these arguments would.
pub fn read_with(source: &Source, given: BTreeMap<String, String>) -> Result<Image, Unread> {
    let parsed = parse_dockerfile::parse(&source.text).map_err(|error| {
        let text = error.to_string();
        let line = text.split_once("line ").and_then(|(_, rest)| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse::<usize>().ok()
        });
        let start = line
            .and_then(|n| source.lines().nth(n.saturating_sub(1)))
            .map_or(0, |(start, _)| start);
        Unread::new(
            format!("the Dockerfile cannot be read: {text}"),
            source.place(start..start),
        )
    })?;
    let mut reader = Reader {
        source,
        image: Image::default(),
        values: given,
    };
    for instruction in last_stage(&parsed.instructions) {
        reader.instruction(instruction);
    }
    Ok(reader.image)
}

/// The instructions that make the final image: arguments in front of every stage, then the
/// stages that the last one builds on, then the last one itself.
fn last_stage<'a, 'b>(all: &'b [Instruction<'a>]) -> Vec<&'b Instruction<'a>> {
    let starts: Vec<usize> = (0..all.len())
        .filter(|&i| matches!(all[i], Instruction::From(_)))
        .collect();
    let stage = |index: usize| {
        let end = starts.get(index + 1).copied().unwrap_or(all.len());
        &all[starts[index]..end]
    };
    let name_of = |index: usize| match &all[starts[index]] {
        Instruction::From(from) => from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()),
        _ => None,
    };
    let mut chain = Vec::new();
    let mut current = starts.len().checked_sub(1);
    while let Some(index) = current {
        chain.push(index);
        let Instruction::From(from) = &all[starts[index]] else {
            break;
        };
        let base = from.image.value.to_lowercase();
        current = (0..index)
            .rev()
            .find(|&i| name_of(i).as_deref() == Some(&base));
    }
    let first = starts.first().copied().unwrap_or(all.len());
    let mut out: Vec<_> = all[..first].iter().collect();
    for index in chain.into_iter().rev() {
        out.extend(stage(index));
    }
    out
}

struct Reader<'s> {
    source: &'s Source,
    image: Image,
    /// What ARG and ENV hold so far.
    values: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn place(&self, span: &Span) -> Place {
        self.source.place(span.clone())
    }

    fn text(&self, text: &str, span: &Span) -> Text {
        Text {
            text: text.to_owned(),
            place: self.place(span),
        }
    }

    fn instruction(&mut self, instruction: &Instruction<'_>) {
        match instruction {
            Instruction::From(from) => {
                let image = expand(&from.image.value, &self.values);
                // A stage built on an earlier one keeps the base of that one.
                let named = self.image.base.is_some() && !image.contains(['/', ':']);
                if !named {
                    self.image.base = Some(self.text(&image, &from.image.span));
                }
            }
            Instruction::Arg(arg) => {
                for named in self.names(&arg.arguments.value, &arg.arguments.span, true) {
                    let value = expand(&named.value, &self.values);
                    self.values.entry(named.name.clone()).or_insert(value);
                    self.image.args.push(named);
                }
            }
            Instruction::Env(env) => {
                for named in self.names(&env.arguments.value, &env.arguments.span, false) {
                    let value = expand(&named.value, &self.values);
                    self.values.insert(named.name.clone(), value);
                    self.image.env.push(named);
                }
            }
            Instruction::Workdir(workdir) => {
                let value = &workdir.arguments.value;
                let before = self
                    .image
                    .workdir
                    .take()
                    .filter(|_| !value.starts_with(['/', '$']));
                let path = before.map_or_else(
                    || value.to_string(),
                    |before| format!("{}/{value}", before.text.trim_end_matches('/')),
                );
                self.image.workdir = Some(self.text(&path, &workdir.arguments.span));
            }
            Instruction::User(user) => {
                self.image.user = Some(self.text(&user.arguments.value, &user.arguments.span));
            }
            Instruction::Expose(expose) => {
                for port in &expose.arguments {
                    let text = self.text(&port.value, &port.span);
                    self.image.expose.push(text);
                }
            }
            Instruction::Entrypoint(entrypoint) => {
                self.image.entrypoint = Some(self.command(&entrypoint.arguments));
                self.image.cmd = None;
            }
            Instruction::Cmd(cmd) => self.image.cmd = Some(self.command(&cmd.arguments)),
            Instruction::Copy(copy) => self.copied(
                &copy.options,
                &copy.src,
                &copy.dest.value,
                copy.copy.span.clone(),
            ),
            Instruction::Add(add) => self.copied(
                &add.options,
                &add.src,
                &add.dest.value,
                add.add.span.clone(),
            ),
            Instruction::Run(run) => {
                for option in &run.options {
                    self.mount(option);
                }
                match &run.arguments {
                    DockerCommand::Shell(text) => self.run(text.value, text.span.start),
                    DockerCommand::Exec(words) => {
                        self.run(&joined(&words.value), words.span.start);
                    }
                    _ => {}
                }
                for document in &run.here_docs {
                    self.run(&document.value, document.span.start);
                }
            }
            Instruction::Healthcheck(check) => {
                let line = self.source.text[check.healthcheck.span.start..]
                    .lines()
                    .next()
                    .unwrap_or_default();
                self.image.healthcheck = Some(self.text(line, &check.healthcheck.span));
            }
            Instruction::Volume(volume) => {
                use parse_dockerfile::JsonOrStringArray as Words;
                let words: Vec<_> = match &volume.arguments {
                    Words::Json(words) => words.value.iter().collect(),
                    Words::String(words) => words.iter().collect(),
                };
                for word in words {
                    let text = self.text(&word.value, &word.span);
                    self.image.volumes.push(text);
                }
            }
            _ => {}
        }
    }

    fn command(&self, command: &DockerCommand<'_>) -> Text {
        match command {
            DockerCommand::Exec(words) => self.text(&joined(&words.value), &words.span),
            DockerCommand::Shell(text) => self.text(text.value.trim(), &text.span),
            _ => self.text("", &(0..0)),
        }
    }

    fn run(&mut self, text: &str, base: usize) {
        self.image.runs.push(Run {
            script: shell::parse(text),
            base,
        });
    }

    fn copied(
        &mut self,
        options: &[Flag<'_>],
        from: &[CopySource<'_>],
        dest: &str,
        span: Range<usize>,
    ) {
        let stage = options
            .iter()
            .find(|o| &*o.name.value == "from")
            .and_then(|o| o.value.as_ref())
            .map(|v| v.value.to_string());
        let mut sources = Vec::new();
        for source in from {
            if let CopySource::Path(path) = source {
                sources.push(path.value.to_string());
            }
        }
        let place = self.place(&span);
        self.image.copies.push(Copy {
            sources,
            dest: dest.to_owned(),
            from: stage,
            workdir: self.image.workdir.as_ref().map(|text| text.text.clone()),
            place,
        });
    }

    fn mount(&mut self, option: &Flag<'_>) {
        let (true, Some(value)) = (&*option.name.value == "mount", &option.value) else {
            return;
        };
        let part = |key: &str| {
            value.value.split(',').find_map(|part| {
                let (name, value) = part.split_once('=')?;
                (name == key).then(|| value.to_owned())
            })
        };
        let kind = part("type").unwrap_or_else(|| "bind".to_owned());
        let name = ["id", "target", "dst", "destination"]
            .iter()
            .find_map(|key| part(key));
        let place = self.place(&value.span);
        self.image.mounts.push(Mount {
            kind,
            name: name.unwrap_or_default(),
            place,
        });
    }

    /// The names of an ARG or ENV line, with their own places.
    fn names(&self, text: &str, span: &Span, arg: bool) -> Vec<Named> {
        let written = self.source.text.get(span.clone()).unwrap_or_default();
        let mut from = 0;
        let mut out = Vec::new();
        for (name, value) in pairs(text, arg) {
            let at = written[from..].find(&name).map_or(from, |at| from + at);
            from = (at + name.len()).min(written.len());
            while !written.is_char_boundary(from) {
                from += 1;
            }
            out.push(Named {
                place: self.source.place(span.start + at..span.start + from),
                name,
                value,
            });
        }
        out
    }
}

/// `A=1 B="x y"`, or the old form `A value to the end`, or for ARG a name alone.
fn pairs(text: &str, arg: bool) -> Vec<(String, String)> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !arg && !first.contains('=') {
        let rest = text.trim_start()[first.len()..].trim();
        return vec![(first.to_owned(), rest.to_owned())];
    }
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut word = String::new();
        let mut quote = None;
        while let Some(&c) = chars.peek() {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            chars.next();
            match (c, quote) {
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('\\', _) if quote != Some('\'') => match chars.next() {
                    Some('\n') | None => {}
                    Some(next) => word.push(next),
                },
                (c, _) => word.push(c),
            }
        }
        if word.is_empty() {
            if chars.peek().is_none() {
                return out;
            }
            continue;
        }
        let (name, value) = word.split_once('=').unwrap_or((&word, ""));
        out.push((name.to_owned(), value.to_owned()));
    }
}

/// `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` with what is known of the names.
pub fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (inside, after) = if let Some(braced) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = braced.char_indices().find(|&(_, c)| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0
            });
            match end {
                Some((end, _)) => (&braced[..end], &braced[end + 1..]),
                None => (braced, ""),
            }
        } else {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            rest.split_at(end)
        };
        let name_end = inside
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(inside.len());
        let (name, operator) = inside.split_at(name_end);
        let value = values.get(name).filter(|v| !v.is_empty());
        if let Some(other) = operator.strip_prefix(":+") {
            if value.is_some() {
                out.push_str(&expand(other, values));
            }
        } else if let Some(value) = value {
            out.push_str(value);
        } else if let Some(default) = operator.strip_prefix(":-").or(operator.strip_prefix('-')) {
            out.push_str(&expand(default, values));
        } else if !values.contains_key(name) {
            out.push('$');
            out.push_str(name);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The words of the JSON form as a line.
fn joined(words: &[UnescapedString<'_>]) -> String {
    let words: Vec<&str> = words.iter().map(|word| &*word.value).collect();
    words.join(" ")
}

/// Arguments that every build takes.
pub fn is_predefined(name: &str) -> bool {
    let upper = name.to_uppercase();
    upper.starts_with("BUILDKIT_")
        || upper == "SOURCE_DATE_EPOCH"
        || ["HTTP", "HTTPS", "FTP", "NO", "ALL"]
            .iter()
            .any(|kind| upper == format!("{kind}_PROXY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> Image {
        read(&Source::new("Dockerfile".into(), text.as_bytes())).unwrap()
    }

    #[test]
    fn an_image_with_arguments_and_stages() {
        let image = image(
            "ARG BASE=lmsysorg/sglang:v0.4.6.post4-cu124\nFROM busybox AS other\nENV LOST=1\nFROM ${BASE} AS first\nENV KEPT=1\nFROM first\nARG MODEL=\"\"\nENV A=$MODEL \\\n    B=\"x y\" C='z'\nENV OLD form here\nWORKDIR /w\nEXPOSE 8000 9000/udp\nUSER me\nCOPY --from=other /a /b\nCOPY src /src\nRUN --mount=type=secret,id=HF_TOKEN,required=false --mount=type=cache,target=/c pip install ray\nENTRYPOINT [\"a\", \"b\"]\nCMD python3 handler.py\n",
        );
        assert_eq!(
            image.base.as_ref().unwrap().text,
            "lmsysorg/sglang:v0.4.6.post4-cu124"
        );
        assert_eq!(image.sglang().as_deref(), Some("0.4.6.post4"));
        assert_eq!(image.cuda().as_deref(), Some("12.4"));
        let env: Vec<_> = image
            .env
            .iter()
            .map(|e| format!("{}={}", e.name, e.value))
            .collect();
        assert_eq!(env, ["KEPT=1", "A=$MODEL", "B=x y", "C=z", "OLD=form here"]);
        assert_eq!(image.env[2].place.line, 9);
        assert_eq!(image.mounts.len(), 2);
        assert_eq!(image.mounts[0].name, "HF_TOKEN");
        assert_eq!(image.cmd.as_ref().unwrap().text, "python3 handler.py");
        assert_eq!(image.entrypoint.as_ref().unwrap().text, "a b");
        assert_eq!(image.expose.len(), 2);
        assert_eq!(image.copies[1].sources, ["src"]);
        assert_eq!(image.copies[0].from.as_deref(), Some("other"));
        assert_eq!(image.runs.len(), 1);
    }

    #[test]
    fn an_argument_that_is_given_replaces_the_default() {
        let source = Source::new("Dockerfile".into(), b"ARG B=x:1\nFROM ${B}\n");
        let given = BTreeMap::from([("B".to_owned(), "y:2".to_owned())]);
        assert_eq!(read_with(&source, given).unwrap().base.unwrap().text, "y:2");
    }

    #[test]
    fn cuda_is_read_from_many_kinds_of_tag() {
        let cuda = |base: &str| image(&format!("FROM {base}\n")).cuda();
        assert_eq!(
            cuda("nvidia/cuda:12.1.0-base-ubuntu22.04").as_deref(),
            Some("12.1")
        );
        assert_eq!(
            cuda("lmsysorg/sglang:v0.5.19-cu129").as_deref(),
            Some("12.9")
        );
        for (tag, version) in [
            ("runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", "12.8"),
            ("runpod/base:1.0.2-cuda1290", "12.9"),
            ("vllm/vllm-openai:v0.9-cu1241", "12.4"),
        ] {
            assert_eq!(cuda(tag).as_deref(), Some(version));
        }
        assert_eq!(cuda("lmsysorg/sglang:v0.5.21").as_deref(), Some("13.0"));
        assert_eq!(
            cuda("pytorch/pytorch:2.4.1-cuda12.4-cudnn9-devel").as_deref(),
            Some("12.4")
        );
        assert_eq!(cuda("python:3.12"), None);
    }

    #[test]
    fn a_broken_file_is_a_gap_with_its_place() {
        let gap = read(&Source::new("Dockerfile".into(), b"FROM a\nNONSENSE b\n")).unwrap_err();
        assert!(gap.what.contains("cannot be read"), "{gap:?}");
        assert_eq!(gap.place.line, 2);
    }

    #[test]
    fn arguments_are_filled_in() {
        let values = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        assert_eq!(
            expand("$A ${A}x ${B:-2} ${E:-3} ${A:+4} $E$B", &values),
            "1 1x 2 3 4 $B"
        );
        assert_eq!(expand("${E:-${A}} ${A:+:$A}", &values), "1 :1");
        assert_eq!(expand("${", &values), "$");
    }
}
