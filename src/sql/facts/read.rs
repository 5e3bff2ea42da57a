//! From `sqlparser`'s tree to [`Facts`].

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, JoinConstraint, JoinOperator, LimitClause,
    OrderByKind, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins, Update,
    UpdateTableFromKind, Value, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Tokenizer;

use super::modifiers;
use super::names::shared;
use super::relations::{Relations, cut, name_of, table_name};
use super::{Column, FACTS_MAX, Facts, Join, JoinKind, Operand, Predicate, SUMMARY_BYTES_MAX};

/// Deeper trees are refused; `sqlparser`'s own limit of 50 refuses what Django can write.
const RECURSION_MAX: usize = 200;
pub(super) const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "percentile_cont",
    "percentile_disc",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

pub(super) fn facts(text: &str) -> Option<Facts> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize()
        .ok()?;
    let statements = Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens(modifiers::without(tokens))
        .parse_statements()
        .ok()?;
    let statement = statements.first()?;
    let mut relations = Relations::default();
    let _ = statement.visit(&mut relations);
    let tables = relations.tables();
    let only = match tables.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    let mut reader = Reader {
        facts: Facts {
            summary: summary(statement, &tables),
            references: super::keys::references(statement),
            ..Facts::default()
        },
        aliases: relations.aliases,
        only,
        aggregates: BTreeSet::new(),
    };
    let _ = statement.visit(&mut reader);
    if let Statement::Query(query) = statement {
        reader.read_top(query);
    }
    let mut facts = reader.facts;
    facts.aggregates = reader.aggregates.into_iter().collect();
    facts.tables = tables;
    facts.tables.sort();
    facts.tables.truncate(FACTS_MAX);
    Some(facts)
}

/// `VERB table table`, at most 255 bytes, whole names only.
fn summary(statement: &Statement, tables: &[String]) -> String {
    let text = statement_words(statement);
    let mut summary = text;
    for table in tables {
        if summary.len() + 1 + table.len() > SUMMARY_BYTES_MAX {
            break;
        }
        summary.push(' ');
        summary.push_str(table);
    }
    summary
}

/// The verb, as the statement's own text begins.
fn statement_words(statement: &Statement) -> String {
    let verb = match statement {
        Statement::Query(query) => query_verb(query),
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        other => {
            let text = other.to_string();
            return super::super::scan_all(&text)
                .first()
                .map_or(String::new(), |scanned| scanned.verb.as_str().to_owned());
        }
    };
    verb.to_owned()
}

fn query_verb(query: &Query) -> &'static str {
    match query.body.as_ref() {
        SetExpr::Insert(_) => "INSERT",
        SetExpr::Update(_) => "UPDATE",
        SetExpr::Delete(_) => "DELETE",
        SetExpr::Merge(_) => "MERGE",
        SetExpr::Values(_) => "VALUES",
        SetExpr::Table(_) => "TABLE",
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } => "SELECT",
    }
}

/// Second visit: everything else.
pub(super) struct Reader {
    pub(super) facts: Facts,
    aliases: HashMap<String, String>,
    /// The only table, to which unqualified columns belong.
    only: Option<String>,
    aggregates: BTreeSet<String>,
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.read_queue(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.joins(&select.from);
        for condition in [&select.selection, &select.having].into_iter().flatten() {
            self.condition(condition, false);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Insert(insert) => self.read_insert(insert),
            Statement::Update(update) => {
                self.update(update);
                self.read_update(update);
            }
            Statement::Delete(delete) => {
                self.delete(delete);
                self.read_delete(delete);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(name) = function.name.0.last().and_then(|part| part.as_ident())
        {
            let name = name.value.to_ascii_lowercase();
            if AGGREGATES.binary_search(&name.as_str()).is_ok() {
                self.aggregates.insert(name);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Reader {
    /// What only the outermost query says.
    fn read_top(&mut self, query: &Query) {
        self.read_results(query);
        self.facts.limit = query.fetch.is_some();
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                self.facts.limit |= limit.is_some();
                self.facts.offset = offset.is_some();
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                self.facts.limit = true;
                self.facts.offset = true;
            }
            None => {}
        }
        if let Some(order_by) = &query.order_by
            && let OrderByKind::Expressions(expressions) = &order_by.kind
        {
            for expression in expressions.iter().take(FACTS_MAX) {
                let mut text = expression.to_string().replace('"', "");
                cut(&mut text);
                self.facts.ordering.push(text);
            }
        }
    }

    fn update(&mut self, update: &Update) {
        self.joins(std::slice::from_ref(&update.table));
        if let Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) =
            &update.from
        {
            self.joins(from);
        }
        if let Some(condition) = &update.selection {
            self.condition(condition, false);
        }
    }

    fn delete(&mut self, delete: &Delete) {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        self.joins(from);
        self.joins(delete.using.as_deref().unwrap_or_default());
        if let Some(condition) = &delete.selection {
            self.condition(condition, false);
        }
    }

    fn joins(&mut self, from: &[TableWithJoins]) {
        for join in from.iter().flat_map(|table| &table.joins) {
            let (kind, constraint) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (JoinKind::Inner, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (JoinKind::Left, on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (JoinKind::Right, on),
                JoinOperator::FullOuter(on) => (JoinKind::Full, on),
                JoinOperator::CrossJoin(on) => (JoinKind::Cross, on),
                _ => continue,
            };
            let table = match &join.relation {
                TableFactor::Table {
                    name, args: None, ..
                } => table_name(name),
                _ => None,
            };
            let mut on = Vec::new();
            if let JoinConstraint::On(condition) = constraint {
                let before = self.facts.predicates.len();
                self.condition(condition, false);
                for predicate in self.facts.predicates.get(before..).unwrap_or_default() {
                    if let (Operand::Column(other), "=") =
                        (&predicate.operand, predicate.operator.as_str())
                    {
                        on.push((predicate.column.clone(), other.clone()));
                    }
                }
            }
            if self.facts.joins.len() < FACTS_MAX {
                self.facts.joins.push(Join { kind, table, on });
            }
        }
    }

    /// The comparisons of a condition. Subqueries inside it are visited on their own.
    fn condition(&mut self, condition: &Expr, negated: bool) {
        match condition {
            Expr::Nested(inner) => self.condition(inner, negated),
            Expr::UnaryOp {
                op: sqlparser::ast::UnaryOperator::Not,
                expr,
            } => self.condition(expr, !negated),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And | BinaryOperator::Or,
                right,
            } => {
                // Chains lean to the left: their length must not be this function's depth.
                let mut parts = vec![right.as_ref()];
                let mut rest = left.as_ref();
                while let Expr::BinaryOp {
                    left,
                    op: BinaryOperator::And | BinaryOperator::Or,
                    right,
                } = rest
                {
                    parts.push(right);
                    rest = left;
                }
                parts.push(rest);
                for part in parts.into_iter().rev() {
                    self.condition(part, negated);
                }
            }
            Expr::BinaryOp { left, op, right } => {
                let operator = op.to_string();
                if self.compare(left, &operator, right, negated) {
                    return;
                }
                // `7 = column`
                if let Some(column) = self.column(right) {
                    let operand = self.operand(left);
                    self.predicate(column, &operator, operand, negated);
                }
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => {
                self.compare(left, &format!("{compare_op} ANY"), right, negated);
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                self.compare(left, &format!("{compare_op} ALL"), right, negated);
            }
            Expr::InList {
                expr,
                list,
                negated: not,
            } => {
                if let Some(column) = self.column(expr) {
                    let operand = list
                        .first()
                        .map_or(Operand::None, |first| self.operand(first));
                    self.predicate(column, "IN", operand, negated != *not);
                }
            }
            Expr::InSubquery {
                expr, negated: not, ..
            } => {
                if let Some(column) = self.column(expr) {
                    self.predicate(column, "IN", Operand::Subquery, negated != *not);
                }
            }
            Expr::Between {
                expr,
                low,
                negated: not,
                ..
            } => {
                self.compare(expr, "BETWEEN", low, negated != *not);
            }
            Expr::Like {
                expr,
                pattern,
                negated: not,
                ..
            } => {
                self.compare(expr, "LIKE", pattern, negated != *not);
            }
            Expr::ILike {
                expr,
                pattern,
                negated: not,
                ..
            } => {
                self.compare(expr, "ILIKE", pattern, negated != *not);
            }
            Expr::SimilarTo {
                expr,
                pattern,
                negated: not,
                ..
            } => {
                self.compare(expr, "SIMILAR TO", pattern, negated != *not);
            }
            Expr::IsDistinctFrom(left, right) => {
                self.compare(left, "IS DISTINCT FROM", right, negated);
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.compare(left, "IS NOT DISTINCT FROM", right, negated);
            }
            Expr::IsNull(inner) => self.test(inner, "IS NULL", negated),
            Expr::IsNotNull(inner) => self.test(inner, "IS NOT NULL", negated),
            Expr::IsTrue(inner) => self.test(inner, "IS TRUE", negated),
            Expr::IsNotTrue(inner) => self.test(inner, "IS NOT TRUE", negated),
            Expr::IsFalse(inner) => self.test(inner, "IS FALSE", negated),
            Expr::IsNotFalse(inner) => self.test(inner, "IS NOT FALSE", negated),
            // A boolean column alone is a condition.
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.test(condition, "IS TRUE", negated);
            }
            _ => {}
        }
    }

    /// Notes `left operator right` if `left` is a column.
    fn compare(&mut self, left: &Expr, operator: &str, right: &Expr, negated: bool) -> bool {
        let Some(column) = self.column(left) else {
            return false;
        };
        let operand = self.operand(right);
        self.predicate(column, operator, operand, negated);
        true
    }

    fn test(&mut self, inner: &Expr, operator: &str, negated: bool) {
        if let Some(column) = self.column(inner) {
            self.predicate(column, operator, Operand::None, negated);
        }
    }

    fn predicate(&mut self, column: Column, operator: &str, operand: Operand, negated: bool) {
        if self.facts.predicates.len() < FACTS_MAX {
            self.facts.predicates.push(Predicate {
                column,
                operator: format!("{}{operator}", if negated { "NOT " } else { "" }),
                operand,
            });
        }
    }

    /// The column that `expr` is, casts, parentheses and functions of one argument around it left out.
    pub(super) fn column(&self, expr: &Expr) -> Option<Column> {
        match expr {
            Expr::Identifier(ident) => Some(Column {
                table: self.only.as_deref().map(shared),
                name: shared(&name_of(ident)),
            }),
            Expr::CompoundIdentifier(idents) => {
                let (name, qualifier) = idents.split_last()?;
                let table = qualifier.iter().map(name_of).collect::<Vec<_>>().join(".");
                let table = self.aliases.get(&table).unwrap_or(&table);
                Some(Column {
                    table: Some(shared(table)),
                    name: shared(&name_of(name)),
                })
            }
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => self.column(inner),
            Expr::AtTimeZone { timestamp, .. } => self.column(timestamp),
            Expr::Collate { expr, .. } | Expr::Extract { expr, .. } => self.column(expr),
            Expr::Function(function) => {
                use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
                match &function.args {
                    FunctionArguments::List(list) => match list.args.as_slice() {
                        [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => self.column(inner),
                        _ => None,
                    },
                    FunctionArguments::None | FunctionArguments::Subquery(_) => None,
                }
            }
            _ => None,
        }
    }

    pub(super) fn operand(&self, expr: &Expr) -> Operand {
        if let Some(column) = self.column(expr) {
            return Operand::Column(column);
        }
        match expr {
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => self.operand(inner),
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => name
                    .strip_prefix('$')
                    .and_then(|number| number.parse().ok())
                    .map_or(Operand::Expression, Operand::Constant),
                _ => Operand::Expression,
            },
            Expr::Subquery(_) => Operand::Subquery,
            Expr::Function(function) => {
                use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
                match &function.args {
                    FunctionArguments::List(list) => match list.args.as_slice() {
                        [FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))] => self.operand(inner),
                        _ => Operand::Expression,
                    },
                    FunctionArguments::None | FunctionArguments::Subquery(_) => Operand::Expression,
                }
            }
            _ => Operand::Expression,
        }
    }
}
