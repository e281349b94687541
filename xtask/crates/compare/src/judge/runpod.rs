//! Variables that RunPod itself sets.

use super::values::env_line;
use super::{Judge, attribute};
use worker_files::is_one_of;

impl Judge<'_> {
    /// Nobody can set a variable of RunPod's own, so advice names what does the same.
    pub fn of_runpod(&mut self, name: &str, id: &str) {
        let item = self.items.get(id).filter(|item| item.open);
        let Some((item, old)) = item.and_then(|item| Some((item, item.old.as_ref()?))) else {
            return;
        };
        let (flag, drives) = (old.get("flag"), attribute(item.new.as_ref(), "flag"));
        let other = flag.filter(|flag| drives != Some(*flag) || item.now.is_some());
        let other = other.and_then(|flag| Some((flag, self.driver(flag)?)));
        let is_count = |other| {
            let knows = self.new.variable(other).is_some_and(|fact| fact.has("by"));
            name == "RUNPOD_GPU_COUNT" && knows
        };
        let does = other.map(|(flag, other)| format!("It drove {flag}, which {other} does now."));
        let help = match other {
            Some((_, other)) if is_count(other) => {
                let line = env_line(other, "auto").unwrap_or_default();
                format!("Set {other}=auto, which takes all GPUs: {line}.")
            }
            Some((_, other)) => {
                format!("Set {other} to it before SGLang starts, or record why not.")
            }
            None if item.new.is_some() => return,
            None => "Read it where the new worker does this, or record why not.".to_owned(),
        };
        let does = does.unwrap_or_else(|| "The new worker doesn't read it.".to_owned());
        if let Some(item) = self.items.get_mut(id) {
            item.why = format!("RunPod sets {name} itself, on every worker. {does}");
            item.help = help;
        }
    }
}

/// Whether RunPod gives a variable to every worker, whatever its owner sets.
pub fn is_runpods(name: &str) -> bool {
    const OWN: &str = "GPU_COUNT GPU_NAME CPU_COUNT MEM_GB POD_ID POD_HOSTNAME ENDPOINT_ID DC_ID \
        VOLUME_ID PUBLIC_IP AI_API_KEY PING_INTERVAL";
    let own = name.strip_prefix("RUNPOD_");
    own.is_some_and(|own| {
        is_one_of(OWN, own) || own.starts_with("WEBHOOK_") || own.starts_with("TCP_PORT_")
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use xtask_core::tree::Memory;

    #[test]
    fn nobody_is_told_to_set_what_runpod_sets() {
        let docker =
            "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY . /\nCMD [\"python3\", \"/engine.py\"]\n";
        let start = |python: &str| {
            let text = format!(
                "import os, subprocess\ncommand = ['python3', '-m', 'sglang.launch_server']\n{python}\nsubprocess.Popen(command)\n"
            );
            let worker = Memory::new().with("Dockerfile", docker);
            worker.with("engine.py", text)
        };
        let told = |old: &Memory, new: &Memory, id: &str| {
            let item = compared(old, new).into_iter().find(|item| item.id == id);
            let item = item.filter(|item| item.open).unwrap();
            format!("{} {}", item.why, item.help)
        };
        let count = "command += ['--tp', os.getenv('RUNPOD_GPU_COUNT', '1')]";
        let own = "if os.getenv('TENSOR_PARALLEL_SIZE'):\n    command += ['--tp', os.getenv('TENSOR_PARALLEL_SIZE')]";
        let (old, id) = (start(count), "env:RUNPOD_GPU_COUNT");
        let sets = "RunPod sets RUNPOD_GPU_COUNT itself, on every worker.";
        let drives = "It drove --tp, which TENSOR_PARALLEL_SIZE does now.";
        assert_eq!(
            told(&old, &start(own), id),
            format!(
                "{sets} {drives} Set TENSOR_PARALLEL_SIZE to it before SGLang starts, or record why not."
            )
        );
        // A worker with a table knows a word for it.
        let table = include_str!("../../../../../sglang_worker/sglang_flags.json");
        let by_table = start("import json\nflags = json.load(open('sglang_flags.json'))")
            .with("sglang_flags.json", table);
        let auto = told(&old, &by_table, id);
        assert!(auto.contains("Set TENSOR_PARALLEL_SIZE=auto, which takes all GPUs: `ENV TENSOR_PARALLEL_SIZE=auto`"), "{auto}");
        // It may be read for something else now.
        let reads = start(&format!("{own}\nprint(os.getenv('RUNPOD_GPU_COUNT'))"));
        assert!(told(&old, &reads, id).contains(drives));
        assert_eq!(
            told(
                &start("print(os.getenv('RUNPOD_POD_ID'))"),
                &start(own),
                "env:RUNPOD_POD_ID"
            ),
            "RunPod sets RUNPOD_POD_ID itself, on every worker. The new worker doesn't read it. \
             Read it where the new worker does this, or record why not."
        );
    }
}
