//! What is known of the Hub's two files: keys, types, words, GPUs, CUDA versions. The rules, the
//! schemas and the documentation are made from these tables and from nothing else.
//!
//! Sources: the Hub's publishing guide, RunPod's list of GPU types (February 2026), RunPod's Flash
//! documentation for three of the pools, and what published listings really use.

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Text,
    /// One of some words; what they are is judged by a rule of its own.
    Word(&'static [&'static str]),
    Flag,
    Whole,
    Number,
    /// A string, number or boolean; null where it says nothing.
    Scalar,
    Object(&'static Table),
    List(&'static Shape),
    /// A map from environment variables to values.
    Values,
    /// Any object.
    Payload,
}

/// Whether a key has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
    /// In nobody's guide, but in real, published listings: neither asked for nor complained of.
    Seen,
}

#[derive(Debug)]
pub struct Field {
    pub key: &'static str,
    pub shape: Shape,
    pub need: Need,
    /// For the schema, the editor and the messages: what it is.
    pub about: &'static str,
    /// Other names that people give it.
    pub aliases: &'static [&'static str],
}

/// The keys of one kind of object.
#[derive(Debug)]
pub struct Table {
    /// "the listing", "`config`": what messages call it.
    pub what: &'static str,
    pub fields: &'static [Field],
}

impl Table {
    pub fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

const fn field(
    key: &'static str,
    shape: Shape,
    need: Need,
    about: &'static str,
    aliases: &'static [&'static str],
) -> Field {
    Field {
        key,
        shape,
        need,
        about,
        aliases,
    }
}

use Need::{Optional, Required, Seen};
use Shape::{Flag, List, Number, Object, Payload, Scalar, Text, Values, Whole, Word};

/// The Hub stores a description in so many characters and rejects a longer one.
pub const DESCRIPTION_LIMIT: usize = 191;

pub const LISTING_TYPES: &[&str] = &["serverless"];
pub const CATEGORIES: &[&str] = &["audio", "embedding", "image", "language", "video"];
pub const RUNS_ON: &[&str] = &["GPU", "CPU"];
pub const ENDPOINT_TYPES: &[&str] = &["LB"];
pub const INPUT_TYPES: &[&str] = &["string", "number", "boolean", "huggingface"];

/// What people write for an input type, and what it is called.
pub const INPUT_TYPE_ALIASES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("checkbox", "boolean"),
    ("dropdown", "string"),
    ("enum", "string"),
    ("float", "number"),
    ("int", "number"),
    ("integer", "number"),
    ("model", "huggingface"),
    ("password", "string"),
    ("secret", "string"),
    ("select", "string"),
    ("str", "string"),
    ("text", "string"),
    ("textarea", "string"),
    ("toggle", "boolean"),
    ("url", "string"),
];

/// CUDA versions in use, the oldest first.
pub const CUDA_VERSIONS: &[&str] = &[
    "11.8", "12.0", "12.1", "12.2", "12.3", "12.4", "12.5", "12.6", "12.7", "12.8", "12.9", "13.0",
    "13.1", "13.2",
];

pub const GPU_POOLS: &[&str] = &[
    "ADA_24",
    "ADA_32_PRO",
    "ADA_48_PRO",
    "ADA_80_PRO",
    "AMPERE_16",
    "AMPERE_24",
    "AMPERE_48",
    "AMPERE_80",
    "BLACKWELL_96",
    "BLACKWELL_180",
    "HOPPER_141",
];

pub const GPU_IDS: &[&str] = &[
    "AMD Instinct MI300X OAM",
    "NVIDIA A100 80GB PCIe",
    "NVIDIA A100-SXM4-80GB",
    "NVIDIA A30",
    "NVIDIA A40",
    "NVIDIA B200",
    "NVIDIA B300 SXM6 AC",
    "NVIDIA GeForce RTX 3070",
    "NVIDIA GeForce RTX 3080",
    "NVIDIA GeForce RTX 3080 Ti",
    "NVIDIA GeForce RTX 3090",
    "NVIDIA GeForce RTX 3090 Ti",
    "NVIDIA GeForce RTX 4070 Ti",
    "NVIDIA GeForce RTX 4080",
    "NVIDIA GeForce RTX 4080 SUPER",
    "NVIDIA GeForce RTX 4090",
    "NVIDIA GeForce RTX 5080",
    "NVIDIA GeForce RTX 5090",
    "NVIDIA H100 80GB HBM3",
    "NVIDIA H100 NVL",
    "NVIDIA H100 PCIe",
    "NVIDIA H200",
    "NVIDIA H200 NVL",
    "NVIDIA L4",
    "NVIDIA L40",
    "NVIDIA L40S",
    "NVIDIA RTX 2000 Ada Generation",
    "NVIDIA RTX 4000 Ada Generation",
    "NVIDIA RTX 4000 SFF Ada Generation",
    "NVIDIA RTX 5000 Ada Generation",
    "NVIDIA RTX 6000 Ada Generation",
    "NVIDIA RTX A2000",
    "NVIDIA RTX A4000",
    "NVIDIA RTX A4500",
    "NVIDIA RTX A5000",
    "NVIDIA RTX A6000",
    "NVIDIA RTX PRO 4500 Blackwell",
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 1g.24gb",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition MIG 2g.48gb",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
    "Tesla V100-PCIE-16GB",
    "Tesla V100-SXM2-16GB",
    "Tesla V100-SXM2-32GB",
];

/// The root of hub.json.
pub static LISTING: Table = Table {
    what: "the listing",
    fields: &[
        field(
            "$schema",
            Text,
            Seen,
            "The schema that editors check this file with.",
            &[],
        ),
        field(
            "title",
            Text,
            Required,
            "The listing's name in the Hub.",
            &["name", "displayName"],
        ),
        field(
            "description",
            Text,
            Required,
            "What the worker does, in at most 191 characters.",
            &["summary"],
        ),
        field(
            "type",
            Word(LISTING_TYPES),
            Required,
            "Always `serverless`. A load-balancing endpoint is `config.endpointType`.",
            &[],
        ),
        field(
            "category",
            Word(CATEGORIES),
            Required,
            "Where the Hub lists the worker.",
            &["categories"],
        ),
        field(
            "iconUrl",
            Text,
            Optional,
            "Address of the listing's picture.",
            &["icon", "image", "logo"],
        ),
        field(
            "config",
            Object(&CONFIG),
            Required,
            "How the worker runs and what its users can set.",
            &["configuration", "settings"],
        ),
    ],
};

pub static CONFIG: Table = Table {
    what: "`config`",
    fields: &[
        field("runsOn", Word(RUNS_ON), Required, "`GPU` or `CPU`.", &[]),
        field(
            "endpointType",
            Word(ENDPOINT_TYPES),
            Optional,
            "`LB` makes it a load-balancing endpoint; without it, jobs come through the queue.",
            &[],
        ),
        field(
            "containerDiskInGb",
            Whole,
            Required,
            "Disk for the container, in gigabytes.",
            &["containerDisk", "containerDiskSizeGb", "diskSizeGb"],
        ),
        field(
            "cpuFlavor",
            Text,
            Optional,
            "For `CPU`: the kind of machine, as `cpu3g-4-16`.",
            &["cpuType", "instanceId"],
        ),
        field(
            "gpuCount",
            Whole,
            Optional,
            "For `GPU`: how many a worker has.",
            &["gpus", "numGpus"],
        ),
        field(
            "gpuIds",
            Text,
            Optional,
            "For `GPU`: pools or GPU ids, separated by commas; `-` before a GPU id leaves it out.",
            &["gpuTypeIds", "gpuTypes", "gpuTypeId"],
        ),
        field(
            "allowedCudaVersions",
            List(&Word(CUDA_VERSIONS)),
            Optional,
            "CUDA versions of the hosts that the worker may run on.",
            &["cudaVersions"],
        ),
        field(
            "env",
            List(&Object(&VARIABLE)),
            Optional,
            "The environment variables: fixed, or set by the user.",
            &["environment", "envVars", "variables"],
        ),
        field(
            "presets",
            List(&Object(&PRESET)),
            Optional,
            "Named sets of values to choose from.",
            &[],
        ),
    ],
};

pub static VARIABLE: Table = Table {
    what: "an `env` entry",
    fields: &[
        field(
            "key",
            Text,
            Required,
            "The name of the environment variable.",
            &["name", "env_var_name"],
        ),
        field(
            "value",
            Scalar,
            Optional,
            "A fixed value, which users don't see.",
            &[],
        ),
        field(
            "input",
            Object(&INPUT),
            Optional,
            "How users set it.",
            &["field"],
        ),
    ],
};

pub static INPUT: Table = Table {
    what: "`input`",
    fields: &[
        field(
            "name",
            Text,
            Required,
            "The label in the form.",
            &["label", "title"],
        ),
        field(
            "type",
            Word(INPUT_TYPES),
            Required,
            "`string`, `number`, `boolean`, or `huggingface` for a model to pick.",
            &[],
        ),
        field(
            "description",
            Text,
            Optional,
            "What it does, below the field.",
            &["help"],
        ),
        field(
            "default",
            Scalar,
            Optional,
            "The value if nobody sets another.",
            &["defaultValue"],
        ),
        field(
            "required",
            Flag,
            Optional,
            "Whether a deployment needs a value.",
            &[],
        ),
        field(
            "advanced",
            Flag,
            Optional,
            "Whether it is hidden among the advanced settings.",
            &[],
        ),
        field(
            "options",
            List(&Object(&OPTION)),
            Optional,
            "The values to choose from.",
            &["choices", "values", "enum"],
        ),
        field(
            "min",
            Number,
            Optional,
            "For numbers: the smallest.",
            &["minimum"],
        ),
        field(
            "max",
            Number,
            Optional,
            "For numbers: the largest.",
            &["maximum"],
        ),
        field(
            "trueValue",
            Scalar,
            Optional,
            "For booleans: what the variable holds when it is on.",
            &[],
        ),
        field(
            "falseValue",
            Scalar,
            Optional,
            "For booleans: what the variable holds when it is off.",
            &[],
        ),
        field(
            "step",
            Number,
            Seen,
            "For numbers: how far one step goes.",
            &[],
        ),
        field("secret", Flag, Seen, "Whether the value is a secret.", &[]),
        field(
            "sensitive",
            Flag,
            Seen,
            "Whether the value is a secret.",
            &[],
        ),
    ],
};

pub static OPTION: Table = Table {
    what: "an option",
    fields: &[
        field(
            "label",
            Text,
            Required,
            "What users read.",
            &["name", "title", "text"],
        ),
        field(
            "value",
            Scalar,
            Required,
            "What the variable holds.",
            &["val", "id"],
        ),
    ],
};

pub static PRESET: Table = Table {
    what: "a preset",
    fields: &[
        field(
            "name",
            Text,
            Required,
            "What users choose it by.",
            &["title", "label"],
        ),
        field(
            "defaults",
            Values,
            Required,
            "The value of each variable that it sets.",
            &["env", "values", "default"],
        ),
        field("description", Text, Seen, "What it is for.", &[]),
    ],
};

/// The root of tests.json.
pub static TESTS: Table = Table {
    what: "tests.json",
    fields: &[
        field(
            "$schema",
            Text,
            Seen,
            "The schema that editors check this file with.",
            &[],
        ),
        field(
            "tests",
            List(&Object(&TEST)),
            Required,
            "The jobs that the Hub sends to a new release.",
            &["test", "testCases"],
        ),
        field(
            "config",
            Object(&TESTS_CONFIG),
            Optional,
            "Where and with which variables the tests run.",
            &["configuration"],
        ),
    ],
};

pub static TEST: Table = Table {
    what: "a test",
    fields: &[
        field("name", Text, Required, "What the Hub calls it.", &["title"]),
        field(
            "input",
            Payload,
            Required,
            "The job's input: what the handler finds in `job[\"input\"]`.",
            &["payload"],
        ),
        field(
            "timeout",
            Whole,
            Optional,
            "How long it may take, in milliseconds.",
            &["timeoutMs"],
        ),
        field("description", Text, Seen, "What it is for.", &[]),
    ],
};

pub static TESTS_CONFIG: Table = Table {
    what: "`config`",
    fields: &[
        field(
            "gpuTypeId",
            Text,
            Optional,
            "One GPU id.",
            &["gpuType", "gpuTypeIds", "gpuIds", "gpuId"],
        ),
        field("gpuCount", Whole, Optional, "How many GPUs.", &["gpus"]),
        field(
            "cpuFlavor",
            Text,
            Optional,
            "For a worker without a GPU: the kind of machine, as `cpu3g-4-16`.",
            &["cpuType"],
        ),
        field(
            "env",
            List(&Object(&TESTS_VARIABLE)),
            Optional,
            "The environment of the tests. The Hub takes no default from hub.json.",
            &["environment", "envVars"],
        ),
        field(
            "allowedCudaVersions",
            List(&Word(CUDA_VERSIONS)),
            Optional,
            "CUDA versions of the hosts that the tests may run on.",
            &["cudaVersions"],
        ),
        field(
            "containerDiskInGb",
            Whole,
            Seen,
            "Disk for the container, in gigabytes.",
            &[],
        ),
    ],
};

pub static TESTS_VARIABLE: Table = Table {
    what: "an `env` entry",
    fields: &[
        field(
            "key",
            Text,
            Required,
            "The name of the environment variable.",
            &["name"],
        ),
        field("value", Scalar, Required, "Its value.", &[]),
    ],
};

/// Keys of a test by which people hope to check the answer; the Hub looks at the status alone.
pub const ASSERTIONS: &[&str] = &[
    "assert",
    "command",
    "expected",
    "headers",
    "method",
    "output",
    "path",
    "request",
    "validation",
];

/// Whether a key of a test is one of those.
pub fn is_assertion(key: &str) -> bool {
    ASSERTIONS.contains(&key)
        || ["expect", "assert", "validat"]
            .iter()
            .any(|start| key.to_lowercase().starts_with(start))
}
