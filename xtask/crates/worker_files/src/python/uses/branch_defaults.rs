//! Defaults that conditions give: `if not value: value = 1`, `if value: return value` with another
//! `return` below it, `if "A" in os.environ: … else: …`.

use super::comparisons::is_nothing;
use super::usage::Usage;
use crate::python::evaluation::calls::Site;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

/// What a condition tests about a value.
#[derive(Clone, Copy, PartialEq)]
enum Test {
    /// True where the value is unset.
    Unset,
    /// True where the value is set.
    Set,
    Other,
}

impl Test {
    fn not(self) -> Self {
        match self {
            Self::Unset => Self::Set,
            Self::Set => Self::Unset,
            Self::Other => Self::Other,
        }
    }
}

/// The most names that are tried one after the other.
const MOST_TRIED: usize = 16;

impl<'t> Reader<'t> {
    /// Notes the defaults that a condition gives where the value `node` is unset. Returns whether
    /// `node` is part of such a condition.
    pub fn note_branch_defaults(&mut self, node: Node<'t>, usage: &mut Usage<'t>) -> bool {
        let holder = node.ancestors().find(|above| is_condition(*above));
        let found = holder.and_then(|holder| Some((holder, holder.field("condition")?)));
        let is_tested = |condition: Node<'t>| condition.contains(node) && is_plain(node, condition);
        let Some((holder, condition)) = found.filter(|(_, condition)| is_tested(*condition)) else {
            return false;
        };
        let seen = usage.seen.clone();
        let test = self.test(condition, &|one| seen.contains(&one), &usage.ctx);
        if test == Test::Unset && fails(holder) && is_given_up(holder, condition, usage.seen[0]) {
            usage.ends = true;
            return true;
        }
        let mut inner = std::iter::successors(Some(node), |one| one.child(0));
        let named = inner.find(|one| one.kind() != "parenthesized_expression");
        let measured = named.filter(|one| one.callee_name() == "len");
        let named = measured.and_then(|call| call.argument(0)).or(named);
        let name = named.map_or("", |one| match one.kind() {
            "identifier" | "attribute" | "subscript" => one.text(),
            "named_expression" => one.text_of("name"),
            _ => "",
        });
        // `if value := first(): return value`, and then the same with another value.
        let set = named.and_then(|one| one.field("name")).into_iter();
        let uses = set.flat_map(|set| {
            let all = self.program.uses_of(set.scope(), name).into_iter();
            all.filter(move |one| *one != set)
                .map(move |one| (one, set))
        });
        let others: Vec<Node<'t>> = uses
            .filter(|(one, set)| !self.program.sees(*one, *set))
            .map(|(one, _)| one)
            .collect();
        let is_value = |one: Node<'t>| {
            let is_named = !name.is_empty() && is_name(one, name) && !others.contains(&one);
            seen.contains(&one) || is_named
        };
        self.note_other_branch(holder, test, name, &is_value, usage)
    }

    /// Notes the defaults of a read that stands inside a condition on its own variable.
    pub fn note_guard_defaults(&mut self, node: Node<'t>, own: &Val<'t>, usage: &mut Usage<'t>) {
        for holder in node.local_ancestors().filter(|above| is_condition(*above)) {
            let condition = holder.field("condition");
            let Some(condition) = condition.filter(|condition| !condition.contains(node)) else {
                continue;
            };
            let tests = self.tests_of(condition, own, &usage.ctx);
            if !tests.is_empty() {
                let test = self.test(condition, &|one| tests.contains(&one), &usage.ctx);
                self.note_other_branch(holder, test, "", &|one| one == node, usage);
            }
        }
    }

    /// The parts of a condition that read the same variable or key again, or ask if it is set.
    pub fn tests_of(&mut self, condition: Node<'t>, own: &Val<'t>, ctx: &Ctx<'t>) -> Vec<Node<'t>> {
        let all = condition.subtree();
        all.filter(|one| self.tests_value(*one, own, ctx)).collect()
    }

    /// Notes the defaults of a name that is tried in a loop or in `next(… for name in NAMES …)`:
    /// the names behind it, and what is taken if none is set.
    pub fn note_fallback_names(&mut self, node: Node<'t>, own: &Val<'t>, usage: &mut Usage<'t>) {
        let mut list = node.argument(1).filter(|_| node.callee_name() == "map");
        for (child, above) in node.steps_up() {
            let is_loop = above.is("for_statement") && child.role() == "body";
            let is_first = list.is_none() && above.is_comprehension();
            let clause = above.children_of("for_in_clause").next();
            let clause = clause.filter(|_| is_first);
            let owner = if is_loop { Some(above) } else { clause };
            list = owner.and_then(|owner| owner.field("right")).or(list);
            let last = match above.callee_name() {
                _ if is_loop && self.ends_if_set(child, own, usage) => values_after_loop(above),
                "next" => above.argument(1).into_iter().collect(),
                "filter" => {
                    list = list.or(above.argument(1).filter(|list| list.contains(node)));
                    continue;
                }
                // `[value for value in (first, second) if value][0]`
                _ if above.text_of("subscript") == "0" && list.is_some() => Vec::new(),
                _ => continue,
            };
            if let (Val::Env(name, _), Some(list)) = (own, list) {
                let names = self.at(list, &usage.ctx).elements().unwrap_or_default();
                let names = names.into_iter();
                let behind = names.skip_while(|one| one.as_str() != Some(name)).skip(1);
                let env = |one: Val<'t>| Some(Val::Env(one.as_str()?.into(), Val::None.into()));
                let behind = behind.take(MOST_TRIED).filter_map(env);
                usage.defaults.extend(behind.map(|one| (one, list)));
            }
            // `next(value for value in (first, second) if value)`
            let within = list.filter(|list| list.contains(node));
            let beside = within.into_iter().flat_map(Node::children);
            let beside = beside.filter(|one| one.range().start >= node.range().end);
            beside.chain(last).for_each(|one| self.default(one, usage));
            return self.follow_uses(above, usage);
        }
    }

    /// Whether a loop ends where a value is set: `if value: return value`, or
    /// `if not value: continue` with a `return` below it.
    fn ends_if_set(&mut self, body: Node<'t>, own: &Val<'t>, usage: &Usage<'t>) -> bool {
        let ends = |one: Node<'t>| one.is_any("return_statement break_statement");
        let goes_on = |one: Node<'t>| one.is("continue_statement");
        let mut holders = body.subtree().filter(|one| is_condition(*one));
        holders.any(|holder| {
            let Some(condition) = holder.field("condition") else {
                return false;
            };
            let tests = self.tests_of(condition, own, &usage.ctx);
            let is_value = |one| usage.seen.contains(&one) || tests.contains(&one);
            match self.test(condition, &is_value, &usage.ctx) {
                Test::Set => holder.subtree().any(ends),
                Test::Unset => holder.subtree().any(goes_on) && body.subtree().any(ends),
                Test::Other => false,
            }
        })
    }

    fn test(&mut self, node: Node<'t>, is_value: &dyn Fn(Node<'t>) -> bool, ctx: &Ctx<'t>) -> Test {
        let mut of = |inner: Option<Node<'t>>| {
            inner.map_or(Test::Other, |inner| self.test(inner, is_value, ctx))
        };
        match node.kind() {
            "parenthesized_expression" => of(node.child(0)),
            "not_operator" => of(node.field("argument")).not(),
            "boolean_operator" => match (of(node.field("left")), of(node.field("right"))) {
                (Test::Other, test) | (test, Test::Other) => test,
                (a, b) if a == b => a,
                _ => Test::Other,
            },
            "comparison_operator" => {
                let operator = node.operators();
                let sides =
                    [node.child(0), node.child(1)].map(|side| side.map(Node::without_parentheses));
                let other = match sides {
                    [Some(left), right @ Some(_)] if is_value(left) => right,
                    [left, Some(right)] => left.filter(|_| is_value(right)),
                    _ => None,
                };
                let measured = sides[0].is_some_and(|side| side.callee_name() == "len");
                let found = match other.map(|other| self.at(other, ctx)) {
                    _ if is_value(node) => Test::Set,
                    Some(Val::Int(0)) if measured && operator == ">" => Test::Set,
                    Some(Val::Int(0)) if measured && matches!(&*operator, "==" | "!=") => {
                        Test::Unset
                    }
                    Some(Val::Int(1)) if measured && operator == "<" => Test::Unset,
                    Some(other) if is_nothing(&other, &operator) => Test::Unset,
                    _ => Test::Other,
                };
                if operator.contains("not") || operator == "!=" {
                    found.not()
                } else {
                    found
                }
            }
            _ if is_value(node) => Test::Set,
            _ => Test::Other,
        }
    }

    /// Notes as defaults what the branch without a value assigns or returns, where the other branch
    /// assigns the value to the same name or returns it.
    fn note_other_branch(
        &mut self,
        holder: Node<'t>,
        test: Test,
        name: &'t str,
        is_value: &dyn Fn(Node<'t>) -> bool,
        usage: &mut Usage<'t>,
    ) -> bool {
        let yes: Vec<_> = holder.field("consequence").into_iter().collect();
        let (mut with, mut without) = match test {
            Test::Set => (yes, otherwise(holder)),
            Test::Unset => (otherwise(holder), yes),
            Test::Other => return false,
        };
        let block = holder.parent().into_iter().flat_map(Node::children);
        let block: Vec<_> = block.collect();
        let at = block.iter().position(|one| *one == holder);
        let after = &block[at.unwrap_or_default()..];
        let all = |branch: &[Node<'t>]| -> Vec<Node<'t>> {
            branch.iter().flat_map(|one| one.subtree()).collect()
        };
        let is_return = |one: &Node<'t>| one.is("return_statement");
        // Statements after the `if` belong to the branch that does not return.
        if all(&with).iter().any(is_return) {
            without.extend(after.iter().skip(1));
        } else if all(&without).iter().any(is_return) {
            with.extend(after.iter().skip(1));
        }
        let holds_value = |one: Node<'t>| one.subtree().any(is_value);
        let assignment = |one: &Node<'t>| {
            let right = one.field("right").filter(|_| one.is("assignment"));
            right.map(|right| (one.text_of("left"), right))
        };
        let (with, rest) = (all(&with), all(&without));
        // `text = f"{text} {value}"` adds to what was there.
        let adds = |name: &str, right: Node<'t>| right.subtree().any(|one| is_name(one, name));
        let sets = with.iter().filter_map(assignment);
        let sets = sets.filter(|(name, right)| holds_value(*right) && !adds(name, *right));
        let mut names = vec![name];
        names.extend(sets.map(|(name, _)| name));
        let own = rest.iter().filter_map(assignment);
        let own = own.filter(|(name, _)| names.contains(name));
        let mut found_end = false;
        let mut found: Vec<Node<'t>> = own.map(|(_, right)| right).collect();
        if with.iter().any(|one| is_return(one) && holds_value(*one)) {
            let other = rest.iter().filter(|one| is_return(one));
            let other = other.filter(|one| !holds_value(**one));
            // A job that is answered with an error failed.
            let returned = other.filter_map(|one| one.child(0));
            let (failed, other): (Vec<_>, Vec<_>) = returned.partition(|one| is_error(*one));
            let raises = without.iter().any(|one| one.is("raise_statement"));
            usage.ends |= !failed.is_empty() || raises;
            found_end = raises;
            found.extend(other);
        }
        let known = usage.defaults.len();
        if without.is_empty() {
            let mut others = names[1..].iter().filter(|own| **own != name);
            let first = others.find_map(|own| self.earlier_value(holder, own));
            found.extend(first.filter(|one| !holds_value(*one)));
            self.note_held(&with, is_value, usage);
        }
        for one in &found {
            self.default(*one, usage);
        }
        usage.defaults.len() > known || found_end
    }

    /// Whether a write to the environment happens where the variable is unset, and no other
    /// variable decides on it. Conditions of other kinds may hold.
    pub fn may_write(&mut self, node: Node<'t>, name: &str, ctx: &Ctx<'t>, calls: usize) -> bool {
        for (child, above) in node.steps_up() {
            let then = child.role() == "consequence";
            let holders: Vec<Node<'t>> = match above.kind() {
                "if_statement" | "elif_clause" if then || child.role() == "alternative" => {
                    vec![above]
                }
                // `if name in os.environ: continue`
                "block" => {
                    let ends = |holder: &Node<'t>| {
                        let text = holder.text_of("consequence");
                        text.contains("continue") || text.contains("return")
                    };
                    let before = above.children().take_while(|other| *other != child);
                    before.filter(ends).collect()
                }
                _ => Vec::new(),
            };
            for condition in holders.iter().filter_map(|one| one.field("condition")) {
                let mut own: Vec<Node<'t>> = Vec::new();
                for one in condition.subtree() {
                    let names = self.at(one, ctx).envs();
                    let is_same = names.iter().any(|other| **other == *name);
                    if is_same || self.tests_presence(one, name, ctx) {
                        own.push(one);
                    } else if !names.is_empty() {
                        return false;
                    }
                }
                let test = self.test(condition, &|one| own.contains(&one), ctx);
                if test != (if then { Test::Unset } else { Test::Set }) && !own.is_empty() {
                    return false;
                }
            }
        }
        let function = node.function();
        let sites = function.and_then(|function| self.sites.get(&function));
        let callers = sites.into_iter().flatten().filter_map(|site| match site {
            Site::Call(call) => Some(*call),
            Site::Callback(_) => None,
        });
        let callers: Vec<Node<'t>> = callers.collect();
        let mut happens = |call| self.may_write(call, name, &Ctx::default(), calls - 1);
        calls == 0 || callers.is_empty() || callers.into_iter().any(&mut happens)
    }

    /// Whether an expression reads the same variable or key again, or asks if it is set.
    fn tests_value(&mut self, node: Node<'t>, own: &Val<'t>, ctx: &Ctx<'t>) -> bool {
        let reads = node.is_any("call subscript");
        match own {
            Val::Env(name, _) if reads => {
                matches!(self.at(node, ctx), Val::Env(other, _) if other == *name)
            }
            Val::Env(name, _) => self.tests_presence(node, name, ctx),
            own if reads => self.at(node, ctx) == *own,
            own => node.membership().is_some_and(|(left, right)| {
                let (key, whole) = (self.at(left, ctx), self.at(right, ctx));
                whole.may_be(|one| one.item(&key) == *own)
            }),
        }
    }

    /// `name in os.environ`
    fn tests_presence(&mut self, node: Node<'t>, name: &str, ctx: &Ctx<'t>) -> bool {
        node.membership().is_some_and(|(left, right)| {
            self.at(left, ctx).as_str() == Some(name) && self.value(right).is_environ()
        })
    }
}

/// The values that may be taken if a loop did not return: by its `else`, or by what is returned
/// below it.
fn values_after_loop(holder: Node<'_>) -> Vec<Node<'_>> {
    if let Some(otherwise) = holder.field("alternative") {
        let set = otherwise.subtree().find_map(|one| one.field("right"));
        return set.into_iter().collect();
    }
    let block = holder.parent().into_iter().flat_map(Node::children);
    let below = block.skip_while(|one| *one != holder).skip(1);
    let parts = below.flat_map(Node::subtree);
    let returned =
        parts.filter(|one| one.is("return_statement") && one.function() == holder.function());
    let values = returned.filter_map(|one| one.child(0));
    // A dict reports an error.
    values.filter(|one| one.kind() != "dictionary").collect()
}

/// Whether a statement that ends the program or the job makes what was read necessary: it stands
/// under no further condition than the read.
pub fn is_given_up<'t>(ends: Node<'t>, condition: Node<'t>, read: Node<'t>) -> bool {
    let is_alone = |above: Node<'_>| {
        let holds_both = above.file() == read.file() && above.contains(read);
        holds_both || above.is_any("block module")
    };
    let is_and = |one: Node<'_>| one.text_of("operator") == "and";
    ends.local_ancestors().all(is_alone) && !condition.subtree().any(is_and)
}

/// Whether the branch of an `if` ends the program or the job.
pub fn fails(holder: Node<'_>) -> bool {
    let ends = |one: Node<'_>| match one.kind() {
        "raise_statement" => true,
        "call" => is_among("exit _exit", one.callee_name()),
        _ => is_error(one),
    };
    let then = holder.field("consequence");
    let then = then.filter(|_| holder.is("if_statement"));
    let mut statements = then.into_iter().flat_map(Node::children);
    statements.any(|one| ends(one) || one.child(0).is_some_and(ends))
}

/// A dict that reports an error.
pub fn is_error(node: Node<'_>) -> bool {
    let mut keys = node.children().filter_map(|pair| pair.field("key"));
    node.is("dictionary") && keys.any(|key| key.unquoted().to_lowercase().starts_with("err"))
}

/// Whether between a value and its condition there are only operators.
fn is_plain(node: Node<'_>, condition: Node<'_>) -> bool {
    const PARTS: &str = "not_operator parenthesized_expression comparison_operator boolean_operator \
        named_expression";
    let is_between = |above: &Node<'_>| condition.contains(*above) && !is_condition(*above);
    let mut between = node.ancestors().take_while(is_between);
    between.all(|above| above.is_any(PARTS))
}

fn is_condition(node: Node<'_>) -> bool {
    node.is_any("if_statement elif_clause")
}

/// What runs where the condition of an `if` or `elif` does not hold.
fn otherwise(holder: Node<'_>) -> Vec<Node<'_>> {
    let whole = match holder.kind() {
        "elif_clause" => holder.parent().unwrap_or(holder),
        _ => holder,
    };
    let all: Vec<_> = whole.fields("alternative").collect();
    let at = all.iter().position(|one| *one == holder);
    all[at.map_or(0, |at| at + 1)..].to_vec()
}

fn is_name(node: Node<'_>, name: &str) -> bool {
    node.is_any("identifier attribute subscript")
        && node.role() != "attribute"
        && node.text() == name
}
