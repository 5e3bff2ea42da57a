//! The foreign keys that a definition makes: what the making of a database says of its relations.

use sqlparser::ast::{
    AlterTableOperation, ColumnDef, ColumnOption, ForeignKeyConstraint, Ident, ObjectName,
    Statement, TableConstraint,
};

use super::names::shared;
use super::relations::{name_of, table_name};
use super::{Column, FACTS_MAX, Reference};

/// All of a statement's, in their order; those of several columns are left out.
pub(super) fn references(statement: &Statement) -> Vec<Reference> {
    let mut found = Vec::new();
    match statement {
        Statement::CreateTable(table) => {
            let columns = table.columns.iter();
            columns.for_each(|column| of_column(&table.name, column, &mut found));
            let constraints = table.constraints.iter();
            constraints.for_each(|one| of_constraint(&table.name, one, &mut found));
        }
        Statement::AlterTable(table) => {
            for operation in &table.operations {
                match operation {
                    AlterTableOperation::AddColumn { column_def, .. } => {
                        of_column(&table.name, column_def, &mut found);
                    }
                    AlterTableOperation::AddConstraint { constraint, .. } => {
                        of_constraint(&table.name, constraint, &mut found);
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
    found.truncate(FACTS_MAX);
    found
}

fn of_column(table: &ObjectName, column: &ColumnDef, found: &mut Vec<Reference>) {
    for option in &column.options {
        if let ColumnOption::ForeignKey(key) = &option.option {
            found.extend(reference(table, &column.name, key));
        }
    }
}

fn of_constraint(table: &ObjectName, constraint: &TableConstraint, found: &mut Vec<Reference>) {
    if let TableConstraint::ForeignKey(key) = constraint
        && let [column] = key.columns.as_slice()
    {
        found.extend(reference(table, column, key));
    }
}

fn reference(table: &ObjectName, column: &Ident, key: &ForeignKeyConstraint) -> Option<Reference> {
    let to_column = match key.referred_columns.as_slice() {
        [] => None,
        [only] => Some(shared(&name_of(only))),
        _ => return None,
    };
    Some(Reference {
        key: Column {
            table: Some(shared(&table_name(table)?)),
            name: shared(&name_of(column)),
        },
        to_table: shared(&table_name(&key.foreign_table)?),
        to_column,
    })
}
