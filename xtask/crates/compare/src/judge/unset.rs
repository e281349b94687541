//! What a variable does with nothing set: by the program, by the image, by SGLang itself.

use super::super::facts::{ALONE, Fact, WHEN};
use super::hub::is_read_outside;
use super::values::{TRIED, WORK_OUT, env_line, is_worked_out, same_value, set_again, show};
use super::{Judge, difference};
use worker_files::ALSO;
use worker_files::shell::NOT_SET;

impl<'a> Judge<'a> {
    /// How the new worker comes to do what the old one did with a variable unset, and nothing else.
    pub fn default_again(&self, name: &str, old: &Fact, new: &Fact) -> Option<String> {
        let (default, flag) = (old.get("default")?, old.get("flag"));
        if is_worked_out(default) {
            return Some(WORK_OUT.to_owned());
        }
        let is_driven =
            flag.is_none_or(|flag| new.get("flag").is_some_and(|f| self.same_flag(flag, f)));
        let other = match flag.filter(|_| !is_driven) {
            Some(flag) => self.new.offered(self.driver(flag)?),
            None => self.new.offered(name),
        };
        // A flag must not come of what was none.
        if let Some(other) = new.get("flag").filter(|_| flag.is_none()) {
            return Some(format!(
                "Don't set it again: {name} sets {other} now, and no variable does only what it did. Write the value into your code, or record why not."
            ));
        }
        if flag.is_none() && is_read_outside(name) {
            env_line(name, default)?;
            let line = format!(
                "`os.environ.setdefault(\"{name}\", \"{default}\")` where the worker starts"
            );
            return Some(format!(
                "{line}, and not ENV, which the build and other programs have too; or record why not."
            ));
        }
        let line = set_again(self.new, other, default)?;
        let does = flag.filter(|_| !is_driven);
        let does = does.map_or_else(String::new, |flag| format!("{other} drives {flag} now: "));
        Some(format!(
            "{does}{line} sets it as before; or record why not."
        ))
    }

    /// What was tried where a variable is unset, and is not now.
    pub fn fallback_lost(&self, name: &str, id: &str, old: &Fact, new: &Fact) -> Option<String> {
        let drives = new.get("flag");
        let (was, is) = (old.get("fallbacks"), new.get("fallbacks"));
        let mut tried = new.parts("fallbacks", " ");
        // A name for the same flag is tried all the same, and without a tokenizer of its own SGLang
        // takes the model's.
        let is_same = |other: &str| {
            let flag = self.new.attribute(&format!("env:{other}"), "flag");
            // So does the program that puts a model into the image.
            let mut files = old.places.iter().map(|place| place.file.name());
            let is_known = drives.is_some() || files.all(|name| name == b"download_model.py");
            let is_models = name.starts_with("TOKENIZER_") && other.starts_with("MODEL_");
            drives.is_some() && flag == drives || is_models && is_known
        };
        let is_set = || self.set_by_image(id).is_some_and(|set| !set.is_empty());
        let is_lost = match was {
            Some(was) => !is.unwrap_or_default().starts_with(was) && !was.split(' ').all(is_same),
            // What the old worker did not read is set nowhere yet.
            None => tried.any(|name| self.old.variable(name).is_some()) && !is_set(),
        };
        is_lost.then(|| difference(TRIED, was, is))
    }

    /// What the new worker passes where a variable is not set, and only there.
    pub fn unset_branch<'f>(&self, old: &Fact, new: &'f Fact) -> Option<&'f str> {
        let known = old.get("effects").unwrap_or_default();
        let effects = new.get("effects")?.split(" | ");
        let mut now = effects.filter(|one| known.split(" | ").all(|own| own != *one));
        now.find_map(|one| {
            let effect = one.strip_prefix(NOT_SET)?.strip_prefix(": ")?;
            let (flag, value) = effect.split_once(' ').unwrap_or((effect, ALONE));
            let default = old.get("default").filter(|_| old.get("flag") == Some(flag));
            let always = self.old.attribute(&format!("flag:{flag}"), "value");
            let was = default.or(always).map(str::to_owned);
            let was = was.or_else(|| self.own_default(flag)).unwrap_or_default();
            (!same_value(&was, value)).then_some(effect)
        })
    }

    /// What both workers do where a variable is not set. What drives a flag is compared as what is
    /// passed to `SGLang`, against `SGLang`'s own default. `Err` tells a difference, `Ok` what to
    /// know where there is none.
    pub fn unset(&self, id: &str, old: &Fact, new: &Fact) -> Result<Option<String>, String> {
        let was = old.get("default");
        // What the image sets for the same flag by another name holds for this one too.
        let by_other = || {
            let mut others = self.new.drivers(new.get("flag")?);
            let set = |other| self.set_by_image(&format!("env:{other}"));
            others.find_map(|other| {
                set(other).filter(|set| was.is_some_and(|was| same_value(set, was)))
            })
        };
        let image = self.set_by_image(id).or_else(by_other);
        let is = image.or(new.get("default"));
        let name = id.strip_prefix("env:").unwrap_or_default();
        if let Some(why) = self.still_in_effect(name, old, new) {
            return Ok(Some(why).filter(|why| !why.is_empty()));
        }
        if same_value(was.unwrap_or_default(), is.unwrap_or_default()) {
            // Of two places that had the default, one lost it.
            let mut files = new.places.iter().map(|place| place.file.to_string());
            let is_lost = new.has("undefaulted")
                && !old.has("undefaulted")
                && !new.has("by")
                && files.all(|file| file.rsplit_once('.').is_some_and(|(_, end)| end == "py"));
            return match is.filter(|_| is_lost && image.is_none()) {
                Some(is) => Err(format!("elsewhere it is read without the default `{is}`")),
                None => Ok(None),
            };
        }
        // One more place that has a default takes nothing away from the others.
        if was.is_none() && image.is_none() && new.has("undefaulted") {
            return Ok(None);
        }
        // It may be what the old worker passed for another variable.
        let for_another = |fact: &Fact| {
            let flags = fact.get("flag").zip(new.get("flag"));
            fact.get("default") == is && flags.is_some_and(|(a, b)| self.same_flag(a, b))
        };
        let mut others = self.old.area("env");
        if was.is_none() && is.is_some() && others.any(|(_, fact)| for_another(fact)) {
            return Ok(None);
        }
        // What drove no flag, or drives none any more, is passed to nobody.
        let drives = old.get("flag").and(new.get("flag"));
        if drives.is_some_and(|flag| self.default_doubt(flag, was, is).is_some()) {
            return Ok(None);
        }
        let Some(own) = drives.and_then(|flag| self.own_default(flag)) else {
            // A table's default is decided where it can't be followed.
            let is_by_table = was.is_none() && image.is_none() && new.has("by");
            let differ = (!is_by_table).then(|| difference("default", was, is));
            return differ.map_or(Ok(None), Err);
        };
        let passed = [was, is].map(|value| value.filter(|v| !v.is_empty()).unwrap_or(&own));
        if same_value(passed[0], passed[1]) {
            let note = format!("{} does the same by default: `{own}`.", self.sglang);
            return Ok(Some(note));
        }
        let [was, is] = [was, is].map(|value| match value {
            Some(value) => show(Some(value)),
            None => format!("SGLang's own default ({})", show(Some(&own))),
        });
        let differ = format!("with it unset, {was} was passed, {is} is passed now");
        Err(differ)
    }

    /// What the new image sets a variable to.
    pub fn set_by_image(&self, id: &str) -> Option<&'a str> {
        let default = self.new.attribute(id, "default");
        let fact = self
            .new
            .get(&format!("image:{}", id.strip_prefix("env:")?))?;
        let new = self.new.filled_in(fact.get("value").unwrap_or_default());
        // `ENV NAME=` sets it to nothing. A default that the reader still knows holds all the same.
        let holds = !new.is_empty() || default.is_none();
        (holds && !new.contains('$')).then_some(new)
    }

    /// Whether what the old image sets a variable to still holds where nobody sets it: by the new
    /// image, the new worker's own default or `SGLang`'s. The text tells what is not the image.
    pub fn still_in_effect(&self, name: &str, old: &Fact, new: &Fact) -> Option<String> {
        let image = self.old.get(&format!("image:{name}"))?;
        let was = self.old.filled_in(image.get("value")?);
        let other = self.renamed.get(name).map_or(name, String::as_str);
        let set = self.set_by_image(&format!("env:{other}"));
        if was.is_empty() || was.contains('$') {
            return None;
        } else if set == Some(was) {
            return Some(String::new());
        } else if was.contains('(') || was.contains(ALSO) || image.has(WHEN) {
            return None;
        }
        // Elsewhere it may be read without its default.
        let is = set.or(new.get("default").filter(|_| !new.has("undefaulted")));
        if is.is_some_and(|is| same_value(was, is)) {
            return Some("It is the new worker's own default now.".to_owned());
        }
        let flags = old.get("flag").zip(new.get("flag"));
        let (_, flag) = flags.filter(|(was, is)| self.same_flag(was, is))?;
        let own = self.own_default(flag)?;
        let is_own = |text: &str| same_value(text, &own) && old.get("how") == new.get("how");
        let is_same = is_own(was) && is.is_none_or(is_own) && !new.has("undefaulted");
        let why = format!("{} does the same by default: `{own}`.", self.sglang);
        (is_same && !new.has("required")).then_some(why)
    }
}
