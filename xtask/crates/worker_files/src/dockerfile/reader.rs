//! Instruction by instruction: each is understood, or is reported by itself.

use std::collections::BTreeMap;
use std::ops::Range;

use super::copy::in_image;
use super::expand::{Values, try_expand};
use super::stages::Stages;
use super::{
    Hides, Image, Instruction, Mount, Named, Reading, Run, Source, Step, Text, Unread, clean, split,
};
use crate::shell::{self, Script, Word};
use crate::source::one_line;
use xtask_core::output::cut;

/// Instructions that mean nothing without arguments.
const ABOUT_SOMETHING: &str = "FROM ARG ENV LABEL WORKDIR USER STOPSIGNAL EXPOSE VOLUME \
                               HEALTHCHECK COPY ADD RUN";

const BUILD: [Hides; 2] = [Hides::Image, Hides::Packages];

/// Reads a Dockerfile, with every argument at its default.
pub fn read(source: &Source) -> Reading<Image> {
    read_on(source, BTreeMap::new(), None)
}

/// Reads a Dockerfile as a build with these arguments would, on a base image with this WORKDIR.
pub fn read_on(source: &Source, given: Values, workdir: Option<&str>) -> Reading<Image> {
    let instructions = split(&source.text);
    let stages = Stages::new(&instructions, &given);
    let mut reader = DockerfileReader {
        source,
        image: Image::default(),
        values: BTreeMap::new(),
        given,
        global: BTreeMap::new(),
        exhausted: false,
        stages: &stages,
        stage: 0,
        starts: Starts::default(),
        set: BTreeMap::new(),
        unread: Vec::new(),
    };
    reader.image.workdir = workdir.map(|text| reader.text(text, 0..0));
    reader.read(&instructions[..stages.first]);
    reader.global = std::mem::take(&mut reader.values);
    let chain = stages.chain();
    for &stage in &chain {
        reader.stage = stage;
        reader.read(&instructions[stages.all[stage].range.clone()]);
    }
    if chain.is_empty() && !source.text.trim().is_empty() {
        let what = "the Dockerfile names no base image: FROM is missing";
        reader.not_read(0..0, what, &BUILD);
    }
    reader.started();
    let mut image = std::mem::take(&mut reader.image);
    let mut workdirs: BTreeMap<usize, Option<Text>> = BTreeMap::new();
    for stage in stages.parts(&chain) {
        reader.stage = stage;
        reader.values.clear();
        reader.set.clear();
        let below = stages.below(stage);
        reader.image.workdir = below.and_then(|below| workdirs.get(&below).cloned()?);
        reader.read(&instructions[stages.all[stage].range.clone()]);
        workdirs.insert(stage, reader.image.workdir.clone());
        image.parts.push(std::mem::take(&mut reader.image));
    }
    Reading::new(image, reader.unread)
}

/// What the container runs, as scripts with where they begin in the file.
#[derive(Default)]
struct Starts {
    entrypoint: Option<Start>,
    cmd: Option<Start>,
    healthcheck: Option<Start>,
    own_cmd: bool,
}

enum Start {
    Words(Vec<String>, Range<usize>),
    Line(String, usize),
}

impl Start {
    fn new(instruction: &Instruction, at: usize) -> Self {
        match instruction.json(at) {
            Some(words) => Self::Words(words, instruction.arguments()),
            None => Self::Line(instruction.text[at..].to_owned(), instruction.start + at),
        }
    }
}

pub struct DockerfileReader<'s> {
    pub source: &'s Source,
    pub image: Image,
    values: Values,
    /// What an ARG of a stage takes up: what the build is given, and the arguments before FROM.
    given: Values,
    global: Values,
    /// Whether values grew beyond all measure: from then on none is filled in.
    exhausted: bool,
    pub stages: &'s Stages,
    pub stage: usize,
    starts: Starts,
    /// What ENV has set so far, with what the build is given by its name.
    set: Values,
    unread: Vec<Unread>,
}

impl DockerfileReader<'_> {
    fn read(&mut self, instructions: &[Instruction]) {
        for instruction in instructions {
            self.instruction(instruction);
        }
    }

    fn text(&self, text: impl Into<String>, range: Range<usize>) -> Text {
        Text::new(text, self.source.place(range))
    }

    pub fn not_read(&mut self, range: Range<usize>, what: impl Into<String>, hides: &[Hides]) {
        self.unread.push(self.source.unread(range, what, hides));
    }

    /// The text with variables filled in. What cannot be is reported once.
    pub fn expand(&mut self, text: &str, instruction: &Instruction) -> String {
        if self.exhausted {
            return text.to_owned();
        }
        try_expand(text, &self.values).unwrap_or_else(|| {
            self.exhausted = true;
            let what = "the value grows beyond all measure or is nested too deeply; from here on \
                        variables are not filled in";
            self.not_read(instruction.range.clone(), what, &BUILD);
            text.to_owned()
        })
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let range = instruction.arguments();
        let json = instruction.json(0);
        let keyword = instruction.keyword.as_str();
        let needs_arguments = crate::is_one_of(ABOUT_SOMETHING, keyword);
        if needs_arguments && instruction.line().is_empty() || keyword == "SHELL" && json.is_none()
        {
            let what = format!("{keyword} lacks what it is about");
            return self.not_read(instruction.range.clone(), what, &BUILD);
        }
        match keyword {
            "FROM" => self.from(instruction),
            "ARG" => self.arg(instruction),
            "ENV" => self.env(instruction),
            "LABEL" => {
                let labels = self.pairs(instruction);
                self.image.labels.extend(labels);
            }
            "WORKDIR" => self.workdir(instruction, range),
            "USER" => self.image.user = Some(self.trimmed(instruction)),
            "STOPSIGNAL" => self.image.stopsignal = Some(self.trimmed(instruction)),
            "SHELL" => {
                let words = json.unwrap_or_default().join(" ");
                self.image.shell = Some(self.text(words, range));
            }
            "EXPOSE" => {
                for word in instruction.words(0) {
                    let port = self.expand(&word.text, instruction);
                    // A port without a protocol is one of TCP.
                    let port = self.text(port.trim_end_matches("/tcp"), word.range);
                    self.image.expose.push(port);
                }
            }
            "VOLUME" => {
                for word in instruction.words(0) {
                    let whole = json.is_some().then(|| range.clone());
                    let volume = self.text(word.text, whole.unwrap_or(word.range));
                    self.image.volumes.push(volume);
                }
            }
            "ENTRYPOINT" => {
                self.starts.entrypoint = Some(Start::new(instruction, 0));
                self.image.entrypoint = Some(self.command(instruction));
                if !self.starts.own_cmd {
                    self.image.cmd = None;
                    self.starts.cmd = None;
                }
            }
            "CMD" => {
                self.starts.cmd = Some(Start::new(instruction, 0));
                self.starts.own_cmd = true;
                self.image.cmd = Some(self.command(instruction));
            }
            "HEALTHCHECK" => self.healthcheck(instruction),
            "COPY" | "ADD" => self.copy(instruction),
            "RUN" => self.run(instruction),
            // For images that are built on this one.
            "ONBUILD" => self.image.steps.push(Step {
                commands: vec![format!("ONBUILD {}", instruction.line())],
                place: self.source.place(range),
            }),
            "MAINTAINER" => {}
            keyword => {
                let what = format!("`{}` is no instruction of a Dockerfile", cut(keyword, 40));
                self.not_read(instruction.range.clone(), what, &BUILD);
            }
        }
    }

    fn healthcheck(&mut self, instruction: &Instruction) {
        let mut text = self.trimmed(instruction);
        let at = instruction.options().1;
        text.text = one_line(&text.text);
        let is_option = |word: &&str| word.starts_with("--");
        let mut options: Vec<&str> = text.text.split(' ').take_while(is_option).collect();
        let rest = text.text.split(' ').skip(options.len());
        let rest: Vec<&str> = rest.collect();
        options.sort_unstable();
        text.text = [options, rest].concat().join(" ");
        self.image.healthcheck = Some(text);
        let word = instruction.text[at..].get(..3);
        let is_command = word.is_some_and(|word| word.eq_ignore_ascii_case("CMD"));
        self.starts.healthcheck = is_command.then(|| Start::new(instruction, at + 3));
    }

    /// The arguments with the place of what is written.
    fn trimmed(&self, instruction: &Instruction) -> Text {
        let text = &instruction.text[..instruction.line_end];
        let blank = |c: char| c.is_whitespace() || c == '\0';
        let trimmed = text.trim_start_matches(blank);
        let from = instruction.start + text.len() - trimmed.len();
        let trimmed = trimmed.trim_end_matches(blank);
        self.text(clean(trimmed), from..from + trimmed.len())
    }

    fn from(&mut self, instruction: &Instruction) {
        let words = instruction.words(0);
        let Some(base) = words.iter().find(|word| !word.text.starts_with("--")) else {
            let what = "FROM names no image";
            return self.not_read(instruction.range.clone(), what, &[Hides::Image]);
        };
        self.starts.own_cmd = false;
        let inside = std::mem::replace(&mut self.values, self.global.clone());
        let image = self.expand(&base.text, instruction);
        // A stage built on an earlier one keeps the base of that one.
        if self.image.base.is_none() || image.contains(['/', ':']) {
            self.image.base = Some(self.text(image, base.range.clone()));
            let mut options = words.iter().map(|word| word.text.as_str());
            let platform = options.find_map(|option| option.strip_prefix("--platform="));
            self.image.platform = platform.map(|platform| self.expand(platform, instruction));
        }
        self.values = inside;
    }

    fn arg(&mut self, instruction: &Instruction) {
        for named in self.pairs(instruction) {
            let global = self.global.get(&named.name);
            let global = global.filter(|_| named.value.is_empty());
            let known = self.given.get(&named.name).or(global).cloned();
            let value = known.unwrap_or_else(|| self.expand(&named.value, instruction));
            self.values.entry(named.name.clone()).or_insert(value);
            self.image.args.push(named);
        }
    }

    fn env(&mut self, instruction: &Instruction) {
        // All values of a line see what was set before it.
        let (mut values, mut set) = (Vec::new(), Vec::new());
        for mut named in self.pairs(instruction) {
            values.push((named.name.clone(), self.expand(&named.value, instruction)));
            named.value = self.filled_in(named.value);
            set.push((named.name.clone(), named.value.clone()));
            self.image.env.push(named);
        }
        if !self.exhausted {
            self.values.extend(values);
            self.set.extend(set);
        }
    }

    /// A value of ENV with what earlier lines set. What the build or the base image gives stays a
    /// name; an argument from before FROM that the stage does not take up is nothing.
    fn filled_in(&self, value: String) -> String {
        if self.exhausted || value.contains('\\') || value.contains(":+") {
            return value;
        }
        let known = shell::variables(&value).into_iter().map(|(name, _)| {
            let is_outside = self.global.contains_key(&name) && !self.values.contains_key(&name);
            let given = if is_outside {
                String::new()
            } else {
                format!("${name}")
            };
            let text = self.set.get(&name).cloned().unwrap_or(given);
            (name, text)
        });
        try_expand(&value, &known.collect()).unwrap_or(value)
    }

    fn pairs(&mut self, instruction: &Instruction) -> Vec<Named> {
        let assignments = instruction.assignments();
        if let [(name, Some(value))] = assignments.as_slice()
            && value.is_empty()
            && !instruction.line().contains('=')
        {
            let name = cut(&name.text, 40);
            let what = format!("{} sets no value for {name}", instruction.keyword);
            self.not_read(instruction.range.clone(), what, &[Hides::Image]);
            return Vec::new();
        }
        let named = |(name, value): (Word, Option<String>)| {
            let place = self.source.place(name.range);
            Named::new(name.text, value.unwrap_or_default(), place)
        };
        assignments.into_iter().map(named).collect()
    }

    fn workdir(&mut self, instruction: &Instruction, range: Range<usize>) {
        let line = instruction.line();
        let value = self.expand(line.trim_matches(['"', '\'']), instruction);
        let path = match self.image.workdir.take() {
            Some(before) if !value.starts_with(['/', '$']) => {
                format!("{}/{value}", before.text.trim_end_matches('/'))
            }
            _ => value,
        };
        let path = match path.trim_end_matches('/') {
            "" => path,
            short => short.to_owned(),
        };
        self.image.workdir = Some(self.text(path, range));
    }

    pub fn folder(&self) -> Option<String> {
        self.image.workdir.as_ref().map(|text| text.text.clone())
    }

    fn command(&self, instruction: &Instruction) -> Text {
        let mut text = self.trimmed(instruction);
        if let Some(words) = instruction.json(0) {
            text.text = words.join(" ");
        }
        text
    }

    fn started(&mut self) {
        let starts = std::mem::take(&mut self.starts);
        let runs: Vec<Start> = match (starts.entrypoint, starts.cmd) {
            (Some(Start::Words(mut words, range)), Some(Start::Words(more, other))) => {
                let range = if words.is_empty() { other } else { range };
                words.extend(more);
                vec![Start::Words(words, range)]
            }
            // A shell form ENTRYPOINT takes no arguments.
            (Some(line @ Start::Line(..)), _) => vec![line],
            (entrypoint, cmd) => entrypoint.into_iter().chain(cmd).collect(),
        };
        for start in runs.into_iter().chain(starts.healthcheck) {
            let (script, at) = match start {
                Start::Words(words, range) => (shell::exec(&words, &(0..range.len())), range),
                Start::Line(line, base) => (shell::parse(&line), base..base + line.len()),
            };
            let run = self.script(script, at, &[Hides::Variables, Hides::Flags]);
            self.image.started.push(run);
        }
    }

    /// A script that begins where `at` does; what of it is not understood is reported.
    fn script(&mut self, script: Script, at: Range<usize>, hides: &[Hides]) -> Run {
        let base = at.start;
        for (range, what) in &script.unread {
            self.not_read(range.start + base..range.end + base, *what, hides);
        }
        Run {
            script,
            base,
            workdir: self.folder(),
            place: self.source.place(at),
        }
    }

    fn run(&mut self, instruction: &Instruction) {
        let (options, at) = instruction.options();
        for option in &options {
            if let Some(value) = option.text.strip_prefix("--mount=") {
                self.mount(value, option.range.clone());
            }
        }
        let documents = instruction.documents.iter();
        for document in documents.filter(|document| !document.ends) {
            let what = format!("the here-document {} never ends", cut(&document.name, 40));
            self.not_read(document.body.clone(), what, &[Hides::Packages]);
        }
        let shell = self.image.shell.as_ref().map_or("sh", |shell| &*shell.text);
        let mut others = ["powershell", "cmd", "pwsh"].iter();
        let script = if let Some(words) = instruction.json(at) {
            shell::exec(&words, &(at..instruction.line_end))
        } else if others.any(|other| shell.contains(other)) {
            let what = "this shell's language is not read";
            return self.not_read(instruction.range.clone(), what, &[Hides::Packages]);
        } else {
            let text = format!("{}{}", " ".repeat(at), &instruction.text[at..]);
            let used = shell::variables(&text).into_iter();
            let known = used.filter_map(|(name, _)| self.values.get_key_value(&name));
            let known = known.filter(|(_, value)| !value.is_empty());
            let known = known.map(|(name, value)| (name.clone(), value.clone()));
            shell::parse_with(&text, &known.collect())
        };
        let mut run = self.script(script, instruction.arguments(), &[Hides::Packages]);
        run.place = self.source.place(instruction.span());
        // A text in quotes is written as it is; in other texts the build fills in variables.
        let is_quoted = ["<<'", "<<\"", "<<-'", "<<-\""]
            .iter()
            .any(|mark| instruction.text.contains(mark));
        for command in &run.script.commands {
            let Some((path, text, range)) = command.written() else {
                continue;
            };
            let start = range.start + run.base;
            let is_literal = is_quoted && command.input.is_some()
                || self
                    .source
                    .text
                    .get(start..)
                    .is_some_and(|text| text.starts_with('\''));
            if is_literal || !text.contains(['$', '`']) {
                let target = in_image(path, run.workdir.as_deref());
                self.image.write(target, &text, start, &run.place);
            }
        }
        self.image.runs.push(run);
    }

    fn mount(&mut self, value: &str, range: Range<usize>) {
        let kind = field(value, &["type"]).unwrap_or("bind");
        let is_of_context = kind == "bind" && field(value, &["from"]).is_none();
        let source = field(value, &["source", "src"]).unwrap_or(".");
        let name = field(value, &["id", "target", "dst", "destination"]);
        self.image.mounts.push(Mount {
            kind: kind.to_owned(),
            name: name.unwrap_or_default().to_owned(),
            source: is_of_context.then(|| source.to_owned()),
            place: self.source.place(range),
        });
    }
}

/// The value of the first of these keys in a mount's list.
pub(super) fn field<'v>(value: &'v str, keys: &[&str]) -> Option<&'v str> {
    let fields = value.split(',').filter_map(|field| field.split_once('='));
    let find = |key: &&str| fields.clone().find(|(name, _)| name == key);
    keys.iter().find_map(find).map(|(_, value)| value)
}
