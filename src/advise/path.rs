//! Which relation leads from a parent's rows to a child's, and what Django calls it.
//!
//! Where the model map knows both tables, it alone decides. Else Django's conventions do, and what they do not tell
//! becomes an open name.

use super::models::{Field, Model, Models, Relation, RelationKind};
use super::relations::Relations;
use super::{Case, Operation, Place};
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
    /// This one.
    Known(String),
    /// Not known: what it is the name of, in words.
    Open(String),
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
    kind: Kind,
    /// The table that the child's query is about.
    to: Option<&'c str>,
    joins: &'c [(Place, Place)],
    /// It asks for one row.
    one: bool,
    /// It has a condition on this column name too: a content type's.
    conditions: &'c [super::Condition],
}

impl<'c> Wanted<'c> {
    pub(super) fn of(case: &'c Case) -> Wanted<'c> {
        Wanted {
            kind: case.kind,
            to: case.child_from.table.as_deref(),
            joins: &case.child_from.joins,
            one: case.operation == Operation::One,
            conditions: &case.conditions,
        }
    }

    fn table(to: &'c str) -> Wanted<'c> {
        Wanted {
            kind: Kind::NPlusOneReverse,
            to: Some(to),
            joins: &[],
            one: false,
            conditions: &[],
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
            _ => conventional(parent, child, wanted, self.relations),
        }
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
    fn joined(self, from: &str, to: &str, joins: &[(Place, Place)]) -> Option<Vec<Step>> {
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
        if over_through
            && let Some(step) = self.many_to_many(from, at, at_column, to)
        {
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
    fn then(self, step: Step, at: &Model, to: &Model, joins: &[(Place, Place)]) -> Option<Vec<Step>> {
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
        let end = relation.to.as_deref().and_then(|to| self.models.labelled(to));
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
                let Some(other) = relation.to.as_deref().and_then(|to| self.models.labelled(to))
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
                    });
                }
                if table.to_column == column && self.models.are_kin(other, from) && is_far(declaring)
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
            step(&field.name, back, Reach::Many)
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

/// The model's name in lower case, where the table's name says it: `orderitem` of `shop_orderitem`.
///
/// Django makes `app_label` + `_` + the class in lower case, and a class name has no underscore by its own conventions.
pub(super) fn model_of(table: &str) -> Option<&str> {
    let bare = table.rsplit_once('.').map_or(table, |(_, bare)| bare);
    bare.rsplit_once('_')
        .map(|(_, model)| model)
        .filter(|model| !model.is_empty())
}

fn conventional(
    parent: &Place,
    child: &Place,
    wanted: Wanted<'_>,
    relations: &Relations,
) -> Option<Vec<Step>> {
    let to = wanted.to.unwrap_or(&child.table);
    if parent == child {
        return None;
    }
    let open = |text: String| Name::Open(text);
    if to != child.table {
        return Some(vec![over_table(parent, child, to)]);
    }
    let refers = relations.foreign_key(&parent.table, &parent.column) == Some(child);
    let referred = relations.foreign_key(&child.table, &child.column) == Some(parent);
    let by_key = child.column == "id"
        || relations
            .primary_key(&child.table)
            .is_some_and(|key| key == [child.column.clone()]);
    let forward = refers
        || (!referred
            && (wanted.kind == Kind::NPlusOneForward || by_key)
            && parent.column != "id");
    if forward {
        return Some(vec![forward_step(parent, child)]);
    }
    let single = relations
        .is_unique(&child.table, &child.column)
        .unwrap_or(wanted.one || by_key);
    let is_generic = wanted
        .conditions
        .iter()
        .any(|condition| condition.column.ends_with("content_type_id"));
    if is_generic {
        let name = open(format!("the GenericRelation to {}", child.table));
        return Some(vec![Step {
            accessor: name.clone(),
            query: name,
            back: Name::Known(child.column.clone()),
            to: child.table.clone(),
            reach: Reach::Many,
        }]);
    }
    let reverse = reverse_step(child, single);
    // Both hold the same foreign key: over the row that both point to.
    if parent.column == child.column && parent.column.ends_with("_id") {
        let first = forward_step(parent, child);
        return Some(vec![first, reverse]);
    }
    Some(vec![reverse])
}

fn forward_step(parent: &Place, child: &Place) -> Step {
    let (name, reach) = match parent.column.strip_suffix("_id") {
        // GenericForeignKey's own example in Django's manual; its name is free.
        Some("object") => (
            Name::Open(format!(
                "the GenericForeignKey over {parent}, or the foreign key of that column"
            )),
            Reach::OneOfAnyModel,
        ),
        Some(field) if !field.is_empty() => (Name::Known(field.to_owned()), Reach::One),
        _ => (
            Name::Open(format!("the foreign key with the column {parent}")),
            Reach::One,
        ),
    };
    Step {
        accessor: name.clone(),
        query: name,
        back: Name::Open(format!("the query name of the foreign key {parent}")),
        to: child.table.clone(),
        reach,
    }
}

fn reverse_step(child: &Place, single: bool) -> Step {
    let model = model_of(&child.table);
    let (relation, default) = if single {
        ("one-to-one field", model.map(str::to_owned))
    } else {
        ("foreign key", model.map(|model| format!("{model}_set")))
    };
    let unless = |default: Option<String>| {
        default.map_or(String::new(), |name| {
            format!("; {name} unless related_name says otherwise")
        })
    };
    Step {
        accessor: Name::Open(format!(
            "the reverse accessor of the {relation} {child}{}",
            unless(default)
        )),
        query: Name::Open(format!(
            "the query name of the {relation} {child}{}",
            unless(model.map(str::to_owned))
        )),
        back: match child.column.strip_suffix("_id") {
            Some(field) if !field.is_empty() => Name::Known(field.to_owned()),
            _ => Name::Open(format!("the {relation} with the column {child}")),
        },
        to: child.table.clone(),
        reach: if single { Reach::One } else { Reach::Many },
    }
}

/// A child that is compared in one table and reads another: many-to-many, or over a table between.
fn over_table(parent: &Place, child: &Place, to: &str) -> Step {
    let through = &*child.table;
    let rest = |table: &str| {
        let rest = through.strip_prefix(table)?.strip_prefix('_')?;
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    let known = |name: String| Name::Known(name);
    let (accessor, query, back) = match (rest(&parent.table), rest(to)) {
        // Django names the table of a ManyToManyField after the model's table and the field.
        (Some(field), _) => (
            known(field.clone()),
            known(field.clone()),
            Name::Open(format!("the query name of the many-to-many field {field}")),
        ),
        (None, Some(field)) => {
            let unless = model_of(to).map_or(String::new(), |model| {
                format!("; {model}_set unless related_name says otherwise")
            });
            let text = |what| format!("the {what} of the many-to-many field {field} of {to}");
            (
                Name::Open(text("reverse accessor") + &unless),
                Name::Open(text("query name")),
                known(field),
            )
        }
        (None, None) => {
            let name = Name::Open(format!("the relation that leads over {through} to {to}"));
            (name.clone(), name.clone(), name)
        }
    };
    Step {
        accessor,
        query,
        back,
        to: to.to_owned(),
        reach: Reach::Many,
    }
}
