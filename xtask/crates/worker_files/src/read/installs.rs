//! The packages that commands install, and the files that list them.

use std::ops::Range;

use anyhow::Result;

use super::run::{Job, When, blank_except};
use super::{Hides, Manager, Package, Place, Reader, Source, folder_of, is_python, packages};
use crate::glob::repo_path;
use crate::packages::{Chosen, Install, Listing, Requirement, Wanted};
use crate::shell::{Command, Guard, Word};
use crate::{IF, is_one_of};

/// Variables by which pip and uv are given constraint files.
const CONSTRAINTS: &str = "PIP_CONSTRAINT UV_CONSTRAINT";

impl Reader<'_> {
    /// `pip uninstall NAME`, `apt-get purge NAME`: what was installed before is not in the image.
    pub fn uninstall(&mut self, command: &Command) {
        let words: Vec<&str> = command.run().iter().map(|word| &*word.text).collect();
        let plain = words.iter().copied().filter(|word| !word.starts_with('-'));
        let plain: Vec<&str> = plain.collect();
        let found = plain.windows(2).enumerate().find_map(|(at, two)| {
            let manager = match (two[0].rsplit('/').next()?, two[1]) {
                ("pip" | "pip3", "uninstall") => Manager::Pip,
                ("apt-get" | "apt", "purge" | "remove") => Manager::Apt,
                ("apk", "del") => Manager::Apk,
                ("conda" | "mamba", "remove" | "uninstall") => Manager::Conda,
                _ => return None,
            };
            Some((at + 2, manager))
        });
        if let Some((at, manager)) = found.filter(|_| command.guard.depth() == 0) {
            let names: Vec<String> = plain[at..]
                .iter()
                .map(|name| packages::normal(name))
                .collect();
            let is_gone = |one: &Package| {
                one.manager == manager && names.contains(&packages::normal(&one.name))
            };
            self.interface.packages.retain(|package| !is_gone(package));
        }
    }

    pub fn install(&mut self, job: &Job, install: Install, guard: &Guard) -> Result<()> {
        let manager = install.manager;
        let condition = (guard.depth() > 0).then(|| format!("{IF}{guard}"));
        let options = install.options.into_iter().chain(condition);
        let options = options.reduce(|options, condition| options + &condition);
        if job.when == When::Part && matches!(manager, Manager::Apt | Manager::Apk) {
            return Ok(());
        }
        let workdir = job.run.workdir.as_deref();
        for (wanted, range) in install.wanted {
            let package = Package {
                index: install.index.clone(),
                options: options.clone(),
                ..unnamed(manager, job, &range)
            };
            match wanted {
                Wanted::Package(name, spec) => {
                    // The newest release takes the place of one that was named before.
                    let is_old = |one: &Package| one.manager == manager && one.name == name;
                    if install.upgrades && guard.depth() == 0 {
                        self.interface
                            .packages
                            .retain(|one| !is_old(one) || !one.in_image);
                    }
                    self.add_package(name, spec, package);
                }
                Wanted::Computed(text) => {
                    let what = format!("{text}: the name of this package is computed");
                    let unread = job.unread(&range, what, &[Hides::Packages]);
                    self.unread.push(unread);
                }
                Wanted::Listed(listing, path) => self.listing(listing, &path, workdir, package)?,
            }
        }
        Ok(())
    }

    /// Takes what the file lists that a command names.
    fn listing(
        &mut self,
        listing: Listing,
        path: &str,
        workdir: Option<&str>,
        mut like: Package,
    ) -> Result<()> {
        if listing == Listing::Project {
            // `./lib[extra]`
            let (folder, extras) = path.split_once('[').unwrap_or((path, ""));
            // `pip install /wheels/*.whl`
            let wheels = self
                .resolve(folder, workdir)
                .into_iter()
                .filter(|_| path.contains('*'));
            let wheels = wheels.filter_map(|file| packages::requirement(&file.to_string()));
            for (name, _) in wheels.collect::<Vec<_>>() {
                self.add_package(name, format!("@{path}"), like.clone());
            }
            let options = like.options.take().unwrap_or_default();
            let (chosen, options) = Chosen::of(&options, extras.trim_end_matches(']'));
            like.options = (!options.is_empty()).then_some(options);
            self.read_project(folder, workdir, &chosen, &like)?;
            if chosen.only {
                return Ok(());
            }
            return self.read_listed_file(listing, path, None, like);
        }
        let mut files = self.resolve(path, workdir);
        if files.is_empty() || !path.contains('*') {
            files.truncate(1);
            files.resize(1, repo_path(path));
        }
        for file in files {
            let file = self.source(&file)?;
            self.included.clear();
            self.read_listed_file(listing, path, file, like.clone())?;
        }
        Ok(())
    }

    /// Takes what a file lists. A folder, or a file that is missing, stands for its packages.
    fn read_listed_file(
        &mut self,
        listing: Listing,
        path: &str,
        file: Option<Source>,
        mut like: Package,
    ) -> Result<()> {
        if listing == Listing::Constraints {
            (like.manager, like.index, like.options) = (Manager::Constraint, None, None);
        }
        let Some(file) = file else {
            let name = format!("{}{path}", listing.word());
            self.interface.packages.push(Package { name, ..like });
            return Ok(());
        };
        self.listed_files.insert(file.path.clone());
        match listing {
            Listing::Words => self.read_words(&file, &like),
            Listing::Environment => {
                let found = packages::environment(&file).collect_unread(&mut self.unread);
                for (manager, requirement) in found {
                    like.manager = manager;
                    self.add_packages(vec![requirement], &like);
                }
            }
            _ => self.read_requirements(&file, &like)?,
        }
        Ok(())
    }

    /// Constraint files that a script names by a variable.
    pub fn constraints_by_variable(&mut self, job: &Job) -> Result<()> {
        let sets = job.run.script.sets.iter();
        for (_, value, range) in sets.filter(|(name, ..)| is_one_of(CONSTRAINTS, name)) {
            let package = unnamed(Manager::Pip, job, range);
            self.constraints(value, job.run.workdir.as_deref(), &package)?;
        }
        Ok(())
    }

    fn constraints(&mut self, files: &str, workdir: Option<&str>, like: &Package) -> Result<()> {
        let mut files = files.split_whitespace();
        files.try_for_each(|path| self.listing(Listing::Constraints, path, workdir, like.clone()))
    }

    /// Requirements that a here-document gives: `pip install -r /dev/stdin <<EOF`.
    pub fn install_from_input(&mut self, job: &Job, command: &Command) -> Result<()> {
        let is_input = |word: &Word| matches!(&*word.text, "/dev/stdin" | "-" | "-r/dev/stdin");
        let input = command.input.as_ref();
        let input = input.filter(|_| command.words.iter().any(is_input));
        let Some((_, range)) = input else {
            return Ok(());
        };
        self.included.clear();
        let input = blank_except(&job.source, &job.in_file(range));
        self.read_requirements(&input, &unnamed(Manager::Pip, job, range))
    }

    fn read_requirements(&mut self, source: &Source, like: &Package) -> Result<()> {
        if !self.included.insert(source.path.clone()) {
            return Ok(());
        }
        let name = String::from_utf8_lossy(source.path.name());
        // `requirements.lock` has the format of pip's files.
        let is_lock = name.ends_with(".lock") && !name.starts_with("requirements");
        if is_lock || name.ends_with(".toml") {
            let (chosen, options) = Chosen::of(like.options.as_deref().unwrap_or_default(), "");
            let options = (!options.is_empty()).then_some(options);
            let like = Package {
                options,
                ..like.clone()
            };
            let found = packages::project(&[source], &chosen).collect_unread(&mut self.unread);
            self.add_packages(found, &like);
            return Ok(());
        }
        let found = packages::requirements(source).collect_unread(&mut self.unread);
        let mut like = like.clone();
        packages::add_options(&mut like.index, found.index.as_deref());
        packages::add_options(&mut like.options, found.options.as_deref());
        let folder = folder_of(&source.path);
        for (wanted, range) in found.wanted {
            let place = source.place(range);
            let like = Package {
                place,
                ..like.clone()
            };
            match wanted {
                Wanted::Package(name, spec) => self.add_package(name, spec, like),
                Wanted::Listed(Listing::Project, path) => {
                    self.listing(Listing::Project, &path, Some(&folder), like)?;
                }
                Wanted::Listed(listing, path) => {
                    let file = self.source(&repo_path(&format!("{folder}/{path}")))?;
                    self.read_listed_file(listing, &path, file, like)?;
                }
                Wanted::Computed(_) => {}
            }
        }
        Ok(())
    }

    fn read_words(&mut self, source: &Source, like: &Package) {
        for (start, line) in source.lines() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split_whitespace() {
                let at = start + (word.as_ptr() as usize - line.as_ptr() as usize);
                let Some((name, spec)) = packages::versioned(word) else {
                    continue;
                };
                let place = source.place(at..at + word.len());
                let like = Package {
                    place,
                    ..like.clone()
                };
                self.add_package(name, spec, like);
            }
        }
    }

    fn add_package(&mut self, name: String, spec: String, like: Package) {
        let package = Package { name, spec, ..like };
        self.interface.packages.push(package);
    }

    pub fn add_packages(&mut self, found: Vec<Requirement>, like: &Package) {
        for Requirement { name, spec, place } in found {
            let mut like = Package {
                place,
                ..like.clone()
            };
            if name.ends_with(packages::OTHERS_LOCKED) {
                (like.manager, like.index, like.options) = (Manager::Constraint, None, None);
            }
            self.add_package(name, spec, like);
        }
    }

    fn read_project(
        &mut self,
        folder: &str,
        workdir: Option<&str>,
        chosen: &Chosen,
        like: &Package,
    ) -> Result<()> {
        let names =
            "pyproject.toml Pipfile setup.py setup.cfg uv.lock poetry.lock pdm.lock Pipfile.lock";
        let mut found = Vec::new();
        for name in names.split(' ') {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            let held = self.in_image(&path, workdir);
            let path = held.unwrap_or_else(|| repo_path(&path));
            if let Some(source) = self.source(&path)? {
                self.listed_files.insert(path);
                found.push(source);
            }
        }
        let sources: Vec<&Source> = found.iter().collect();
        let needed = packages::project(&sources, chosen).collect_unread(&mut self.unread);
        self.add_packages(needed, like);
        Ok(())
    }

    /// Constraints that the image's environment names, and requirements files that no command does.
    pub fn read_other_packages(&mut self) -> Result<()> {
        let image = self.interface.image.iter();
        let set = image.flat_map(|image| image.env.iter().chain(&image.args));
        let set = set.filter(|named| is_one_of(CONSTRAINTS, &named.name));
        for named in set.cloned().collect::<Vec<_>>() {
            self.constraints(&named.value, None, &by_pip(true, named.place))?;
        }
        let is_loose = |source: &&Source| {
            let name = String::from_utf8_lossy(source.path.name()).to_lowercase();
            let is_listed = self.listed_files.contains(&source.path);
            name.contains("requirements") && !is_listed && !is_python(&source.path)
        };
        let sources = self.interface.sources.values();
        let loose: Vec<Source> = sources.filter(is_loose).cloned().collect();
        for source in loose {
            let place = Place::start_of(&source.path);
            self.included.clear();
            self.read_requirements(&source, &by_pip(self.copied.is_none(), place))?;
        }
        Ok(())
    }
}

/// A package that is yet to be named.
fn unnamed(manager: Manager, job: &Job, range: &Range<usize>) -> Package {
    Package {
        manager,
        ..by_pip(job.when != When::Never, job.place(range))
    }
}

pub fn by_pip(in_image: bool, place: Place) -> Package {
    Package {
        in_image,
        place,
        ..Package::default()
    }
}
