//! Which relation leads from a parent's rows to a child's, and what Django calls it.
//!
//! Where the model map knows both tables, it alone decides. Else Django's conventions do ([`super::conventions`]), and
//! what they do not tell becomes an open name.

use super::conventions;
use super::models::{Field, Model, Models, Relation, RelationKind};
use super::relations::Relations;
use super::{Case, Condition, Generic, Operation, Place};
use crate::detect::Kind;

/// What names are taken from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'s> {
    pub(super) models: &'s Models,
    pub(super) relations: &'s Relations,
}

/// A name in a Django line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// This one: the model map says so.
    Known(String),
    /// This one, by Django's conventions from the name of a column or table.
    ByConvention {
        /// The name.
        name: String,
        /// The column or table.
        from: String,
    },
    /// Not known: what it is the name of, in words.
    Open(String),
}

impl Name {
    /// The name, unless it is open.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Name::Known(name) | Name::ByConvention { name, .. } => Some(name),
            Name::Open(_) => None,
        }
    }

    pub(super) fn by_convention(name: &str, from: &impl ToString) -> Name {
        Name::ByConvention {
            name: name.to_owned(),
            from: from.to_string(),
        }
    }
}

/// One relation, followed from one model to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Its name as an attribute, and in `select_related` and `prefetch_related`.
    pub(super) accessor: Name,
    /// Its name in `filter` and `annotate`.
    pub(super) query: Name,
    /// The way back in `filter`, from the far end: what equals the near end's object.
    pub(super) back: Name,
    /// Where it leads.
    pub(super) to: String,
    /// How many objects it leads to.
    pub(super) reach: Reach,
    /// A generic relation's column of the content type at the far end: its condition belongs to the relation.
    pub(super) content_type: Option<String>,
}

/// How many objects a relation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// One, in a table that can be joined.
    One,
    /// One, in a table that differs from row to row: a generic foreign key.
    OneOfAnyModel,
    /// Several.
    Many,
    /// Nobody can go there: `related_name="+"`.
    Hidden,
}

/// The relations from the outermost loop's rows to the child's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// The table whose queryset has to change.
    pub(super) root: String,
    /// From there to the innermost parent's rows.
    pub(super) prefix: Vec<Step>,
    /// From them to the child's.
    pub(super) last: Vec<Step>,
    /// Whether `root` is where the parent's query starts; false where the way from there is not known.
    pub(super) rooted: bool,
}

impl Path {
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.prefix.iter().chain(&self.last)
    }

    /// The path of `case`; `None` where no relation of the project leads from its parent to its child.
    pub(super) fn of(case: &Case, sources: Sources<'_>) -> Option<Path> {
        let (parent, child) = (case.parent.as_ref()?, case.child.as_ref()?);
        let last = sources.steps(parent, child, Wanted::of(case))?;
        let start = case.parent_from.table.as_deref().unwrap_or(&parent.table);
        let inner = sources.joined(start, &parent.table, &case.parent_from.joins);
        let rooted = inner.is_some();
        let inner_root = if rooted { start } else { &*parent.table };
        let inner = inner.unwrap_or_default();
        match sources.outer(case, inner_root) {
            Some((root, mut prefix)) => {
                prefix.extend(inner);
                Some(Path {
                    root,
                    prefix,
                    last,
                    rooted,
                })
            }
            None => Some(Path {
                root: inner_root.to_owned(),
                prefix: inner,
                last,
                rooted,
            }),
        }
    }
}

/// What else is known of the relation that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'c> {
    pub(super) kind: Kind,
    /// The table that the child's query is about.
    pub(super) to: Option<&'c str>,
    joins: &'c [(Place, Place)],
    /// It asks for one row.
    pub(super) one: bool,
    /// It asks for a figure, so that a many-to-many relation needs no join.
    pub(super) figure: bool,
    /// Its further conditions: one may be a generic relation's.
    pub(super) conditions: &'c [Condition],
    /// Whether the parent's column is a generic foreign key's.
    pub(super) generic: Generic,
}

impl<'c> Wanted<'c> {
    pub(super) fn of(case: &'c Case) -> Wanted<'c> {
        Wanted {
            kind: case.kind,
            to: case.child_from.table.as_deref(),
            joins: &case.child_from.joins,
            one: case.operation == Operation::One,
            figure: !matches!(
                case.operation,
                Operation::Rows | Operation::One | Operation::First { .. }
            ),
            conditions: &case.conditions,
            generic: case.generic,
        }
    }

    fn table(to: &'c str) -> Wanted<'c> {
        Wanted {
            kind: Kind::NPlusOneReverse,
            to: Some(to),
            joins: &[],
            one: false,
            figure: false,
            conditions: &[],
            generic: Generic::Unlikely,
        }
    }
}

impl<'s> Sources<'s> {
    pub(super) fn model(self, table: &str) -> Option<&'s Model> {
        self.models.of_table(table, None)
    }

    /// From `parent`'s rows to those of the child, whose values are compared at `child`.
    pub(super) fn steps(
        self,
        parent: &Place,
        child: &Place,
        wanted: Wanted<'_>,
    ) -> Option<Vec<Step>> {
        let known = |place: &Place| self.models.of_table(&place.table, Some(&place.column));
        match (known(parent), known(child)) {
            (Some(from), Some(at)) => {
                let to = wanted.to.and_then(|table| self.model(table)).unwrap_or(at);
                self.exact(from, &parent.column, at, &child.column, to, wanted.joins)
            }
            _ => conventions::steps(parent, child, wanted, self.relations),
        }
    }

    /// The foreign key of `table` to itself, where the map says that it has exactly one.
    pub(super) fn self_reference(self, table: &str) -> Option<Step> {
        let model = self.model(table)?;
        let [key] = &*model.pk_columns else {
            return None;
        };
        let mut steps = model
            .fields
            .iter()
            .filter_map(|field| self.forward(model, field.column.as_deref()?, model, key));
        let only = steps.next()?;
        steps.next().is_none().then_some(only)
    }

    /// The prefix that the outer loops make: the outermost table, and the steps from there to `inner`.
    fn outer(self, case: &Case, inner: &str) -> Option<(String, Vec<Step>)> {
        let mut steps = Vec::new();
        for (index, (parent, child)) in case.chain.iter().enumerate() {
            let next = case
                .chain
                .get(index + 1)
                .map_or(inner, |(parent, _)| &*parent.table);
            steps.extend(self.steps(parent, child, Wanted::table(next))?);
        }
        let (first, _) = case.chain.first()?;
        Some((first.table.clone(), steps))
    }

    /// The steps that a query's joins make from its first table to `to`; `None` where they cannot be named.
    pub(super) fn joined(
        self,
        from: &str,
        to: &str,
        joins: &[(Place, Place)],
    ) -> Option<Vec<Step>> {
        // Breadth first, by table; each table once, so it ends.
        let mut reached: Vec<(String, Vec<Step>)> = vec![(from.to_owned(), Vec::new())];
        let mut index = 0;
        while let Some((table, steps)) = reached.get(index).cloned() {
            if table == to {
                return Some(steps);
            }
            for (one, other) in joins {
                let (near, far) = if one.table == table {
                    (one, other)
                } else if other.table == table {
                    (other, one)
                } else {
                    continue;
                };
                if reached.iter().any(|(table, _)| *table == far.table) {
                    continue;
                }
                if let Some(hop) = self.hop(near, far) {
                    let mut steps = steps.clone();
                    steps.extend(hop);
                    reached.push((far.table.clone(), steps));
                }
            }
            index += 1;
        }
        None
    }

    /// One join; no step where it only reads the other half of a model that inherits.
    fn hop(self, near: &Place, far: &Place) -> Option<Vec<Step>> {
        let models = (self.model(&near.table), self.model(&far.table));
        if let (Some(near_model), Some(far_model)) = models {
            if near_model.label != far_model.label && self.models.are_kin(near_model, far_model) {
                return Some(Vec::new());
            }
        } else if near.column.ends_with("_ptr_id") || far.column.ends_with("_ptr_id") {
            return Some(Vec::new());
        }
        let kind = if near.column == "id" {
            Kind::NPlusOneReverse
        } else {
            Kind::NPlusOneForward
        };
        let wanted = Wanted {
            kind,
            ..Wanted::table(&far.table)
        };
        self.steps(near, far, wanted)
    }

    fn exact(
        self,
        from: &Model,
        from_column: &str,
        at: &Model,
        at_column: &str,
        to: &Model,
        joins: &[(Place, Place)],
    ) -> Option<Vec<Step>> {
        let over_through = to.label != at.label || at.auto_created_by.is_some();
        if over_through && let Some(step) = self.many_to_many(from, at, at_column, to) {
            return Some(vec![step]);
        }
        let direct = self
            .forward(from, from_column, at, at_column)
            .or_else(|| self.reverse(from, from_column, at, at_column))
            .or_else(|| generic(self.models, from, from_column, at, at_column));
        if let Some(step) = direct {
            return self.then(step, at, to, joins);
        }
        // `Address.objects.filter(customer_id=order.customer_id)`: over the customer, although it is not read.
        let over = from.field_of(from_column)?.relation.as_ref()?;
        let middle = self.models.labelled(over.to.as_deref()?)?;
        let [middle_column] = &*over.to_columns else {
            return None;
        };
        let first = self.forward(from, from_column, middle, middle_column)?;
        let second = if over_through {
            self.many_to_many(middle, at, at_column, to)
        } else {
            self.reverse(middle, middle_column, at, at_column)
        }?;
        Some(vec![first, second])
    }

    /// The step, and one more where the child's query is about another table than the one that is compared.
    fn then(
        self,
        step: Step,
        at: &Model,
        to: &Model,
        joins: &[(Place, Place)],
    ) -> Option<Vec<Step>> {
        if at.label == to.label || self.models.are_kin(at, to) {
            return Some(vec![step]);
        }
        joins.iter().find_map(|(one, other)| {
            let (near, far) = if at.is(&one.table) && to.is(&other.table) {
                (one, other)
            } else if at.is(&other.table) && to.is(&one.table) {
                (other, one)
            } else {
                return None;
            };
            let second = self
                .forward(at, &near.column, to, &far.column)
                .or_else(|| self.reverse(at, &near.column, to, &far.column))?;
            Some(vec![step.clone(), second])
        })
    }

    /// Whether `column` of `model` holds the values of `relation`'s far end.
    fn is_end(self, relation: &Relation, model: &Model, column: &str) -> bool {
        let end = relation
            .to
            .as_deref()
            .and_then(|to| self.models.labelled(to));
        let (Some(end), [end_column]) = (end, &*relation.to_columns) else {
            return false;
        };
        let end = self.models.concrete(end);
        if end.label == model.label {
            return end_column == column;
        }
        // A child's key has its parent's values.
        self.models.are_kin(end, model)
            && end.is_primary_key(end_column)
            && model.is_primary_key(column)
    }

    fn forward(self, from: &Model, column: &str, at: &Model, at_column: &str) -> Option<Step> {
        let field = from.field_of(column)?;
        let relation = field.relation.as_ref()?;
        if !self.is_end(relation, at, at_column) {
            return None;
        }
        Some(Step {
            accessor: Name::Known(field.name.clone()),
            query: Name::Known(field.name.clone()),
            back: way_back(relation, field, from),
            to: at.db_table_name(),
            reach: Reach::One,
            content_type: None,
        })
    }

    fn reverse(self, from: &Model, column: &str, at: &Model, at_column: &str) -> Option<Step> {
        let field = at.field_of(at_column)?;
        let relation = field.relation.as_ref()?;
        if !self.is_end(relation, from, column) {
            return None;
        }
        let single = relation.kind == RelationKind::OneToOne;
        Some(Step {
            accessor: accessor(relation, field, at),
            query: query_name(relation, field, at),
            back: Name::Known(field.name.clone()),
            to: at.db_table_name(),
            reach: match (&relation.accessor, single) {
                (None, _) => Reach::Hidden,
                (Some(_), true) => Reach::One,
                (Some(_), false) => Reach::Many,
            },
            content_type: None,
        })
    }

    fn many_to_many(self, from: &Model, through: &Model, column: &str, to: &Model) -> Option<Step> {
        // Without its join (`count()` since Django 5) the child's query is about the through table itself.
        let is_far = |model: &Model| to.label == through.label || self.models.are_kin(model, to);
        for declaring in self.models.iter() {
            for field in &declaring.fields {
                let Some(relation) = &field.relation else {
                    continue;
                };
                let Some(table) = &relation.through else {
                    continue;
                };
                let Some(other) = relation
                    .to
                    .as_deref()
                    .and_then(|to| self.models.labelled(to))
                else {
                    continue;
                };
                if table.model != through.label {
                    continue;
                }
                let known = |name: &str| Name::Known(name.to_owned());
                if table.from_column == column
                    && self.models.are_kin(declaring, from)
                    && is_far(other)
                {
                    return Some(Step {
                        accessor: known(&field.name),
                        query: known(&field.name),
                        back: way_back(relation, field, declaring),
                        to: other.db_table_name(),
                        reach: Reach::Many,
                        content_type: None,
                    });
                }
                if table.to_column == column
                    && self.models.are_kin(other, from)
                    && is_far(declaring)
                {
                    return Some(Step {
                        accessor: accessor(relation, field, declaring),
                        query: query_name(relation, field, declaring),
                        back: known(&field.name),
                        to: declaring.db_table_name(),
                        reach: if relation.accessor.is_some() {
                            Reach::Many
                        } else {
                            Reach::Hidden
                        },
                        content_type: None,
                    });
                }
            }
        }
        None
    }
}

impl Model {
    /// Its table as a statement names it.
    pub(super) fn db_table_name(&self) -> String {
        match &self.db_schema {
            Some(schema) => format!("{schema}.{}", self.db_table),
            None => self.db_table.clone(),
        }
    }
}

fn generic(
    models: &Models,
    from: &Model,
    column: &str,
    at: &Model,
    at_column: &str,
) -> Option<Step> {
    let is = |field: &Field, kind| field.relation.as_ref().is_some_and(|it| it.kind == kind);
    let step = |name: &str, back: &str, reach| Step {
        accessor: Name::Known(name.to_owned()),
        query: Name::Known(name.to_owned()),
        back: Name::Known(back.to_owned()),
        to: at.db_table_name(),
        reach,
        content_type: None,
    };
    let foreign = from.fields.iter().find(|field| {
        is(field, RelationKind::GenericForeignKey)
            && field
                .relation
                .as_ref()
                .is_some_and(|it| it.from_columns == [column])
    });
    if let Some(field) = foreign
        && at.is_primary_key(at_column)
    {
        return Some(step(&field.name, "pk", Reach::OneOfAnyModel));
    }
    // The relation may be declared by an ancestor, whose key has the same values.
    models
        .iter()
        .filter(|model| model.label == from.label || models.are_kin(model, from))
        .flat_map(|model| &model.fields)
        .find(|field| {
            is(field, RelationKind::GenericRelation)
                && field.relation.as_ref().is_some_and(|it| {
                    it.to_columns == [at_column]
                        && it.to.as_deref() == Some(&*at.label)
                        && from.is_primary_key(column)
                })
        })
        .map(|field| {
            let back = at.field_of(at_column);
            let back = back.map_or(at_column, |field| &*field.name);
            Step {
                content_type: field
                    .relation
                    .as_ref()
                    .and_then(|it| it.content_type_column.clone()),
                ..step(&field.name, back, Reach::Many)
            }
        })
}

fn accessor(relation: &Relation, field: &Field, model: &Model) -> Name {
    named(relation.accessor.as_ref(), field, model)
}

fn query_name(relation: &Relation, field: &Field, model: &Model) -> Name {
    named(relation.query_name.as_ref(), field, model)
}

fn way_back(relation: &Relation, field: &Field, model: &Model) -> Name {
    named(relation.query_name.as_ref(), field, model)
}

fn named(name: Option<&String>, field: &Field, model: &Model) -> Name {
    match name {
        Some(name) => Name::Known(name.clone()),
        None => Name::Open(format!(
            "{}.{} has no way back: its related_name hides it",
            model.name(),
            field.name
        )),
    }
}
