//! Instruction by instruction: each is understood, or is reported by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::shell::{self, Script};
use super::expand::try_expand;
use super::split::{Instruction, clean, split, words};
use super::{Copy, Hides, Image, Mount, Named, Place, Reading, Run, Source, Step, Text, Unread};

/// Reads a Dockerfile, with every argument at its default.
pub fn read(source: &Source) -> Reading<Image> {
    read_with(source, BTreeMap::new())
}

/// Reads a Dockerfile as a build with these arguments would.
pub fn read_with(source: &Source, given: BTreeMap<String, String>) -> Reading<Image> {
    read_on(source, given, None)
}

/// The same on a base image whose WORKDIR is known.
pub fn read_on(
    source: &Source,
    given: BTreeMap<String, String>,
    workdir: Option<&str>,
) -> Reading<Image> {
    let split = split(&source.text);
    let place = source.place(0..0);
    let workdir = workdir.map(|text| Text {
        text: text.to_owned(),
        place,
    });
    let mut reader = Reader {
        source,
        escape: split.escape,
        image: Image {
            workdir,
            ..Image::default()
        },
        values: given,
        exhausted: false,
        starts: Starts::default(),
        unread: Vec::new(),
    };
    let stages = Stages::new(&split.instructions, split.escape);
    for instruction in stages.first(&split.instructions) {
        reader.instruction(instruction);
    }
    let global = reader.values.clone();
    let chain = stages.chain();
    for &stage in &chain {
        for instruction in stages.of(&split.instructions, stage) {
            reader.instruction(instruction);
        }
    }
    if chain.is_empty() && !source.text.trim().is_empty() {
        let what = "the Dockerfile names no base image: FROM is missing";
        reader
            .unread
            .push(source.unread(0..0, what, &[Hides::Image, Hides::Packages]));
    }
    reader.started();
    let mut image = std::mem::take(&mut reader.image);
    let mut workdirs: BTreeMap<usize, Option<Text>> = BTreeMap::new();
    for stage in stages.parts(&chain) {
        reader.values.clone_from(&global);
        reader.image.workdir = stages
            .below(stage)
            .and_then(|below| workdirs.get(&below).cloned()?);
        for instruction in stages.of(&split.instructions, stage) {
            reader.instruction(instruction);
        }
        workdirs.insert(stage, reader.image.workdir.clone());
        image.parts.push(std::mem::take(&mut reader.image));
    }
    Reading::new(image, reader.unread)
}

/// Where the stages begin, what they are called, and what they are built on and copy from.
struct Stages {
    starts: Vec<usize>,
    end: usize,
    /// The stages of each name, in order.
    names: BTreeMap<String, Vec<usize>>,
    bases: Vec<String>,
    copied: Vec<Vec<String>>,
}

impl Stages {
    fn new(all: &[Instruction], escape: u8) -> Self {
        let mut stages = Self {
            starts: Vec::new(),
            end: all.len(),
            names: BTreeMap::new(),
            bases: Vec::new(),
            copied: Vec::new(),
        };
        for (index, instruction) in all.iter().enumerate() {
            match instruction.keyword.as_str() {
                "FROM" => {
                    let found = words(&instruction.text, escape);
                    let mut found = found.iter().filter(|word| !word.text.starts_with("--"));
                    let base = found.next().map(|word| word.text.to_lowercase());
                    let named = found
                        .next()
                        .is_some_and(|word| word.text.eq_ignore_ascii_case("as"));
                    stages.starts.push(index);
                    stages.bases.push(base.unwrap_or_default());
                    stages.copied.push(Vec::new());
                    let name = found.next().map(|word| word.text.to_lowercase());
                    if let Some(name) = name.filter(|_| named) {
                        let stage = stages.starts.len() - 1;
                        stages.names.entry(name).or_default().push(stage);
                    }
                }
                "COPY" | "RUN" => {
                    let Some(copied) = stages.copied.last_mut() else {
                        continue;
                    };
                    for option in instruction.options(escape).0 {
                        let from = option.text.strip_prefix("--from=").map(str::to_owned);
                        let mount = || part(option.text.strip_prefix("--mount=")?, &["from"]);
                        copied.extend(from.or_else(mount));
                    }
                }
                _ => {}
            }
        }
        stages
    }

    fn first<'a>(&self, all: &'a [Instruction]) -> &'a [Instruction] {
        &all[..self.starts.first().copied().unwrap_or(all.len())]
    }

    fn of<'a>(&self, all: &'a [Instruction], stage: usize) -> &'a [Instruction] {
        let end = self.starts.get(stage + 1).copied().unwrap_or(self.end);
        &all[self.starts[stage]..end]
    }

    /// The stage of that name before another one.
    fn called(&self, name: &str, before: usize) -> Option<usize> {
        let stages = self.names.get(name)?;
        let count = stages.partition_point(|&stage| stage < before);
        count.checked_sub(1).map(|at| stages[at])
    }

    /// The stage that another one copies from.
    fn named(&self, name: &str, before: usize) -> Option<usize> {
        let lower = name.to_lowercase();
        self.called(&lower, before)
            .or_else(|| lower.parse().ok().filter(|&number: &usize| number < before))
    }

    /// The stage that this one is built on.
    fn below(&self, stage: usize) -> Option<usize> {
        self.called(&self.bases[stage], stage)
    }

    /// The last stage behind those that it is built on.
    fn chain(&self) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut current = self.starts.len().checked_sub(1);
        while let Some(stage) = current {
            chain.push(stage);
            current = self.below(stage);
        }
        chain.reverse();
        chain
    }

    /// The other stages that the image's files come from, in order.
    fn parts(&self, chain: &[usize]) -> BTreeSet<usize> {
        let in_chain: BTreeSet<usize> = chain.iter().copied().collect();
        let mut parts = BTreeSet::new();
        let mut open = chain.to_vec();
        while let Some(stage) = open.pop() {
            let copied = self.copied[stage]
                .iter()
                .filter_map(|name| self.named(name, stage));
            let below = self.below(stage).filter(|_| !in_chain.contains(&stage));
            for next in copied.chain(below) {
                if !in_chain.contains(&next) && parts.insert(next) {
                    open.push(next);
                }
            }
        }
        parts
    }
}

/// ENTRYPOINT and CMD: as words, or as a line with its place.
#[derive(Default)]
struct Starts {
    entrypoint: Option<Start>,
    cmd: Option<Start>,
    healthcheck: Option<Start>,
    /// Whether CMD stands in the stage that is read.
    own_cmd: bool,
}

enum Start {
    Words(Vec<String>, Range<usize>),
    Line(String, usize),
}

struct Reader<'s> {
    source: &'s Source,
    escape: u8,
    image: Image,
    /// What ARG and ENV hold so far.
    values: BTreeMap<String, String>,
    /// Whether values grew beyond all measure: from then on none is filled in.
    exhausted: bool,
    starts: Starts,
    unread: Vec<Unread>,
}

impl Reader<'_> {
    fn text(&self, text: impl Into<String>, range: Range<usize>) -> Text {
        Text {
            text: text.into(),
            place: self.source.place(range),
        }
    }

    fn not_read(&mut self, instruction: &Instruction, what: impl Into<String>, hides: &[Hides]) {
        let unread = self.source.unread(instruction.range.clone(), what, hides);
        self.unread.push(unread);
    }

    /// The text with variables filled in. What cannot be is reported once.
    fn expand(&mut self, text: &str, instruction: &Instruction) -> String {
        if self.exhausted {
            return text.to_owned();
        }
        try_expand(text, &self.values).unwrap_or_else(|| {
            self.exhausted = true;
            let what = "the value grows beyond all measure or is nested too deeply; from here on \
                        variables are not filled in";
            self.not_read(instruction, what, &[Hides::Image, Hides::Packages]);
            text.to_owned()
        })
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let range = instruction.start..instruction.start + instruction.line_end;
        let line = instruction.line();
        let is_bare = line.is_empty();
        match instruction.keyword.as_str() {
            "FROM" if !is_bare => self.from(instruction),
            "ARG" if !is_bare => self.arg(instruction),
            "ENV" if !is_bare => self.env(instruction),
            "LABEL" if !is_bare => {
                let labels = self.pairs(instruction);
                self.image.labels.extend(labels);
            }
            "WORKDIR" if !is_bare => self.workdir(instruction, &line, range),
            "USER" if !is_bare => self.image.user = Some(self.trimmed(instruction)),
            "STOPSIGNAL" if !is_bare => self.image.stopsignal = Some(self.trimmed(instruction)),
            "SHELL" if instruction.json(0).is_some() => {
                let words = instruction.json(0).unwrap_or_default();
                self.image.shell = Some(self.text(words.join(" "), range));
            }
            "EXPOSE" if !is_bare => {
                for word in words(&instruction.text, self.escape) {
                    let text = self.text(word.text, offset(&word.range, instruction.start));
                    self.image.expose.push(text);
                }
            }
            "VOLUME" if !is_bare => {
                let volumes: Vec<Text> = match instruction.json(0) {
                    Some(paths) => paths
                        .into_iter()
                        .map(|path| self.text(path, range.clone()))
                        .collect(),
                    None => words(&instruction.text, self.escape)
                        .into_iter()
                        .map(|word| self.text(word.text, offset(&word.range, instruction.start)))
                        .collect(),
                };
                self.image.volumes.extend(volumes);
            }
            "ENTRYPOINT" => {
                self.starts.entrypoint = Some(Self::start(instruction, 0));
                self.image.entrypoint = Some(self.command(instruction));
                if !self.starts.own_cmd {
                    self.image.cmd = None;
                    self.starts.cmd = None;
                }
            }
            "CMD" => {
                self.starts.cmd = Some(Self::start(instruction, 0));
                self.starts.own_cmd = true;
                self.image.cmd = Some(self.command(instruction));
            }
            "HEALTHCHECK" if !is_bare => {
                self.image.healthcheck = Some(self.trimmed(instruction));
                let at = instruction.options(self.escape).1;
                let rest = &instruction.text[at..];
                let is_command = rest
                    .get(..3)
                    .is_some_and(|word| word.eq_ignore_ascii_case("CMD"));
                self.starts.healthcheck = is_command.then(|| Self::start(instruction, at + 3));
            }
            "COPY" | "ADD" if !is_bare => self.copy(instruction),
            "RUN" if !is_bare => self.run(instruction),
            // For images that are built on this one.
            "ONBUILD" | "MAINTAINER" => {}
            keyword => {
                let what = match keyword {
                    "FROM" | "ARG" | "ENV" | "LABEL" | "WORKDIR" | "USER" | "STOPSIGNAL"
                    | "EXPOSE" | "VOLUME" | "HEALTHCHECK" | "COPY" | "ADD" | "RUN" | "SHELL" => {
                        format!("{keyword} lacks what it is about")
                    }
                    keyword => format!("`{}` is no instruction of a Dockerfile", short(keyword)),
                };
                self.not_read(instruction, what, &[Hides::Image, Hides::Packages]);
            }
        }
    }

    /// The arguments with the place of what is written.
    fn trimmed(&self, instruction: &Instruction) -> Text {
        let text = &instruction.text[..instruction.line_end];
        let blank = |c: char| c.is_whitespace() || c == '\0';
        let from = text.len() - text.trim_start_matches(blank).len();
        let to = text.trim_end_matches(blank).len().max(from);
        self.text(
            clean(&text[from..to]),
            instruction.start + from..instruction.start + to,
        )
    }

    fn from(&mut self, instruction: &Instruction) {
        let found = words(&instruction.text, self.escape);
        let Some(base) = found.iter().find(|word| !word.text.starts_with("--")) else {
            let what = "FROM names no image";
            return self.not_read(instruction, what, &[Hides::Image]);
        };
        self.starts.own_cmd = false;
        let image = self.expand(&base.text, instruction);
        // A stage built on an earlier one keeps the base of that one.
        let named = self.image.base.is_some() && !image.contains(['/', ':']);
        if !named {
            self.image.base = Some(self.text(image, offset(&base.range, instruction.start)));
        }
    }

    fn arg(&mut self, instruction: &Instruction) {
        for named in self.pairs(instruction) {
            if named.value.is_empty() {
                self.values.entry(named.name.clone()).or_default();
            } else if !self.values.contains_key(&named.name) {
                let value = self.expand(&named.value, instruction);
                self.values.insert(named.name.clone(), value);
            }
            self.image.args.push(named);
        }
    }

    fn env(&mut self, instruction: &Instruction) {
        let pairs = self.pairs(instruction);
        // All values of a line see what was set before it.
        let mut values = Vec::new();
        for named in pairs {
            values.push((named.name.clone(), self.expand(&named.value, instruction)));
            self.image.env.push(named);
        }
        if !self.exhausted {
            self.values.extend(values);
        }
    }

    /// `A=1 B="x y"`, or the old form `A value to the end`, or for ARG a name alone.
    fn pairs(&mut self, instruction: &Instruction) -> Vec<Named> {
        let found = words(&instruction.text, self.escape);
        let place = |range: &Range<usize>| self.source.place(offset(range, instruction.start));
        let first = &found[0];
        if instruction.keyword != "ARG" && !first.text.contains('=') {
            let value = clean(&instruction.text[first.range.end..instruction.line_end]);
            if value.trim().is_empty() {
                let what = format!(
                    "{} sets no value for {}",
                    instruction.keyword,
                    short(&first.text)
                );
                self.not_read(instruction, what, &[Hides::Image]);
                return Vec::new();
            }
            return vec![Named {
                name: first.text.clone(),
                value: value.trim().to_owned(),
                place: place(&first.range),
            }];
        }
        let named = |word: &super::split::Word| {
            let (name, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
            let end = (word.range.start + name.len()).min(word.range.end);
            Named {
                name: name.to_owned(),
                value: value.to_owned(),
                place: place(&(word.range.start..end)),
            }
        };
        let is_comment = |word: &&super::split::Word| word.text.starts_with('#');
        found
            .iter()
            .take_while(|word| !is_comment(word))
            .map(named)
            .collect()
    }

    fn workdir(&mut self, instruction: &Instruction, line: &str, range: Range<usize>) {
        let value = self.expand(line.trim_matches(['"', '\'']), instruction);
        let before = self
            .image
            .workdir
            .take()
            .filter(|_| !value.starts_with(['/', '$']));
        let path = before.map_or_else(
            || value.clone(),
            |before| format!("{}/{value}", before.text.trim_end_matches('/')),
        );
        self.image.workdir = Some(self.text(path, range));
    }

    fn command(&self, instruction: &Instruction) -> Text {
        match instruction.json(0) {
            Some(words) => Text {
                text: words.join(" "),
                ..self.trimmed(instruction)
            },
            None => self.trimmed(instruction),
        }
    }

    fn start(instruction: &Instruction, at: usize) -> Start {
        match instruction.json(at) {
            Some(words) => Start::Words(words, 0..instruction.line_end),
            None => Start::Line(instruction.text[at..].to_owned(), at),
        }
        .at(instruction.start)
    }

    /// What the container runs, as scripts.
    fn started(&mut self) {
        let starts = std::mem::take(&mut self.starts);
        let workdir = self.image.workdir.as_ref().map(|text| text.text.clone());
        let entrypoint_is_line = matches!(starts.entrypoint, Some(Start::Line(..)));
        let runs: Vec<Start> = match (starts.entrypoint, starts.cmd) {
            (Some(Start::Words(mut words, range)), Some(Start::Words(more, other))) => {
                let range = if words.is_empty() { other } else { range };
                words.extend(more);
                vec![Start::Words(words, range)]
            }
            // A shell form ENTRYPOINT takes no arguments.
            (entrypoint, _) if entrypoint_is_line => entrypoint.into_iter().collect(),
            (entrypoint, cmd) => entrypoint.into_iter().chain(cmd).collect(),
        };
        for start in runs.into_iter().chain(starts.healthcheck) {
            let (script, base, at) = match start {
                Start::Words(words, range) => {
                    let inner = 0..range.len();
                    (shell::exec(&words, &inner), range.start, range)
                }
                Start::Line(line, base) => (shell::parse(&line), base, base..base + line.len()),
            };
            for (range, what) in &script.unread {
                let hides = [Hides::Variables, Hides::Flags];
                let unread = self.source.unread(offset(range, base), *what, &hides);
                self.unread.push(unread);
            }
            let place = self.source.place(at);
            self.image.started.push(Run {
                script,
                base,
                workdir: workdir.clone(),
                place,
            });
        }
    }

    fn copy(&mut self, instruction: &Instruction) {
        let (options, at) = instruction.options(self.escape);
        let option = |name: &str| {
            let mut values = options
                .iter()
                .filter_map(|o| o.text.strip_prefix(name)?.strip_prefix('='));
            values.next().map(str::to_owned)
        };
        let mut sources = instruction.json(at).unwrap_or_else(|| {
            let rest = &instruction.text[at..instruction.line_end];
            words(rest, self.escape)
                .into_iter()
                .map(|word| word.text)
                .collect()
        });
        let Some(dest) = sources.pop().filter(|_| !sources.is_empty()) else {
            let what = format!("{} names no source or no target", instruction.keyword);
            return self.not_read(instruction, what, &[Hides::Image]);
        };
        sources.retain(|source| {
            let is_document = source
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .starts_with("<<");
            !is_document
        });
        let place = self
            .source
            .place(instruction.range.start..instruction.start + instruction.line_end);
        let from = option("--from");
        let is_url = |source: &String| source.contains("://") || source.starts_with("git@");
        if from.is_some() || sources.iter().any(is_url) || !instruction.documents.is_empty() {
            let words = from
                .iter()
                .map(|from| format!("--from={from}"))
                .chain(sources.clone());
            let words: Vec<String> = words.chain([dest.clone()]).collect();
            self.image.steps.push(Step {
                commands: vec![format!("{} {}", instruction.keyword, words.join(" "))],
                place: place.clone(),
            });
        }
        sources.retain(|source| !is_url(source));
        if sources.is_empty() && from.is_none() {
            return;
        }
        let paths = sources
            .iter()
            .map(|source| self.expand(source, instruction))
            .collect();
        let target = self.expand(&dest, instruction);
        let workdir = self.image.workdir.as_ref().map(|text| text.text.clone());
        let excludes = options
            .iter()
            .filter_map(|o| o.text.strip_prefix("--exclude="));
        self.image.copies.push(Copy {
            sources,
            dest,
            from,
            target: in_image(&target, workdir.as_deref()),
            workdir,
            paths,
            parents: options
                .iter()
                .any(|o| o.text == "--parents" || o.text == "--parents=true"),
            excludes: excludes.map(str::to_owned).collect(),
            place,
        });
    }

    fn run(&mut self, instruction: &Instruction) {
        let (options, at) = instruction.options(self.escape);
        for option in &options {
            if let Some(value) = option.text.strip_prefix("--mount=") {
                self.mount(value, offset(&option.range, instruction.start));
            }
        }
        for document in instruction
            .documents
            .iter()
            .filter(|document| !document.ends)
        {
            let what = format!("the here-document {} never ends", short(&document.name));
            let unread = self
                .source
                .unread(document.body.clone(), what, &[Hides::Packages]);
            self.unread.push(unread);
        }
        let shell = self
            .image
            .shell
            .as_ref()
            .map_or("sh", |shell| shell.text.as_str());
        let script = match instruction.json(at) {
            Some(words) => shell::exec(&words, &(at..instruction.line_end)),
            None if shell.contains("powershell")
                || shell.contains("cmd")
                || shell.contains("pwsh") =>
            {
                let what = "this shell's language is not read";
                return self.not_read(instruction, what, &[Hides::Packages]);
            }
            None => {
                let text = format!("{}{}", " ".repeat(at), &instruction.text[at..]);
                let used = shell::variables(&text);
                let known = used
                    .iter()
                    .filter_map(|(name, _)| self.values.get_key_value(name));
                let known = known.filter(|(_, value)| !value.is_empty());
                let known = known
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                shell::parse_with(&text, &known)
            }
        };
        self.script_unread(instruction, &script);
        let place = self
            .source
            .place(instruction.range.start..instruction.start + instruction.line_end);
        let workdir = self.image.workdir.as_ref().map(|text| text.text.clone());
        self.image.runs.push(Run {
            script,
            base: instruction.start,
            workdir,
            place,
        });
    }

    fn script_unread(&mut self, instruction: &Instruction, script: &Script) {
        for (range, what) in &script.unread {
            let at = offset(range, instruction.start);
            self.unread
                .push(self.source.unread(at, *what, &[Hides::Packages]));
        }
    }

    fn mount(&mut self, value: &str, range: Range<usize>) {
        let kind = part(value, &["type"]).unwrap_or_else(|| "bind".to_owned());
        let name = part(value, &["id", "target", "dst", "destination"]);
        let from = part(value, &["from"]);
        let source = (kind == "bind" && from.is_none())
            .then(|| part(value, &["source", "src"]).unwrap_or_else(|| ".".to_owned()));
        let place: Place = self.source.place(range);
        self.image.mounts.push(Mount {
            kind,
            name: name.unwrap_or_default(),
            source,
            place,
        });
    }
}

impl Start {
    fn at(self, base: usize) -> Self {
        match self {
            Self::Words(words, range) => Self::Words(words, range.start + base..range.end + base),
            Self::Line(line, at) => Self::Line(line, at + base),
        }
    }
}

/// The value of the first of these keys in a mount's list.
fn part(value: &str, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| {
        value.split(',').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            (name == *key).then(|| value.to_owned())
        })
    })
}

fn offset(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A path of the image without the first slash, dots taken out. A slash at the end stays.
fn in_image(path: &str, workdir: Option<&str>) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", workdir.unwrap_or("/"))
    };
    let is_folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let mut plain = crate::read::clean(&joined);
    if is_folder && !plain.is_empty() {
        plain.push('/');
    }
    plain
}
