//! One cause, one entry: what is open, gathered by what made it so, the most harmful first.

use std::cmp::Reverse;
mod cause;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::facts::{AREAS, Facts};
use super::judge::{Item, Verdict};
use super::own_changes::{FORK, OwnChanges, UPSTREAM};
use super::unread::in_layout;
use xtask_core::tree::RepoPath;

/// Facts with one cause, to be decided on together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The id of the member that says most.
    pub id: String,
    /// The ids of all facts in it; the first is the entry's own.
    pub members: Vec<String>,
    /// From 1, the most harmful first.
    pub rank: usize,
    /// Whose change it is, `fork` or `upstream`, where that is known.
    pub origin: Option<&'static str>,
}

/// The entries of everything that is open; those of a fork's own changes first, where it is known
/// what it started from.
pub fn of(items: &[Item], base: Option<&OwnChanges>) -> Vec<Entry> {
    let by_id: HashMap<&str, &Item> = items.iter().map(|item| (item.id.as_str(), item)).collect();
    let idle = idle_files(items);
    let mut causes: BTreeMap<String, Vec<&Item>> = BTreeMap::new();
    let mut parts: HashMap<&str, Vec<&Item>> = HashMap::new();
    for item in items {
        if item.open {
            let mut cause = cause::cause(item, &by_id);
            if let Some(first) = idle.get(&file_of(item)).filter(|_| cause == item.id) {
                cause.clone_from(first);
            }
            // A fork's own change is no part of what upstream decided.
            let is_own = |id: &str| base.is_some_and(|base| base.own.contains(id));
            if is_own(&item.id) && is_pinned(item) {
                cause.clone_from(&item.id);
            } else if is_own(&item.id) && !is_own(&cause) {
                cause = format!("own {cause}");
            }
            causes.entry(cause).or_default().push(item);
        }
        if let Some(owner) = &item.part_of {
            parts.entry(owner).or_default().push(item);
        }
    }
    let mut groups: Vec<Vec<&Item>> = Vec::new();
    for (cause, mut group) in causes {
        // What the image is says more than what it brings.
        let first = ["image:FROM", "image:sglang", "image:cuda"];
        let place = |id: &str| first.iter().position(|first| *first == id);
        group.sort_by_key(|item| {
            let place = place(&item.id).unwrap_or(first.len());
            (item.id != cause, place, harm(item))
        });
        let mut at = 0;
        while let Some(item) = group.get(at) {
            group.extend(parts.get(item.id.as_str()).into_iter().flatten());
            at += 1;
        }
        groups.push(group);
    }
    groups.sort_by_cached_key(|group| {
        let open = group.iter().filter(|item| item.open);
        let worst = open.map(|item| harm(item)).min();
        let (class, area, model, id) = worst.unwrap_or_else(|| harm(group[0]));
        (class, area, model, Reverse(group.len()), id)
    });
    let entry = |group: Vec<&Item>| {
        let members: Vec<String> = group.iter().map(|item| item.id.clone()).collect();
        let (id, origin) = (members[0].clone(), base.map(|base| base.whose(&members)));
        Entry {
            id,
            members,
            rank: 0,
            origin,
        }
    };
    let mut entries: Vec<Entry> = groups.into_iter().map(entry).collect();
    rank(&mut entries);
    entries
}

/// The old files that nothing runs any more, though the new worker has them: each with what stands
/// for all that it did.
fn idle_files(items: &[Item]) -> HashMap<Option<&RepoPath>, String> {
    let is_idle = |item: &&Item| {
        let new = item.new.as_ref().filter(|_| item.open);
        let file = new
            .filter(|new| !new.is_reached())
            .map(|new| &new.places[0].file);
        let was = file_of(item).map(|was| in_layout(&was.to_string()));
        was.is_some() && was == file.map(|file| in_layout(&file.to_string()))
    };
    let mut idle: Vec<&Item> = items.iter().filter(is_idle).collect();
    idle.sort_by_key(|item| Reverse(harm(item)));
    idle.into_iter()
        .map(|item| (file_of(item), item.id.clone()))
        .collect()
}

/// The one file that an old fact stands in.
fn file_of(item: &Item) -> Option<&RepoPath> {
    let mut files = item
        .old
        .iter()
        .flat_map(|old| &old.places)
        .map(|at| &at.file);
    let first = files.next()?;
    files.all(|file| file == first).then_some(first)
}

fn rank(entries: &mut [Entry]) {
    entries.sort_by_key(|entry| entry.origin == Some(UPSTREAM));
    for (entry, rank) in entries.iter_mut().zip(1..) {
        entry.rank = rank;
    }
}

/// Takes what the owner changed in upstream's files since the migration for the fork's own.
pub fn own_since(entries: &mut [Entry], items: &[Item], new: &Facts, upstream: &Facts) {
    let items = items.iter().filter(|item| item.open);
    let later = items.filter(|item| is_changed_since(item, new, upstream));
    let later: HashSet<&str> = later.map(|item| item.id.as_str()).collect();
    for entry in entries.iter_mut().filter(|entry| entry.origin.is_some()) {
        if entry.members.iter().any(|id| later.contains(&**id)) {
            entry.origin = Some(FORK);
        }
    }
    rank(entries);
}

/// Whether the new worker has a fact otherwise than its upstream. What only a run shows and
/// statements are no facts of a worker.
fn is_changed_since(item: &Item, new: &Facts, upstream: &Facts) -> bool {
    let id = item.now.as_ref().unwrap_or(&item.id);
    match (new.get(id), upstream.get(id)) {
        (Some(new), Some(theirs)) => theirs.differing(new).next().is_some(),
        (new, theirs) => new.is_some() != theirs.is_some(),
    }
}

/// Whether a package is one of pip's, at a release that somebody chose.
fn is_pinned(item: &Item) -> bool {
    let spec = item.old.as_ref().and_then(|old| old.get("spec"));
    item.area() == "pip" && spec.is_some_and(|spec| spec.contains(['=', '<', '>', '~', '@']))
}

/// How much harm a fact does, the most harmful first: what breaks existing endpoints, then what
/// changes their results, then by area.
fn harm(item: &Item) -> (usize, usize, bool, &str) {
    let is_lost = matches!(item.verdict, Verdict::Missing | Verdict::Renamed);
    let area = AREAS.iter().find(|(area, ..)| *area == item.area());
    let places = item.old.iter().flat_map(|fact| &fact.places);
    let mut files = places.map(|place| place.file.name()).peekable();
    // The program that puts the model into the image is not what endpoints run.
    let is_builds = files.peek().is_some() && files.all(|name| name == b"download_model.py");
    let (class, at) = match area.map_or(60, |(_, _, harm, _)| *harm) {
        // Only builds are told otherwise; endpoints go on.
        0 if is_builds => (4, 0),
        at @ 0..10 => (usize::from(!is_lost), at),
        harm => (harm / 10, 0),
    };
    // Without its model no worker starts.
    let flag = item.old.as_ref().and_then(|fact| fact.get("flag"));
    let is_model = matches!(flag, Some("--model-path" | "--model"));
    (class, at, !is_model, &item.id)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{compared, legacy, modern};
    use super::*;

    #[test]
    fn the_distributions_python_goes_with_the_base_image() {
        let image = |from: &str, install: &str| {
            let text = format!("FROM {from}\n{install}COPY a.py /\nCMD [\"python3\", \"/a.py\"]\n");
            let worker = xtask_core::tree::Memory::new().with("Dockerfile", text);
            worker.with("a.py", "import os\nos.getenv(\"A\")\n")
        };
        let old = "RUN apt-get install -y python3.10 python3.10-dev vim\n";
        let old = image("nvidia/cuda:12.1.0-base-ubuntu22.04", old);
        let new = |from| entries_of(&old, &image(from, ""));
        let entries = new("lmsysorg/sglang:v0.5.19-cu129");
        let ids: Vec<&str> = entries.iter().map(|entry| &*entry.id).collect();
        assert_eq!(ids, ["image:FROM", "apt:vim"]);
        assert!(entries[0].members.contains(&"apt:python3.10".to_owned()));
        // On the same base image it is a loss of its own.
        assert_eq!(new("nvidia/cuda:12.1.0-base-ubuntu22.04").len(), 3);
    }

    #[test]
    fn a_word_that_switches_nothing_on_any_more_is_one_cause() {
        let engine = |words: &str| {
            let code = format!(
                "import os, subprocess\ncmd = ['python3', '-m', 'sglang.launch_server']\nfor name in ['TRUST_REMOTE_CODE', 'LOG_REQUESTS']:\n    if os.getenv(name) in {words}:\n        cmd.append('--' + name.lower().replace('_', '-'))\nsubprocess.Popen(cmd)\n"
            );
            xtask_core::tree::Memory::new().with("handler.py", code)
        };
        let entries = entries_of(&engine("['1', 'on']"), &engine("['1']"));
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].members.len(), 2);
    }

    #[test]
    fn where_packages_come_from_is_one_cause() {
        let image = |option: &str| {
            let text = format!(
                "FROM python:3.12\nRUN pip install {option} one two==2 three\nCOPY a.py /\nCMD [\"python3\", \"/a.py\"]\n"
            );
            let worker = xtask_core::tree::Memory::new().with("Dockerfile", text);
            worker.with("a.py", "import os\nos.getenv(\"A\")\n")
        };
        let entries = entries_of(&image("--index-url https://own.example/simple"), &image(""));
        let all: Vec<_> = entries.iter().map(|entry| entry.members.len()).collect();
        assert_eq!(all, [3]);
        // A version that changed too is a change of its own.
        let new = image("").with("Dockerfile", "FROM python:3.12\nRUN pip install one two==3 three\nCOPY a.py /\nCMD [\"python3\", \"/a.py\"]\n");
        let entries = entries_of(&image("--index-url https://own.example/simple"), &new);
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn a_build_of_its_own_is_no_part_of_the_base_image() {
        let image = |install: &str| {
            let text = format!("FROM lmsysorg/sglang:v0.5.9-cu129\n{install}");
            xtask_core::tree::Memory::new().with("Dockerfile", text)
        };
        let old =
            image("RUN pip install openai git+https://github.com/huggingface/transformers.git\n");
        let new = xtask_core::tree::Memory::new();
        let new = new.with("Dockerfile", "FROM lmsysorg/sglang:v0.5.19-cu129\n");
        let items = compared(&old, &new);
        let entries = of(&items, None);
        let ids: Vec<&str> = entries.iter().map(|entry| &*entry.id).collect();
        assert_eq!(ids, ["image:FROM", "pip:transformers"]);
        assert!(entries[0].members.contains(&"pip:openai".to_owned()));
        let why = items.iter().find(|item| item.id == "pip:transformers");
        assert!(
            why.unwrap()
                .why
                .contains("github.com/huggingface/transformers")
        );
    }

    /// What a fork chose itself is told first and not below what merely comes with an image.
    #[test]
    fn a_forks_own_releases_are_no_part_of_what_the_image_brings() {
        let image = |from: &str, install: &str| {
            let text = format!("FROM {from}\n{install}COPY a.py /\nCMD [\"python3\", \"/a.py\"]\n");
            let worker = xtask_core::tree::Memory::new().with("Dockerfile", text);
            worker.with("a.py", "import os\nos.getenv(\"A\")\n")
        };
        let install = "RUN apt-get install -y python3.10\nRUN pip install transformers==4.51.1\n";
        let old = image("lmsysorg/sglang:v0.4.6.post4-cu124", install);
        let items = compared(&old, &image("lmsysorg/sglang:v0.5.19-cu129", ""));
        let own = [
            "apt:python3.10",
            "image:cuda",
            "image:sglang",
            "pip:transformers",
        ];
        let base = OwnChanges {
            own: own.map(str::to_owned).into(),
            ..OwnChanges::default()
        };
        let entries = of(&items, Some(&base));
        let members: Vec<String> = entries.iter().map(|it| it.members.join(" ")).collect();
        let first = "image:sglang image:cuda apt:python3.10";
        assert_eq!(members, [first, "pip:transformers", "image:FROM"]);
    }

    /// The entries of what is open between two workers that start the server.
    fn of_workers(old: [&str; 3], new: [&str; 3]) -> Vec<String> {
        let [old, new] = [old, new].map(|[set, code, hub]| {
            let image = format!("FROM lmsysorg/sglang:v0.5.19-cu129\n{set}COPY . /\nCMD [\"python3\", \"/handler.py\"]\n");
            let start = "c = ['python3', '-m', 'sglang.launch_server']";
            let code = format!("import os, subprocess, requests, runpod\n{start}\n{code}\n");
            let env = format!(r#"[{{"key": "DTYPE", "input": {{"type": "string", "default": "{hub}"}}}}]"#);
            let hub = format!(r#"{{"title": "a", "config": {{"env": {env}}}}}"#);
            let tree = xtask_core::tree::Memory::new().with("Dockerfile", image);
            tree.with("handler.py", code).with(".runpod/hub.json", hub)
        });
        let entries = entries_of(&old, &new);
        entries
            .iter()
            .map(|entry| entry.members.join(" "))
            .collect()
    }

    #[test]
    fn a_variable_its_flag_and_what_sets_it_are_one_entry() {
        let start = "subprocess.Popen(c)";
        let add = |value: &str| format!("v = {value}\nif v: c += ['--dtype', v]\n{start}");
        let read = add("os.getenv('DTYPE')");
        // A flag and the form's default of its variable.
        let fixed = format!("c += ['--dtype', 'half']\n{start}");
        let entries = of_workers(["", &fixed, "half"], ["", &read, "float16"]);
        assert_eq!(entries, ["flag:--dtype hub:DTYPE.default"]);
        // A variable, the image's value and its flag.
        let entries = of_workers(["ENV DTYPE=half\n", &read, "half"], ["", start, "half"]);
        assert_eq!(entries, ["env:DTYPE image:DTYPE flag:--dtype"]);
    }

    #[test]
    fn a_key_of_a_result_goes_with_the_key_that_holds_it() {
        let ends = |answer: &str| {
            let post = "r = requests.post('http://127.0.0.1:1/generate', json={})";
            format!(
                "def handler(job):\n    {post}\n    return {answer}\nrunpod.serverless.start({{'handler': handler}})"
            )
        };
        let old = ends("{'a': r.json(), 'b': 1}");
        let entries = of_workers(["", &old, ""], ["", &ends("{'b': 1}"), ""]);
        assert_eq!(entries, ["result:a result:a.{answer}"]);
    }

    /// What the new worker has as its upstream is upstream's, although nothing runs it there.
    #[test]
    fn what_is_as_in_upstream_is_no_change_of_the_owner() {
        let worker = |call: &str| {
            let asks = "def ask():\n    requests.get('http://127.0.0.1:1/own')";
            let text = format!(
                "import requests, runpod\n{asks}\ndef handler(job):\n    return {call}\nrunpod.serverless.start({{'handler': handler}})\n"
            );
            xtask_core::tree::Memory::new().with("handler.py", text)
        };
        let (old, new) = (worker("ask()"), worker("1"));
        let items = compared(&old, &new);
        let new = Facts::read(&new).unwrap();
        assert!(new.has("route:/own"));
        let mut entries = of(&items, Some(&OwnChanges::default()));
        let origin = |entries: &[Entry]| {
            let mut all = entries.iter().filter(|it| it.id == "route:/own");
            all.next().and_then(|it| it.origin)
        };
        assert_eq!(origin(&entries), Some(UPSTREAM));
        own_since(&mut entries, &items, &new, &new);
        assert_eq!(origin(&entries), Some(UPSTREAM));
        own_since(&mut entries, &items, &new, &Facts::default());
        assert_eq!(origin(&entries), Some(FORK));
    }

    /// Who sets a value again has to set it in the form as well, whatever the old worker had it by.
    #[test]
    fn a_value_and_the_forms_stronger_one_are_one_entry() {
        let worker = |words: &str| {
            let start = format!(
                "import os, subprocess\ncommand = ['python3', '-m', 'sglang.launch_server', {words}]\nsubprocess.Popen(command)\n"
            );
            let docker =
                "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY a.py /\nCMD [\"python3\", \"/a.py\"]\n";
            let worker = xtask_core::tree::Memory::new().with("Dockerfile", docker);
            worker.with("a.py", start)
        };
        let form = r#"{"config": {"env": [{"key": "KV_CACHE_DTYPE", "input": {"name": "K", "type": "string", "default": "auto"}}]}}"#;
        let new = worker("'--kv-cache-dtype', os.getenv('KV_CACHE_DTYPE')");
        let new = new.with(".runpod/hub.json", form);
        for (words, id) in [
            ("'fp8_e5m2'", "flag:--kv-cache-dtype"),
            ("os.getenv('KV', 'fp8_e5m2')", "env:KV"),
        ] {
            let old = worker(&format!("'--kv-cache-dtype', {words}"));
            let items = compared(&old, &new);
            let own = [id.to_owned()].into();
            let base = OwnChanges {
                own,
                ..OwnChanges::default()
            };
            let entries = of(&items, Some(&base));
            let first: Vec<&str> = entries[0].members.iter().map(|id| &**id).collect();
            assert_eq!(first, [id, "hub:KV_CACHE_DTYPE.default"]);
            assert_eq!(entries[0].origin, Some(FORK));
        }
    }

    fn entries_of(old: &xtask_core::tree::Memory, new: &xtask_core::tree::Memory) -> Vec<Entry> {
        of(&compared(old, new), None)
    }

    #[test]
    fn one_cause_is_one_entry_and_the_model_comes_first() {
        let items = compared(&legacy(), &modern());
        let entries = of(&items, None);
        assert_eq!(entries[0].id, "env:MODEL_NAME");
        assert!(entries[0].members.contains(&"image:MODEL_NAME".to_owned()));
        let with = |id: &str| {
            let of = entries
                .iter()
                .find(|entry| entry.members.iter().any(|member| member == id));
            of.unwrap_or_else(|| panic!("no entry for {id}"))
                .id
                .as_str()
        };
        assert_eq!(with("hub:cuda"), with("image:FROM"));
        assert_eq!(with("pip:hf-transfer"), with("image:FROM"));
        let ranks: Vec<usize> = entries.iter().map(|entry| entry.rank).collect();
        assert!(ranks.iter().copied().eq(1..=entries.len()));
        // Everything open is in one entry, and in one only.
        for item in items.iter().filter(|item| item.open) {
            let holders = entries
                .iter()
                .filter(|entry| entry.members.contains(&item.id));
            assert_eq!(holders.count(), 1, "{}", item.id);
        }
    }
}
