//! What a variable, an attribute or an item holds where no value of the environment is put there,
//! and what takes the place of a value that does not do: `if count <= 0: count = 8`.

use super::usage::Usage;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::Node;

impl<'t> Reader<'t> {
    /// What a target holds before a statement: what was assigned to it above, in its class, or in
    /// the module of a global variable.
    pub fn earlier_value(&mut self, statement: Node<'t>, target: &'t str) -> Option<Node<'t>> {
        let sets = |one: Node<'t>| {
            let set = one.child(0).filter(|_| one.is("expression_statement"))?;
            let set = Some(set).filter(|set| set.is("assignment"))?;
            (set.text_of("left") == target).then(|| set.field("right"))?
        };
        for (child, above) in statement.steps_up() {
            let before = above.children().take_while(|one| *one != child);
            if let Some(value) = before.filter_map(sets).last() {
                return Some(value);
            }
        }
        if let Some(name) = target.strip_prefix("self.") {
            let class = statement.function().and_then(Node::class)?;
            return self.class_value(class, name);
        }
        let function = statement.function()?;
        let mut shared = function.subtree_of("global_statement");
        let is_shared = shared.any(|one| one.children().any(|name| name.text() == target));
        let root = function.ancestors().last().filter(|_| is_shared)?;
        let mut all = self.program.bound_in(root, target)?.iter();
        all.find_map(|one| one.whole_value().filter(|value| value.function().is_none()))
    }

    /// What the body of a class sets an attribute to.
    pub fn class_value(&mut self, class: Node<'t>, name: &str) -> Option<Node<'t>> {
        let family = self.family(class);
        let mut bound = family
            .into_iter()
            .filter_map(|own| self.program.bound_in(own, name));
        bound.find_map(|all| {
            all.iter()
                .find_map(crate::python::program::scope::Binding::whole_value)
        })
    }

    /// What the class of `self` sets an attribute to: `self.count`.
    pub fn class_default(&mut self, attribute: Node<'t>) -> Option<Node<'t>> {
        let is_own = attribute.is("attribute") && attribute.text_of("object") == "self";
        let class = attribute.function().filter(|_| is_own)?.class()?;
        self.class_value(class, attribute.text_of("attribute"))
    }

    /// Notes what an item or an attribute by a computed name holds where a value is not put there:
    /// `options[key] = value`, `setattr(options, name, value)`.
    pub fn note_held(
        &mut self,
        branch: &[Node<'t>],
        is_value: &dyn Fn(Node<'t>) -> bool,
        usage: &mut Usage<'t>,
    ) {
        for one in branch {
            if one.callee_name() == "setattr" {
                self.note_held_attribute(*one, is_value, usage);
            }
            let left = one.field("left").filter(|_| one.is("assignment"));
            let item = left.filter(|left| left.is("subscript"));
            let right = one
                .field("right")
                .filter(|right| right.subtree().any(is_value));
            let parts = item.and_then(|left| left.field("value").zip(left.field("subscript")));
            let Some((object, key)) = parts.filter(|_| right.is_some()) else {
                continue;
            };
            let (object, key) = (self.at(object, &usage.ctx), self.at(key, &usage.ctx));
            if let (Val::Dict(items), Some(key)) = (object, key.as_str()) {
                let mut own = items.iter().filter(|(own, _)| own.as_str() == Some(key));
                let held = own.next().map(|(_, value)| value);
                let held = held.filter(|value| value.display().is_some());
                usage
                    .defaults
                    .extend(held.map(|value| (value.clone(), *one)));
            }
        }
    }

    fn note_held_attribute(
        &mut self,
        call: Node<'t>,
        is_value: &dyn Fn(Node<'t>) -> bool,
        usage: &mut Usage<'t>,
    ) {
        let args = [0, 1, 2].map(|at| call.argument(at));
        if let [Some(object), Some(name), Some(value)] = args
            && value.subtree().any(is_value)
            && let Val::Object(class, _) | Val::Class(class) = self.at(object, &usage.ctx)
            && let Some(name) = self.at(name, &usage.ctx).as_str()
            && let Some(value) = self.class_value(class, name)
        {
            self.default(value, usage);
        }
    }

    /// Notes what takes the place of a value for which a test holds. `how` tells the test.
    pub fn note_replacement(
        &mut self,
        value: Node<'t>,
        test: Node<'t>,
        how: &str,
        usage: &mut Usage<'t>,
    ) {
        let name = value.subtree().find(|one| one.is("identifier"));
        let name = name.map_or("", Node::text);
        let holder = test.local_ancestors().find(|above| {
            above.condition().is_some_and(|of| of.contains(test)) && !above.is("while_statement")
        });
        let Some(holder) = holder.filter(|_| !name.is_empty()) else {
            return;
        };
        if let Some((instead, is_then)) = taken_instead(holder, name) {
            let found = self.at(instead, &usage.ctx).display();
            let found = found.unwrap_or_else(|| self.fingerprinted(instead));
            let negated = test.ancestors().take_while(|above| holder.contains(*above));
            let negated = negated.filter(|above| above.is("not_operator")).count() % 2 == 1;
            let when = if negated == is_then {
                "unless"
            } else {
                "where"
            };
            usage.note_use(format!("{found} {when} {how}"));
        }
    }
}

/// What takes the place of a variable in one branch of a condition, and whether it does where the
/// condition holds. A truth value is what a test comes out as, not a replacement.
fn taken_instead<'t>(holder: Node<'t>, name: &str) -> Option<(Node<'t>, bool)> {
    let holds = |one: Node<'t>| {
        let mut all = one.subtree_of("identifier");
        all.any(|one| one.role() != "attribute" && one.text() == name)
    };
    let found = if holder.is("conditional_expression") {
        let (yes, no) = (holder.child(0)?, holder.child(2)?);
        match [holds(yes), holds(no)] {
            [false, true] => (yes, true),
            [true, false] => (no, false),
            _ => return None,
        }
    } else {
        let then = holder.field("consequence")?.children();
        let sets = then.filter_map(|one| one.child(0));
        let mut sets = sets.filter(|one| one.is("assignment") && one.text_of("left") == name);
        let right = sets.next()?.field("right");
        (right.filter(|right| !holds(*right))?, true)
    };
    (!found.0.is_any("true false")).then_some(found)
}
