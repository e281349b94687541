//! COPY and ADD: what they take, and where it goes.

use super::reader::DockerfileReader;
use super::split::Document;
use super::{Copy, Hides, Instruction, Step, document_mark};
use crate::shell::Word;

const ARCHIVES: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz"];

impl DockerfileReader<'_> {
    pub(super) fn copy(&mut self, instruction: &Instruction) {
        let (options, at) = instruction.options();
        let all = |name: &str| {
            let values = options.iter();
            let values = values.filter_map(|o| o.text.strip_prefix(name)?.strip_prefix('='));
            values.map(str::to_owned).collect::<Vec<String>>()
        };
        let words = instruction.words(at).into_iter();
        let mut sources: Vec<String> = words.map(|word| word.text).collect();
        let Some(dest) = sources.pop().filter(|_| !sources.is_empty()) else {
            let what = format!("{} names no source or no target", instruction.keyword);
            return self.not_read(instruction.range.clone(), what, &[Hides::Image]);
        };
        sources.retain(|source| document_mark(source).is_none());
        let place = self.source.place(instruction.span());
        let from = all("--from").into_iter().next();
        let is_url = |source: &String| source.contains("://") || source.starts_with("git@");
        let is_archive = |source: &String| ARCHIVES.iter().any(|end| source.ends_with(end));
        let unpacks = instruction.keyword == "ADD" && sources.iter().any(is_archive);
        let documents = &instruction.documents;
        if from.is_some() || unpacks || sources.iter().any(is_url) || !documents.is_empty() {
            let mut words = vec![instruction.keyword.clone()];
            // The name of a stage does not count: it is replaced by its base image.
            words.extend(from.iter().map(|from| {
                let origin = self.stages.origin(from, self.stage);
                format!("--from={}", origin.unwrap_or_else(|| from.clone()))
            }));
            let others = options.iter().map(|option| option.text.clone());
            let is_known = |option: &str| option.starts_with("--from=") || option == "--link";
            words.extend(others.filter(|option| !is_known(option)));
            words.extend(sources.iter().chain([&dest]).cloned());
            let mut commands = vec![words.join(" ")];
            let text = |document: &Document| self.source.text[document.body.clone()].trim();
            commands.extend(documents.iter().map(|it| format!("<< {}", text(it))));
            let place = place.clone();
            self.image.steps.push(Step { commands, place });
        }
        let target = self.expand(&dest, instruction);
        let target = in_image(&target, self.folder().as_deref());
        let is_quoted = |document: &Document| {
            let line = instruction.line();
            let is_in = |quote: &str| line.contains(&format!("<<{quote}{}{quote}", document.name));
            is_in("'") || is_in("\"")
        };
        if let [document] = documents.as_slice() {
            let body = document.body.clone();
            let text = &self.source.text[body.clone()];
            if is_quoted(document) || !text.contains('$') {
                let place = self.source.place(instruction.span());
                self.image.write(target.clone(), text, body.start, &place);
            }
        }
        sources.retain(|source| !is_url(source));
        if sources.is_empty() && from.is_none() {
            return;
        }
        let keeps_parents = |it: &Word| matches!(&*it.text, "--parents" | "--parents=true");
        let paths = sources.iter().map(|path| self.expand(path, instruction));
        let paths = paths.collect();
        self.image.copies.push(Copy {
            paths,
            sources,
            dest,
            from,
            target,
            parents: options.iter().any(keeps_parents),
            excludes: all("--exclude"),
            mode: all("--chmod").pop(),
            owner: all("--chown").pop(),
            place,
        });
    }
}

/// A path of the image without the first slash, dots taken out. A slash at the end stays.
pub(super) fn in_image(path: &str, workdir: Option<&str>) -> String {
    let workdir = workdir.filter(|_| !path.starts_with('/'));
    let folder = workdir.unwrap_or_default();
    let is_folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let mut plain = crate::glob::clean(&format!("{folder}/{path}"));
    if is_folder && !plain.is_empty() {
        plain.push('/');
    }
    plain
}
