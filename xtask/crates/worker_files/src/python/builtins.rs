//! Results of functions and methods of Python and its libraries, as far as workers build names,
//! flags and commands with them.

use std::rc::Rc;

use super::data::loaded;
use super::environment::env_lookup;
use super::eval::Reader;
use super::syntax::{Node, is_among, last_part};
use super::value::{Args, Val};

const COLLECTIONS: &str = "deque dict OrderedDict ChainMap MappingProxyType list tuple set frozenset sorted \
    reversed iter copy deepcopy cast next min max enumerate zip";

/// Modules whose functions read data.
const DATA: &str = "json orjson simplejson ujson toml tomli tomllib yaml";

/// The prefix of the pseudo-name of a class that `namedtuple` makes; its fields follow.
const NAMED_TUPLE: &str = "namedtuple ";

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
            "partial" if argument.is_some() => {
                let rest = Args {
                    positional: args.positional[1..].to_vec(),
                    ..args.clone()
                };
                let rest = Rc::new(rest);
                let partial = |one: &Val<'t>| Val::Partial(Rc::new(one.clone()), rest.clone());
                Val::any(first.each().iter().map(partial))
            }
            "__import__" | "import_module" => self.imported(0, first.as_str()?, None),
            "getattr" => match second? {
                Val::Str(text, Some(node)) if **text == *node.content() => {
                    self.attribute(&first, node.content())
                }
                // It may be any function of it, also one that nothing else names.
                _ if first.may_be(|one| match one {
                    Val::Class(class) | Val::Object(class, _) => self.may_lead_to_fact(*class),
                    one => matches!(one, Val::Module(_)),
                }) =>
                {
                    Val::Lost
                }
                _ => return None,
            },
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
            "urljoin" => second.map_or(first.clone(), |route| first.join(route)),
            "validate" if path.contains("rp_validator") || path == "validate" => match first {
                Val::Input(_) => Val::Dict([(Val::text("validated_input"), first)].into()),
                _ => return None,
            },
            "dotenv_values" => {
                let path = args.get(0, "dotenv_path");
                Val::Environ(self.file_settings(path.map_or(Some(".env"), Val::as_str)))
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
            (Val::Environ(_), _) => return None,
            (Val::Job, "get") => object.item(&first),
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
            (Val::Dict(_), "get" | "pop") => match (object.entry(&first), &first) {
                (Some(value), _) => value,
                (None, Val::Str(..)) => args.get(1, "default").cloned().unwrap_or(Val::None),
                (None, _) => object.item(&first),
            },
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
            (Val::Made(path), _) if path.len() < LONGEST => {
                Val::Made(format!("{path}.{name}").into())
            }
            _ => return None,
        })
    }
}

/// `dict(…)`. A copy of the environment or of a job's input stays what it is.
fn dict<'t>(first: &Val<'t>, args: &Args<'t>) -> Val<'t> {
    let of = args.positional.iter().chain(&args.more);
    let mut whole = of.filter(|v| v.may_be(|v| matches!(v, Val::Environ(_) | Val::Input(_))));
    let more = args.named.iter();
    let more = more.map(|(k, v)| (Val::Str(k.clone(), None), v.clone()));
    if let Some(found) = whole.next() {
        return match found {
            Val::Environ(items) => {
                // `ChainMap(os.environ, DEFAULTS)`
                let under = args.positional.iter().skip(1).filter_map(|one| match one {
                    Val::Dict(items) => Some(items.iter().cloned()),
                    _ => None,
                });
                let items = items.iter().cloned().chain(under.flatten());
                Val::Environ(items.chain(more).collect())
            }
            found => found.clone(),
        };
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
