//! Statements: what a program does one after the other, and under which conditions.

use std::rc::Rc;

use super::interp::{Flow, Interp};
use super::syntax::{Node, children, field, fields};
use super::value::{EnvRef, Value};

impl<'t> Interp<'t> {
    pub fn block(&mut self, statements: &[Node<'t>]) -> Flow {
        let guards = self.guards.len();
        let mut flow = Flow::On;
        for &statement in statements {
            if !self.may_go_on(statement) {
                break;
            }
            self.depth += 1;
            let ended = self.statement(statement);
            self.depth -= 1;
            if ended == Flow::Off {
                flow = Flow::Off;
                break;
            }
        }
        self.guards.truncate(guards);
        flow
    }

    pub fn body(&mut self, node: Node<'t>) -> Flow {
        field(node, "body").map_or(Flow::On, |body| self.block(&children(body)))
    }

    #[expect(clippy::too_many_lines, reason = "one case per kind of syntax")]
    fn statement(&mut self, node: Node<'t>) -> Flow {
        match node.kind() {
            "expression_statement"
            | "await"
            | "delete_statement"
            | "assert_statement"
            | "print_statement" => {
                for child in children(node) {
                    self.expression_statement(child);
                }
            }
            "return_statement" => {
                let value = children(node).first().map(|&child| {
                    let value = self.eval(child);
                    self.flags_in_literal(child, &value);
                    value
                });
                let mut returned = vec![value.unwrap_or(Value::Unknown)];
                returned.extend(self.guarding().into_iter().map(Value::Env));
                if let Some(frame) = self.frames.last_mut() {
                    frame.returns.extend(returned);
                }
                return Flow::Off;
            }
            "raise_statement" => {
                for child in children(node) {
                    self.eval(child);
                }
                return Flow::Off;
            }
            "continue_statement" | "break_statement" => return Flow::Off,
            "if_statement" => return self.if_statement(node),
            "for_statement" => {
                let items = field(node, "right").map_or(Value::Unknown, |right| self.eval(right));
                for item in self.items(&items) {
                    if let Some(left) = field(node, "left") {
                        self.assign(left, &item);
                    }
                    self.body(node);
                }
                self.alternatives_of(node);
            }
            "while_statement" => {
                if let Some(condition) = field(node, "condition") {
                    self.eval(condition);
                }
                self.body(node);
                self.alternatives_of(node);
            }
            "with_statement" => {
                for child in children(node) {
                    if child.kind() == "with_clause" {
                        for item in children(child) {
                            if let Some(value) = field(item, "value") {
                                self.eval(value);
                            }
                        }
                    }
                }
                return self.body(node);
            }
            "try_statement" => {
                self.body(node);
                for clause in children(node) {
                    if (clause.kind().ends_with("_clause")
                        || clause.kind() == "except_group_clause")
                        && let Some(block) = children(clause).last()
                    {
                        self.block(&children(*block));
                    }
                }
            }
            "match_statement" => {
                if let Some(subject) = field(node, "subject") {
                    self.eval(subject);
                }
                if let Some(body) = field(node, "body") {
                    for case in children(body) {
                        if let Some(consequence) = field(case, "consequence") {
                            self.block(&children(consequence));
                        }
                    }
                }
            }
            "function_definition" => {
                let function = self.define(node, &[]);
                let name = field(node, "name").map(|n| self.text(n).to_owned());
                self.bind(&name.unwrap_or_default(), Value::Function(function));
            }
            "class_definition" => self.class(node),
            "decorated_definition" => self.decorated(node),
            "import_statement" | "import_from_statement" | "future_import_statement" => {
                self.import(node);
            }
            "block" => return self.block(&children(node)),
            "ERROR" => {
                for child in children(node) {
                    self.statement(child);
                }
            }
            _ => {
                self.eval(node);
            }
        }
        Flow::On
    }

    fn expression_statement(&mut self, node: Node<'t>) {
        match node.kind() {
            "assignment" => {
                let value = field(node, "right").map(|right| match right.kind() {
                    // `a = b = value`: the inner one is bound first.
                    "assignment" => {
                        self.expression_statement(right);
                        field(right, "right").map_or(Value::Unknown, |n| self.eval(n))
                    }
                    _ => self.eval(right),
                });
                if let (Some(left), Some(value)) = (field(node, "left"), value) {
                    self.assign(left, &value);
                }
            }
            "augmented_assignment" => {
                let left = field(node, "left");
                let right = field(node, "right");
                if let (Some(left), Some(right)) = (left, right) {
                    let old = self.eval(left);
                    let more = self.eval(right);
                    if let Value::List(list) = &old {
                        self.extend(list, &more, right);
                    } else {
                        let joined = super::eval::join(&old, &more);
                        self.assign(left, &joined);
                    }
                }
            }
            _ => {
                self.eval(node);
            }
        }
    }

    fn if_statement(&mut self, node: Node<'t>) -> Flow {
        let outer = self.guards.len();
        let mut flows = Vec::new();
        let mut has_else = false;
        let mut guard = Vec::new();
        if let Some(condition) = field(node, "condition") {
            guard = self.condition(condition);
        }
        self.guards.push(guard.clone());
        if let Some(consequence) = field(node, "consequence") {
            flows.push(self.block(&children(consequence)));
        }
        for clause in fields(node, "alternative") {
            if clause.kind() == "elif_clause" {
                if let Some(condition) = field(clause, "condition") {
                    let more = self.condition(condition);
                    guard.extend(more);
                }
                self.guards.truncate(outer);
                self.guards.push(guard.clone());
                if let Some(consequence) = field(clause, "consequence") {
                    flows.push(self.block(&children(consequence)));
                }
            } else {
                has_else = true;
                flows.push(self.body(clause));
            }
        }
        self.guards.truncate(outer);
        if has_else && flows.iter().all(|flow| *flow == Flow::Off) {
            return Flow::Off;
        }
        if flows.contains(&Flow::Off) {
            // What follows in this block runs only when the condition did not leave it.
            self.guards.push(guard);
        }
        Flow::On
    }

    /// Evaluates a condition and gives the variables it depends on.
    pub fn condition(&mut self, node: Node<'t>) -> Vec<Rc<EnvRef>> {
        let value = self.eval(node);
        value.envs()
    }

    fn alternatives_of(&mut self, node: Node<'t>) {
        if let Some(clause) = field(node, "alternative") {
            self.body(clause);
        }
    }
}
