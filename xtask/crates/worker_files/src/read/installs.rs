//! The packages that commands install, and the files that list them.

use std::collections::BTreeSet;

use anyhow::Result;

use super::run::{Job, When, offset};
use super::{Hides, Manager, Package, Place, Reader, RepoPath, Source, folder_of, packages};
use crate::glob::clean;
use crate::is_one_of;
use crate::packages::{Include, Install, Requirement, Wanted};

/// Variables by which pip and uv are given constraint files.
const CONSTRAINTS: &str = "PIP_CONSTRAINT UV_CONSTRAINT";

impl Reader<'_> {
    pub fn install(&mut self, job: &Job, source: &Source, install: Install) -> Result<()> {
        let manager = install.manager;
        if job.when == When::Part && matches!(manager, Manager::Apt | Manager::Apk) {
            return Ok(());
        }
        let workdir = job.workdir.as_deref();
        for (wanted, range) in install.wanted {
            let at = offset(&range, job.base);
            let package = Package {
                index: install.index.clone(),
                options: install.options.clone(),
                ..unnamed(manager, job.when != When::Never, source.place(at.clone()))
            };
            match wanted {
                Wanted::Package { name, spec } => {
                    let place = package.place.clone();
                    self.take(vec![Requirement { name, spec, place }], &package);
                }
                Wanted::Computed(text) => {
                    let what = format!("{text}: the name of this package is computed");
                    let unread = source.unread(at, what, &[Hides::Packages]);
                    self.unread.push(unread);
                }
                Wanted::Project(path) => {
                    self.project(&path, workdir, &package)?;
                    self.missing(path, package);
                }
                Wanted::Constraints(path) => self.constraints(&path, workdir, &package)?,
                Wanted::Requirements(path) => match self.listed(&path, workdir)? {
                    Some(file) => self.requirements(&file, &package)?,
                    None => self.missing(format!("-r {path}"), package),
                },
                Wanted::List(path) => match self.listed(&path, workdir)? {
                    Some(file) => self.list(&file, &package),
                    None => self.missing(format!("the names in {path}"), package),
                },
                Wanted::Environment(path) => match self.listed(&path, workdir)? {
                    Some(file) => self.environment(&file, &package),
                    None => self.missing(format!("-f {path}"), package),
                },
            }
        }
        Ok(())
    }

    /// A folder, or a file that is not in the repository, stands for what is in it.
    fn missing(&mut self, name: String, package: Package) {
        self.interface.packages.push(Package { name, ..package });
    }

    /// Constraint files that a script names by a variable.
    pub fn constrained(&mut self, job: &Job, source: &Source) -> Result<()> {
        let sets = job.script.sets.iter();
        for (name, range) in sets.filter(|(name, _)| is_one_of(CONSTRAINTS, name)) {
            let at = offset(range, job.base);
            let text = source.text.get(at.clone()).unwrap_or_default();
            let value = text
                .split_once(&format!("{name}="))
                .map_or("", |(_, value)| value);
            let value = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split(quote).next(),
                _ => value.split([' ', '\t', '\n', '"', '\'', ';']).next(),
            };
            let package = unnamed(Manager::Pip, job.when != When::Never, source.place(at));
            for path in value.unwrap_or_default().split_whitespace() {
                self.constraints(path, job.workdir.as_deref(), &package)?;
            }
        }
        Ok(())
    }

    /// The constraints of a file.
    fn constraints(&mut self, path: &str, workdir: Option<&str>, like: &Package) -> Result<()> {
        let like = Package {
            manager: Manager::Constraint,
            index: None,
            options: None,
            ..like.clone()
        };
        match self.listed(path, workdir)? {
            Some(file) => self.requirements(&file, &like)?,
            None => self.missing(format!("-c {path}"), like),
        }
        Ok(())
    }

    /// The file that a path of an install command means.
    fn listed(&mut self, path: &str, workdir: Option<&str>) -> Result<Option<Source>> {
        let found = self.resolve(path, workdir).into_iter().next();
        let found = found.or_else(|| {
            let plain = RepoPath::from(clean(path).as_str());
            self.tree.entries().contains_key(&plain).then_some(plain)
        });
        let Some(path) = found else { return Ok(None) };
        let source = self.source(&path)?;
        if source.is_some() {
            self.listed.insert(path);
        }
        Ok(source)
    }

    fn requirements(&mut self, source: &Source, like: &Package) -> Result<()> {
        self.requirements_of(source, like, &mut BTreeSet::new())
    }

    fn requirements_of(
        &mut self,
        source: &Source,
        like: &Package,
        seen: &mut BTreeSet<RepoPath>,
    ) -> Result<()> {
        if !seen.insert(source.path.clone()) {
            return Ok(());
        }
        self.listed.insert(source.path.clone());
        let name = source.path.name();
        if name.ends_with(b".toml") || name.ends_with(b".lock") {
            let found = packages::project(&[source]).collect_unread(&mut self.unread);
            self.take(found, like);
            return Ok(());
        }
        let found = packages::requirements(source).collect_unread(&mut self.unread);
        let index: Vec<String> = like.index.iter().cloned().chain(found.index).collect();
        let like = Package {
            index: (!index.is_empty()).then(|| index.join(" ")),
            ..like.clone()
        };
        self.take(found.packages, &like);
        let folder = folder_of(&source.path);
        for (include, name, place) in found.includes {
            let mut like = Package {
                place,
                ..like.clone()
            };
            if include == Include::Project {
                self.project(&name, Some(&folder), &like)?;
                self.missing(name, like);
                continue;
            }
            let mut option = "-r";
            if include == Include::Constraints {
                (like.manager, like.index, like.options) = (Manager::Constraint, None, None);
                option = "-c";
            }
            let path = RepoPath::from(clean(&format!("{folder}/{name}")).as_str());
            match self.source(&path)? {
                Some(other) => self.requirements_of(&other, &like, seen)?,
                None => self.missing(format!("{option} {name}"), like),
            }
        }
        Ok(())
    }

    fn list(&mut self, source: &Source, like: &Package) {
        for (start, line) in source.lines() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split_whitespace() {
                let at = start + (word.as_ptr() as usize - line.as_ptr() as usize);
                let (name, spec) = word.split_once('=').unwrap_or((word, ""));
                self.interface.packages.push(Package {
                    name: name.to_owned(),
                    spec: spec.to_owned(),
                    place: source.place(at..at + word.len()),
                    ..like.clone()
                });
            }
        }
    }

    fn environment(&mut self, source: &Source, like: &Package) {
        let found = packages::environment(source).collect_unread(&mut self.unread);
        for (manager, requirement) in found {
            let like = Package {
                manager,
                ..like.clone()
            };
            self.take(vec![requirement], &like);
        }
    }

    fn take(&mut self, found: Vec<Requirement>, like: &Package) {
        let found = found.into_iter().map(|requirement| Package {
            name: requirement.name,
            spec: requirement.spec,
            place: requirement.place,
            ..like.clone()
        });
        self.interface.packages.extend(found);
    }

    /// The packages that a project in a folder needs.
    fn project(&mut self, folder: &str, workdir: Option<&str>, like: &Package) -> Result<()> {
        let names = [
            "pyproject.toml",
            "Pipfile",
            "setup.py",
            "setup.cfg",
            "uv.lock",
            "poetry.lock",
        ];
        let mut found = Vec::new();
        for name in names {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            let relative = clean(&path);
            let held = self.in_image(&path, workdir);
            let path = held.unwrap_or_else(|| RepoPath::from(relative.as_str()));
            if let Some(source) = self.source(&path)? {
                self.listed.insert(path);
                found.push(source);
            }
        }
        let sources: Vec<&Source> = found.iter().collect();
        let needed = packages::project(&sources).collect_unread(&mut self.unread);
        self.take(needed, like);
        Ok(())
    }

    /// Constraints that the image's environment names, and requirements files that no command does.
    pub fn packages(&mut self) -> Result<()> {
        let image = self.interface.image.iter();
        let set = image.flat_map(|image| image.env.iter().chain(&image.args));
        let set = set.filter(|named| is_one_of(CONSTRAINTS, &named.name));
        for named in set.cloned().collect::<Vec<_>>() {
            let package = unnamed(Manager::Pip, true, named.place);
            for path in named.value.split_whitespace() {
                self.constraints(path, None, &package)?;
            }
        }
        let is_loose = |source: &&Source| {
            let name = String::from_utf8_lossy(source.path.name()).to_lowercase();
            name.contains("requirements")
                && !self.listed.contains(&source.path)
                && !source.path.name().ends_with(b".py")
        };
        let sources = self.interface.sources.values();
        let loose: Vec<Source> = sources.filter(is_loose).cloned().collect();
        for source in loose {
            let place = Place::start_of(&source.path);
            let like = unnamed(Manager::Pip, self.copied.is_none(), place);
            self.requirements(&source, &like)?;
        }
        Ok(())
    }
}

/// A package whose name is yet to come.
fn unnamed(manager: Manager, in_image: bool, place: Place) -> Package {
    Package {
        manager,
        name: String::new(),
        spec: String::new(),
        index: None,
        options: None,
        in_image,
        place,
    }
}
