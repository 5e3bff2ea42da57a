//! What names of tables and columns say by Django's conventions, and openly what they do not.

use super::path::{Name, Reach, Step, Wanted};
use super::relations::Relations;
use super::{Generic, Place};
use crate::detect::Kind;

/// The model's name in lower case, where the table's name says it: `orderitem` of `shop_orderitem`.
///
/// Django makes `app_label` + `_` + the class in lower case. With a second underscore nobody can say where the label
/// ends, nor whether it is the table of a many-to-many field.
fn model_of(table: &str) -> Option<&str> {
    let bare = table.rsplit_once('.').map_or(table, |(_, bare)| bare);
    bare.split_once('_')
        .map(|(_, model)| model)
        .filter(|model| !model.is_empty() && !model.contains('_'))
}

/// What leads from `parent` to `child`; `None` where both are the same column.
pub(super) fn steps(
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
    let own_field = child.table.strip_prefix(&*parent.table);
    if to != child.table || (wanted.figure && own_field.is_some_and(|rest| rest.starts_with('_'))) {
        return Some(vec![over_table(parent, child, to)]);
    }
    let refers = relations.foreign_key(&parent.table, &parent.column) == Some(child);
    let referred = relations.foreign_key(&child.table, &child.column) == Some(parent);
    let by_key = child.column == "id"
        || relations
            .primary_key(&child.table)
            .is_some_and(|key| key == [child.column.clone()]);
    let forward = refers
        || (!referred && (wanted.kind == Kind::NPlusOneForward || by_key) && parent.column != "id");
    if forward {
        return Some(vec![forward_step(parent, child, wanted.generic)]);
    }
    let unique = relations.is_unique(&child.table, &child.column);
    let is_key = by_key || child.column.ends_with("_ptr_id");
    let single = match unique.or(is_key.then_some(true)) {
        Some(true) => Single::Yes,
        None if wanted.one => Single::IfUnique,
        Some(false) | None => Single::No,
    };
    let content_type = wanted
        .conditions
        .iter()
        .find(|condition| condition.column.ends_with("content_type_id"));
    if let Some(content_type) = content_type {
        let name = open(format!("the GenericRelation to {}", child.table));
        return Some(vec![Step {
            accessor: name.clone(),
            query: name,
            back: Name::by_convention(&child.column, child),
            to: child.table.clone(),
            reach: Reach::Many,
            content_type: Some(content_type.column.clone()),
        }]);
    }
    let reverse = reverse_step(child, single);
    // Both hold the same foreign key: over the row that both point to.
    if parent.column == child.column && parent.column.ends_with("_id") {
        let first = forward_step(parent, child, wanted.generic);
        return Some(vec![first, reverse]);
    }
    Some(vec![reverse])
}

fn forward_step(parent: &Place, child: &Place, generic: Generic) -> Step {
    let column = &*parent.column;
    let field = column.strip_suffix("_id").filter(|field| !field.is_empty());
    let is_type = column.ends_with("content_type_id");
    let maybe =
        generic == Generic::Possible || field.is_some_and(|field| field.ends_with("object"));
    let (name, reach) = match field {
        _ if generic == Generic::Certain => (
            Name::Open(format!("the GenericForeignKey over {parent}")),
            Reach::OneOfAnyModel,
        ),
        // A content type beside it, or the column's usual name: it may lead to rows of any table, which no join reads.
        Some(_) if maybe && !is_type => (
            Name::Open(format!(
                "the GenericForeignKey over {parent}, or the foreign key of that column"
            )),
            Reach::OneOfAnyModel,
        ),
        Some(field) => (Name::by_convention(field, parent), Reach::One),
        None => (
            Name::Open(format!(
                "the foreign key with the column {parent}, if it is one"
            )),
            Reach::One,
        ),
    };
    Step {
        accessor: name.clone(),
        query: name,
        back: Name::Open(format!("the query name of the foreign key {parent}")),
        to: child.table.clone(),
        reach,
        content_type: None,
    }
}

/// Whether a foreign key's way back leads to one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Single {
    Yes,
    /// One row was asked for, which `.get()` does too.
    IfUnique,
    No,
}

fn reverse_step(child: &Place, single: Single) -> Step {
    let model = model_of(&child.table);
    let usual = child.column.ends_with("_id");
    let relation = match single {
        Single::No if !usual => format!("the foreign key {child}, if it is one"),
        Single::Yes => format!("the one-to-one field {child}"),
        Single::IfUnique => format!("{child}, if that is a one-to-one field"),
        Single::No => format!("the foreign key {child}"),
    };
    let accessor = model.map(|model| match single {
        Single::Yes | Single::IfUnique => model.to_owned(),
        Single::No => format!("{model}_set"),
    });
    let unless = |default: Option<String>| {
        default.map_or(String::new(), |name| {
            format!("; {name} unless related_name says otherwise")
        })
    };
    Step {
        accessor: Name::Open(format!(
            "the reverse accessor of {relation}{}",
            unless(accessor)
        )),
        query: Name::Open(format!(
            "the query name of {relation}{}",
            unless(model.map(str::to_owned))
        )),
        // The attribute `order_id` is a look-up too, for a foreign key as for a plain number.
        back: Name::by_convention(&child.column, child),
        to: child.table.clone(),
        reach: match single {
            Single::Yes | Single::IfUnique => Reach::One,
            Single::No => Reach::Many,
        },
        content_type: None,
    }
}

/// A child that is compared in one table and reads another: many-to-many, or over a table between.
fn over_table(parent: &Place, child: &Place, to: &str) -> Step {
    let through = &*child.table;
    let rest = |table: &str| {
        let rest = through.strip_prefix(table)?.strip_prefix('_')?;
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    let known = |name: String| Name::by_convention(&name, &through);
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
        content_type: None,
    }
}
