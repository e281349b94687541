//! Defaults that conditions give: `if not value: value = 1`, `if value: return value` with another
//! `return` below it, `if "A" in os.environ: … else: …`.

use super::calls::Site;
use super::eval::Reader;
use super::syntax::{Node, is_among};
use super::usage::Usage;
use super::value::{Ctx, Val};

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
        let start = node.range().start;
        let Some((holder, condition)) = holder
            .and_then(|holder| Some((holder, holder.field("condition")?)))
            .filter(|(_, condition)| condition.range().contains(&start))
            .filter(|(_, condition)| is_plain(node, *condition))
        else {
            return false;
        };
        let ctx = usage.ctx.clone();
        let seen = usage.seen.clone();
        let test = self.test(condition, &|one| seen.contains(&one), &ctx);
        usage.ends |=
            test == Test::Unset && fails(holder) && is_given_up(holder, condition, usage.seen[0]);
        let mut inner = std::iter::successors(Some(node), |one| one.child(0));
        let named = inner.find(|one| one.kind() != "parenthesized_expression");
        let name = named.map_or("", |one| match one.kind() {
            "identifier" => one.text(),
            "named_expression" => one.text_of("name"),
            _ => "",
        });
        let is_value =
            |one: Node<'t>| seen.contains(&one) || !name.is_empty() && is_name(one, name);
        self.note_other_branch(holder, test, name, &is_value, usage)
    }

    /// The same for a read inside a condition that tests for its variable.
    pub fn note_guard_defaults(&mut self, node: Node<'t>, own: &Val<'t>, usage: &mut Usage<'t>) {
        let ctx = usage.ctx.clone();
        let start = node.range().start;
        let around: Vec<_> = node
            .local_ancestors()
            .filter(|one| is_condition(*one))
            .collect();
        for holder in around {
            let condition = holder.field("condition");
            let Some(condition) = condition.filter(|c| !c.range().contains(&start)) else {
                continue;
            };
            let all = condition.subtree();
            let asks: Vec<_> = all
                .filter(|one| self.tests_value(*one, own, &ctx))
                .collect();
            if !asks.is_empty() {
                let test = self.test(condition, &|one| asks.contains(&one), &ctx);
                self.note_other_branch(holder, test, "", &|one| one == node, usage);
            }
        }
    }

    /// The same of names that are tried one after the other: those behind it, and what is taken in the
    /// end. `for name in NAMES: if name in os.environ: return …`, `next(… for name in NAMES …)`.
    pub fn note_fallback_names(&mut self, node: Node<'t>, own: &Val<'t>, usage: &mut Usage<'t>) {
        let is_map = node.callee_name() == "map";
        let mut list = node.argument_values().get(1).copied().filter(|_| is_map);
        let mut inner = node;
        for above in node.local_ancestors().collect::<Vec<_>>() {
            let is_loop = above.kind() == "for_statement" && inner.role() == "body";
            let within = Some(above).filter(|one| list.is_none() && one.is_comprehension());
            let clause =
                within.and_then(|one| one.children().find(|c| c.kind() == "for_in_clause"));
            let right = Some(above)
                .filter(|_| is_loop)
                .or(clause)
                .and_then(|one| one.field("right"));
            list = right.or(list);
            let last = match above.callee_name() {
                _ if is_loop && self.ends_if_set(inner, own, usage) => in_the_end(above),
                "next" => above.argument_values().get(1).copied(),
                _ => {
                    inner = above;
                    continue;
                }
            };
            if let (Val::Env(name, _), Some(list)) = (own, list) {
                let names = self.at(list, &usage.ctx.clone()).elements();
                let names = names.unwrap_or_default().into_iter();
                let behind = names.skip_while(|one| one.as_str() != Some(name)).skip(1);
                let env = |one: Val<'t>| Some(Val::Env(one.as_str()?.into(), Val::None.into()));
                let behind = behind.take(MOST_TRIED).filter_map(env);
                let behind = behind.map(|one| (one, list));
                usage.defaults.extend(behind);
            }
            // `next(value for value in (first, second) if value)`
            let within = list.filter(|list| list.range().contains(&node.range().start));
            let beside = within.into_iter().flat_map(Node::children);
            let beside = beside.filter(|one| one.range().start >= node.range().end);
            beside.chain(last).for_each(|one| self.default(one, usage));
            return self.follow_uses(above, usage, false);
        }
    }

    /// Whether a loop ends where a value is set.
    fn ends_if_set(&mut self, body: Node<'t>, own: &Val<'t>, usage: &Usage<'t>) -> bool {
        let ends = body.subtree().filter(|one| {
            is_condition(*one)
                && one
                    .subtree()
                    .any(|one| is_among("return_statement break_statement", one.kind()))
        });
        let conditions: Vec<_> = ends.filter_map(|one| one.field("condition")).collect();
        conditions.into_iter().any(|condition| {
            let all = condition.subtree();
            let asks: Vec<_> = all
                .filter(|one| self.tests_value(*one, own, &usage.ctx))
                .collect();
            let is_value = |one| usage.seen.contains(&one) || asks.contains(&one);
            self.test(condition, &is_value, &usage.ctx) == Test::Set
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
                let operators: Vec<_> = node.fields("operators").map(Node::text).collect();
                let operator = operators.join(" ");
                let both = node.child(0).map(bare).zip(node.child(1).map(bare));
                let other = both.and_then(|(left, right)| match is_value(left) {
                    true => Some(right),
                    false => Some(left).filter(|_| is_value(right)),
                });
                let found = match other.map(|other| self.at(other, ctx)) {
                    _ if is_value(node) => Test::Set,
                    Some(Val::None) => Test::Unset,
                    Some(Val::Str(text, _)) if text.is_empty() && !operator.contains("in") => {
                        Test::Unset
                    }
                    _ => Test::Other,
                };
                match operator.contains("not") || operator == "!=" {
                    true => found.not(),
                    false => found,
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
        let block: Vec<_> = holder
            .parent()
            .into_iter()
            .flat_map(Node::children)
            .collect();
        let at = block.iter().position(|one| *one == holder);
        let (before, after) = block.split_at(at.unwrap_or_default());
        let all = |branch: &[Node<'t>]| -> Vec<Node<'t>> {
            branch.iter().flat_map(|one| one.subtree()).collect()
        };
        let ends = |branch: &[Node<'t>]| all(branch).iter().any(|n| n.kind() == "return_statement");
        // Statements after the `if` belong to the branch that does not return.
        if ends(&with) {
            without.extend(after.iter().skip(1));
        } else if ends(&without) {
            with.extend(after.iter().skip(1));
        }
        let speaks = |one: Node<'t>| one.subtree().any(is_value);
        let sets = |one: Node<'t>| {
            let right = one.field("right").filter(|_| one.kind() == "assignment");
            right.map(|right| (one.text_of("left"), right))
        };
        let (with, rest) = (all(&with), all(&without));
        let mut names = vec![name];
        let given = with.iter().filter_map(|one| sets(*one));
        // `text = f"{text} {value}"` adds to what was there.
        let adds = |name: &str, right: Node<'t>| right.subtree().any(|one| is_name(one, name));
        let given = given.filter(|(name, right)| speaks(*right) && !adds(name, *right));
        names.extend(given.map(|(name, _)| name));
        let is_return = |one: &&Node<'t>| one.kind() == "return_statement";
        let returns = with.iter().filter(is_return).any(|one| speaks(*one));
        let own = rest.iter().filter_map(|one| sets(*one));
        let own = own.filter(|(name, _)| names.contains(name));
        let mut found: Vec<Node<'t>> = own.map(|(_, right)| right).collect();
        let other = rest
            .iter()
            .filter(is_return)
            .filter(|one| returns && !speaks(**one));
        // A job that is answered with an error failed.
        let other = other.filter_map(|one| one.child(0));
        let (failed, other): (Vec<_>, Vec<_>) = other.partition(|one| is_error(*one));
        usage.ends |= !failed.is_empty();
        found.extend(other);
        if without.is_empty() {
            let earlier = before.iter().rev();
            let mut earlier = earlier.filter_map(|one| sets(one.child(0)?));
            let first = earlier.find(|(own, _)| names[1..].contains(own) && *own != name);
            found.extend(first.map(|(_, right)| right).filter(|one| !speaks(*one)));
        }
        for one in &found {
            self.default(*one, usage);
        }
        !found.is_empty()
    }

    /// Whether a write to the environment happens where the variable is unset, and no other
    /// variable decides on it. Conditions of other kinds may hold.
    pub fn write_may_happen(
        &mut self,
        node: Node<'t>,
        name: &str,
        ctx: &Ctx<'t>,
        calls: usize,
    ) -> bool {
        let mut inner = node;
        for above in node.local_ancestors().collect::<Vec<_>>() {
            let then = inner.role() == "consequence";
            let holders: Vec<Node<'t>> = match above.kind() {
                "if_statement" | "elif_clause" if then || inner.role() == "alternative" => {
                    vec![above]
                }
                // `if name in os.environ: continue`
                "block" => {
                    let before = above.children().take_while(|other| *other != inner);
                    let ends = |holder: &Node<'t>| {
                        let text = holder.text_of("consequence");
                        text.contains("continue") || text.contains("return")
                    };
                    before.filter(ends).collect()
                }
                _ => Vec::new(),
            };
            for condition in holders.iter().filter_map(|one| one.field("condition")) {
                let mut own: Vec<Node<'t>> = Vec::new();
                for one in condition.subtree() {
                    let names = self.at(one, ctx).envs();
                    if names.iter().any(|other| **other == *name)
                        || self.tests_presence(one, name, ctx)
                    {
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
            inner = above;
        }
        let function = node.function();
        let sites = function.and_then(|function| self.sites.get(&function));
        let sites = sites.into_iter().flatten().filter_map(|site| match site {
            Site::Call(call) => Some(*call),
            Site::Callback(_) => None,
        });
        let callers: Vec<Node<'t>> = sites.collect();
        let mut given = |call| self.write_may_happen(call, name, &Ctx::default(), calls - 1);
        calls == 0 || callers.is_empty() || callers.into_iter().any(&mut given)
    }

    /// Whether an expression is the same variable or key of the input again, or asks if it is there.
    fn tests_value(&mut self, node: Node<'t>, own: &Val<'t>, ctx: &Ctx<'t>) -> bool {
        let reads = matches!(node.kind(), "call" | "subscript");
        match own {
            Val::Env(name, _) if reads => {
                matches!(self.at(node, ctx), Val::Env(other, _) if other == *name)
            }
            Val::Env(name, _) => self.tests_presence(node, name, ctx),
            own if reads => self.at(node, ctx) == *own,
            own => {
                let both = node.child(0).zip(node.child(1));
                let is_test = node.text_of("operators").ends_with("in");
                both.filter(|_| is_test).is_some_and(|(left, right)| {
                    let (key, whole) = (self.at(left, ctx), self.at(right, ctx));
                    whole.may_be(|one| one.item(&key) == *own)
                })
            }
        }
    }

    /// `name in os.environ`
    fn tests_presence(&mut self, node: Node<'t>, name: &str, ctx: &Ctx<'t>) -> bool {
        let both = node.child(0).zip(node.child(1));
        node.kind() == "comparison_operator"
            && node.text_of("operators").ends_with("in")
            && both.is_some_and(|(left, right)| {
                self.at(left, ctx).as_str() == Some(name) && self.value(right).is_environ()
            })
    }

    /// Whether a condition always holds, or never, in this context.
    pub fn static_truth(&mut self, condition: Node<'t>, ctx: &Ctx<'t>) -> Option<bool> {
        match condition.kind() {
            "parenthesized_expression" => self.static_truth(condition.child(0)?, ctx),
            "not_operator" => Some(!self.static_truth(condition.field("argument")?, ctx)?),
            "identifier" | "true" | "false" => match self.at(condition, ctx) {
                Val::Bool(holds) => Some(holds),
                _ => None,
            },
            "boolean_operator" => {
                let sides = [condition.field("left")?, condition.field("right")?];
                let decides = condition.text_of("operator") == "or";
                let both = sides.map(|side| self.static_truth(side, ctx));
                match both.contains(&Some(decides)) {
                    true => Some(decides),
                    false => both[0].and(both[1]),
                }
            }
            // `name == "NAME"`
            "comparison_operator" if matches!(condition.text_of("operators"), "==" | "!=") => {
                let both = [condition.child(0)?, condition.child(1)?].map(|one| self.at(one, ctx));
                let same = both[0].as_str()? == both[1].as_str()?;
                Some(same == (condition.text_of("operators") == "=="))
            }
            // `name in NAMES`
            "comparison_operator" if condition.text_of("operators") == "in" => {
                let name = self.at(condition.child(0)?, ctx);
                let names = self.at(condition.child(1)?, ctx).elements()?;
                let name = name.as_str()?;
                let names: Option<Vec<&str>> = names.iter().map(Val::as_str).collect();
                Some(names?.contains(&name))
            }
            _ => None,
        }
    }

    /// Whether no condition around a node is always false in this context.
    pub fn may_run(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> bool {
        let mut inner = node;
        let around: Vec<_> = node
            .ancestors()
            .take_while(|a| a.kind() != "function_definition")
            .collect();
        for above in around {
            let condition = above
                .field("condition")
                .filter(|_| matches!(above.kind(), "if_statement" | "elif_clause"));
            if let Some(condition) = condition
                && let Some(holds) = self.static_truth(condition, ctx)
                && holds == (inner.role() == "alternative")
            {
                return false;
            }
            inner = above;
        }
        true
    }
}

/// What is taken after a loop that ended by itself: what its `else` sets, or what is returned next.
fn in_the_end(holder: Node<'_>) -> Option<Node<'_>> {
    if let Some(otherwise) = holder.field("alternative") {
        return otherwise.subtree().find_map(|one| one.field("right"));
    }
    let mut all = holder.parent()?.children().skip_while(|one| *one != holder);
    let next = all.nth(1).filter(|next| next.kind() == "return_statement");
    // A dict tells of an error.
    next?.child(0).filter(|one| one.kind() != "dictionary")
}

/// Whether what was read has to be there, as otherwise a statement ends the program or the job: under
/// no further condition than the read.
pub fn is_given_up<'t>(ends: Node<'t>, condition: Node<'t>, read: Node<'t>) -> bool {
    let is_alone = |above: Node<'_>| {
        let range = above.range();
        let holds_both = above.file() == read.file() && range.contains(&read.range().start);
        holds_both || is_among("block module", above.kind())
    };
    let is_and = |one: Node<'_>| one.text_of("operator") == "and";
    ends.local_ancestors().all(is_alone) && !condition.subtree().any(is_and)
}

/// Whether the branch of an `if` ends the program or the job.
fn fails(holder: Node<'_>) -> bool {
    let ends = |one: Node<'_>| match one.kind() {
        "raise_statement" => true,
        "call" => is_among("exit _exit", one.callee_name()),
        _ => is_error(one),
    };
    let then = holder
        .field("consequence")
        .filter(|_| holder.kind() == "if_statement");
    let mut all = then.into_iter().flat_map(Node::children);
    all.any(|one| ends(one) || one.child(0).is_some_and(ends))
}

/// A dict that tells of an error.
pub fn is_error(node: Node<'_>) -> bool {
    let mut keys = node.children().filter_map(|pair| pair.field("key"));
    node.kind() == "dictionary" && keys.any(|key| key.unquoted().to_lowercase().starts_with("err"))
}

/// Whether between a value and its condition there are only operators.
fn is_plain(node: Node<'_>, condition: Node<'_>) -> bool {
    const PARTS: &str = "not_operator parenthesized_expression comparison_operator boolean_operator \
        named_expression";
    let mut between = node.ancestors().take_while(|above| {
        condition.range().contains(&above.range().start) && !is_condition(*above)
    });
    between.all(|above| is_among(PARTS, above.kind()))
}

fn is_condition(node: Node<'_>) -> bool {
    matches!(node.kind(), "if_statement" | "elif_clause")
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

/// An expression without its parentheses.
fn bare(node: Node<'_>) -> Node<'_> {
    match node.kind() {
        "parenthesized_expression" => node.child(0).map_or(node, bare),
        _ => node,
    }
}

fn is_name(node: Node<'_>, name: &str) -> bool {
    node.kind() == "identifier" && node.role() != "attribute" && node.text() == name
}
