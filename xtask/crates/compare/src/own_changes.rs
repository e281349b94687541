//! What a fork changed itself, since the revision that it started from: facts, and code that is
//! behind no fact.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::facts::{Fact, Facts, PASSED, area_of};
use super::judge::limits;
use super::judge::{Item, LOOKS, MODEL_VARIABLE, Verdict, few, judge};
use super::unread::in_layout;
use super::{accepted, advice};
use worker_files::python::{Statement, statements};
use worker_files::source::LARGEST;
use worker_files::{Place, Source, is_one_of};
use xtask_core::output::cut;
use xtask_core::secret::masked;
use xtask_core::tree::{Mode, RepoPath, Tree};

/// The revision that a fork started from, and which of its facts are not that revision's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnChanges {
    pub commit: String,
    /// The ids of what the fork added, changed or removed.
    pub own: BTreeSet<String>,
    /// The fork's own statements, by `code:PATH:FUNCTION`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub code: BTreeMap<String, OwnCode>,
}

/// What a fork added to a function of the revision that it started from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCode {
    /// The line of the first, from 1.
    pub line: usize,
    pub statements: Vec<String>,
    /// Statements that hold facts, which may be there while these are not: with the facts' ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub behind: BTreeMap<String, BTreeSet<String>>,
}

pub type Code = BTreeMap<RepoPath, Vec<Statement>>;
type File<'c> = (&'c RepoPath, &'c Vec<Statement>);
type Worker<'w> = (&'w Facts, &'w Code);
/// What an old worker started from, where that is known.
type Base<'b> = Option<&'b OwnChanges>;
/// The packages that an option is given for, by its id.
type Lists = BTreeMap<String, BTreeSet<String>>;

/// The statements of all Python files of a tree but its tests. They are recorded and shown, so they
/// hold no secret.
pub fn code_of(tree: &dyn Tree) -> Result<Code> {
    let mut all = Code::new();
    for (path, entry) in tree.entries() {
        let name = path.name();
        let is_test = name.starts_with(b"test_") || path.as_bytes().starts_with(b"tests/");
        if entry.mode == Mode::Symlink || !name.ends_with(b".py") || is_test {
            continue;
        }
        let content = tree.read(path)?;
        if content.len() <= LARGEST {
            let mut found = statements(&Source::new(path.clone(), &content));
            // These alone are in any code.
            found.retain(|one| !matches!(&*one.text, "break" | "continue" | "return"));
            for one in &mut found {
                one.text = masked(&one.text.replace('\'', "\"")).into_owned();
            }
            all.insert(path.clone(), found);
        }
    }
    Ok(all)
}

impl OwnChanges {
    /// Compares a fork with what it started from.
    pub fn of(base: &Facts, fork: &Facts, commit: &str) -> Self {
        let ids = base.all.keys().chain(fork.all.keys());
        let judged = |facts: &Facts, id: &str| facts.get(id).map(accepted::digest_of);
        let differ = ids.filter(|id| judged(base, id) != judged(fork, id));
        let mut differ: BTreeSet<&String> = differ.collect();
        let lists = lists_with_options(base, fork, &differ);
        differ.retain(|id| !lists.values().any(|ids| ids.contains(*id)));
        let unread = fork.unread.iter().filter(|gap| !gap.is_in(&base.unread));
        let lists = lists.keys().filter(|id| *id != LIST);
        let own = unread.map(|gap| &gap.id).chain(lists).chain(differ);
        Self {
            commit: commit.to_owned(),
            own: own.cloned().collect(),
            code: BTreeMap::new(),
        }
    }

    /// Adds the fork's own statements in files that it started from. Those that hold or name one of
    /// its facts are judged with that, and whole files of its own by what copies and imports them.
    #[must_use]
    pub fn with_code(mut self, (was, base): Worker, (facts, fork): Worker) -> Self {
        const TABLE: usize = 3;
        let places = places_of(&self.own, facts);
        let is_changed = |id: &str| self.own.contains(id) && !is_one_use(id, was, facts);
        // As they stand in code.
        let variables = facts.area("env").map(|(name, _)| name);
        let variables = variables.map(|it| (format!("\"{it}\""), is_changed(&format!("env:{it}"))));
        let variables: Vec<(String, bool)> = variables.collect();
        // Whether a statement that holds no fact is judged with the variables that it names: a
        // default, a table, a loop over one.
        let names_variables = |one: &Statement| {
            let named = variables.iter().filter(|(name, _)| one.text.contains(name));
            let (changed, others): (Vec<_>, Vec<_>) = named.partition(|(_, changed)| *changed);
            let in_file =
                |(id, at): &(&str, &Place)| id.starts_with("env:") && at.file == one.place.file;
            let mut words = one.text.split(|c| !is_of_a_name(c));
            let asks = words.any(|word| matches!(word, "environ" | "getenv"));
            let is_read = asks && others.is_empty() && places.iter().any(in_file);
            !changed.is_empty() || is_read || !asks && others.len() >= TABLE
        };
        let everywhere: BTreeSet<&str> = base.values().flat_map(|file| texts(file)).collect();
        for (path, before) in base {
            let here: BTreeSet<&str> = texts(before).collect();
            let moved = || Some((moved_to(&here, base, fork)?, &everywhere));
            let in_place = fork.get_key_value(path).map(|file| (file, &here));
            let Some(((path, after), before)) = in_place.or_else(moved) else {
                continue;
            };
            for one in after.iter().filter(|one| !before.contains(&*one.text)) {
                let held = places.iter().filter(|(_, at)| is_in(at, one));
                let mut held: BTreeSet<String> = held.map(|(id, _)| (*id).to_owned()).collect();
                // Another place may have the fact too, and do something else with it.
                let may_be_elsewhere =
                    |id: &String| is_of_requests(id) || is_one_use(id, was, facts);
                if names_variables(one) || !held.iter().all(may_be_elsewhere) {
                    // What a request says besides its variables is no matter of these.
                    let is_here = |fact: &Fact| fact.places.iter().any(|at| is_in(at, one));
                    let routes = facts.area("route").filter(|(_, fact)| is_here(fact));
                    held.extend(routes.map(|(route, _)| format!("route:{route}")));
                    if !held.iter().any(|id| is_of_requests(id)) {
                        continue;
                    }
                }
                let own = self.code.entry(code_id(path, one)).or_default();
                if own.line == 0 {
                    own.line = one.place.line;
                }
                if held.is_empty() {
                    own.statements.push(one.text.clone());
                } else {
                    own.behind.insert(one.text.clone(), held);
                }
            }
        }
        self.own.extend(self.code.keys().cloned());
        self
    }

    /// Whose change an entry with these facts is. What only a run shows, and a default of the Hub's
    /// form, is the fork's where it is about a variable of the fork's.
    pub fn whose(&self, members: &[String]) -> &'static str {
        let is_own = members.iter().any(|id| {
            let form = id
                .strip_prefix("hub:")
                .filter(|id| id.ends_with(".default"));
            let about = id.strip_prefix("run:").or(form).into_iter();
            let mut words = about.flat_map(|id| id.split('.'));
            self.own.contains(id) || words.any(|word| self.own.contains(&format!("env:{word}")))
        });
        if is_own { FORK } else { UPSTREAM }
    }
}

pub const FORK: &str = "fork";
pub const UPSTREAM: &str = "upstream";

fn texts(file: &[Statement]) -> impl Iterator<Item = &str> {
    file.iter().map(|one| one.text.as_str())
}

/// The fact of what a fork added to the function of a statement.
pub fn code_id(path: &RepoPath, one: &Statement) -> String {
    let id = format!("code:{path}:{}", one.function);
    id.trim_end_matches(':').to_owned()
}

pub fn is_in(at: &Place, one: &Statement) -> bool {
    at.file == one.place.file && (one.place.line..=one.last_line).contains(&at.line)
}

fn is_of_requests(id: &str) -> bool {
    is_one_of("route input", area_of(id))
}

/// The fork's new file that has most of the statements of one that it does not have any more.
fn moved_to<'c>(was: &BTreeSet<&str>, base: &Code, fork: &'c Code) -> Option<File<'c>> {
    let shared = |(_, file): &File| {
        let here: BTreeSet<&str> = texts(file).collect();
        was.intersection(&here).count()
    };
    let new = fork.iter().filter(|(path, _)| !base.contains_key(*path));
    let moved = new.max_by_key(shared)?;
    (shared(&moved) * 2 > was.len()).then_some(moved)
}

/// The places of a fork's own facts and of what it has that could not be read.
fn places_of<'a>(own: &'a BTreeSet<String>, facts: &'a Facts) -> Vec<(&'a str, &'a Place)> {
    // Of a function only numbers that calls leave out are judged.
    let judged = own.iter().filter(|id| !id.starts_with("python:"));
    let judged = judged.filter_map(|id| Some((id.as_str(), facts.get(id)?)));
    let places = judged.flat_map(|(id, fact)| fact.places.iter().map(move |place| (id, place)));
    let unread = facts.unread.iter().filter(|gap| own.contains(&gap.id));
    let unread = unread.map(|gap| (gap.id.as_str(), &gap.unread.place));
    places.chain(unread).collect()
}

/// Whether all that is new is one more use of a variable: nothing of its default or of what it
/// drives.
fn is_one_use(id: &str, was: &Facts, is: &Facts) -> bool {
    let mut keys = ["flag", "default", "fallbacks", PASSED].into_iter();
    let is_same = |key| was.attribute(id, key) == is.attribute(id, key);
    id.starts_with("env:") && keys.all(is_same)
}

/// Judges every fact of both workers and, where it is known what the old one started from, its own
/// code. `tree` is the new worker's.
pub fn judge_all(old: &Facts, base: Base, new: &Facts, tree: &dyn Tree) -> Result<Vec<Item>> {
    let has_code = base.is_some_and(|base| !base.code.is_empty());
    let code = has_code.then(|| code_of(tree)).transpose()?;
    Ok(judge_with(old, base, new, &code.unwrap_or_default()))
}

/// The same, where the new worker's statements are known.
pub fn judge_with(old: &Facts, base: Base, new: &Facts, code: &Code) -> Vec<Item> {
    let mut items = judge(old, new);
    advice::add(&mut items, old, new);
    let Some(base) = base else { return items };
    items.extend(base.own.iter().filter_map(|id| list_judged(id, new)));
    let is_lost = |item: &&mut Item| {
        let is_own = base.own.contains(&item.id) && LOOKS.contains(&&*item.id);
        is_own && matches!(item.verdict, Verdict::Missing | Verdict::Changed)
    };
    for item in items.iter_mut().filter(is_lost) {
        item.open = true;
        let help = if item.id == MODEL_VARIABLE {
            "hub.json has no such key: let the form offer that variable, or record why not."
        } else {
            "Set it in .runpod/hub.json again, or record why not."
        };
        help.clone_into(&mut item.help);
    }
    // What the build does not see does nothing there.
    let is_seen = |path: &RepoPath| !new.ignored.contains(&in_layout(&path.to_string()));
    let there = NewCode::of(code.iter().filter(|(path, _)| is_seen(path)));
    // A request that is made otherwise says no more of the fork's than it does.
    let is_there = |item: &&Item| {
        let is_request = item.new.is_some() && item.area() == "route";
        item.verdict == Verdict::Kept || is_request
    };
    let kept = items.iter().filter(is_there);
    let kept: BTreeSet<String> = kept.map(|item| item.id.clone()).collect();
    let own = base.code.iter();
    items.extend(own.filter_map(|(id, code)| code.judged(id, &there, &kept, new)));
    items
}

/// What says where several packages come from and how they are built, and is all that a fork
/// changed of them: by the id of that one change. What it took away is none.
fn lists_with_options(base: &Facts, fork: &Facts, differ: &BTreeSet<&String>) -> Lists {
    let mut lists = Lists::new();
    for id in differ.iter().filter(|id| id.starts_with("pip:")) {
        if let (Some(was), Some(is)) = (base.get(id), fork.get(id))
            && was.differing(is).all(|key| key == "index")
        {
            let id_of_list = format!("{LIST}{}", is.get("index").unwrap_or_default());
            lists.entry(id_of_list).or_default().insert((*id).clone());
        }
    }
    lists.retain(|_, ids| ids.len() > 1);
    lists
}

/// The beginning of the id of an option that is given for a list of packages.
const LIST: &str = "pip:all with ";

/// The first package that has the option of such a change.
pub fn on_list<'f>(id: &str, facts: &'f Facts) -> Option<&'f Fact> {
    let index = id.strip_prefix(LIST)?;
    let mut packages = facts.area("pip").map(|(_, package)| package);
    packages.find(|package| package.get("index").is_some_and(|all| all.contains(index)))
}

/// What became of an option that a fork gives for a list of packages.
pub fn list_judged(id: &str, new: &Facts) -> Option<Item> {
    let index = id.strip_prefix(LIST)?;
    let fact = Fact::single("index", index.to_owned(), Vec::new());
    if on_list(id, new).is_some() {
        return Some(Item::new(id, Verdict::Kept, &fact, None));
    }
    let why =
        format!("This fork installs its packages with `{index}`; the new worker's build does not.");
    Some(Item::missing(id, &fact).why(why))
}

impl OwnCode {
    pub fn has(&self, statement: &str) -> bool {
        self.behind.contains_key(statement) || self.statements.iter().any(|one| one == statement)
    }

    /// `kept` are the facts that the new worker has. Nothing, where all of it is judged with facts.
    fn judged(
        &self,
        id: &str,
        there: &NewCode,
        kept: &BTreeSet<String>,
        new: &Facts,
    ) -> Option<Item> {
        let mut parts = id.split(':').skip(1);
        let path = parts.next().unwrap_or_default();
        let function = last_name(parts.next().unwrap_or_default());
        let is_there = |ids: &BTreeSet<String>| {
            let mut requests = ids.iter().filter(|id| is_of_requests(id));
            requests.any(|id| kept.contains(id)) || ids.is_subset(kept)
        };
        let behind = self.behind.iter().filter(|(_, ids)| is_there(ids));
        let statements = self.statements.iter().chain(behind.map(|(text, _)| text));
        let mut statements: Vec<&str> = statements.map(String::as_str).collect();
        if statements.is_empty() {
            return None;
        }
        // A reason is given for all of them.
        let all = self.statements.iter().chain(self.behind.keys());
        let all: Vec<&str> = all.map(String::as_str).collect();
        let mut place = Place::start_of(&path.into());
        place.line = self.line;
        let fact = Fact::single("statements", all.join("\n"), vec![place]);
        let functions = there.functions(function, &statements);
        statements.retain(|one| !there.has(one, &functions) && !is_glue(one));
        // A variable may say now how long the start may take.
        statements.retain(|one| !seconds_to_start(one).is_some_and(|most| is_allowed(most, new)));
        if statements.is_empty() {
            return Some(Item::new(id, Verdict::Kept, &fact, None));
        }
        let similar = statements.iter().find_map(|one| there.similar(one));
        let lost = statements.iter().map(|one| format!("`{}`", cut(one, 60)));
        let lost = few(&lost.collect::<Vec<_>>(), 3);
        let why = format!("The new worker lacks what this fork added here: {lost}.");
        let mut limits = statements.iter().filter_map(|one| seconds_to_start(one));
        if let Some(limit) = limits.find_map(|seconds| limits::start_again(new, seconds)) {
            let rest = match statements.len() {
                1 => "Or record why not.",
                _ => "Write the rest where the new worker does this now, or record why not.",
            };
            let item = Item::missing(id, &fact).why(why);
            return Some(item.help(format!("{limit} {rest}")));
        }
        let help = similar.map_or_else(String::new, |(call, at)| {
            let call = cut(call, 60);
            format!("{at} has `{call}` too: see whether that does it. ")
        });
        let help = help
            + "Write them where the new worker does this now, or record why it does not need them.";
        Some(Item::missing(id, &fact).why(why).help(help))
    }
}

/// The statements of the new worker, each with the name of its function.
struct NewCode<'a>(BTreeMap<(&'a str, &'a str), &'a Place>);

impl<'a> NewCode<'a> {
    fn of(code: impl Iterator<Item = File<'a>>) -> Self {
        let all = code.flat_map(|(_, file)| file);
        let all = all.map(|one| ((last_name(&one.function), &*one.text), &one.place));
        Self(all.collect())
    }

    /// Where the code of a function may be now: in that of the same name, and in those that have a
    /// statement of it that no other code would have.
    fn functions(&self, function: &'a str, statements: &[&str]) -> BTreeSet<&'a str> {
        let all = self.0.keys();
        let have = all.filter(|(_, text)| !is_common(text) && statements.contains(text));
        have.map(|(name, _)| *name).chain([function]).collect()
    }

    /// Whether the new worker has a statement. What any code may say counts only in one of these
    /// functions; there, a call counts wherever its value goes.
    fn has(&self, statement: &str, functions: &BTreeSet<&str>) -> bool {
        let mut all = self.0.keys();
        all.any(|(name, text)| {
            let is_here = functions.contains(name);
            *text == statement && (is_here || !is_common(statement))
                || is_here && has_call(text, computation(statement))
                || is_here && has_call(&shape(text), &shape(computation(statement)))
        })
    }

    /// The call of a statement, and where code of another purpose makes it.
    fn similar<'s>(&self, statement: &'s str) -> Option<(&'s str, &'a Place)> {
        let work = computation(statement);
        if work.len() < COMMON {
            return None;
        }
        let mut all = self.0.iter();
        let (_, place) = all.find(|((_, text), _)| has_call(text, work))?;
        Some((work, place))
    }
}

/// A statement without the names of what it works on: `checked(input)` and `checked(job["input"])`
/// are one call.
fn shape(text: &str) -> String {
    let mut text = text.replace(".get(\"input\")", "[\"input\"]");
    while let Some(end) = text.find("[\"input\"]") {
        let start = text[..end]
            .rfind(|c| !is_of_a_name(c))
            .map_or(0, |at| at + 1);
        text.replace_range(start..end + "[\"input\"]".len(), "_");
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let before = out.chars().next_back();
        let is_argument = matches!(before, Some('(' | ' ')) && after.starts_with([',', ')']);
        let is_object = after.starts_with('.') && before != Some('.');
        out += if !name.is_empty() && (is_argument || is_object) {
            "_"
        } else {
            name
        };
        let next = after.chars().next();
        out.extend(next);
        rest = &after[next.map_or(0, char::len_utf8)..];
    }
    out
}

/// Whether a statement makes this call, as a whole or as a part. Anything else is too short to be
/// told from other code by a part of it.
fn has_call(text: &str, work: &str) -> bool {
    let is_whole = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + work.len()..].chars().next();
        ![before, after].into_iter().flatten().any(is_of_a_name)
    };
    work.contains('(') && text.match_indices(work).any(|(at, _)| is_whole(at))
}

/// How long a statement is that other code would not have by chance, in bytes.
const COMMON: usize = 24;

/// Whether a statement may stand in any code, as `return ""` does. What a function returns is a
/// matter of that function, whatever it calls.
fn is_common(statement: &str) -> bool {
    let returns = ["return ", "yield "];
    returns.iter().any(|word| statement.starts_with(word)) && !statement.contains("{\"")
        || !computation(statement).contains('(') && statement.len() < COMMON
}

/// Whether a statement only reads the server's answer or gives a variable back, as any code that
/// asks it does in its own way.
fn is_glue(statement: &str) -> bool {
    let work = computation(statement);
    let work = work.strip_prefix("await ").unwrap_or(work);
    let is_variable = !is_one_of("None True False", work);
    let is_given = is_variable
        && ["return ", "yield "]
            .iter()
            .any(|it| statement.starts_with(it));
    let name = work.strip_suffix(".json()").or(is_given.then_some(work));
    name.is_some_and(|name| name.chars().all(is_of_a_name))
}

/// The seconds that a statement gives the server to start: `engine.wait_for_server(timeout=1800)`, or
/// the function's own default.
fn seconds_to_start(statement: &str) -> Option<&str> {
    let (name, arguments) = statement.split_once('(')?;
    let name = last_word(name).to_uppercase();
    let mut words = name.split('_');
    let is_wait = words
        .clone()
        .any(|word| word == "WAIT" || is_one_of(limits::START, word));
    let mut arguments = arguments.trim_end_matches(')').split(", ");
    let seconds = arguments.find_map(|one| one.strip_prefix("timeout="))?;
    let is_servers = words.any(|word| word == "SERVER" || is_one_of(limits::START, word));
    (is_wait && is_servers && seconds.parse::<f64>().is_ok()).then_some(seconds)
}

fn is_allowed(seconds: &str, new: &Facts) -> bool {
    seconds
        .parse()
        .is_ok_and(|seconds| limits::may_start_in(new, seconds))
}

fn last_word(text: &str) -> &str {
    text.rsplit(|c: char| !is_of_a_name(c))
        .next()
        .unwrap_or(text)
}

/// The name of a function without those around it.
fn last_name(function: &str) -> &str {
    function.rsplit('.').next().unwrap_or(function)
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a statement computes, without where that goes: `f(x)` of `y=f(x)` and of `return f(x)`.
fn computation(statement: &str) -> &str {
    let target = statement.split_once('=').filter(|(target, rest)| {
        target.chars().all(|c| is_of_a_name(c) || c == '.') && !rest.starts_with('=')
    });
    let rest = target.map_or(statement, |(_, rest)| rest);
    match rest.split_once(' ') {
        Some(("yield", after)) => after.strip_prefix("from ").unwrap_or(after),
        Some(("return" | "await" | "if" | "elif" | "while", after)) => after,
        _ => rest,
    }
}

#[cfg(test)]
mod tests;
