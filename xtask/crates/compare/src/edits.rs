//! Small edits of files that both workers have: statements that are only gone, that are shorter, or
//! that have another constant. No fact is about them, but no rewriting explains them either.

mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use anyhow::Result;
use similar::{Algorithm, DiffTag, capture_diff_slices};

use self::words::{
    asks, is_log, is_name, is_other, is_other_constant, is_other_line, is_shorter, is_weaker,
    misses_part, missing_words,
};
use super::facts::{Fact, Facts};
use super::judge::{Item, Verdict, few};
use super::not_judged::{Parts, parts};
use super::unread::in_layout;
use worker_files::python::{Statement, tokens};
use worker_files::{Place, is_one_of};
use xtask_core::output::cut;
use xtask_core::secret::masked;
use xtask_core::tree::{RepoPath, Tree};

/// What stands where the old worker's statements stood.
struct Edit<'s> {
    gone: Vec<&'s Statement>,
    /// Nothing, where the statements are only gone.
    now: Vec<&'s Statement>,
}

/// What such edits took from the old worker, an item for each function. Places that `items` tell of
/// already are left out, and files of which the new worker has less than most: these were rewritten.
pub fn of(old: &dyn Tree, facts: &Facts, new: &dyn Tree, items: &[Item]) -> Result<Vec<Item>> {
    let (before, after) = (parts(old, new, facts)?, parts(new, old, facts)?);
    let kept = |(path, was): &(&String, &Vec<Statement>)| {
        after.get(*path).is_some_and(|is| is_mostly_kept(was, is))
    };
    if !before.iter().any(|file| kept(&file)) {
        return Ok(Vec::new());
    }
    let mut code = String::new();
    for path in &facts.reached {
        code += &String::from_utf8_lossy(&old.read(path)?);
    }
    let starts = ["image:CMD", "image:ENTRYPOINT"].into_iter();
    code.extend(starts.filter_map(|id| facts.get(id)?.get("value")));
    let known = Known::of((&before, &after), items, &code);
    let told = items.iter().filter(|item| item.verdict != Verdict::Kept);
    let told: BTreeSet<&str> = told
        .filter_map(|item| item.id.strip_prefix("copy:"))
        .collect();
    let mut by_function: BTreeMap<String, Vec<Edit>> = BTreeMap::new();
    for (path, was) in &before {
        let Some(is) = after.get(path).filter(|is| is_mostly_kept(was, is)) else {
            continue;
        };
        let Some(file) = was.first().map(|one| &one.place.file) else {
            continue;
        };
        let name = String::from_utf8_lossy(file.name());
        let is_shell = name.ends_with(".sh");
        let is_data = !is_shell && !name.ends_with(".py");
        // What is told as a copied file is told with all of its text.
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        let mut names = folder.into_iter().chain([&*name]);
        let is_named = is_data && names.any(|name| known.code.contains(name));
        let is_named = is_named && !told.contains(&**path);
        if !(is_shell || is_named || facts.reached.contains(file)) {
            continue;
        }
        let functions: BTreeSet<&str> = is.iter().map(|one| &*one.function).collect();
        let kind = match (is_data, is_shell) {
            (true, _) => Kind::Data,
            (_, true) => Kind::Shell,
            _ => Kind::Python,
        };
        for edit in edits((was, is), &known, kind) {
            let function = &*edit.gone[0].function;
            let name = function.rsplit('.').next().unwrap_or(function);
            let is_magic = name.is_empty() || name.starts_with("__");
            let is_called =
                || is_magic || is_decorated(function, was) || known.is_named_again(name);
            if functions.contains(function) && is_called() {
                let id = format!("code:{path}:{function}");
                let id = id.trim_end_matches(':').to_owned();
                by_function.entry(id).or_default().push(edit);
            }
        }
    }
    let items = by_function.into_iter();
    Ok(items.map(|(id, edits)| item(&id, &edits)).collect())
}

fn item(id: &str, edits: &[Edit]) -> Item {
    let fact = |statements: Vec<&Statement>| {
        let texts: Vec<_> = statements.iter().map(|one| masked(&one.text)).collect();
        let places: Vec<Place> = statements.iter().map(|one| one.place.clone()).collect();
        Fact::single("statements", texts.join("\n"), places)
    };
    let text = |all: &[&Statement]| {
        let texts = all.iter().map(|one| cut(&masked(&one.text), 60));
        texts.collect::<Vec<_>>().join("; ")
    };
    let said = |edit: &Edit| match edit.now.as_slice() {
        [] => format!("`{}` is gone", text(&edit.gone)),
        now => format!("`{}` is now `{}`", text(&edit.gone), text(now)),
    };
    let why: Vec<String> = edits.iter().map(said).collect();
    let why = format!("No fact tells what this code does: {}.", few(&why, 3));
    let old = fact(edits.iter().flat_map(|edit| edit.gone.clone()).collect());
    let new: Vec<&Statement> = edits.iter().flat_map(|edit| edit.now.clone()).collect();
    if new.is_empty() {
        let help = "Write it again, or record why the new worker does not need it.";
        return Item::missing(id, &old).why(why).help(help);
    }
    Item::new(id, Verdict::Changed, &old, &fact(new)).why(why)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Python,
    Shell,
    /// Templates and settings, of which every line counts.
    Data,
}

/// What facts tell of a statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// What it gives is there, which other statements may give too.
    Result,
    Kept,
    Differs,
}

/// What is known of all statements that differ.
struct Known<'p> {
    /// How many more there are of a statement in the old worker than in the new one.
    surplus: HashMap<&'p str, isize>,
    /// The old worker's Python that runs, with how often it has a word, and what it defines itself.
    code: &'p str,
    words: HashMap<&'p str, usize>,
    defined: HashSet<&'p str>,
    /// What the new worker has more, and how many of these have a word.
    added: Vec<&'p str>,
    added_words: HashMap<&'p str, usize>,
    /// Its statements that differ, and those beside them in their files.
    after: &'p Parts,
    /// The old worker's functions of which every statement moved.
    moved: BTreeSet<&'p str>,
    /// The old lines that facts are about.
    facts: BTreeMap<(&'p RepoPath, usize), Told>,
    /// The commands of the steps that are told, as they are without quotes.
    steps: BTreeSet<&'p str>,
}

impl<'p> Known<'p> {
    fn of((before, after): (&'p Parts, &'p Parts), items: &'p [Item], code: &'p str) -> Self {
        let mut surplus: HashMap<&str, isize> = HashMap::new();
        for (parts, one) in [(before, 1), (after, -1)] {
            for statement in parts.values().flatten() {
                *surplus.entry(&statement.text).or_default() += one;
            }
        }
        let added = surplus.iter().filter(|(_, count)| **count < 0);
        let added: Vec<&str> = added.map(|(text, _)| *text).collect();
        let mut added_words: HashMap<&str, usize> = HashMap::new();
        for text in &added {
            for word in tokens(text).into_iter().collect::<HashSet<_>>() {
                *added_words.entry(word).or_default() += 1;
            }
        }
        let (words, defined) = words_of(code);
        let mut bodies: BTreeMap<&str, bool> = BTreeMap::new();
        for one in before.values().flatten() {
            let is_head = one.text.contains("def ");
            let is_moved = is_head || surplus.get(&*one.text) == Some(&0);
            *bodies.entry(&one.function).or_insert(true) &= is_moved;
        }
        let moved = bodies.into_iter().filter(|(_, moved)| *moved);
        let moved = moved.map(|(function, _)| function).collect();
        let about = items
            .iter()
            .filter(|item| !is_one_of("python copy", item.area()));
        let about = about.filter_map(|item| Some((item, item.old.as_ref()?)));
        let mut facts: BTreeMap<(&RepoPath, usize), Told> = BTreeMap::new();
        let mut steps = BTreeSet::new();
        for (item, fact) in about {
            let told = match item.verdict {
                Verdict::Kept if item.area() == "result" => Told::Result,
                Verdict::Kept => Told::Kept,
                _ => Told::Differs,
            };
            for at in &fact.places {
                let line = facts.entry((&at.file, at.line)).or_insert(told);
                *line = told.max(*line);
            }
            let commands = fact.get("commands").filter(|_| told == Told::Differs);
            steps.extend(commands.into_iter().flat_map(str::lines));
        }
        Self {
            surplus,
            code,
            words,
            defined,
            added,
            added_words,
            after,
            moved,
            facts,
            steps,
        }
    }

    fn told(&self, one: &Statement) -> Option<Told> {
        if self.steps.contains(&*one.text.replace(['"', '\''], "")) {
            return Some(Told::Differs);
        }
        let lines = one.place.line..=one.last_line;
        let facts = lines.filter_map(|line| self.facts.get(&(&one.place.file, line)));
        facts
            .copied()
            .max()
            .or_else(|| asks(&one.text).then_some(Told::Kept))
    }

    /// Whether the old worker's code names something more than once.
    fn is_named_again(&self, name: &str) -> bool {
        self.words.get(name).is_some_and(|count| *count > 1)
    }

    fn is_moved(&self, one: &Statement) -> bool {
        self.surplus.get(&*one.text).is_none_or(|count| *count == 0)
    }

    /// Whether a statement gives a name a value that nothing else uses, or nothing any more; or calls
    /// a function of which all moved. What used the name is told by itself.
    fn is_unused(&self, one: &Statement, is_shell: bool) -> bool {
        match tokens(&one.text).as_slice() {
            [name, "=" | ":" | "+=", ..] if is_name(name) => {
                let is_used = is_shell || self.is_named_again(name);
                let file = in_layout(&one.place.file.to_string());
                let mut now = self.after.get(&file).into_iter().flatten();
                !is_used || !now.any(|other| tokens(&other.text).contains(name))
            }
            [name, "(", ")"] => self.moved.contains(name),
            _ => false,
        }
    }

    /// Whether a word stands in what the new worker has more, but for one statement.
    fn is_added(&self, word: &str, but: &str) -> bool {
        let count = self.added_words.get(word).copied().unwrap_or_default();
        count > usize::from(tokens(but).contains(&word))
    }

    /// Whether a statement that takes the place of another lost something, or has another constant.
    /// `is_moved` says whether others moved around it.
    fn is_small(&self, gone: &Statement, now: &Statement, kind: Kind, is_moved: bool) -> bool {
        let is_shell = kind != Kind::Python;
        let [old, new] = [&*gone.text, &*now.text];
        let is_elsewhere = |word: &str| self.is_added(word, new);
        let is_own = |word: &str| self.defined.contains(word);
        if !is_shell && !is_moved && !asks(old) && is_weaker(old, new) {
            return true;
        }
        if self.told(gone).is_some() {
            let is_constant = !is_moved && !is_shell && is_other_constant(old, new, is_own);
            return is_constant || misses_part(old, new, is_elsewhere);
        }
        // With its branches swapped, a condition is the opposite.
        let is_negated = is_moved && missing_words(old, new).is_some_and(|words| words == ["not"]);
        let is_other = || {
            let is_line = is_shell && is_other_line(old, new);
            is_line || !is_shell && is_other(old, new, is_own)
        };
        !is_negated && is_shorter(old, new, is_elsewhere) || !is_moved && is_other()
    }

    /// Whether what a statement computes is a part of another statement now.
    fn is_inlined(&self, one: &Statement) -> bool {
        const MOST: usize = 2_000;
        let value = one.text.split_once('=').map(|(_, value)| value);
        let mut added = self.added.iter().take(MOST);
        value.is_some_and(|value| value.len() > 2 && added.any(|text| text.contains(value)))
    }
}

/// How often each word stands in code, and which ones it defines.
fn words_of(code: &str) -> (HashMap<&str, usize>, HashSet<&str>) {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let (mut words, mut defined) = (HashMap::new(), HashSet::new());
    let mut before = "";
    let mut rest = code;
    while let Some(start) = rest.find(is_part) {
        let word = &rest[start..];
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        rest = &word[end..];
        let word = &word[..end];
        *words.entry(word).or_default() += 1;
        if is_one_of("def class import as", before) || rest.starts_with(" = ") {
            defined.insert(word);
        }
        before = word;
    }
    (words, defined)
}

fn is_mostly_kept(was: &[Statement], is: &[Statement]) -> bool {
    let there: BTreeSet<&str> = is.iter().map(|one| &*one.text).collect();
    let kept = was.iter().filter(|one| there.contains(&*one.text)).count();
    kept * 2 >= was.len() || was.len() - kept <= 2
}

fn is_decorated(function: &str, file: &[Statement]) -> bool {
    let mut pairs = file.windows(2);
    pairs.any(|pair| pair[1].function == function && pair[0].text.starts_with('@'))
}

/// The small edits between two versions of a file.
fn edits<'s>(
    (was, is): (&'s [Statement], &'s [Statement]),
    known: &Known,
    kind: Kind,
) -> Vec<Edit<'s>> {
    let is_shell = kind != Kind::Python;
    let texts = |all: &'s [Statement]| all.iter().map(|one| &*one.text).collect::<Vec<&str>>();
    let (old, new) = (texts(was), texts(is));
    let mut edits = Vec::new();
    for hunk in capture_diff_slices(Algorithm::Myers, &old, &new) {
        let (gone, now) = (&was[hunk.old_range()], &is[hunk.new_range()]);
        let differs = |one: &Statement| known.told(one) == Some(Told::Differs);
        // Facts tell of the condition that they stand below.
        let below = was.get(hunk.old_range().end);
        let is_judged = below.is_some_and(|one| known.told(one) == Some(Told::Kept));
        if hunk.tag() == DiffTag::Equal || gone.iter().any(differs) {
            continue;
        }
        // A loop that ends after its first round now.
        if let ([], [end]) = (gone, now)
            && end.text == "break"
            && let Some(last) = hunk.old_range().start.checked_sub(1)
        {
            edits.push(Edit {
                gone: vec![&was[last]],
                now: vec![&was[last], end],
            });
        }
        let is_lost = |one: &&Statement| {
            let is_unused = known.is_unused(one, is_shell);
            let is_condition = one.text.starts_with("if ") || one.text.starts_with("elif ");
            let is_last = Some(one.place.line) == gone.last().map(|last| last.place.line);
            let is_judged = is_judged && is_condition && is_last && now.is_empty();
            !known.is_moved(one) && !is_log(&one.text) && !is_unused && !is_judged
        };
        let mut lost: Vec<&Statement> = gone.iter().filter(is_lost).collect();
        let added: Vec<&Statement> = now.iter().filter(|one| !known.is_moved(one)).collect();
        if kind == Kind::Data && !lost.is_empty() {
            edits.push(Edit {
                gone: lost,
                now: added,
            });
        } else if added.is_empty() {
            lost.retain(|one| known.told(one) != Some(Told::Kept));
            let is_inlined = lost.iter().any(|one| known.is_inlined(one));
            if !lost.is_empty() && !is_inlined {
                edits.push(Edit {
                    gone: lost,
                    now: added,
                });
            }
        } else if lost.len() == added.len() {
            let is_moved = lost.len() < gone.len() || added.len() < now.len();
            let pairs = lost.into_iter().zip(added);
            let small = pairs.filter(|(gone, now)| known.is_small(gone, now, kind, is_moved));
            edits.extend(small.map(|(gone, now)| Edit {
                gone: vec![gone],
                now: vec![now],
            }));
        }
    }
    edits
}
