//! The facts about the Hub's two files: keys, types, words, GPUs, CUDA versions. The rules, the schemas
//! and the documentation use these tables only.
//!
//! Sources: the Hub's publishing guide, RunPod's list of GPU types (February 2026), RunPod's Flash
//! documentation for three of the pools, and what published listings really use.

use std::sync::LazyLock;

use crate::rule;
use worker_files::is_one_of;

#[derive(Debug, Clone, Copy)]
pub enum ValueShape {
    Text,
    /// One of some words; none are given where a rule of its own knows them.
    Word(&'static [&'static str]),
    /// A text of at most so many characters.
    Limited(usize),
    Flag,
    /// A whole number from 1 on.
    Count,
    Whole,
    Number,
    /// A string, number, boolean or null.
    Scalar,
    Object(&'static FieldTable),
    List(&'static ValueShape),
    /// A map from environment variables to values.
    Values,
    /// Any object.
    Payload,
}

impl ValueShape {
    /// The type as JSON Schema names it, and in words.
    pub fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Text | Word(_) | Limited(_) => ("string", "a string"),
            Flag => ("boolean", "true or false"),
            Whole | Count => ("integer", "a whole number"),
            Number => ("number", "a number"),
            Scalar => ("scalar", "a string, a number or a boolean"),
            Object(_) | Payload | Values => ("object", "an object"),
            List(_) => ("array", "an array"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Required,
    Optional,
    /// Undocumented, but in published listings: neither required nor reported.
    Seen,
}

#[derive(Debug)]
pub struct FieldRule {
    pub key: &'static str,
    pub shape: ValueShape,
    pub need: Presence,
    /// A description for the schema, editors and messages.
    pub about: &'static str,
    pub aliases: &'static [&'static str],
}

#[derive(Debug)]
pub struct FieldTable {
    /// The object's name in messages: "the listing", "`config`".
    pub what: &'static str,
    pub fields: &'static [FieldRule],
}

impl FieldTable {
    pub fn field(&self, key: &str) -> Option<&'static FieldRule> {
        self.fields.iter().find(|field| field.key == key)
    }

    pub fn required(&self) -> impl Iterator<Item = &'static FieldRule> {
        let fields = self.fields.iter();
        fields.filter(|field| field.need == Presence::Required)
    }

    /// The keys that the Hub's guide has, and not only published listings.
    pub fn documented(&self) -> impl Iterator<Item = &'static FieldRule> {
        let fields = self.fields.iter();
        fields.filter(|field| field.need != Presence::Seen)
    }

    /// Whether both are the same table, and not just equal ones.
    pub fn is(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

use Presence::{Optional, Required, Seen};
use ValueShape::{
    Count, Flag, Limited, List, Number, Object, Payload, Scalar, Text, Values, Whole, Word,
};

/// The Hub stores a description in so many characters and rejects a longer one.
pub const DESCRIPTION_LIMIT: usize = 191;

pub const LISTING_TYPES: &[&str] = &["serverless", "pod", "POD"];
pub const CATEGORIES: &[&str] = &["audio", "embedding", "image", "language", "video"];
pub const RUNS_ON: &[&str] = &["GPU", "CPU"];
pub const ENDPOINT_TYPES: &[&str] = &["LB"];
pub const INPUT_TYPES: &[&str] = &["string", "number", "boolean", "huggingface"];

/// CUDA versions in use, the oldest first.
pub static CUDA_VERSIONS: Words =
    LazyLock::new(|| listed("unknown-cuda-version", "\nThe versions are "));
pub static GPU_POOLS: Words = LazyLock::new(|| listed("unknown-gpu-pool", "\nThe pools are "));
pub static GPU_IDS: Words = LazyLock::new(|| listed("unknown-gpu", "\nThe GPU ids are:"));

pub type Words = LazyLock<Vec<&'static str>>;

/// The words that a rule's page lists.
fn listed(rule: &str, before: &str) -> Vec<&'static str> {
    let page = rule::named(rule).page();
    let (_, list) = page.split_once(before).unwrap_or_default();
    let list = list.split("\nKnown from").next().unwrap_or_default();
    list.split('`').skip(1).step_by(2).collect()
}

/// Ids that RunPod's REST API (v1) names and the Hub's list does not.
pub const GPU_IDS_OF_REST: &[&str] = &[
    "NVIDIA A5000 Ada",
    "NVIDIA RTX A30",
    "Tesla T4",
    "Tesla V100-FHHL-16GB",
    "Tesla V100-PCIE-32GB",
];

/// GPUs that no pool holds, as their memory or age fits none: parts of their ids.
const IN_NO_POOL: &[&str] = &[
    "MI300X",
    "RTX 3070",
    "RTX 3080",
    "RTX 4070",
    "RTX A2000",
    "V100",
    "MIG ",
];

/// Whether a pool may hold a GPU. Denies only what is certain, since RunPod's pages disagree.
pub fn may_be_in_a_pool(id: &str) -> bool {
    !IN_NO_POOL.iter().any(|part| id.contains(part))
}

/// Whether a pool or GPU is of the Blackwell generation, which needs CUDA 12.8.
pub fn is_blackwell(name: &str) -> bool {
    let pools = ["BLACKWELL", "ADA_32_PRO"];
    let gpus = ["Blackwell", "RTX 5080", "RTX 5090", "B200", "B300"];
    pools.iter().chain(&gpus).any(|part| name.contains(part))
}

/// Declares tables, with a line for each key: shape, presence, description and aliases.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $what:literal { $(
        $key:literal: $shape:expr, $need:ident, $about:literal $([$($alias:literal),+])?;
    )+ })+) => { $(
        $(#[$doc])*
        pub static $name: FieldTable = FieldTable {
            what: $what,
            fields: &[$(FieldRule {
                key: $key,
                shape: $shape,
                need: $need,
                about: $about,
                aliases: &[$($($alias),+)?],
            }),+],
        };
    )+ };
}

tables! {
    /// The root of hub.json.
    LISTING = "the listing" {
        "$schema": Text, Seen, "The schema that editors check this file with.";
        "title": Text, Required, "The listing's name in the Hub." ["name", "displayName"];
        "description": Limited(DESCRIPTION_LIMIT), Required,
            "What the worker does, in at most 191 characters." ["summary"];
        "type": Word(LISTING_TYPES), Required,
            "`serverless`, or `pod`. A load-balancing endpoint is `config.endpointType`.";
        "category": Word(CATEGORIES), Required, "Where the Hub lists the worker." ["categories"];
        "iconUrl": Text, Optional, "Address of the listing's picture." ["icon", "image", "logo"];
        "tags": List(&Text), Seen, "Words to find the listing by.";
        "config": Object(&CONFIG), Required,
            "How the worker runs and what its users can set." ["configuration", "settings"];
    }
    CONFIG = "`config`" {
        "runsOn": Word(RUNS_ON), Required, "`GPU` or `CPU`.";
        "endpointType": Word(ENDPOINT_TYPES), Optional,
            "`LB` makes it a load-balancing endpoint; without it, jobs come through the queue.";
        "containerDiskInGb": Count, Required,
            "Disk for the container, in gigabytes." ["containerDisk", "containerDiskSizeGb", "diskSizeGb"];
        "cpuFlavor": Text, Optional,
            "For `CPU`: the kind of machine, as `cpu3g-4-16`." ["cpuType", "instanceId"];
        "gpuCount": Count, Optional, "For `GPU`: how many a worker has." ["gpus", "numGpus"];
        "gpuIds": Text, Optional,
            "For `GPU`: pools or GPU ids, separated by commas; `-` before a GPU id leaves it out." ["gpuTypeIds", "gpuTypes", "gpuTypeId"];
        "allowedCudaVersions": List(&Word(&[])), Optional,
            "CUDA versions of the hosts that the worker may run on." ["cudaVersions"];
        "env": List(&Object(&VARIABLE)), Optional,
            "The environment variables: fixed, or set by the user." ["environment", "envVars", "variables"];
        "presets": List(&Object(&PRESET)), Optional, "Named sets of values to choose from.";
    }
    VARIABLE = "an `env` entry" {
        "key": Text, Required, "The name of the environment variable." ["name", "env_var_name"];
        "value": Scalar, Optional, "A fixed value, which users don't see.";
        "input": Object(&INPUT), Optional, "How users set it." ["field"];
    }
    INPUT = "`input`" {
        "name": Text, Required, "The label in the form." ["label", "title"];
        "type": Word(INPUT_TYPES), Required,
            "`string`, `number`, `boolean`, or `huggingface` for a model to pick.";
        "description": Text, Optional, "What it does, below the field." ["help"];
        "default": Scalar, Optional, "The value if nobody sets another." ["defaultValue"];
        "required": Flag, Optional, "Whether a deployment needs a value.";
        "advanced": Flag, Optional, "Whether it is hidden among the advanced settings.";
        "options": List(&Object(&OPTION)), Optional,
            "The values to choose from." ["choices", "values", "enum"];
        "min": Number, Optional, "For numbers: the smallest." ["minimum"];
        "max": Number, Optional, "For numbers: the largest." ["maximum"];
        "trueValue": Scalar, Optional, "For booleans: what the variable holds when it is on.";
        "falseValue": Scalar, Optional, "For booleans: what the variable holds when it is off.";
        "step": Number, Seen, "For numbers: how far one step goes.";
        "secret": Flag, Seen, "Whether the value is a secret.";
        "sensitive": Flag, Seen, "Whether the value is a secret.";
    }
    OPTION = "an option" {
        "label": Text, Required, "What users read." ["name", "title", "text"];
        "value": Scalar, Required, "What the variable holds." ["val", "id"];
    }
    PRESET = "a preset" {
        "name": Text, Required, "What users choose it by." ["title", "label"];
        "defaults": Values, Required,
            "The value of each variable that it sets." ["env", "values", "default"];
        "description": Text, Seen, "What it is for.";
    }
    /// The root of tests.json.
    TESTS = "tests.json" {
        "$schema": Text, Seen, "The schema that editors check this file with.";
        "tests": List(&Object(&TEST)), Required,
            "The jobs that the Hub sends to a new release." ["test", "testCases"];
        "config": Object(&TESTS_CONFIG), Optional,
            "Where and with which variables the tests run." ["configuration"];
    }
    TEST = "a test" {
        "name": Text, Required, "What the Hub calls it." ["title"];
        "input": Payload, Required,
            "The job's input: what the handler finds in `job[\"input\"]`." ["payload"];
        "timeout": Whole, Optional, "How long it may take, in milliseconds." ["timeoutMs"];
        "description": Text, Seen, "What it is for.";
    }
    TESTS_CONFIG = "`config`" {
        "gpuTypeId": Word(&[]), Optional, "One GPU id." ["gpuType", "gpuTypeIds", "gpuIds", "gpuId"];
        "gpuCount": Count, Optional, "How many GPUs." ["gpus"];
        "cpuFlavor": Text, Optional,
            "For a worker without a GPU: the kind of machine, as `cpu3g-4-16`." ["cpuType"];
        "env": List(&Object(&TESTS_VARIABLE)), Optional,
            "The environment of the tests. The Hub takes no default from hub.json." ["environment", "envVars"];
        "allowedCudaVersions": List(&Word(&[])), Optional,
            "CUDA versions of the hosts that the tests may run on." ["cudaVersions"];
        "containerDiskInGb": Count, Seen, "Disk for the container, in gigabytes.";
    }
    TESTS_VARIABLE = "an `env` entry" {
        "key": Text, Required, "The name of the environment variable." ["name"];
        "value": Scalar, Required, "Its value.";
    }
}

/// Whether a key of a test is meant to check the answer. The Hub checks the status only.
pub fn is_assertion(key: &str) -> bool {
    let lower = key.to_lowercase();
    let starts = ["expect", "assert", "validat"];
    is_one_of("command headers method output path request", key)
        || starts.iter().any(|start| lower.starts_with(start))
}
