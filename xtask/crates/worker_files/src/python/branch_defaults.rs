//! Defaults that conditions give: `if not value: value = 1`, `if value: return value` with another
//! `return` below it, `if "A" in os.environ: … else: …`.

use super::eval::Reader;
use super::syntax::Node;
use super::usage::Use;
use super::value::{Ctx, Val};

/// What a condition tests about a value.
#[derive(Clone, Copy, PartialEq)]
enum Test {
    /// True where the value is unset.
    Unset,
    /// True where the value is set.
    Set,
    /// Always true, or always false.
    Always(bool),
    Other,
}

impl Test {
    fn not(self) -> Self {
        match self {
            Self::Unset => Self::Set,
            Self::Set => Self::Unset,
            Self::Always(holds) => Self::Always(!holds),
            Self::Other => Self::Other,
        }
    }

    /// Two tests joined by `and`, whose neutral element is true, or by `or`.
    fn with(self, other: Self, neutral: bool) -> Self {
        match (self, other) {
            (Self::Always(holds), test) | (test, Self::Always(holds)) => match holds == neutral {
                true => test,
                false => Self::Always(holds),
            },
            (Self::Other, test) | (test, Self::Other) => test,
            (a, b) if a == b => a,
            _ => Self::Other,
        }
    }
}

impl<'t> Reader<'t> {
    /// Notes the defaults that a condition gives where the value `node` is unset. Returns whether
    /// `node` is part of such a condition.
    pub fn decided(&mut self, node: Node<'t>, usage: &mut Use<'t>) -> bool {
        let mut above = node.ancestors();
        let parts = [
            "not_operator",
            "parenthesized_expression",
            "comparison_operator",
            "boolean_operator",
            "named_expression",
        ];
        let holder = above.find(|a| !parts.contains(&a.kind()));
        let Some(holder) = holder.filter(|a| matches!(a.kind(), "if_statement" | "elif_clause"))
        else {
            return false;
        };
        let Some(condition) = holder
            .field("condition")
            .filter(|c| c.range().contains(&node.range().start))
        else {
            return false;
        };
        let way = usage.way.clone();
        let seen = usage.seen.clone();
        let test = self.test(condition, &|one| seen.contains(&one), &way);
        let named = std::iter::successors(Some(node), |one| one.child(0))
            .find(|one| one.kind() != "parenthesized_expression");
        let name = named.map_or("", |one| match one.kind() {
            "identifier" => one.text(),
            "named_expression" => one.text_of("name"),
            _ => "",
        });
        let is_value =
            |one: Node<'t>| seen.contains(&one) || !name.is_empty() && is_name(one, name);
        self.taken_instead(holder, test, name, &is_value, usage)
    }

    /// The same for a read inside a condition that tests for its variable.
    pub fn guard_decides(&mut self, node: Node<'t>, name: &Val<'t>, usage: &mut Use<'t>) {
        let way = usage.way.clone();
        let around: Vec<_> = node
            .ancestors()
            .take_while(|a| a.kind() != "function_definition")
            .collect();
        for holder in around {
            let condition = holder
                .field("condition")
                .filter(|_| matches!(holder.kind(), "if_statement" | "elif_clause"));
            let Some(condition) = condition.filter(|c| !c.range().contains(&node.range().start))
            else {
                continue;
            };
            let asks: Vec<_> = condition
                .below()
                .filter(|one| {
                    one.kind() == "comparison_operator" && one.text_of("operators").ends_with("in")
                })
                .filter(|one| {
                    let both = one.child(0).zip(one.child(1));
                    both.is_some_and(|(left, right)| {
                        self.at(left, &way).as_str() == name.as_str()
                            && self.value(right).is_environ()
                    })
                })
                .collect();
            if !asks.is_empty() {
                let test = self.test(condition, &|one| asks.contains(&one), &way);
                self.taken_instead(holder, test, "", &|one| one == node, usage);
            }
        }
    }

    /// The value of a condition that depends on no variable.
    pub fn always(&mut self, condition: Node<'t>, way: &Ctx<'t>) -> Option<bool> {
        match self.test(condition, &|_| false, way) {
            Test::Always(holds) => Some(holds),
            _ => None,
        }
    }

    fn test(&mut self, node: Node<'t>, is_value: &dyn Fn(Node<'t>) -> bool, way: &Ctx<'t>) -> Test {
        let first = node.child(0);
        match node.kind() {
            "parenthesized_expression" => {
                first.map_or(Test::Other, |inner| self.test(inner, is_value, way))
            }
            "not_operator" => node
                .field("argument")
                .map_or(Test::Other, |inner| self.test(inner, is_value, way))
                .not(),
            "boolean_operator" => {
                let mut both = ["left", "right"]
                    .into_iter()
                    .filter_map(|part| node.field(part));
                let mut one = || {
                    both.next()
                        .map_or(Test::Other, |side| self.test(side, is_value, way))
                };
                one().with(one(), node.text_of("operator") == "and")
            }
            "comparison_operator" => {
                let operators: Vec<_> = node.fields("operators").map(Node::text).collect();
                let operator = operators.join(" ");
                let negative = operator.contains("not") || operator == "!=";
                let found = match first.zip(node.child(1)) {
                    _ if is_value(node) => Test::Set,
                    Some((left, right)) => self.comparison((left, right), &operator, is_value, way),
                    None => Test::Other,
                };
                if negative { found.not() } else { found }
            }
            _ if is_value(node) => Test::Set,
            _ => Test::Other,
        }
    }

    /// The result of `==`, `is` or `in`; `!=`, `is not` and `not in` give the opposite.
    fn comparison(
        &mut self,
        (left, right): (Node<'t>, Node<'t>),
        operator: &str,
        is_value: &dyn Fn(Node<'t>) -> bool,
        way: &Ctx<'t>,
    ) -> Test {
        let bare = |mut node: Node<'t>| {
            while let Some(inner) = node
                .child(0)
                .filter(|_| node.kind() == "parenthesized_expression" && !is_value(node))
            {
                node = inner;
            }
            node
        };
        let value = |reader: &mut Self, node| reader.at(node, way);
        let other = match (is_value(bare(left)), is_value(bare(right))) {
            (true, false) => right,
            (false, true) => left,
            _ => {
                let (a, b) = (value(self, left), value(self, right));
                let same = match operator.ends_with("in") {
                    true => b.elements().zip(a.display()).and_then(|(all, a)| {
                        let all: Option<Vec<_>> = all.iter().map(Val::display).collect();
                        Some(all?.contains(&a))
                    }),
                    false => a.display().zip(b.display()).map(|(a, b)| a == b),
                };
                return same.map_or(Test::Other, Test::Always);
            }
        };
        match value(self, other) {
            Val::None => Test::Unset,
            Val::Str(text, _) if text.is_empty() && !operator.contains("in") => Test::Unset,
            _ => Test::Other,
        }
    }

    /// Notes as defaults what the branch without a value assigns or returns, where the other branch
    /// assigns the value to the same name or returns it.
    fn taken_instead(
        &mut self,
        holder: Node<'t>,
        test: Test,
        name: &'t str,
        is_value: &dyn Fn(Node<'t>) -> bool,
        usage: &mut Use<'t>,
    ) -> bool {
        let (yes, no) = branches(holder);
        let after: Vec<_> = match holder.parent() {
            Some(block) => block
                .children()
                .skip_while(|one| *one != holder)
                .skip(1)
                .collect(),
            None => Vec::new(),
        };
        let ends = |branch: &[Node<'t>]| {
            branch
                .iter()
                .any(|one| one.below().any(|n| n.kind() == "return_statement"))
        };
        let (mut with, mut without) = match test {
            Test::Set => (yes, no),
            Test::Unset => (no, yes),
            _ => return false,
        };
        // Statements after the `if` belong to the branch that does not return.
        if ends(&with) {
            without.extend(&after);
        } else if ends(&without) {
            with.extend(&after);
        }
        let speaks = |one: Node<'t>| one.below().any(is_value);
        let mut names = vec![name];
        let mut returns = false;
        for one in with.iter().flat_map(|branch| branch.below()) {
            match one.kind() {
                "assignment" if one.field("right").is_some_and(speaks) => {
                    names.push(one.text_of("left"));
                }
                "return_statement" => returns |= speaks(one),
                _ => {}
            }
        }
        let mut found: Vec<Node<'t>> = Vec::new();
        for one in without.iter().flat_map(|branch| branch.below()) {
            match one.kind() {
                "assignment" if names.contains(&one.text_of("left")) => {
                    found.extend(one.field("right"));
                }
                "return_statement" if returns && !speaks(one) => found.extend(one.child(0)),
                _ => {}
            }
        }
        if without.is_empty()
            && let Some(block) = holder.parent()
        {
            let before: Vec<_> = block.children().take_while(|one| *one != holder).collect();
            let sets = before
                .iter()
                .rev()
                .filter_map(|one| one.child(0))
                .filter(|one| one.kind() == "assignment");
            let mut sets = sets.filter(|one| {
                names[1..].contains(&one.text_of("left")) && one.text_of("left") != name
            });
            found.extend(
                sets.next()
                    .and_then(|one| one.field("right"))
                    .filter(|one| !speaks(*one)),
            );
        }
        let way = usage.way.clone();
        found.retain(|one| self.happens(*one, &way));
        for one in &found {
            self.default(*one, usage);
        }
        !found.is_empty()
    }

    /// Whether no condition around a node is always false in this context.
    fn happens(&mut self, node: Node<'t>, way: &Ctx<'t>) -> bool {
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
                && let Some(holds) = self.always(condition, way)
                && holds == (inner.part() == "alternative")
            {
                return false;
            }
            inner = above;
        }
        true
    }
}

/// The branches of an `if` or `elif`: condition true, condition false.
fn branches(holder: Node<'_>) -> (Vec<Node<'_>>, Vec<Node<'_>>) {
    let yes = holder.field("consequence").into_iter().collect();
    let no = match holder.kind() {
        "elif_clause" => {
            let all = holder
                .parent()
                .into_iter()
                .flat_map(|whole| whole.fields("alternative"));
            all.skip_while(|one| *one != holder).skip(1).collect()
        }
        _ => holder.fields("alternative").collect(),
    };
    (yes, no)
}

fn is_name(node: Node<'_>, name: &str) -> bool {
    node.kind() == "identifier" && node.part() != "attribute" && node.text() == name
}
