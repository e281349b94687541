//! What is looked at before a build. Pure: the work tree, what the build context holds and what is
//! to be built go in, checks come out; nothing stops at the first problem.

use std::collections::BTreeMap;

use anyhow::Result;

use super::labels::Origin;
use super::plan::Plan;
use super::token::{self, Token};
use super::{Check, Verdict, plan};
use worker_files::dockerfile::{self, Image, is_predefined};
use worker_files::dockerfile::{Taken, arguments, taken};
use worker_files::ignore::Ignore;
use worker_files::references::undeclared;
use worker_files::{Source, WorkerInterface, bake};
use xtask_core::finding::{Finding, Severity};
use xtask_core::output::{self, counted};
use xtask_core::tree::{Entries, RepoPath, Tree};

/// From this size on a build context is worth a look.
const LARGE_CONTEXT: u64 = 100_000_000;

/// How many of the largest entries of the context are named.
const NAMED: usize = 5;

/// The Dockerfile, where the Hub looks for it.
pub const DOCKERFILES: [&str; 2] = [".runpod/Dockerfile", "Dockerfile"];

/// The repository, read.
pub struct Subject<'a> {
    pub tree: &'a dyn Tree,
    pub dockerfile: Option<Dockerfile<'a>>,
    /// The `.dockerignore` that counts, by its path.
    pub ignore: Option<(String, &'a Ignore)>,
    /// All that could be in the build context; folders that are left out as a whole may be missing.
    pub around: &'a Entries,
    pub bake: Option<&'a Result<bake::Resolved, String>>,
    pub plan: &'a Plan,
    pub origin: &'a Origin,
    pub token: Option<&'a Token>,
    /// The model that is to be baked in.
    pub model: Option<&'a str>,
    /// Whether the flag table is to be written anew from the image.
    pub update_flags: bool,
}

/// The Dockerfile's path and bytes.
#[derive(Clone, Copy)]
pub struct Dockerfile<'a> {
    pub path: &'a str,
    pub bytes: &'a [u8],
}

/// Looks at everything, in the order in which it is printed.
pub fn repository(subject: &Subject) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    if let Some(file) = subject.dockerfile {
        let source = Source::new(file.path.into(), file.bytes);
        let given: BTreeMap<String, String> = subject.plan.arguments().into_iter().collect();
        let (image, unread) = dockerfile::read_with(&source, given).split();
        if let Some(gap) = unread.first() {
            checks.push(Check::failed(
                "Dockerfile",
                format!("{}: {}", gap.place, gap.what),
            ));
        } else {
            checks.push(parsed(&file, &image));
            checks.push(copies(subject, &file));
            checks.push(passed(subject, &file)?);
            checks.push(base(subject, &image)?);
        }
    } else {
        checks.push(Check::failed(
            "Dockerfile",
            "there is none, neither at the root nor in .runpod/: name the worker's repository \
             with `-C DIR`",
        ));
    }
    checks.extend(bake_file(subject));
    checks.push(hub(subject)?);
    checks.push(context(subject));
    checks.push(source(subject.origin));
    checks.extend(model(subject));
    Ok(checks)
}

fn parsed(file: &Dockerfile, image: &Image) -> Check {
    let base = image.base.as_ref().map_or("nothing", |base| &base.text);
    let words = format!("{}, on {base}", file.path);
    Check::passed("Dockerfile", words)
}

/// Every source of a COPY is there, and not left out by `.dockerignore`.
fn copies(subject: &Subject, file: &Dockerfile) -> Check {
    const NAME: &str = "copied files";
    let copied = match taken(file.bytes) {
        Ok(copied) => copied,
        Err(why) => {
            let words = format!("{}: {why}: not looked at", file.path);
            return Check::warning(NAME, words);
        }
    };
    let mut missing = Vec::new();
    let mut empty = Vec::new();
    for copy in &copied {
        if sent(subject).any(|(path, _)| copy.covers(path)) || copy.is_everything() {
            continue;
        }
        let place = format!("{}:{}", file.path, copy.line);
        let there = |entries: &Entries| entries.keys().any(|path| copy.covers(path));
        let is_pattern = copy.path.contains(['*', '?', '[']);
        if there(subject.around) || there(subject.tree.entries()) {
            missing.push(format!("{place}: {}", left_out(subject, copy)));
        } else if is_pattern {
            // BuildKit copies nothing then, and says nothing.
            empty.push(format!("{place}: nothing matches `{}`", copy.path));
        } else {
            missing.push(format!(
                "{place}: `{}` is copied, and is not here: take it out, or write the name that it \
                 has now",
                copy.path
            ));
        }
    }
    let (verdict, words) = match (missing.is_empty(), empty.is_empty()) {
        (false, _) => (Verdict::Failed, [missing, empty].concat()),
        (true, false) => (Verdict::Warning, empty),
        (true, true) => {
            let all = counted(copied.len(), "source");
            let words = format!("{all} of COPY, all there and none left out by .dockerignore");
            (Verdict::Passed, vec![words])
        }
    };
    Check::new(NAME, verdict, words)
}

/// Which line of `.dockerignore` leaves out what is copied.
fn left_out(subject: &Subject, copy: &Taken) -> String {
    let Some((path, ignore)) = &subject.ignore else {
        return format!("`{}` is not in the build context", copy.path);
    };
    let mut all = subject.around.keys().chain(subject.tree.entries().keys());
    let one = all.find(|path| copy.covers(path));
    let line = one.and_then(|one| ignore.line_against(one));
    format!(
        "`{}` is copied, and {path}{} leaves it out: add `!{}` below that",
        copy.path,
        line.map_or_else(String::new, |line| format!(":{line}")),
        copy.path
    )
}

/// What the build context holds.
fn sent<'a>(subject: &'a Subject) -> impl Iterator<Item = (&'a RepoPath, u64)> {
    let ignore = subject.ignore.as_ref().map(|(_, ignore)| *ignore);
    subject
        .around
        .iter()
        .filter(move |(path, _)| ignore.is_none_or(|ignore| !ignore.excludes(path)))
        .map(|(path, entry)| (path, entry.size.unwrap_or_default()))
}

/// Every build argument that is passed, here or by a file of the repository, is declared.
fn passed(subject: &Subject, file: &Dockerfile) -> Result<Check> {
    const NAME: &str = "build arguments";
    let declared = match arguments(file.bytes) {
        Ok(declared) => declared,
        Err(why) => {
            let words = format!("{}: {why}: not looked at", file.path);
            return Ok(Check::warning(NAME, words));
        }
    };
    let mut files = Vec::new();
    for path in subject.tree.entries().keys() {
        if builds(path)
            && let Some(bytes) = subject.tree.read_file(&path.to_string())?
        {
            files.push((path.clone(), bytes));
        }
    }
    let mut wrong: Vec<String> = undeclared(&files, file.path, &declared)
        .into_iter()
        .map(|one| {
            let (path, what) = (&one.path, &one.what);
            format!(
                "{path}:{}:{}: {what}: {}",
                one.line, one.column, one.instead
            )
        })
        .collect();
    let here = subject.plan.given.iter();
    let docker = plan::in_extra(&subject.plan.extra);
    for (name, _) in here.chain(&docker) {
        if !declared.contains(name) && !is_predefined(name) {
            wrong.push(format!(
                "the command line passes `{name}`, and {} does not declare it: it has {}",
                file.path,
                declared.join(", ")
            ));
        }
    }
    wrong.extend(exposed(subject));
    if !wrong.is_empty() {
        return Ok(Check::new(NAME, Verdict::Failed, wrong));
    }
    let files: Vec<String> = files.iter().map(|(path, _)| path.to_string()).collect();
    let mut words = format!("{} declared", counted(declared.len(), "argument"));
    if !files.is_empty() {
        words += &format!("; no other is passed in {}", files.join(", "));
    }
    Ok(Check::passed(NAME, words))
}

/// Where the token would be handed to docker as anything but a secret.
fn exposed(subject: &Subject) -> Vec<String> {
    let Some(token) = subject.token else {
        return Vec::new();
    };
    let (plan, name) = (subject.plan, token::NAME);
    let mut arguments: Vec<String> = plan
        .arguments()
        .into_iter()
        .filter(|(_, value)| token.is_in(value))
        .map(|(name, _)| name)
        .collect();
    // Without a value docker takes it from the environment.
    if plan::is_inherited(&plan.extra, name) && !arguments.iter().any(|known| known == name) {
        arguments.push(name.to_owned());
    }
    let mut told: Vec<String> = arguments
        .iter()
        .map(|argument| {
            format!(
                "`{argument}` would hold the value of {name}, which everybody reads in the image's \
                 history: the build has it as a secret already, for `RUN \
                 --mount=type=secret,id={name}`"
            )
        })
        .collect();
    let target = plan.resolved().map(|target| target.to_string());
    if told.is_empty() && target.is_some_and(|target| token.is_in(&target)) {
        told.push(format!(
            "{} hands the value of {name} to docker in the open: take it out, the build has it as \
             a secret already",
            bake::FILE
        ));
    }
    told
}

/// Whether a file may build the image.
fn builds(path: &RepoPath) -> bool {
    let Some(text) = path.as_str() else {
        return false;
    };
    let name = text.strip_prefix(".runpod/").unwrap_or(text);
    let yaml = matches!(text.rsplit_once('.'), Some((_, "yml" | "yaml")));
    name == bake::FILE
        || yaml && text.starts_with(".github/workflows/")
        || yaml && !name.contains('/') && name.contains("compose")
}

/// The base image against the flag table and the Hub's CUDA versions. What the Dockerfile itself
/// says against those versions is hub-lint's (`HUB333`); here it is about another base image.
fn base(subject: &Subject, image: &Image) -> Result<Check> {
    const NAME: &str = "base image";
    let Some(base) = &image.base else {
        return Ok(Check::skipped(NAME, "the Dockerfile names none"));
    };
    let text = &base.text;
    let (interface, _) = WorkerInterface::read(subject.tree)?.split();
    let own = interface.image.as_ref().and_then(|own| own.base.as_ref());
    let is_own = own.is_some_and(|own| own.text == *text);
    let mut words = Vec::new();
    let mut verdict = Verdict::Passed;
    let table = interface
        .flag_table
        .as_ref()
        .and_then(|table| table.version.as_deref());
    match (image.sglang(), table) {
        (Some(version), Some(table)) if version == table => {
            words.push(format!(
                "{text}: SGLang {version}, as sglang_flags.json has it"
            ));
        }
        (Some(version), Some(table)) if subject.update_flags => words.push(format!(
            "{text}: SGLang {version}; sglang_flags.json, for {table}, is written anew"
        )),
        (Some(version), Some(table)) if is_own => {
            verdict = Verdict::Failed;
            words.push(format!(
                "{text}: SGLang {version}, and sglang_flags.json is for {table}: \
                 `cargo xtask build-image --update-flags` writes it anew"
            ));
        }
        (Some(version), Some(table)) => {
            verdict = Verdict::Warning;
            words.push(format!(
                "{text}: SGLang {version}, and sglang_flags.json is for {table}: the image asks \
                 its own SGLang for the flags"
            ));
        }
        (None, _) => words.push(format!("{text}: its tag does not tell SGLang's version")),
        (Some(version), None) => words.push(format!("{text}: SGLang {version}")),
    }
    if let (Some(cuda), Some(hub)) = (image.cuda(), &interface.hub) {
        let allowed = hub.cuda.iter().map(|one| one.text.as_str());
        let older: Vec<&str> = allowed
            .filter(|one| hub_lint::cuda_is_older(one, &cuda))
            .collect();
        if older.is_empty() {
            words.push(format!("CUDA {cuda}, and hub.json allows nothing older"));
        } else if !is_own {
            verdict = Verdict::Warning;
            words.push(format!(
                "CUDA {cuda}, and hub.json allows hosts with {}: those would refuse the image",
                older.join(", ")
            ));
        }
    }
    Ok(Check::new(NAME, verdict, words))
}

/// docker-bake.hcl can be read and has one target for this Dockerfile.
fn bake_file(subject: &Subject) -> Option<Check> {
    const NAME: &str = "bake file";
    let file = bake::FILE;
    Some(match subject.bake? {
        Err(why) => Check::failed(NAME, format!("{file}: {why}")),
        Ok(resolved) if !resolved.unresolved.is_empty() => {
            let told =
                |what: &String| format!("{file}: {what}: a client without buildx leaves it out");
            Check::new(NAME, Verdict::Warning, resolved.unresolved.iter().map(told))
        }
        Ok(_) => match &subject.plan.target {
            Some((name, _)) => Check::passed(NAME, format!("{file}: target `{name}`")),
            None => Check::warning(
                NAME,
                format!("{file} is not used: it has no single default target for this Dockerfile"),
            ),
        },
    })
}

/// hub-lint has no errors.
fn hub(subject: &Subject) -> Result<Check> {
    const NAME: &str = "hub-lint";
    let report = hub_lint::lint(subject.tree, true)?;
    let summary = hub_lint::summary(&report);
    let told = |finding: &Finding| {
        let source = report.sources.get(&finding.place.path);
        let at = source.map(|source| source.position(finding.place.span.start));
        let at = at.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
        format!(
            "{}{at}: {}: {}",
            finding.place.path, finding.code, finding.message
        )
    };
    let errors: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(told)
        .collect();
    if !errors.is_empty() {
        let words = errors.into_iter().chain([summary]);
        return Ok(Check::new(NAME, Verdict::Failed, words));
    }
    if report.files == 0 {
        let words = "there is no hub.json and no tests.json";
        return Ok(Check::skipped(NAME, words));
    }
    let warns = |finding: &Finding| finding.severity == Severity::Warning;
    if report.findings.iter().any(warns) {
        let words = format!("{summary}; see `cargo xtask hub-lint`");
        return Ok(Check::warning(NAME, words));
    }
    Ok(Check::passed(NAME, summary))
}

/// How much there is for docker to read, and what of it is large.
fn context(subject: &Subject) -> Check {
    let all: Vec<(&RepoPath, u64)> = sent(subject).collect();
    let total: u64 = all.iter().map(|(_, size)| size).sum();
    let mut entries: BTreeMap<String, u64> = BTreeMap::new();
    for (path, size) in &all {
        // A folder counts as one.
        let top = String::from_utf8_lossy(path.top()).into_owned();
        let name = if path.parent().is_some() {
            format!("{top}/")
        } else {
            top
        };
        *entries.entry(name).or_default() += size;
    }
    let mut largest: Vec<(String, u64)> = entries.into_iter().collect();
    largest.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    largest.truncate(NAMED);
    let named: Vec<String> = largest
        .iter()
        .map(|(name, size)| format!("{name} {}", output::bytes(*size)))
        .collect();
    let mut words = vec![format!(
        "{} in {}; the largest: {}",
        output::bytes(total),
        counted(all.len(), "file"),
        named.join(", ")
    )];
    let mut verdict = Verdict::Passed;
    if all.is_empty() {
        words = vec!["nothing: .dockerignore leaves everything out".to_owned()];
    }
    if let Some((path, _)) = all
        .iter()
        .find(|(path, _)| path.name() == token::FILE.as_bytes())
    {
        let copied = subject.dockerfile.and_then(|file| taken(file.bytes).ok());
        if copied.into_iter().flatten().any(|copy| copy.covers(path)) {
            verdict = Verdict::Failed;
            words.push(format!(
                "{path} would be copied into the image, with the secrets in it: add it to \
                 .dockerignore"
            ));
        } else {
            verdict = Verdict::Warning;
            words.push(format!(
                "{path} is in it, which no image needs: add it to .dockerignore"
            ));
        }
    }
    if let Some((path, ignore)) = &subject.ignore {
        for (line, text) in ignore.bad() {
            verdict = Verdict::Failed;
            words.push(format!(
                "{path}:{line}: `{text}` is no pattern, and docker builds nothing then: fix it, or \
                 take it out"
            ));
        }
    }
    if total > LARGE_CONTEXT && verdict != Verdict::Failed {
        verdict = Verdict::Warning;
        words.push(
            ".dockerignore can leave out what the image does not need: it may be sent with every \
             build"
                .to_owned(),
        );
    }
    Check::new("build context", verdict, words)
}

/// What the image will say that it was made from.
fn source(origin: &Origin) -> Check {
    const NAME: &str = "source";
    let Some(revision) = &origin.revision else {
        return Check::warning(
            NAME,
            "no git commit: the image will not say what it was made from",
        );
    };
    let short = revision.get(..12).unwrap_or(revision);
    if origin.changed.is_empty() {
        return Check::passed(NAME, format!("commit {short}"));
    }
    let names: Vec<String> = origin.changed.iter().map(ToString::to_string).collect();
    Check::warning(
        NAME,
        format!("commit {short}-dirty: not committed: {}", names.join(", ")),
    )
}

/// What a model that is baked in depends on.
fn model(subject: &Subject) -> Option<Check> {
    let model = subject.model?;
    let arguments = subject.plan.arguments();
    let of = |name: &str| {
        let mut all = arguments.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    let mut words = match of("BASE_PATH") {
        Some(path) => format!("{model}, below {path}, where no network volume hides it"),
        None => model.to_owned(),
    };
    if of("BASE_PATH").is_some_and(|path| std::path::Path::new(path).starts_with("/runpod-volume"))
    {
        let words = format!(
            "{model}, below /runpod-volume, where a network volume hides it: leave BASE_PATH out, \
             or name another folder"
        );
        return Some(Check::warning("model", words));
    }
    words += &match subject.token {
        Some(token) => format!("; {} from {} as a build secret", token::NAME, token.from),
        None => format!(
            "; without {}: a gated model needs it, in the environment or {}",
            token::NAME,
            token::FILE
        ),
    };
    Some(Check::passed("model", words))
}

#[cfg(test)]
mod tests;
