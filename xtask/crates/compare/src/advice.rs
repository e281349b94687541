//! What bringing something back would do to the new worker, beside what it is for.

use std::collections::BTreeSet;

use super::facts::Facts;
use super::judge::Item;
use xtask_core::tree::RepoPath;

const STARTS: &str = " The new worker starts SGLang itself: what is brought back must not start it \
                      too, as both would take one port.";
const REPLACES: &str = " Brought back, it takes the place of the SGLang in the new image, whose flags \
                        the worker was made for.";

/// Adds that to what is said of open facts.
pub fn add(items: &mut [Item], old: &Facts, new: &Facts) {
    let flags = old.area("flag");
    let places = flags.flat_map(|(_, fact)| &fact.places);
    // A file of data holds arguments; what reads it starts the server.
    let is_script = |file: &RepoPath| {
        let ends = [".py", ".yaml", ".yml", ".json", ".toml"];
        !ends
            .iter()
            .any(|end| file.as_bytes().ends_with(end.as_bytes()))
    };
    let places = places.filter(|at| is_script(&at.file));
    let scripts: BTreeSet<String> = places.map(|at| at.file.to_string()).collect();
    let names = |text: &str, script: &String| {
        let name = script.rsplit('/').next().unwrap_or(script);
        text.split(|c: char| c == '/' || c.is_whitespace())
            .any(|word| word == name)
    };
    let starts = |text: &str| scripts.iter().any(|script| names(text, script));
    for item in items.iter_mut().filter(|item| item.open) {
        let was = item.old.as_ref().and_then(|fact| fact.get("value"));
        let (area, name) = item.id.split_once(':').unwrap_or_default();
        let does_start = match (area, name) {
            ("image", "CMD" | "ENTRYPOINT") => was.is_some_and(starts),
            ("copy", file) => starts(file),
            _ => false,
        };
        let is_build = area == "pip" || area == "step" && name.starts_with("git clone");
        let is_build = is_build && new.has("image:sglang") && item.old.is_some();
        if does_start {
            item.help += STARTS;
        } else if is_build && name.to_lowercase().contains("sglang") {
            item.help += REPLACES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use xtask_core::tree::Memory;

    #[test]
    fn what_gets_in_the_new_workers_way() {
        let old = Memory::new()
            .with("start.sh", "python3 -m sglang.launch_server --port 30000 --config /args.yaml &\nexec python3 /src/handler.py\n")
            .with("args.yaml", "tp-size: 2\n")
            .with("src/handler.py", "import runpod\n")
            .with(
                "Dockerfile",
                "FROM nvidia/cuda:12.4.1-base\nRUN git clone https://a.example/sglang-dry.git /s && pip install -e /s/python\nCOPY src /src\nCOPY start.sh notes.txt args.yaml /\nCMD [\"bash\", \"/start.sh\"]\n",
            );
        let new = Memory::new().with("handler.py", "import runpod\n").with(
            "Dockerfile",
            "FROM lmsysorg/sglang:v0.5.9\nCOPY handler.py ./\nCMD [\"python3\", \"handler.py\"]\n",
        );
        let (old, new) = (Facts::read(&old).unwrap(), Facts::read(&new).unwrap());
        let mut items = judge(&old, &new);
        add(&mut items, &old, &new);
        let with = |advice: &str| -> Vec<&str> {
            let told = items.iter().filter(|item| item.help.ends_with(advice));
            told.map(|item| &*item.id).collect()
        };
        // Arguments alone start nothing.
        assert_eq!(with(STARTS), ["copy:start.sh", "image:CMD"]);
        assert!(
            with(REPLACES)
                .iter()
                .any(|id| id.starts_with("step:git clone")),
            "{:?}",
            with(REPLACES)
        );
    }
}
