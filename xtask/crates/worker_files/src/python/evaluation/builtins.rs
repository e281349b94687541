//! Results of functions and methods of Python and its libraries, as far as workers build names,
//! flags and commands with them.

use std::rc::Rc;

use super::arguments::Args;
use super::data::loaded;
use super::eval::Reader;
use super::text::binary;
use super::value::Val;
use crate::python::program::node::{Node, is_among, last_part};
use crate::python::variables::environment::env_lookup;

const COLLECTIONS: &str = "deque dict OrderedDict ChainMap MappingProxyType list tuple set frozenset sorted \
    reversed iter copy deepcopy cast next min max enumerate zip sum range chain \
    defaultdict";

/// Modules whose functions read data.
const DATA: &str = "json orjson simplejson ujson toml tomli tomllib yaml";

/// The prefix of the pseudo-name of a class that `namedtuple` makes; its fields follow.
const NAMED_TUPLE: &str = "namedtuple ";

/// The most numbers of a range that are told apart.
const MOST_NUMBERS: usize = 64;

/// The longest chain of a library's calls that is followed, in bytes.
const LONGEST: usize = 80;

impl<'t> Reader<'t> {
    /// The result of a library's function.
    pub fn known_call(&mut self, callee: &Val<'t>, args: &Args<'t>) -> Val<'t> {
        if let Some(read) = env_lookup(callee, args) {
            return self.env_value(&read.name, read.default);
        }
        let value = match callee {
            Val::Ext(path) => self.function(path, args),
            Val::Method(object, name) => self.method(object, name, args),
            Val::Made(path) if path.len() < LONGEST => Some(Val::Made(format!("{path}()").into())),
            _ => None,
        };
        value.unwrap_or_else(|| match args.positional.first() {
            Some(lost @ (Val::Never | Val::Lost)) => lost.clone(),
            _ => Val::Unknown,
        })
    }

    fn function(&mut self, path: &str, args: &Args<'t>) -> Option<Val<'t>> {
        let argument = args.positional.first();
        let first = argument.cloned().unwrap_or(Val::Unknown);
        let second = args.positional.get(1);
        if let Some(fields) = path.strip_prefix(NAMED_TUPLE) {
            let value = |(at, name)| Some((Val::text(name), args.get(at, name)?.clone()));
            let fields = fields.split_whitespace().enumerate();
            return Some(Val::Dict(fields.filter_map(value).collect()));
        }
        let name = last_part(path);
        if let Some(number) = whole_number(name, args) {
            return Some(Val::Int(number));
        }
        Some(match name {
            // A call of it makes a dict, whose entries are also found as attributes.
            "namedtuple" => {
                let second = second?;
                let fields = second.elements().unwrap_or_else(|| vec![second.clone()]);
                let names: Option<Vec<&str>> = fields.iter().map(Val::as_str).collect();
                Val::Ext(format!("{NAMED_TUPLE}{}", names?.join(" ").replace(',', " ")).into())
            }
            "JSONResponse" | "ORJSONResponse" | "json_response" | "jsonify" => {
                let content = args.get(0, "content").or(args.named("data"))?;
                content.clone()
            }
            "partial" if first.is_lost() => Val::Lost,
            "partial" if argument.is_some() => partial(&first, args),
            "__import__" | "import_module" => self.imported(0, first.as_str()?, None),
            "getattr" => return self.asked_attribute(&first, second?),
            "fields" if path.starts_with("dataclasses") => match first {
                Val::Class(class) | Val::Object(class, _) => self.dataclass_fields(class),
                _ => return None,
            },
            "asdict" if path.starts_with("dataclasses") => self.dict_of(&first)?,
            "vars" if first.has_members() => Val::Lost,
            "globals" | "locals" | "vars" if argument.is_none() => Val::Lost,
            "str" | "repr" => match &first {
                Val::Str(..) | Val::Env(..) | Val::Input(_) | Val::Pieces(_) => first,
                Val::Any(_) | Val::Made(_) => first,
                one => Val::text(&one.display()?),
            },
            "dumps" if first.is_input() => first,
            "int" | "float" | "bool" => first,
            "staticmethod" => first,
            // `typer.Option("default", envvar="NAME")`
            "Option" | "Argument" if args.named("envvar").is_some() => {
                let name = args.named("envvar")?.as_str()?;
                let default = args.get(0, "default").cloned().unwrap_or(Val::None);
                Val::Env(name.into(), Rc::new(default))
            }
            "field" | "Field" => match args.named("default_factory") {
                Some(make) => self.result(&make.clone(), &Args::default(), None),
                None => args
                    .get(if name == "Field" { 0 } else { 9 }, "default")?
                    .clone(),
            },
            "join" if path.contains("path") => {
                let parts = args.positional.iter().cloned();
                parts.reduce(|a, b| a.join(&Val::text("/")).join(&b))?
            }
            "open" => self.opened(&first),
            "Path" | "PurePath" | "abspath" | "expanduser" | "realpath" => first,
            "load" | "loads" | "safe_load" if is_among(DATA, module(path)) => {
                loaded(module(path), &first)
            }
            "split" if path.contains("shlex") => first,
            "AliasChoices" => Val::list(args.positional.clone()),
            "urljoin" => joined_url(&first, second?),
            "validate" if path.contains("rp_validator") || path == "validate" => match first {
                Val::Input(_) => Val::Dict([(Val::text("validated_input"), first)].into()),
                _ => return None,
            },
            "dotenv_values" => {
                let path = args.get(0, "dotenv_path");
                Val::Environ(self.file_settings(path.map_or(Some(".env"), Val::as_str)))
            }
            // Its names begin with a prefix somewhere.
            "Env" if args.named("prefix").is_some() || self.has_prefixed() => {
                Val::Made(format!("{path}()").into())
            }
            _ if is_among(COLLECTIONS, name) => return self.collection(name, args),
            _ if path.starts_with(char::is_lowercase) && path.contains('.')
                || name.starts_with(char::is_uppercase) =>
            {
                Val::Made(path.into())
            }
            _ => return None,
        })
    }

    /// `getattr(object, name)`
    fn asked_attribute(&mut self, object: &Val<'t>, name: &Val<'t>) -> Option<Val<'t>> {
        if let Some(name) = self.attribute_name(object, name) {
            return Some(self.attribute(object, name));
        }
        // It may be any function of it, also one that nothing else names.
        let leads = object.may_be(|one| match one {
            Val::Class(class) | Val::Object(class, _) => self.may_lead_to_fact(*class),
            one => matches!(one, Val::Module(_)),
        });
        leads.then_some(Val::Lost)
    }

    /// The name of an attribute that `getattr` is asked for: as it is written, or of a field.
    fn attribute_name(&mut self, object: &Val<'t>, name: &Val<'t>) -> Option<&'t str> {
        match (name, object) {
            (Val::Str(text, Some(node)), _) if **text == *node.content() => Some(node.content()),
            (Val::Str(text, _), Val::Class(class) | Val::Object(class, _)) => {
                let mut names = self.fields(*class).into_iter().map(|(name, ..)| name);
                names.find(|name| **name == **text)
            }
            _ => None,
        }
    }

    /// Functions that make, copy or walk lists and dicts.
    fn collection(&mut self, name: &str, args: &Args<'t>) -> Option<Val<'t>> {
        let argument = args.positional.first();
        let first = argument.cloned().unwrap_or(Val::Unknown);
        let second = args.positional.get(1);
        Some(match name {
            "dict" | "OrderedDict" | "ChainMap" | "MappingProxyType" => dict(&first, args),
            "list" | "tuple" | "set" | "frozenset" | "sorted" | "reversed" | "iter" | "deque" => {
                match argument {
                    Some(_) => self.elements(&first).map_or(first, Val::list),
                    None => Val::list(Vec::new()),
                }
            }
            "copy" | "deepcopy" => first,
            "cast" => second?.clone(),
            "next" => Val::any(first.elements()?.into_iter().chain(second.cloned())),
            "min" | "max" if second.is_some() => Val::any(args.positional.iter().cloned()),
            "defaultdict" => second.map_or(Val::Dict([].into()), |second| {
                dict(second, &Args::of(vec![second.clone()]))
            }),
            "sum" => {
                let all = self.elements(&first)?;
                let all = second.cloned().into_iter().chain(all);
                all.reduce(|a, b| binary("+", &a, &b))?
            }
            "range" => {
                let (from, to) = match (first, second) {
                    (Val::Int(to), None) => (0, to),
                    (Val::Int(from), Some(Val::Int(to))) => (from, *to),
                    _ => return None,
                };
                let all = (args.positional.len() < 3).then_some(from..to)?;
                let few = usize::try_from(to - from).is_ok_and(|count| count <= MOST_NUMBERS);
                Val::list(few.then_some(all)?.map(Val::Int).collect())
            }
            "chain" => {
                let all = args.positional.iter().map(|one| self.elements(one));
                Val::list(all.collect::<Option<Vec<_>>>()?.concat())
            }
            "enumerate" => {
                let items = (0..).zip(self.elements(&first)?);
                let pair = |(at, item)| Val::list(vec![Val::Int(at), item]);
                Val::list(items.map(pair).collect())
            }
            "zip" => {
                let all: Option<Vec<_>> = args.positional.iter().map(Val::elements).collect();
                let all = all?;
                let len = all.iter().map(Vec::len).min().unwrap_or_default();
                let row = |at: usize| Val::list(all.iter().map(|list| list[at].clone()).collect());
                Val::list((0..len).map(row).collect())
            }
            _ => return None,
        })
    }

    fn method(&mut self, object: &Val<'t>, name: &str, args: &Args<'t>) -> Option<Val<'t>> {
        let first = args.positional.first().cloned().unwrap_or(Val::Unknown);
        Some(match (object, name) {
            (Val::Environ(_), "copy" | "items" | "keys" | "values") => object.clone(),
            (Val::Environ(_), "get" | "pop" | "setdefault" | "__getitem__") => {
                return object.always(&first);
            }
            (Val::Environ(_), _) => return None,
            (Val::Job, "get" | "pop" | "setdefault" | "__getitem__") => object.item(&first),
            (Val::Job, "copy") => Val::Job,
            (Val::Input(_), "get" | "pop" | "setdefault" | "__getitem__") => object.item(&first),
            (Val::Input(_), "items") => {
                Val::list(vec![Val::list(vec![Val::Unknown, object.clone()])])
            }
            (Val::Env(..), "split") => Val::list(vec![object.clone()]),
            (Val::Input(_) | Val::Env(..), _) => object.clone(),
            (Val::Str(..) | Val::Pieces(_), "open" | "read_text") => self.opened(object),
            (Val::Str(text, _), "format") => Val::format(text, args),
            (Val::Str(text, _), "join") => {
                let between = Val::text(text);
                let items = first.elements()?.into_iter();
                let whole = items.reduce(|a, b| a.join(&between).join(&b));
                whole.unwrap_or_else(|| Val::text(""))
            }
            (Val::Str(..), "resolve" | "absolute" | "expanduser" | "read") => object.clone(),
            (Val::Str(text, at), _) => text_method(text, *at, name, args)?,
            (Val::Pieces(_), _) => object.clone(),
            (Val::Dict(items), "items") => {
                let pair = |(k, v): &(Val<'t>, Val<'t>)| Val::list(vec![k.clone(), v.clone()]);
                Val::list(items.iter().map(pair).collect())
            }
            (Val::Dict(items), "keys") => Val::list(items.iter().map(|(k, _)| k.clone()).collect()),
            (Val::Dict(items), "values") => {
                Val::list(items.iter().map(|(_, v)| v.clone()).collect())
            }
            (Val::Dict(_), "get" | "pop") => entry_or(object, &first, args.get(1, "default")),
            (Val::List(_), "pop" | "popleft") => object.item(&first),
            (Val::Object(..), "model_dump" | "dict") if *args == Args::default() => {
                self.dict_of(object)?
            }
            (Val::Dict(_) | Val::List(_), "copy") => object.clone(),
            (
                Val::Class(_),
                "model_validate"
                | "model_validate_json"
                | "parse_obj"
                | "parse_raw"
                | "from_dict"
                | "model_construct",
            ) => {
                let input = Some(first).filter(|first| matches!(first, Val::Input(_)))?;
                let fields = Args {
                    more: vec![input],
                    ..Args::default()
                };
                self.result(object, &fields, None)
            }
            // A chain that a loop makes longer would grow with each sweep.
            (Val::Made(_), "get") if object.item(&first) != Val::Unknown => object.item(&first),
            (Val::Made(path), _) if path.len() < LONGEST => {
                Val::Made(format!("{path}.{name}").into())
            }
            _ => return None,
        })
    }
}

/// `partial(function, …)`
fn partial<'t>(function: &Val<'t>, args: &Args<'t>) -> Val<'t> {
    let rest = Rc::new(Args {
        positional: args.positional[1..].to_vec(),
        ..args.clone()
    });
    let bound = |one: &Val<'t>| Val::Partial(Rc::new(one.clone()), rest.clone());
    Val::any(function.each().iter().map(bound))
}

/// `dict.get(key, default)`
fn entry_or<'t>(dict: &Val<'t>, key: &Val<'t>, default: Option<&Val<'t>>) -> Val<'t> {
    match (dict.entry(key), key) {
        (Some(value), _) => value,
        (None, Val::Any(keys)) => Val::any(keys.iter().map(|key| entry_or(dict, key, default))),
        (None, Val::Str(..)) => default.cloned().unwrap_or(Val::None),
        (None, key) => Val::any(std::iter::once(dict.item(key)).chain(default.cloned())),
    }
}

/// `dict(…)`. A copy of the environment or of a job's input stays what it is.
fn dict<'t>(first: &Val<'t>, args: &Args<'t>) -> Val<'t> {
    let of = args.positional.iter().chain(&args.more);
    let mut whole = of.filter(|v| v.may_be(Val::is_given));
    let more = args.named.iter();
    let more = more.map(|(k, v)| (Val::Str(k.clone(), None), v.clone()));
    if let Some(found) = whole.next() {
        return match found {
            Val::Environ(items) => {
                // `ChainMap(os.environ, DEFAULTS)`
                let under = args.positional.iter().filter_map(|one| match one {
                    Val::Dict(items) => Some(Val::as_defaults(items)),
                    _ => None,
                });
                let items = items.iter().cloned().chain(under.flatten());
                Val::Environ(items.chain(more).collect())
            }
            found => found.clone(),
        };
    }
    if let Val::Made(_) = first {
        let more = Val::Dict(more.collect());
        let more = (!args.named.is_empty()).then_some(more);
        return Val::any(std::iter::once(first.clone()).chain(more));
    }
    let mut items = match first {
        Val::Dict(items) => items.to_vec(),
        Val::List(pairs) => {
            let pair = |pair: &Val<'t>| (pair.item(&Val::Int(0)), pair.item(&Val::Int(1)));
            pairs.iter().map(pair).collect()
        }
        _ => Vec::new(),
    };
    items.extend(more);
    Val::Dict(items.into())
}

/// The number that a function of constants gives: `len(NAMES)`, `max(1, 4)`, `int(3.7)`.
fn whole_number(function: &str, args: &Args<'_>) -> Option<i64> {
    let number = |one: &Val<'_>| match one {
        Val::Int(number) => Some(*number),
        _ => None,
    };
    let numbers = || {
        args.positional
            .iter()
            .map(number)
            .collect::<Option<Vec<_>>>()
    };
    match (function, args.positional.as_slice()) {
        ("len", [Val::Str(text, _)]) => i64::try_from(text.chars().count()).ok(),
        ("len", [list @ Val::List(items)]) => {
            let len = i64::try_from(items.len()).ok();
            len.filter(|_| list.display().is_some())
        }
        ("int", [Val::Float(text)]) => text.split('.').next()?.parse().ok(),
        ("min", [_, _, ..]) => numbers()?.into_iter().min(),
        ("max", [_, _, ..]) => numbers()?.into_iter().max(),
        _ => None,
    }
}

/// A URL with a route behind it, and a slash between them.
fn joined_url<'t>(base: &Val<'t>, route: &Val<'t>) -> Val<'t> {
    let ends = base.pieces().last().and_then(Val::as_str);
    let begins = route.pieces().first().and_then(Val::as_str);
    let is_split = ends.is_some_and(|text| text.ends_with('/'))
        || begins.is_none_or(|text| text.starts_with('/'));
    let between = if is_split { "" } else { "/" };
    base.join(&Val::text(between)).join(route)
}

/// A method of text.
fn text_method<'t>(
    text: &str,
    at: Option<Node<'t>>,
    name: &str,
    args: &Args<'t>,
) -> Option<Val<'t>> {
    let word = |index: usize| args.positional.get(index).and_then(Val::as_str);
    let set: Vec<char> = word(0).unwrap_or(" \t\r\n").chars().collect();
    let changed = match name {
        "startswith" => return Some(Val::Bool(text.starts_with(word(0)?))),
        "endswith" => return Some(Val::Bool(text.ends_with(word(0)?))),
        "isupper" => return Some(Val::Bool(!text.contains(char::is_lowercase))),
        "upper" => text.to_uppercase(),
        "lower" | "casefold" => text.to_lowercase(),
        "encode" | "decode" => text.to_owned(),
        "replace" => text.replace(word(0)?, word(1)?),
        "strip" => text.trim_matches(&set[..]).to_owned(),
        "lstrip" => text.trim_start_matches(&set[..]).to_owned(),
        "rstrip" => text.trim_end_matches(&set[..]).to_owned(),
        "removeprefix" => text.strip_prefix(word(0)?).unwrap_or(text).to_owned(),
        "split" | "splitlines" => {
            let part = |part: &str| Val::Str(part.into(), at);
            return Some(Val::list(match (name, word(0)) {
                ("splitlines", _) => text.lines().map(part).collect(),
                (_, Some(by)) if !by.is_empty() => text.split(by).map(part).collect(),
                _ => text.split_whitespace().map(part).collect(),
            }));
        }
        _ => return None,
    };
    Some(Val::Str(changed.into(), at))
}

/// The module of a function: `a` of `a.b.c`.
fn module(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
