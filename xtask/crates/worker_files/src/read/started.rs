//! The repository's files that a command starts.

use anyhow::Result;

use super::{Reader, RepoPath, files, is_python, last_part};
use crate::glob::{Glob, clean, repo_path};
use crate::shell::{Command, Word};
use crate::{is_one_of, steps};

pub const RUNNERS: &str = "torchrun accelerate deepspeed uvicorn gunicorn hypercorn granian fastapi \
                       supervisord streamlit";
const SHELLS: &str = "sh bash dash ash zsh ksh source .";

/// Programs that take files from here to there, or change them, and run none.
const MOVERS: &str = "chmod chown cp mv ln touch install dos2unix tee tar unzip zip wget curl git \
                      sed patch rsync diff";

pub struct Started {
    pub path: RepoPath,
    /// Whether it is a script of a shell, and no Python.
    pub is_shell: bool,
    pub arguments: Vec<Word>,
    /// Whether programs see all that it sets.
    pub exports: bool,
}

impl Reader<'_> {
    pub fn started_by(&mut self, command: &Command, workdir: Option<&str>) -> Result<Vec<Started>> {
        let program = command.program();
        let python = program.starts_with("python");
        let shell = is_one_of(SHELLS, program);
        let runs = python || shell || is_one_of(RUNNERS, program);
        let may_run = runs || !steps::has_no_effect(command) && !is_one_of(MOVERS, program);
        let mut found = Vec::new();
        let words = command.run();
        for (index, word) in words.iter().enumerate() {
            let text = word.text.as_str();
            let module = index > 0 && words[index - 1].text == "-m" && python;
            let script = [".py", ".sh"].iter().any(|end| text.ends_with(end));
            if index > 0 && !runs && !(script && may_run) {
                continue;
            }
            let paths = match text.split_once(':') {
                _ if index == 0 && text == "/init" => self.services(),
                _ if module => self.module(text, workdir),
                Some((module, name)) if runs && !module.contains('/') && !name.starts_with('/') => {
                    self.module(module, workdir)
                }
                _ if index == 0 && !script => match self.resolve(text, workdir) {
                    paths if paths.is_empty() => self.entry_point(last_part(text), workdir)?,
                    paths => paths,
                },
                _ => self.resolve(text, workdir),
            };
            for path in paths {
                if !self.open(&path)? {
                    continue;
                }
                let first = files::shebang(&self.interface.sources[&path].text);
                let is_python = is_python(&path) || first.contains("python");
                let is_script = path.name().ends_with(b".sh") || shell || first.contains("sh");
                if !is_python && !is_script {
                    continue;
                }
                found.push(Started {
                    path,
                    is_shell: !is_python,
                    arguments: words[index + 1..].to_vec(),
                    exports: command.exports,
                });
            }
            if python && !text.starts_with('-') && index > 0 {
                break;
            }
        }
        Ok(found)
    }

    /// The module of a command that an installed project defines: `NAME = "package.module:main"`.
    fn entry_point(&mut self, name: &str, workdir: Option<&str>) -> Result<Vec<RepoPath>> {
        let files = ["pyproject.toml", "setup.py", "setup.cfg"];
        let files = files.iter().flat_map(|name| self.files_named(name));
        for file in files.cloned().collect::<Vec<_>>() {
            let Some(source) = self.source(&file)?.filter(|_| !name.is_empty()) else {
                continue;
            };
            let quotes = |c| matches!(c, '"' | '\'' | ' ' | ',' | '[' | ']');
            let entry = source.text.match_indices(name).find_map(|(at, _)| {
                let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
                let before = source.text[..at].chars().next_back();
                let after = source.text[at + name.len()..].trim_start_matches(quotes);
                let after = after
                    .strip_prefix('=')
                    .filter(|_| !before.is_some_and(is_part))?;
                let target = after.trim_start_matches(quotes).split(quotes).next()?;
                target.lines().next()?.split_once(':')
            });
            if let Some((module, function)) = entry {
                self.called.insert(function.to_owned());
                return Ok(self.module(module, workdir));
            }
        }
        Ok(Vec::new())
    }

    /// What s6 starts: the files in its folders.
    fn services(&self) -> Vec<RepoPath> {
        let folders = ["etc/services.d/", "etc/cont-init.d/", "etc/s6-overlay/"];
        let landed = self.interface.landed.iter();
        let own = landed.filter(|(to, _)| folders.iter().any(|folder| to.starts_with(folder)));
        own.map(|(_, path)| path.clone()).collect()
    }

    /// The repository's files that a word of a command names.
    pub fn resolve(&self, word: &str, workdir: Option<&str>) -> Vec<RepoPath> {
        let name = last_part(word);
        if name.is_empty() || name.contains(['$', ' ', '\n']) || word.contains("://") {
            return Vec::new();
        }
        // `for FILE in /conf.d/*.sh`
        if name.contains('*') {
            let folder = workdir
                .filter(|_| !word.starts_with('/'))
                .unwrap_or_default();
            let glob = Glob::new(&clean(&format!("{folder}/{word}")), false);
            let copied = self.copied.iter().flat_map(|copied| &copied.files);
            let is_meant = |path: &str| glob.as_ref().is_some_and(|glob| glob.matches(path));
            let meant = copied.filter(|(path, _)| is_meant(path));
            return meant.map(|(_, file)| file.clone()).collect();
        }
        let on_path = || self.in_image(&format!("/usr/local/bin/{word}"), None);
        if let Some(path) = self.in_image(word, workdir).or_else(on_path) {
            return vec![path];
        }
        let path = repo_path(word);
        if self.copied.is_none() && self.is_file(&path) {
            return vec![path];
        }
        if !name.contains('.') && !word.contains('/') {
            return Vec::new();
        }
        let paths = self.files_named(name);
        paths.filter(|path| self.holds(path)).cloned().collect()
    }

    pub fn in_image(&self, path: &str, workdir: Option<&str>) -> Option<RepoPath> {
        let copied = self.copied.as_ref()?;
        let workdir = workdir.filter(|_| !path.starts_with('/'));
        let full = clean(&format!("{}/{path}", workdir.unwrap_or_default()));
        copied.files.get(&full).cloned()
    }

    /// The files of a module: `a.b` is `a/b.py` or `a/b/__main__.py`.
    fn module(&self, module: &str, workdir: Option<&str>) -> Vec<RepoPath> {
        let path = module.replace('.', "/");
        let ends = [".py", "/__main__.py", "/__init__.py"];
        let names = ends.map(|end| format!("{path}{end}"));
        let files = |name: &String| {
            if let Some(path) = self.in_image(name, workdir) {
                return vec![path];
            }
            let is_module = |path: &&RepoPath| {
                let text = path.to_string();
                self.holds(path) && (text == *name || text.ends_with(&format!("/{name}")))
            };
            let same = self.files_named(last_part(name));
            same.filter(is_module).cloned().collect()
        };
        names.iter().flat_map(files).collect()
    }
}
