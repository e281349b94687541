//! Programs that the image holds at another place than the one that starts them.

use super::run::Job;
use super::started::Started;
use super::{Copy, Place, Reader, last_part};
use crate::is_one_of;
use crate::shell::{Command, Word};
use crate::steps;

impl Reader<'_> {
    /// Notes a path of a program that the image holds at another place. Nothing is wrong where the
    /// script asks first whether the file is there.
    pub fn note_misplaced(&mut self, job: &Job, command: &Command, started: &[Started]) {
        let workdir = job.run.workdir.as_deref();
        let own = &job.run.script.commands;
        let stays = !own.iter().any(|command| command.program() == "cd");
        let asks = |word: &Word| {
            let tests = own.iter().filter(|it| is_one_of("[ [[ test", it.program()));
            let mut words = tests.flat_map(|test| &test.words);
            words.any(|other| other.text == word.text)
        };
        let is_misplaced = |word: &&Word| {
            let names = |one: &Started| last_part(&word.text).as_bytes() == one.path.name();
            let is_path =
                word.text.starts_with('/') || word.text.contains('/') && workdir.is_some() && stays;
            is_path
                && started.iter().any(names)
                && self.in_image(&word.text, workdir).is_none()
                && self.knows_place(&word.text, own)
                && !asks(word)
        };
        let misplaced = command.run().iter().filter(is_misplaced);
        let misplaced = misplaced.map(|word| (word.text.clone(), job.place(&word.range)));
        let misplaced: Vec<(String, Place)> = misplaced.collect();
        self.interface.misplaced.extend(misplaced);
    }

    /// Whether what the image holds at a path is known: neither the build nor these commands may
    /// put a file there, or copy one there from elsewhere or to a folder that the base image names.
    pub fn knows_place(&self, path: &str, own: &[Command]) -> bool {
        let (Some(image), Some(_)) = (&self.interface.image, &self.interface.held) else {
            return false;
        };
        let below = path.trim_start_matches('/');
        let may_hold = |copy: &Copy| match copy.from {
            Some(_) => below.starts_with(copy.target.trim_end_matches('/')),
            None => !copy.dest.starts_with('/') && image.workdir.is_none(),
        };
        let runs = image.runs.iter().flat_map(|run| &run.script.commands);
        let mut all = runs.chain(own);
        !all.any(|command| may_put(command, path)) && !image.copies.iter().any(may_hold)
    }
}

/// Whether a command may put a file at a path. It moves or fetches files, and names a folder of the
/// path, the root, or a folder that is not known.
fn may_put(command: &Command, path: &str) -> bool {
    const MOVING: &str = "mv cp ln install rsync tar unzip git wget curl";
    let (program, first) = (command.program(), command.word(1));
    let settles = program == "git" && is_one_of("lfs config", first);
    if !is_one_of(MOVING, program) || settles || steps::only_watches(command) {
        return false;
    }
    let texts = command.run().iter().skip(1).map(|word| &*word.text);
    let mut words: Vec<&str> = texts.collect();
    let options: &[&str] = match program {
        "curl" => &["-o", "--output"],
        "wget" => &["-O", "--output-document"],
        "tar" => &["-C", "--directory"],
        "unzip" => &["-d"],
        _ => &[],
    };
    let at = words.iter().position(|word| options.contains(word));
    match at.and_then(|at| words.get(at + 1)) {
        Some(target) => words = vec![target],
        // An archive's files go to the folder that the command runs in.
        None if is_one_of("tar unzip", program) => return true,
        None => {}
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    words.iter().any(|word| {
        let mut own = word.split('/').map(|part| part.trim_end_matches(".git"));
        let is_open = word.contains(['$', '*']) || word.trim_matches(['.', '/']).is_empty();
        is_open || own.any(|part| parts.contains(&part))
    })
}
