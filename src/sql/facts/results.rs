//! What a statement returns, locks and writes.

use sqlparser::ast::{
    AssignmentTarget, Delete, Expr, FromTable, Function, GroupByExpr, Insert, LockClause, NonBlock,
    ObjectName, Query, Select, SelectItem, SetExpr, TableFactor, TableObject, TableWithJoins,
    Update,
};

use super::read::{AGGREGATES, Reader};
use super::relations::{name_of, table_name};
use super::{FACTS_MAX, Lock, Operand, Output};

/// Most outputs that are kept; a row of Django's widest models has fewer.
const OUTPUTS_MAX: usize = 512;

impl Reader {
    /// Of the outermost query: its outputs, its main table, its lock.
    pub(super) fn read_results(&mut self, query: &Query) {
        if self.facts.lock != Lock::SkipLocked {
            self.facts.lock = lock(&query.locks);
        }
        match query.body.as_ref() {
            SetExpr::Select(select) => self.read_select(select),
            // `(SELECT ...)` in parentheses of its own.
            SetExpr::Query(inner) => self.read_results(inner),
            SetExpr::SetOperation { left, .. } => {
                self.facts.grouped = true;
                if let Some(select) = first_select(left) {
                    self.read_select(select);
                }
            }
            _ => {}
        }
    }

    /// A queue is one too where a write asks it: `UPDATE … WHERE id = (SELECT … FOR UPDATE SKIP LOCKED)`.
    pub(super) fn read_queue(&mut self, query: &Query) {
        if lock(&query.locks) == Lock::SkipLocked {
            self.facts.lock = Lock::SkipLocked;
        }
    }

    fn read_select(&mut self, select: &Select) {
        let grouped_by = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(expressions, _) => !expressions.is_empty(),
        };
        self.facts.grouped |= grouped_by || select.distinct.is_some();
        self.facts.main_table = main_table(&select.from);
        self.read_outputs(&select.projection);
    }

    fn read_outputs(&mut self, items: &[SelectItem]) {
        for item in items.iter().take(OUTPUTS_MAX) {
            let output = match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    self.output(expr)
                }
                SelectItem::ExprWithAliases { .. } => Output::Expression,
                SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => Output::All,
            };
            self.facts.outputs.push(output);
        }
        self.facts.outputs.shrink_to_fit();
    }

    fn output(&self, expr: &Expr) -> Output {
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.column(expr).map_or(Output::Expression, Output::Column)
            }
            Expr::Nested(inner) => self.output(inner),
            Expr::Function(function) => {
                aggregate(function).map_or(Output::Expression, Output::Aggregate)
            }
            Expr::Exists { .. } => Output::Aggregate("exists".to_owned()),
            Expr::Cast { expr: inner, .. } => match self.output(inner) {
                Output::Column(_) => Output::Expression,
                other => other,
            },
            _ => match self.operand(expr) {
                Operand::Constant(_) => Output::Constant,
                // `COALESCE(SUM(x), 0)` and its like: what is around an aggregate is arithmetic.
                _ => inner_aggregate(expr).map_or(Output::Expression, Output::Aggregate),
            },
        }
    }

    pub(super) fn read_insert(&mut self, insert: &Insert) {
        if let TableObject::TableName(name) = &insert.table {
            self.facts.main_table = table_name(name);
        }
        let first_row = insert
            .source
            .as_deref()
            .and_then(|source| match source.body.as_ref() {
                SetExpr::Values(values) => values.rows.first(),
                _ => None,
            });
        for (index, column) in insert.columns.iter().enumerate().take(FACTS_MAX) {
            let operand = first_row
                .and_then(|row| row.content.get(index))
                .map_or(Operand::Expression, |value| self.operand(value));
            if let Some(name) = last_name(column) {
                self.facts.assignments.push((name, operand));
            }
        }
        self.read_outputs(insert.returning.as_deref().unwrap_or_default());
    }

    pub(super) fn read_update(&mut self, update: &Update) {
        self.facts.main_table = main_table(std::slice::from_ref(&update.table));
        for assignment in update.assignments.iter().take(FACTS_MAX) {
            if let AssignmentTarget::ColumnName(column) = &assignment.target
                && let Some(name) = last_name(column)
            {
                let operand = self.operand(&assignment.value);
                self.facts.assignments.push((name, operand));
            }
        }
        self.read_outputs(update.returning.as_deref().unwrap_or_default());
    }

    pub(super) fn read_delete(&mut self, delete: &Delete) {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        self.facts.main_table = main_table(from);
        self.read_outputs(delete.returning.as_deref().unwrap_or_default());
    }
}

fn first_select(body: &SetExpr) -> Option<&Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

fn main_table(from: &[TableWithJoins]) -> Option<String> {
    match &from.first()?.relation {
        TableFactor::Table {
            name, args: None, ..
        } => table_name(name),
        _ => None,
    }
}

fn lock(clauses: &[LockClause]) -> Lock {
    match clauses {
        [] => Lock::None,
        _ if clauses
            .iter()
            .any(|clause| matches!(clause.nonblock, Some(NonBlock::SkipLocked))) =>
        {
            Lock::SkipLocked
        }
        _ => Lock::Rows,
    }
}

fn last_name(name: &ObjectName) -> Option<String> {
    Some(name_of(name.0.last()?.as_ident()?))
}

/// The function's name if it is an aggregate over the statement's own rows (and no window function).
fn aggregate(function: &Function) -> Option<String> {
    if function.over.is_some() {
        return None;
    }
    let name = function
        .name
        .0
        .last()?
        .as_ident()?
        .value
        .to_ascii_lowercase();
    AGGREGATES
        .binary_search(&name.as_str())
        .is_ok()
        .then_some(name)
        .or_else(|| function_aggregate(function))
}

/// `COALESCE(SUM(x), 0)`.
fn function_aggregate(function: &Function) -> Option<String> {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => inner_aggregate(inner),
        _ => None,
    }
}

fn inner_aggregate(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Function(function) => aggregate(function),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => inner_aggregate(inner),
        Expr::BinaryOp { left, right, .. } => {
            inner_aggregate(left).or_else(|| inner_aggregate(right))
        }
        _ => None,
    }
}
