//! Whether nothing is done with a value that is read: with the variable, the attribute or the
//! parameter that takes it.

use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

/// How many variables a value is followed through that are set to it in turn.
const FOLLOWED: usize = 2;

impl<'t> Reader<'t> {
    /// Whether the variable, attribute or parameter that takes a value is used by nothing but its
    /// own line, a log, or a check that ends the job. `None` if no such thing takes it.
    pub fn is_unused(&mut self, node: Node<'t>) -> Option<bool> {
        self.goes_unused(node, FOLLOWED)
    }

    /// The same, where the value is followed through so many variables.
    fn goes_unused(&mut self, node: Node<'t>, most: usize) -> Option<bool> {
        const THROUGH: &str = "parenthesized_expression boolean_operator conditional_expression \
            not_operator comparison_operator binary_operator attribute keyword_argument";
        const CONVERSIONS: &str = "int float str bool min max strip rstrip lower upper split";
        // A test whether the job holds a key does not use its value.
        if node.is("comparison_operator") {
            let right = node.child(1)?;
            return self.value(right).is_input().then_some(true);
        }
        if !node.is_any("call subscript identifier") {
            return None;
        }
        let mut value = node;
        for above in node.ancestors() {
            match (above.kind(), above.callee_name()) {
                ("argument_list" | "lambda", _) => {}
                // `name: str = field(default_factory=lambda: os.getenv("NAME"))`
                ("call", "field" | "Field") => value = above,
                ("assignment", _) if above.scope().is("class_definition") => {
                    let (class, name) = (above.scope(), above.text_of("left"));
                    return Some(self.is_unused_member(class, name));
                }
                ("assignment", _) => {
                    let left = above.field("left")?;
                    return match left.kind() {
                        "attribute" => Some(self.is_unused_attribute(left)),
                        "identifier" if self.is_overwritten(left) => Some(true),
                        "identifier" => {
                            Some(self.is_unused_variable(left.scope(), left.text(), most))
                        }
                        _ => None,
                    };
                }
                (kind, _) if is_among(THROUGH, kind) => value = above,
                ("call", name) if is_among(CONVERSIONS, name) => value = above,
                ("call", _) => return self.is_unused_parameter(above, value, most).then_some(true),
                _ => return None,
            }
        }
        None
    }

    /// Whether no object and no file uses an attribute of this name, also not through functions
    /// that use all of an object's attributes.
    pub fn is_unused_attribute(&mut self, attribute: Node<'t>) -> bool {
        let class = attribute.function().and_then(Node::class);
        let class = class.filter(|_| attribute.text_of("object") == "self");
        class.is_some_and(|class| self.is_unused_member(class, attribute.text_of("attribute")))
    }

    fn is_unused_member(&mut self, class: Node<'t>, name: &'t str) -> bool {
        const LOOKS_AT_ALL: &str = "vars __dict__ asdict getattr __getattribute__ attrgetter format \
            fields model_dump dict to_dict to_json copy deepcopy pickle";
        // A base class of a library may use it.
        if class.field("superclasses").is_some() {
            return false;
        }
        let uses = &self.program.uses;
        let all = |name: &'t str| {
            let files = 0..self.program.files.len();
            files.flat_map(move |file| uses.get(&(file, name)).into_iter().flatten())
        };
        // Code that gets the object may use it.
        let is_given = |one: &Node<'t>| {
            let made = one.parent_of("call");
            let of = made.unwrap_or(*one).parent();
            of.is_some_and(|of| of.is_any("argument_list keyword_argument"))
        };
        // The type `dict` uses nothing.
        let looks = |one: &Node<'t>| one.text() != "dict" || one.role() == "attribute";
        let is_idle = |one: &Node<'t>| {
            let part = one.parent_of("attribute");
            part.is_none_or(|part| part.role() == "left" || part.is_idle())
        };
        let mut objects = all("self").chain(all(class.text_of("name")));
        let is_unused = !objects.any(is_given)
            && !LOOKS_AT_ALL.split_whitespace().flat_map(&all).any(looks)
            && all(name).all(is_idle);
        self.steps += self.program.files.len();
        is_unused
    }

    /// Whether other values replace the one that a variable is set to before anything uses it.
    fn is_overwritten(&mut self, target: Node<'t>) -> bool {
        let (scope, name) = (target.scope(), target.text());
        let all = self.program.uses_of(scope, name);
        self.steps += all.len();
        let mut others = all.into_iter().filter(|one| *one != target);
        let is_other = |one: &Node<'t>| {
            one.role() == "left" && one.parent().is_some_and(|it| it.is("assignment"))
        };
        others.clone().any(|one| is_other(&one))
            && !self.is_shared(scope, name)
            && others.all(|one| is_other(&one) || !self.program.sees(one, target))
    }

    fn is_unused_variable(&mut self, scope: Node<'t>, name: &'t str, most: usize) -> bool {
        let all = self.program.uses_of(scope, name);
        // Only a module's variable is looked for in all files.
        let files = self.program.files.len();
        self.steps += all.len() + if scope.is("module") { files } else { 0 };
        if self.is_shared(scope, name) {
            return false;
        }
        // `count = int(text)`, where nothing uses `count`.
        let mut idle = |one: Node<'t>| {
            one.is_idle() || most > 0 && self.goes_unused(one, most - 1) == Some(true)
        };
        all.into_iter().all(&mut idle)
    }

    /// Whether other files may import a variable, or others take it from its class.
    pub fn is_shared(&self, scope: Node<'t>, name: &'t str) -> bool {
        let mut others = (0..self.program.files.len()).filter(|file| *file != scope.file());
        match scope.kind() {
            "module" => others.any(|file| self.program.uses.contains_key(&(file, name))),
            kind => kind == "class_definition",
        }
    }

    /// Whether a call of the program's own function gives this argument to a parameter that nothing
    /// looks at.
    fn is_unused_parameter(&mut self, call: Node<'t>, argument: Node<'t>, most: usize) -> bool {
        self.callee(call).each().iter().all(|one| {
            let Val::Func(own, ..) = one else {
                return false;
            };
            let is_bound = own.class().is_some() && !own.is_decorated("staticmethod");
            let at = call.arguments().position(|one| one == argument);
            let mut all = own.parameters().skip(usize::from(is_bound)).enumerate();
            let parameter = all.find(|(number, (name, ..))| match argument.kind() {
                "keyword_argument" => *name == argument.text_of("name"),
                _ => Some(*number) == at,
            });
            parameter.is_some_and(|(_, (name, _, stars))| {
                stars == 0 && self.is_unused_variable(*own, name, most)
            })
        })
    }
}
