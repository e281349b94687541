//! Values of variables that calls are given: types, limits, choices, and the program's functions.

use super::eval::Reader;
use super::syntax::Node;
use super::usage::Usage;
use super::value::Val;

impl<'t> Reader<'t> {
    /// A value that a call is given.
    pub fn passed(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        usage: &mut Usage<'t>,
        any_case: bool,
    ) {
        let by_name = parent.kind() == "keyword_argument";
        let call = if by_name {
            parent.ancestor("call")
        } else {
            parent.parent()
        };
        let Some((call, function)) = call.and_then(|call| Some((call, call.field("function")?)))
        else {
            return;
        };
        // A parameter may hold the type: `cast(value)`.
        let callee = self.at(function, &usage.ctx.clone());
        let text = match callee.path() {
            "" => function.text(),
            path => path,
        };
        match text.rsplit('.').next().unwrap_or(text) {
            kind @ ("int" | "float") => {
                usage.note_use(kind);
                self.follow_uses(call, usage, any_case);
            }
            "loads" => usage.note_use("json"),
            kind @ ("min" | "max") if call.argument_values().len() > 1 => {
                for bound in call
                    .argument_values()
                    .into_iter()
                    .filter(|value| *value != node)
                {
                    let value = self.at(bound, &usage.ctx.clone());
                    let text = value.display().unwrap_or_else(|| self.fingerprinted(bound));
                    usage.note_use(format!("{kind} {text}"));
                }
                self.follow_uses(call, usage, any_case);
            }
            "bool" => usage.note_use("truthy"),
            "get" if call.argument_values().first() == Some(&node) => {
                self.follow_lookup(function.field("object"), usage, any_case);
            }
            "str" => self.follow_uses(call, usage, any_case),
            _ => {
                usage.plain = true;
                self.limited(parent, call, &callee, usage);
                let ctx = usage.ctx.clone();
                let args = self.exactly(|reader| reader.args(call, &ctx));
                let bound = self.exactly(|reader| reader.bind(&callee, &args, Some(call)));
                let (Some((own, inner)), Val::Func(_, _, object)) = (bound, &callee) else {
                    return self.follow_conversion(call, usage);
                };
                let at = call
                    .argument_values()
                    .iter()
                    .position(|a| *a == node)
                    .unwrap_or_default();
                let mut names = own.parameters().skip(at + usize::from(object.is_some()));
                let name = match by_name {
                    true => Some(parent.text_of("name")),
                    false => names.next().map(|(name, ..)| name),
                };
                if let (Some(name), Some(body)) = (name, own.field("body")) {
                    usage.plain = false;
                    self.steps += body.range().len() / 16;
                    let all = body.subtree().filter(|n| n.kind() == "identifier");
                    let ctx = std::mem::replace(&mut usage.ctx, inner);
                    for one in all.filter(|n| n.text() == name) {
                        self.follow_uses(one, usage, any_case);
                    }
                    usage.ctx = ctx;
                }
            }
        }
    }

    /// The values that an enumeration or an option of the command line lets through.
    fn limited(
        &mut self,
        argument: Node<'t>,
        call: Node<'t>,
        callee: &Val<'t>,
        usage: &mut Usage<'t>,
    ) {
        let is_default =
            argument.kind() == "keyword_argument" && argument.text_of("name") == "default";
        let choices = match callee {
            Val::Class(class) if class.text_of("superclasses").contains("Enum") => {
                Some(callee.clone())
            }
            _ if is_default && call.callee_name() == "add_argument" => {
                let kind = call.keyword("type").map(|kind| self.value(kind));
                if let Some(kind) = kind.filter(|kind| matches!(kind.path(), "int" | "float")) {
                    usage.note_use(kind.path());
                }
                call.keyword("choices").map(|choices| self.value(choices))
            }
            _ => None,
        };
        let choices = choices.and_then(|choices| self.elements(&choices));
        let words: Option<Vec<String>> =
            choices.and_then(|all| all.iter().map(Val::display).collect());
        if let Some(mut words) = words {
            words.sort();
            usage.note_use(format!("in [{}]", words.join(",")));
        }
    }
}
