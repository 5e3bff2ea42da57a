//! The lines for writes in a loop.

use super::line::Line;
use super::models::{Field, Model, Relation, RelationKind};
use super::path::Name;
use super::{Case, Condition, Place, Words, Write};

/// Fields that an advice lists; a save() of a whole object names all of them, and then none is the one that changed.
const FIELDS_MAX: usize = 4;

/// INSERT, UPDATE or DELETE one row at a time.
pub(super) fn writes(case: &Case, line: &mut Line<'_>) -> Words {
    let table = case.child_from.table.as_deref();
    let table = table.or(case.child.as_ref().map(|child| &*child.table));
    let Some(table) = table.map(str::to_owned) else {
        return Words {
            title: "Write all rows in one statement".to_owned(),
            django: {
                line.complete = false;
                "bulk_create(), bulk_update(), or one update() or delete()".to_owned()
            },
        };
    };
    let called = line.called(&table);
    let model = line.sources.model(&table);
    let words = |title: String, django: String| Words { title, django };
    match &case.write {
        Some(Write::Insert { columns }) => insert(line, &table, columns),
        Some(Write::Add) => add(line, &table),
        Some(Write::Update { columns, computed }) => update(case, line, &table, columns, *computed),
        Some(Write::Delete) => {
            if let Some((declaring, field, _)) = through(line, model) {
                let owner = variable(declaring);
                return words(
                    format!("Take all of them away at once from {}", declaring.name()),
                    format!("{owner}.{}.remove(*objects)", field.name),
                );
            }
            let both_keys = case.child.iter().map(|child| &child.column);
            let both_keys = both_keys.chain(case.conditions.iter().map(|it| &it.column));
            if model.is_none()
                && case.conditions.len() == 1
                && both_keys.into_iter().all(|column| column.ends_with("_id"))
            {
                let name = line.name(&Name::Open(format!(
                    "the many-to-many field of {table}, if it has one"
                )));
                return words(
                    "Take all of them away at once".to_owned(),
                    format!("{name}.remove(*objects)"),
                );
            }
            let rows = rows(case, line, &table);
            words(
                format!("Delete all of {called} with one statement"),
                line.on_manager(&table, &format!("filter({rows}).delete()"), &[]),
            )
        }
        Some(Write::GetOrCreate) => get_or_create(case, line, &table, "ignore_conflicts=True"),
        Some(Write::UpdateOrCreate) => {
            let fields = "update_conflicts=True, update_fields=[...]";
            get_or_create(case, line, &table, fields)
        }
        None => words(
            format!("Write all of {called} in one statement"),
            line.on_manager(
                &table,
                "bulk_create([...])",
                &["or bulk_update(), update(), delete()"],
            ),
        ),
    }
}

fn add(line: &mut Line<'_>, table: &str) -> Words {
    let model = line.sources.model(table);
    if let Some((declaring, field, _)) = through(line, model) {
        let owner = variable(declaring);
        return Words {
            title: format!(
                "Add all of them at once to {}.{}",
                declaring.name(),
                field.name
            ),
            django: format!("{owner}.{}.add(*objects)", field.name),
        };
    }
    if model.is_some() {
        // A model of its own between the two sides: its rows are made like any others.
        return insert(line, table, &[]);
    }
    let name = line.name(&Name::Open(format!("the many-to-many field of {table}")));
    Words {
        title: "Add all of them at once".to_owned(),
        django: format!("{name}.add(*objects)"),
    }
}

fn insert(line: &mut Line<'_>, table: &str, columns: &[String]) -> Words {
    let called = line.called(table);
    let model = line.sources.model(table);
    if model.is_some_and(|model| model.auto_created_by.is_some()) {
        return add(line, table);
    }
    let inherits = |model: &Model| !model.parents.is_empty();
    if model.map_or_else(
        || columns.iter().any(|column| column.ends_with("_ptr_id")),
        inherits,
    ) {
        return Words {
            title: format!("Insert all of {called} in one transaction"),
            django: format!(
                "with transaction.atomic(): ...  # bulk_create() takes no model of multi-table inheritance, and {called} is one"
            ),
        };
    }
    Words {
        title: format!("Insert all of {called} with one statement"),
        django: line.on_manager(table, "bulk_create([...])", &[]),
    }
}

fn update(
    case: &Case,
    line: &mut Line<'_>,
    table: &str,
    columns: &[String],
    computed: bool,
) -> Words {
    let called = line.called(table);
    let names: Vec<String> = if columns.len() > FIELDS_MAX {
        Vec::new()
    } else {
        let name = |column: &String| line.lookup(&Place::new(table, &**column));
        columns.iter().map(name).collect()
    };
    let title = format!("Update all of {called} with one statement");
    if computed && !names.is_empty() {
        let rows = rows(case, line, table);
        let sets: Vec<String> = names
            .iter()
            .map(|name| format!("{name}=F(\"{name}\") ..."))
            .collect();
        let method = format!("filter({rows}).update({})", sets.join(", "));
        return Words {
            title,
            django: line.on_manager(table, &method, &[]),
        };
    }
    let fields = if names.is_empty() {
        "[...]".to_owned()
    } else {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    Words {
        title,
        django: line.on_manager(
            table,
            &format!("bulk_update(objects, {fields})"),
            &["or one update() where all get the same value"],
        ),
    }
}

fn get_or_create(case: &Case, line: &mut Line<'_>, table: &str, conflicts: &str) -> Words {
    let called = line.called(table);
    let place = case.child.as_ref().filter(|child| child.table == table);
    // The look-up's column, where the child is the look-up; of an INSERT it is not known.
    let looked_up = place.map(|place| (line.lookup(place), is_unique(line, place)));
    let title =
        format!("Look up all of {called} at once, and create what is missing with one statement");
    let bulk_create = format!("bulk_create([...], {conflicts})");
    let (method, note) = match looked_up {
        Some((name, Some(true))) if conflicts.starts_with("update") => (
            format!("bulk_create([...], {conflicts}, unique_fields=[\"{name}\"])"),
            None,
        ),
        Some((_, Some(true))) => (bulk_create, None),
        // Without a unique constraint nothing conflicts, and rows would come twice.
        Some((name, Some(false))) => (
            format!("filter({name}__in=[...])"),
            Some("then bulk_create([...]) of what is missing".to_owned()),
        ),
        Some((name, None)) => (
            bulk_create,
            Some(format!(
                "if {name} is unique; else filter({name}__in=[...]) first"
            )),
        ),
        None => (
            bulk_create,
            Some("if the look-up is by a unique field; else look up all of them first".to_owned()),
        ),
    };
    let notes: Vec<&str> = note.iter().map(String::as_str).collect();
    Words {
        title,
        django: line.on_manager(table, &method, &notes),
    }
}

/// The look-ups that name the rows of the loop: `pk__in=[...], state=...`.
fn rows(case: &Case, line: &mut Line<'_>, table: &str) -> String {
    let child = case.child.as_ref().filter(|child| child.table == table);
    let key = child.map_or_else(|| "pk".to_owned(), |child| line.lookup(child));
    let conditions: Vec<&Condition> = case.conditions.iter().collect();
    if conditions.is_empty() {
        return format!("{key}__in=[...]");
    }
    let conditions = line.conditions(&conditions, &case.child_from, table, "");
    format!("{key}__in=[...], {conditions}")
}

fn is_unique(line: &Line<'_>, place: &Place) -> Option<bool> {
    let sources = &line.sources;
    let model = sources.models.of_table(&place.table, Some(&place.column));
    match model.and_then(|model| model.field_of(&place.column)) {
        Some(field) => Some(field.unique),
        None => sources.relations.is_unique(&place.table, &place.column),
    }
}

/// The many-to-many relation that `model` was made for.
fn through<'s>(
    line: &Line<'s>,
    model: Option<&Model>,
) -> Option<(&'s Model, &'s Field, &'s Relation)> {
    let model = model?;
    let declaring = line
        .sources
        .models
        .labelled(model.auto_created_by.as_deref()?)?;
    declaring.fields.iter().find_map(|field| {
        let relation = field.relation.as_ref()?;
        let is = relation.kind == RelationKind::ManyToMany
            && relation
                .through
                .as_ref()
                .is_some_and(|through| through.model == model.label);
        is.then_some((declaring, field, relation))
    })
}

/// A variable for one object of the model: `product`.
fn variable(model: &Model) -> String {
    model.name().to_lowercase()
}
