//! Files that commands write or fill in, and what `uv run` installs first.

use super::installs::by_pip;
use super::lines::{below, full_line};
use super::run::{Job, When};
use super::started::Started;
use super::{EnvRead, Reader, RepoPath, Step, packages, shell};
use crate::shell::Command;
use anyhow::Result;

impl Reader<'_> {
    /// What `uv run` installs first: what the program asks for in comments, else the project.
    pub fn synced(&mut self, job: &Job, command: &Command, started: &[Started]) -> Result<()> {
        let first = command.words.first();
        let own = started.first().and_then(|one| {
            let source = self.interface.sources.get(&one.path)?;
            packages::inline_metadata(source)
        });
        if let Some(found) = own.filter(|_| first.is_some_and(|word| word.text == "uv")) {
            let found = found.collect_unread(&mut self.unread);
            self.add_packages(
                found,
                &by_pip(job.when != When::Never, job.run.place.clone()),
            );
        } else if let Some(install) = packages::synced(command) {
            self.install(job, install, &command.guard)?;
        }
        Ok(())
    }

    /// Whether the command writes a file that others may read. `envsubst` needs more than it says.
    pub fn writes_or_fetches(&mut self, job: &Job, command: &Command) -> Result<bool> {
        if job.is_build()
            && let Some((path, ..)) = command.written()
            && let Some(file) = self.written_file(path, job)
        {
            let input = command.input.iter();
            let input = input.map(|(text, _)| format!("<< {}", text.trim()));
            let line = full_line(command, &[]) + &below(command);
            let commands = std::iter::once(line).chain(input).collect();
            let place = job.run.place.clone();
            self.writes.push((file, Step { commands, place }));
            return Ok(true);
        }
        let is_start = job.when == When::Start;
        if is_start && command.program() == "envsubst" && !command.word(1).contains('$') {
            self.template(command, job.run.workdir.as_deref())?;
        }
        Ok(false)
    }

    /// The file that the Dockerfile itself writes to a path.
    pub fn written_file(&self, path: &str, job: &Job) -> Option<RepoPath> {
        let own = self.interface.dockerfile.as_ref()?.to_string();
        let file = self.in_image(path, job.run.workdir.as_deref());
        file.filter(|file| file.is_within(&own))
    }

    /// `envsubst < FILE` fills in whatever variables the file names.
    pub fn template(&mut self, command: &Command, workdir: Option<&str>) -> Result<()> {
        let files = command
            .list
            .iter()
            .flat_map(|file| self.resolve(file, workdir));
        for file in files.collect::<Vec<_>>() {
            let source = self.source(&file)?;
            for (source, (name, range)) in source.iter().flat_map(|source| {
                let all = shell::variables(&source.text).into_iter();
                all.map(move |named| (source, named))
            }) {
                let read = EnvRead::new(name, None, source.place(range));
                self.interface.env.push(read);
            }
        }
        Ok(())
    }
}
