//! What the Hub offers and tests, and what the README says of it.

use super::Facts;
use worker_files::dockerfile::Text;
use worker_files::{Declared, WorkerInterface};
use xtask_core::sglang;

impl Facts {
    pub(super) fn add_hub(&mut self, interface: &WorkerInterface) {
        let form = interface.form.as_ref().filter(|_| interface.hub.is_none());
        if let (Some(hub), Some(form)) = (&interface.hub, &interface.form) {
            let offered = |form: &&Declared| hub.env.iter().any(|hub| hub.name == form.name);
            let only = form.env.iter().filter(|form| !offered(form));
            let only: Vec<&str> = only.map(|form| form.name.as_str()).collect();
            let lacks = match only.as_slice() {
                [] => String::new(),
                only => format!("; it offers what hub.json does not: {}", only.join(", ")),
            };
            self.passed_over = Some(format!(
                "worker-config.json is not compared, because the Hub shows what hub.json says{lacks}"
            ));
        }
        let listed = interface.hub.iter().flat_map(|hub| &hub.env);
        for declared in listed.chain(form.iter().flat_map(|form| &form.env)) {
            self.add_declared(declared);
        }
        if let Some(form) = form {
            for (title, variables) in &form.categories {
                let id = format!("hub:category.{}", title.text);
                self.add_text(id, &title.place, "variables", &variables.join(" "));
            }
            if let Some(image) = &form.image {
                self.add_value("hub:imageName", &image.place, &image.text);
            }
            if let Some(variable) = &form.model_variable {
                self.add_value("hub:modelEnvVarKey", &variable.place, &variable.text);
            }
            if let Some(cuda) = &form.cuda {
                self.add_text("hub:cuda", &cuda.place, "from", &cuda.text);
            }
        }
        if let Some(hub) = &interface.hub {
            self.add_cuda("hub:cuda", &hub.cuda);
            for preset in &hub.presets {
                let defaults = preset.defaults.iter();
                let defaults = defaults.map(|(name, value)| format!("{name}={value}"));
                let defaults = defaults.collect::<Vec<_>>().join(" ");
                let id = format!("hub:preset.{}", preset.name);
                self.add_text(id, &preset.place, "defaults", &defaults);
            }
            // A description is wording: nobody finds a worker by it.
            for (name, text) in &hub.settings {
                if name != "description" {
                    // Lists in a text, as `gpuIds` is one, are told apart by commas.
                    let parts: Vec<&str> = text.text.split(',').map(str::trim).collect();
                    self.add_value(format!("hub:{name}"), &text.place, &parts.join(","));
                }
            }
        }
        if let Some(tests) = &interface.tests {
            self.add_cuda("tests:cuda", &tests.cuda);
            self.add_named("tests:", &tests.env);
            for (name, text) in &tests.settings {
                self.add_value(format!("tests:config.{name}"), &text.place, &text.text);
            }
            for test in &tests.tests {
                let input = test.input_text.as_deref().and_then(|text| {
                    let mut value: serde_json::Value = serde_json::from_str(text).ok()?;
                    value.sort_all_objects();
                    Some(value.to_string())
                });
                let id = format!("tests:test.{}", test.name);
                let timeout = ("timeout", test.timeout.as_deref());
                self.add(id, &test.place, &[("input", input.as_deref()), timeout]);
            }
        }
        for documented in &interface.readme {
            let id = format!("readme:{}", documented.name);
            let default = ("default", documented.default.as_deref());
            self.add(id, &documented.place, &[default]);
        }
    }

    fn add_cuda(&mut self, id: &str, versions: &[Text]) {
        let list: Vec<&str> = versions.iter().map(|version| &*version.text).collect();
        let by_order = |a: &&Text, b: &&Text| sglang::order(&a.text, &b.text);
        if let Some(lowest) = versions.iter().min_by(by_order) {
            let list = list.join(" ");
            let value = [("from", Some(&*lowest.text)), ("list", Some(&*list))];
            self.add(id, &lowest.place, &value);
        }
    }

    fn add_declared(&mut self, declared: &Declared) {
        let id = format!("hub:{}", declared.name);
        let place = &declared.place;
        let required = declared.required.then_some("yes");
        // What the Hub sets where a switch does not say it.
        let switch = |value: &Option<String>, word: &str| {
            let is_listing = place.file.name() == b"hub.json";
            let implied = is_listing && declared.kind.as_deref() == Some("boolean");
            value.clone().or(implied.then(|| word.to_owned()))
        };
        let on = switch(&declared.true_value, "true");
        let off = switch(&declared.false_value, "false");
        let value = [
            ("type", declared.kind.as_deref()),
            ("required", required),
            ("fixed", declared.fixed.as_deref()),
            ("min", declared.min.as_deref()),
            ("max", declared.max.as_deref()),
            ("true", on.as_deref()),
            ("false", off.as_deref()),
            ("title", declared.title.as_deref()),
            ("description", declared.description.as_deref()),
        ];
        self.add(&id, place, &value);
        for (key, value) in &declared.others {
            self.add_text(&id, place, key, value);
        }
        if let Some(default) = &declared.default {
            let place = declared.default_place.as_ref().unwrap_or(place);
            self.add_value(format!("{id}.default"), place, default);
        }
        if let Some((_, place)) = declared.options.first() {
            let options = declared.options.iter().map(|(value, _)| value.as_str());
            let options = options.collect::<Vec<_>>().join("\n");
            self.add_text(format!("{id}.options"), place, "values", &options);
        }
    }
}
