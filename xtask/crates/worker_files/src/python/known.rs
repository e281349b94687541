//! What Python's own functions and methods give, as far as workers use them to put names, flags
//! and commands together.

use std::rc::Rc;

use super::eval::{Reader, env_value};
use super::value::{Args, Val};

impl<'t> Reader<'t> {
    /// What a function from elsewhere gives.
    pub fn known_call(&mut self, callee: &Val<'t>, args: &Args<'t>) -> Val<'t> {
        if let Some(value) = Self::env_call(callee, args) {
            return value;
        }
        match callee {
            Val::Ext(path) => self.function(path, args),
            Val::Method(object, name) => self.method(object, name, args),
            Val::Made(path) => Val::Made(format!("{path}()").into()),
            _ => Val::Unknown,
        }
    }

    /// The value of a variable, where a call asks the environment for one.
    fn env_call(callee: &Val<'t>, args: &Args<'t>) -> Option<Val<'t>> {
        let read = super::environment::asked(callee, args)?;
        Some(env_value(&read.name, &read.default.unwrap_or(Val::None)))
    }

    fn function(&mut self, path: &str, args: &Args<'t>) -> Val<'t> {
        let first = args.positional.first().cloned().unwrap_or(Val::Unknown);
        let name = path.rsplit('.').next().unwrap_or(path);
        match name {
            "partial" if !args.positional.is_empty() => {
                let rest = Args {
                    positional: args.positional[1..].to_vec(),
                    ..args.clone()
                };
                Val::Partial(Rc::new(first), Rc::new(rest))
            }
            "__import__" | "import_module" => match first.as_str() {
                Some(module) => self.imported(0, module, None),
                None => Val::Unknown,
            },
            "getattr" => match args.positional.get(1) {
                Some(Val::Str(text, Some(node))) if &*text.clone() == node_text(*node) => {
                    self.attribute(&first, node_text(*node))
                }
                _ => Val::Unknown,
            },
            "str" | "repr" => match &first {
                Val::Str(..)
                | Val::Env(..)
                | Val::Input(_)
                | Val::Pieces(_)
                | Val::Any(_)
                | Val::Made(_) => first,
                one => one.display().map_or(Val::Unknown, |text| Val::text(&text)),
            },
            "int" | "float" | "bool" | "abs" | "round" => match (&first, name) {
                (Val::Str(text, _), "int") => text.trim().parse().map_or(Val::Unknown, Val::Int),
                (Val::Str(text, _), "float") => text
                    .trim()
                    .parse()
                    .map_or(Val::Unknown, |_: f64| Val::Float(text.clone())),
                (Val::Float(text), "int") => text
                    .parse::<f64>()
                    .map_or(Val::Unknown, |n| Val::text(&format!("{n:.0}"))),
                _ => first,
            },
            "dict" | "OrderedDict" | "ChainMap" | "MappingProxyType" => {
                if let Some(found) = args
                    .positional
                    .iter()
                    .find(|v| matches!(v, Val::Environ(_) | Val::Input(_)))
                {
                    found.clone()
                } else {
                    let mut items = match &first {
                        Val::Dict(items) => items.to_vec(),
                        Val::List(pairs) => pairs
                            .iter()
                            .map(|pair| (pair.item(&Val::Int(0)), pair.item(&Val::Int(1))))
                            .collect(),
                        _ => Vec::new(),
                    };
                    items.extend(
                        args.named
                            .iter()
                            .map(|(k, v)| (Val::Str(k.clone(), None), v.clone())),
                    );
                    Val::Dict(items.into())
                }
            }
            "list" | "tuple" | "set" | "frozenset" | "sorted" | "reversed" | "iter" | "copy"
            | "deepcopy" | "cast" | "next" | "min" | "max" => {
                if args.positional.is_empty() {
                    return Val::list(Vec::new());
                }
                let first = if name == "cast" {
                    args.positional.get(1).cloned().unwrap_or(Val::Unknown)
                } else {
                    first
                };
                match name {
                    "next" => Val::any(
                        first
                            .elements()
                            .unwrap_or_default()
                            .into_iter()
                            .chain(args.positional.get(1).cloned()),
                    ),
                    "min" | "max" if args.positional.len() > 1 => {
                        Val::any(args.positional.iter().cloned())
                    }
                    "copy" | "deepcopy" | "cast" => first,
                    _ => match self.elements(&first) {
                        Some(items) => Val::list(items),
                        None => first,
                    },
                }
            }
            "enumerate" | "range" => match self.elements(&first) {
                Some(items) => Val::list(
                    (0..)
                        .zip(items)
                        .map(|(at, item)| Val::list(vec![Val::Int(at), item]))
                        .collect(),
                ),
                None => Val::Unknown,
            },
            "zip" => {
                let all: Option<Vec<_>> = args.positional.iter().map(Val::elements).collect();
                let Some(all) = all else { return Val::Unknown };
                let len = all.iter().map(Vec::len).min().unwrap_or_default();
                Val::list(
                    (0..len)
                        .map(|at| Val::list(all.iter().map(|items| items[at].clone()).collect()))
                        .collect(),
                )
            }
            "chain" | "from_iterable" => {
                let lists = if name == "chain" {
                    args.positional.clone()
                } else {
                    first.elements().unwrap_or_default()
                };
                let parts = lists
                    .iter()
                    .map(|list| list.elements().unwrap_or_else(|| vec![Val::Unknown]));
                Val::list(parts.flatten().collect())
            }
            "map" | "filter" => {
                let items = args.positional.get(1).and_then(Val::elements);
                let Some(items) = items else {
                    return args
                        .positional
                        .get(1)
                        .filter(|value| matches!(value, Val::Input(_)))
                        .cloned()
                        .unwrap_or(Val::Unknown);
                };
                if name == "filter" {
                    return Val::list(items);
                }
                let one = |reader: &mut Self, item| {
                    let args = Args {
                        positional: vec![item],
                        ..Args::default()
                    };
                    reader.result(&first, &args, None)
                };
                Val::list(items.into_iter().map(|item| one(self, item)).collect())
            }
            "get_type_hints" | "get_annotations" | "vars" => match &first {
                Val::Class(class) | Val::Object(class, _) => self.annotated(*class),
                _ => Val::Unknown,
            },
            "fields" if path.contains("dataclass") => match &first {
                Val::Class(class) | Val::Object(class, _) => {
                    let class = *class;
                    let fields = self.fields(class);
                    let one = |reader: &mut Self, name: &str, default| {
                        let default =
                            Option::map_or(default, Val::Unknown, |node| reader.value(node));
                        Val::Dict(
                            [
                                (Val::text("name"), Val::text(name)),
                                (Val::text("default"), default),
                            ]
                            .into(),
                        )
                    };
                    Val::list(
                        fields
                            .into_iter()
                            .map(|(name, default, _)| one(self, name, default))
                            .collect(),
                    )
                }
                _ => Val::Unknown,
            },
            "field" if path.contains("dataclass") || path == "field" => {
                match args.get(usize::MAX, "default_factory") {
                    Some(make) => self.result(&make.clone(), &Args::default(), None),
                    None => args
                        .get(usize::MAX, "default")
                        .cloned()
                        .unwrap_or(Val::Unknown),
                }
            }
            "Field" => args.get(0, "default").cloned().unwrap_or(Val::Unknown),
            "join" if path.contains("path") => args
                .positional
                .iter()
                .cloned()
                .reduce(|a, b| a.join(&Val::text("/")).join(&b))
                .unwrap_or(Val::Unknown),
            "open" => self.opened(&first),
            "with_name" | "joinpath" if first.as_str().is_some() => Val::text("/").join(&first),
            "Path" | "PurePath" | "fspath" | "abspath" | "expanduser" | "realpath"
            | "TextIOWrapper" | "run_in_executor" => first,
            "load" | "loads" | "safe_load" | "full_load" if first != Val::Unknown => {
                self.loaded(path, &first)
            }
            "split" if path.contains("shlex") => match &first {
                Val::Str(text, _) => {
                    let script = crate::shell::parse(text);
                    Val::list(
                        script
                            .commands
                            .iter()
                            .flat_map(|c| &c.words)
                            .map(|word| Val::text(&word.text))
                            .collect(),
                    )
                }
                other => other.clone(),
            },
            "urljoin" => match args.positional.get(1) {
                Some(route) => first.join(route),
                None => first,
            },
            "validate" if path.contains("rp_validator") || path == "validate" => match first {
                Val::Input(path) => {
                    Val::Dict([(Val::text("validated_input"), Val::Input(path))].into())
                }
                _ => Val::Unknown,
            },
            "dotenv_values" => Val::Environ(Vec::new().into()),
            "Munch" | "SimpleNamespace" | "parse_obj_as" if matches!(first, Val::Input(_)) => first,
            _ if path.chars().next().is_some_and(char::is_lowercase) && path.contains('.')
                || name.chars().next().is_some_and(char::is_uppercase) =>
            {
                Val::Made(path.into())
            }
            _ => Val::Unknown,
        }
    }

    fn method(&mut self, object: &Val<'t>, name: &str, args: &Args<'t>) -> Val<'t> {
        let first = args.positional.first().cloned().unwrap_or(Val::Unknown);
        match (object, name) {
            (Val::Environ(_), "copy" | "items" | "keys" | "values") => object.clone(),
            (Val::Environ(_), _) => Val::Unknown,
            (Val::Job, "get") => object.item(&first),
            (Val::Input(_), "get" | "pop" | "setdefault" | "__getitem__") => object.item(&first),
            (Val::Input(_), "items") => {
                Val::list(vec![Val::list(vec![Val::Unknown, object.clone()])])
            }
            (Val::Input(_), _) => object.clone(),
            (Val::Env(..), "split") => Val::list(vec![object.clone()]),
            (Val::Env(..), _) => object.clone(),
            (Val::Str(text, at), _) => {
                text_method(text, *at, name, args).unwrap_or_else(|| match name {
                    "format" => object.format(args),
                    "join" => joined(text, &first),
                    "open" => self.opened(object),
                    "read_text" | "read_bytes" => content(&self.opened(object)),
                    "resolve" | "absolute" | "expanduser" => object.clone(),
                    "joinpath" => object.join(&Val::text("/")).join(&first),
                    _ => Val::Unknown,
                })
            }
            (Val::Pieces(_), "open") => self.opened(object),
            (Val::Pieces(_), "read_text" | "read_bytes") => content(&self.opened(object)),
            (Val::File(_), "read") => content(object),
            (Val::File(_), "readlines") => object.elements().map_or(Val::Unknown, Val::list),
            (Val::Made(_), "joinpath" | "with_name") if first.as_str().is_some() => {
                object.join(&Val::text("/")).join(&first)
            }
            (Val::Pieces(_), "joinpath") => object.join(&Val::text("/")).join(&first),
            (Val::Pieces(_), _) => object.clone(),
            (Val::Dict(items), "items") => Val::list(
                items
                    .iter()
                    .map(|(k, v)| Val::list(vec![k.clone(), v.clone()]))
                    .collect(),
            ),
            (Val::Dict(items), "keys") => Val::list(items.iter().map(|(k, _)| k.clone()).collect()),
            (Val::Dict(items), "values") => {
                Val::list(items.iter().map(|(_, v)| v.clone()).collect())
            }
            (Val::Dict(_), "get" | "pop") => match object.entry(&first) {
                Some(value) => value,
                None if matches!(first, Val::Str(..)) => {
                    args.get(1, "default").cloned().unwrap_or(Val::None)
                }
                None => object.item(&first),
            },
            (Val::Dict(_) | Val::List(_), "copy") => object.clone(),
            (
                Val::Class(class),
                "model_validate" | "parse_obj" | "from_dict" | "model_construct",
            ) => {
                if let Val::Input(_) = first {
                    let given = Args {
                        more: vec![first],
                        ..Args::default()
                    };
                    return self.result(&Val::Class(*class), &given, None);
                }
                Val::Unknown
            }
            (Val::Object(class, made), "dict" | "model_dump" | "copy" | "model_copy") => {
                Val::Object(*class, made.clone())
            }
            (Val::Any(all), _) => {
                let all = all.to_vec();
                let of = |one: &Val<'t>| Val::Method(Rc::new(one.clone()), name.into());
                Val::any(
                    all.iter()
                        .map(|one| self.result(&of(one), args, None))
                        .collect::<Vec<_>>(),
                )
            }
            (Val::Made(path), _) => Val::Made(format!("{path}.{name}").into()),
            _ => Val::Unknown,
        }
    }
}

fn node_text(string: super::syntax::Node<'_>) -> &str {
    string
        .children()
        .find(|c| c.kind() == "string_content")
        .map_or("", super::syntax::Node::text)
}

/// All of an open file; what says where a file is stands for what is in it.
fn content<'t>(file: &Val<'t>) -> Val<'t> {
    match file {
        Val::File(text) => Val::Str(text.clone(), None),
        other => other.clone(),
    }
}

fn joined<'t>(between: &str, items: &Val<'t>) -> Val<'t> {
    let Some(items) = items.elements() else {
        return Val::Unknown;
    };
    let between = Val::text(between);
    items
        .into_iter()
        .reduce(|a, b| a.join(&between).join(&b))
        .unwrap_or_else(|| Val::text(""))
}

/// A method of text.
fn text_method<'t>(
    text: &str,
    at: Option<super::syntax::Node<'t>>,
    name: &str,
    args: &Args<'t>,
) -> Option<Val<'t>> {
    let word = |index: usize| args.positional.get(index).and_then(Val::as_str);
    let cut = |left: bool, right: bool| {
        let set: Vec<char> = word(0).unwrap_or(" \t\r\n").chars().collect();
        let text = if left {
            text.trim_start_matches(&set[..])
        } else {
            text
        };
        if right {
            text.trim_end_matches(&set[..])
        } else {
            text
        }
        .to_owned()
    };
    let changed = match name {
        "upper" => text.to_uppercase(),
        "lower" | "casefold" => text.to_lowercase(),
        "title" | "capitalize" | "encode" | "decode" => text.to_owned(),
        "replace" => text.replace(word(0)?, word(1)?),
        "strip" => cut(true, true),
        "lstrip" => cut(true, false),
        "rstrip" => cut(false, true),
        "removeprefix" => text.strip_prefix(word(0)?).unwrap_or(text).to_owned(),
        "removesuffix" => text.strip_suffix(word(0)?).unwrap_or(text).to_owned(),
        "split" | "rsplit" | "splitlines" | "partition" => {
            let part = |part: &str| Val::Str(part.into(), at);
            let parts = match (name, word(0)) {
                ("splitlines", _) => text.lines().map(part).collect(),
                ("partition", Some(by)) => match text.split_once(by) {
                    Some((a, b)) => vec![part(a), part(by), part(b)],
                    None => vec![part(text), part(""), part("")],
                },
                (_, Some(by)) if !by.is_empty() => text.split(by).map(part).collect(),
                _ => text.split_whitespace().map(part).collect(),
            };
            return Some(Val::list(parts));
        }
        "startswith" => return Some(Val::Bool(text.starts_with(word(0)?))),
        "endswith" => return Some(Val::Bool(text.ends_with(word(0)?))),
        _ => return None,
    };
    Some(Val::Str(changed.into(), at))
}
