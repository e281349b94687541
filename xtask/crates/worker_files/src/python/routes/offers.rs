//! What the program offers and uses: the routes that it serves, the models that it loads, the
//! programs that it starts, and the functions of RunPod's SDK.

use super::requests::METHODS;
use crate::Place;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::summaries::Uses;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::{Node, is_among, last_part};
use crate::steps::HARMLESS;
use std::collections::BTreeSet;

/// Stands for a computed value.
pub const COMPUTED: &str = "…";

/// Functions of libraries that load or download a model.
pub const LOADERS: &str = "from_pretrained from_single_file snapshot_download hf_hub_download load_model \
    load_lora_weights load_textual_inversion load_ip_adapter pipeline WhisperModel \
    SentenceTransformer CrossEncoder download_model YOLO TTS EasyNMT InferenceSession LLM AsyncEngineArgs EngineArgs Llama";
/// Their arguments that name the model.
const MODEL: &str = "model repo_id model_id model_path model_name model_name_or_path \
    model_size_or_path pretrained_model_name_or_path pretrained_model_or_path";

/// Something that the program offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// `result:text`, `serves:GET /ping`, `model:org/name`.
    pub id: String,
    /// Of a model the function that loads it, and its other arguments; of a step its commands.
    pub how: Option<(String, Vec<String>)>,
    pub place: Place,
    /// Whether it stands in code that runs.
    pub reached: bool,
}

impl<'t> Reader<'t> {
    pub fn offer(&mut self, node: Node<'t>, id: String, how: Option<(String, Vec<String>)>) {
        let offer = Offer {
            id,
            how,
            place: self.place(node),
            reached: self.program.reaches(node),
        };
        if !self.facts.offers.contains(&offer) {
            self.facts.offers.push(offer);
        }
    }

    /// Notes a call of what RunPod's SDK has for handlers: progress, uploads and downloads.
    pub fn note_sdk_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let path = callee.path();
        let words = ["progress", "upload", "download", "cleanup", "register"];
        if path.starts_with("runpod.serverless.") && words.iter().any(|word| path.contains(word)) {
            // The last name, as it may be imported in several ways.
            let name = last_part(path);
            self.offer(node, format!("serverless:{name}()"), None);
        }
    }

    /// Notes the routes that a web framework is given.
    pub fn note_served_routes(&mut self, node: Node<'t>) {
        let name = node.callee_name();
        let is_decorator = node.parent_of("decorator").is_some();
        let added = name.strip_prefix("add_").unwrap_or_default();
        let (route, methods) = match name {
            "APIRouter" | "include_router" | "Blueprint" => {
                let prefix = node.keyword("prefix").or(node.keyword("url_prefix"));
                (prefix, vec!["PREFIX".to_owned()])
            }
            "route" | "api_route" | "add_api_route" | "add_url_rule"
                if is_decorator || !added.is_empty() =>
            {
                let named = node.keyword("methods").map(|list| self.value(list));
                let named = named.and_then(|list| list.elements()).unwrap_or_default();
                let words = named.iter().filter_map(Val::as_str);
                let mut words: Vec<String> = words.map(str::to_uppercase).collect();
                if words.is_empty() {
                    words.push("GET".to_owned());
                }
                (node.argument(0), words)
            }
            method if is_decorator && (METHODS.contains(&method) || method == "websocket") => {
                (node.argument(0), vec![method.to_uppercase()])
            }
            _ if METHODS.contains(&added) => (node.argument(0), vec![added.to_uppercase()]),
            _ => return,
        };
        let Some(route) = route else { return };
        let mut around = node.ancestors().take(2);
        let by = around.find_map(|above| above.field("definition"));
        let by = by.or_else(|| match self.value(node.argument(1)?) {
            Val::Func(own, ..) => Some(own),
            _ => None,
        });
        let mut uses = Uses::default();
        let by = by.map(|function| self.summaries.result(function, &mut uses).clone());
        for one in self.value(route).each() {
            if let Some(path) = one.as_str().filter(|path| path.starts_with('/')) {
                for method in &methods {
                    self.offer(route, format!("serves:{method} {path}"), None);
                    if let Some(result) = &by {
                        self.note_result_keys(route, &format!("{method} {path} "), result);
                    }
                }
            }
        }
    }

    /// Notes another program than `SGLang`'s server that is started, with its words.
    pub fn note_program(&mut self, node: Node<'t>, words: &[Val<'t>], program: usize) {
        let last_name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let words_from = words.get(program..).unwrap_or_default().iter();
        let mut names = words_from
            .map_while(Val::as_str)
            .map(last_name)
            .zip(program..);
        // A shell is named by its script.
        let is_shell = |name: &str| is_among("sh bash dash zsh", name);
        let named = names.find(|(name, _)| !is_shell(name) && !name.starts_with('-'));
        let (name, at) = named.unwrap_or((String::new(), program));
        let mut texts = words.iter().filter_map(Val::as_str);
        let is_server = texts.any(|word| self.program.starts_server(&format!("\"{word}\"")));
        if !name.is_empty() && !is_among(HARMLESS, &name) && !is_server {
            let mut all: Vec<String> = words.iter().map(Val::in_short).collect();
            // The folder of the program does not matter, nor that of a shell's script.
            all[program] = last_name(&all[program]);
            all[at].clone_from(&name);
            let how = ("commands".to_owned(), vec![all.join(" ")]);
            self.offer(node, format!("step:run {name}"), Some(how));
        }
    }

    /// Notes a file or folder that the program links, copies or moves, where it names it.
    pub fn note_file_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        const CALLS: &str = "os.symlink os.link os.rename os.replace shutil.copy shutil.copy2 \
            shutil.copyfile shutil.copytree shutil.move";
        if !is_among(CALLS, callee.path()) {
            return;
        }
        let args = node.argument_values().into_iter();
        let args: Vec<String> = args.map(|one| self.value(one).in_short()).collect();
        if args.iter().any(|arg| arg.starts_with('/')) {
            let command = format!("{} {}", callee.path(), args.join(" "));
            let how = ("commands".to_owned(), vec![command.clone()]);
            self.offer(node, format!("step:{command}"), Some(how));
        }
    }

    /// A request's path that a server of the program's own compares with a text.
    pub fn note_compared_path(&mut self, left: Node<'t>, right: Node<'t>) {
        if left.is("attribute") && matches!(left.text(), "self.path" | "request.path") {
            let paths = self.value(right).elements_or_each();
            let paths = paths.iter().filter_map(Val::as_str);
            for path in paths.filter(|path| path.starts_with('/')) {
                self.offer(right, format!("serves:* {path}"), None);
            }
        }
    }

    /// Notes a model that a library loads, where the program names it.
    pub fn note_loaded_model(&mut self, node: Node<'t>, callee: &Val<'t>) {
        if callee.is_own() || !is_among(LOADERS, node.callee_name()) {
            return;
        }
        let ctx = Ctx::default();
        let joined = self.args(node, &ctx);
        let exact = self.exactly(|reader| reader.args(node, &ctx));
        let (mut models, mut parts) = (BTreeSet::new(), BTreeSet::new());
        for args in [&joined, &exact] {
            let first = args.positional.first();
            let first = first.filter(|_| node.callee_name() != "pipeline");
            let mut names = MODEL.split(' ');
            let named = names.find_map(|name| Some((name, args.named(name)?)));
            let (by_name, model) = named.unwrap_or(("", first.unwrap_or(&Val::Unknown)));
            let others = args.positional.iter().skip(usize::from(by_name.is_empty()));
            parts.extend(others.map(Val::in_short).filter(|text| text != COMPUTED));
            let named = args.named.iter().filter(|(name, _)| **name != *by_name);
            parts.extend(named.map(|(name, value)| argument(name, value)));
            for more in args.more.iter().flat_map(Val::each) {
                if let Val::Dict(items) = more {
                    let named = items.iter();
                    parts.extend(named.filter_map(|(key, it)| Some(argument(key.as_str()?, it))));
                }
            }
            models.extend(model.each().iter().filter_map(|one| match one {
                Val::Env(_, default) => default.as_str(),
                one => one.as_str(),
            }));
        }
        // The class in `Class.from_pretrained` says which part of the model is loaded.
        let mut by = normal(node.text_of("function"));
        let start = by.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
        by.drain(..start);
        if by.starts_with(char::is_lowercase) {
            node.callee_name().clone_into(&mut by);
        }
        models.retain(|name| !name.is_empty());
        if models.is_empty() {
            // A computed model is named by what loads it.
            models.insert(&by);
        }
        parts.insert(by.clone());
        // Hugging Face's own variables may set these as well.
        parts.retain(|part| !matches!(&**part, "cache_dir" | "token"));
        let how = (by.clone(), parts.into_iter().collect::<Vec<_>>());
        for model in models {
            self.offer(node, format!("model:{model}"), Some(how.clone()));
        }
    }
}

/// An argument as text that does not depend on the names of the program's variables.
pub fn argument(name: &str, value: &Val<'_>) -> String {
    match value.in_short() {
        text if text == COMPUTED => name.to_owned(),
        text => format!("{name}={text}"),
    }
}

impl Val<'_> {
    /// A constant, or the last name of something from a library.
    pub fn in_short(&self) -> String {
        let name = self.path().rsplit('.').next();
        let name = name.filter(|name| !name.is_empty()).unwrap_or(COMPUTED);
        self.display().unwrap_or_else(|| name.to_owned())
    }
}
