//! The lines for queries in a loop.

use super::line::{Line, Use};
use super::path::{Name, Path, Reach, Step};
use super::{Case, Condition, FirstRows, Operation, Place, Words};

/// How many rows Django reads ahead of a prefetch in `.iterator()`: the default that it had while there was one.
const CHUNK_SIZE: u32 = 2000;

/// A relation that is followed row by row.
pub(super) fn relation(case: &Case, line: &mut Line<'_>) -> Words {
    let Some(mut path) = Path::of(case, line.sources) else {
        return lookups(case, line);
    };
    if !path.rooted {
        line.complete = false;
    }
    if path.steps().any(|step| step.reach == Reach::Hidden) {
        return hidden(case, line);
    }
    if case.joined_already {
        // These rows are there. What is asked for is the next one on a way of equal keys, or what is there.
        match line.sources.self_reference(target(&path)) {
            Some(step) => path.last.push(step),
            None => return there_already(case, line, &path),
        }
    }
    let target = target(&path);
    let (root, to) = (line.called(&path.root), line.called(target));
    let narrowing = narrowing(case, &path);
    let is_first = matches!(case.operation, Operation::First { .. });
    if narrowing.is_empty() && !is_first {
        let joined = path.steps().all(|step| step.reach == Reach::One);
        let names = line.path(path.steps(), Use::Attribute);
        let (method, title) = if joined {
            (
                format!("select_related({names})"),
                format!("Join {to} in the query that reads {root}"),
            )
        } else {
            (
                format!("prefetch_related({names})"),
                format!("Read {to} for all rows of {root} in one further query"),
            )
        };
        return Words {
            title,
            django: on_rows(case, line, &path.root, &method, joined),
        };
    }
    let inner = narrowed(case, line, target, &narrowing);
    let last = path.last.last().and_then(|step| step.accessor.word());
    let to_attr = match (last, is_first) {
        (Some(name), true) => format!("first_of_{name}"),
        (Some(name), false) => format!("some_{name}"),
        (_, true) => "first_of_them".to_owned(),
        (_, false) => "some_of_them".to_owned(),
    };
    let names = line.path(path.steps(), Use::Attribute);
    let method =
        format!("prefetch_related(Prefetch({names}, queryset={inner}, to_attr=\"{to_attr}\"))");
    let what = if is_first { "the first" } else { "those" };
    Words {
        title: format!(
            "Read {what} of {to} for all rows of {root} in one further query, and take them from {to_attr}"
        ),
        django: on_rows(case, line, &path.root, &method, false),
    }
}

/// The parent's query reads the child's rows already.
fn there_already(case: &Case, line: &mut Line<'_>, path: &Path) -> Words {
    let (root, to) = (line.called(&path.root), line.called(target(path)));
    let names = line.path(path.steps(), Use::Attribute);
    let further = case.child.as_ref().map(|child| &*child.table);
    // With the map, no relation of the far end leads to itself.
    if line.sources.model(target(path)).is_none() {
        let table = further.unwrap_or("the table");
        let key = line.name(&Name::Open(format!(
            "a foreign key of {table} to itself, if the loop follows one"
        )));
        let names = names.trim_matches('"');
        return Words {
            title: format!("Use the {to} that the query of {root} reads, or join the next one too"),
            django: line.on_queryset(
                &path.root,
                &format!("select_related(\"{names}__{key}\")"),
                &[],
            ),
        };
    }
    Words {
        title: format!("Use the {to} that the query of {root} reads"),
        django: format!(
            "# in the loop: use {names} of the rows of {root}, whose query reads {to} already"
        ),
    }
}

/// `count()`, `exists()` or an aggregate for each row.
pub(super) fn aggregate(case: &Case, line: &mut Line<'_>) -> Words {
    let Some(path) = Path::of(case, line.sources) else {
        return grouped(case, line);
    };
    if !path.rooted {
        line.complete = false;
    }
    if path.steps().any(|step| step.reach == Reach::Hidden) {
        return grouped(case, line);
    }
    let to = line.called(target(&path));
    // Over rows of its own a loop reads from objects, so the figure has to be on those objects.
    let own_rows = path
        .prefix
        .iter()
        .any(|step| matches!(step.reach, Reach::Many | Reach::OneOfAnyModel));
    let (inner_table, before): (&str, &[Step]) = if own_rows {
        let table = path.prefix.last().map_or(&*path.root, |step| &*step.to);
        (table, &[])
    } else {
        (&path.root, &path.prefix)
    };
    let annotation = annotation(case, line, &path, before, inner_table);
    let root = line.called(inner_table);
    let django = if own_rows {
        let names = line.path(path.prefix.iter(), Use::Attribute);
        let queryset = line.queryset(inner_table);
        let method = format!(
            "prefetch_related(Prefetch({names}, queryset={queryset}.annotate({annotation})))"
        );
        on_rows(case, line, &path.root, &method, false)
    } else {
        on_rows(
            case,
            line,
            &path.root,
            &format!("annotate({annotation})"),
            true,
        )
    };
    let doing = match &case.operation {
        Operation::Count => format!("Count {to}"),
        Operation::Exists => format!("Ask whether there is any of {to}"),
        Operation::Aggregate(..) => format!("Work out the figure over {to}"),
        Operation::Rows | Operation::One | Operation::First { .. } => format!("Read {to}"),
    };
    Words {
        title: format!("{doing} in the query that reads {root}"),
        django,
    }
}

/// `items_count=Count("items")`.
fn annotation(
    case: &Case,
    line: &mut Line<'_>,
    path: &Path,
    before: &[Step],
    root: &str,
) -> String {
    let conditions = narrowing(case, path);
    let target = target(path).to_owned();
    let last = path.last.last().and_then(|step| step.query.word());
    let last = last.map(str::to_owned);
    let names = || before.iter().chain(&path.last);
    let field =
        |line: &mut Line<'_>, column: &str| line.lookup(&Place::new(target.clone(), column));
    let (function, column) = match &case.operation {
        Operation::Aggregate(function, column) => (function_name(function), column.clone()),
        _ => ("Count".to_owned(), None),
    };
    let exists = case.operation == Operation::Exists;
    let is_count = function == "Count";
    // Two joins to many multiply each other's rows; only Count can say distinct without changing its meaning.
    if exists || (case.siblings && !is_count) {
        let all: Vec<&Condition> = case.conditions.iter().collect();
        let back = path.last.last().map(|step| step.back.clone());
        let back = back.map_or_else(|| "pk".to_owned(), |back| line.name(&back));
        let outer = outer_reference(case, line, before);
        let own = line.conditions(&all, &case.child_from, &target, "");
        let and = if own.is_empty() { "" } else { ", " };
        let queryset = line.queryset(&target);
        let rows = format!("{queryset}.filter({back}=OuterRef(\"{outer}\"){and}{own})");
        if exists {
            let alias = free(
                line,
                root,
                last.map_or("has_any".to_owned(), |it| format!("has_{it}")),
            );
            return format!("{alias}=Exists({rows})");
        }
        let column = column.map_or_else(|| "pk".to_owned(), |column| field(line, &column));
        let alias = free(line, root, format!("{column}_{}", function.to_lowercase()));
        return format!(
            "{alias}=Subquery({rows}.values(\"{back}\").annotate(it={function}(\"{column}\")).values(\"it\"))"
        );
    }
    let column = column.map(|column| field(line, &column));
    let over = match &column {
        None => line.path(names(), Use::Query),
        Some(end) => {
            let path = line.path(names(), Use::Query);
            match path.strip_suffix('"') {
                Some(path) => format!("{path}__{end}\""),
                None => format!("\"{path}__{end}\""),
            }
        }
    };
    let mut arguments = over;
    if !conditions.is_empty() {
        let path = line.path(names(), Use::Query);
        let before = format!("{}__", path.trim_matches('"'));
        let conditions = line.conditions(&conditions, &case.child_from, &target, &before);
        arguments.push_str(&format!(", filter=Q({conditions})"));
    }
    if case.siblings && is_count {
        arguments.push_str(", distinct=True");
    }
    let alias = match (column, last) {
        (None, Some(name)) => format!("{name}_{}", function.to_lowercase()),
        (Some(column), Some(name)) => format!("{name}_{column}_{}", function.to_lowercase()),
        (_, None) => function.to_lowercase(),
    };
    let alias = free(line, root, alias);
    format!("{alias}={function}({arguments})")
}

/// Django refuses an annotation with the name of a field.
fn free(line: &Line<'_>, table: &str, name: String) -> String {
    let taken = line
        .sources
        .model(table)
        .is_some_and(|model| model.fields.iter().any(|field| field.name == name));
    if taken { format!("{name}_") } else { name }
}

fn outer_reference(case: &Case, line: &mut Line<'_>, before: &[Step]) -> String {
    let own = case
        .parent
        .as_ref()
        .map_or_else(|| "pk".to_owned(), |parent| line.attribute(parent));
    if before.is_empty() {
        return own;
    }
    let path = line.path(before.iter(), Use::Query);
    format!("{}__{own}", path.trim_matches('"'))
}

/// The class in `django.db.models`.
fn function_name(function: &str) -> String {
    match function {
        "stddev_pop" | "stddev_samp" => "StdDev".to_owned(),
        "var_pop" | "var_samp" => "Variance".to_owned(),
        _ => {
            let words = function.split('_').map(|word| {
                let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
                first.to_uppercase() + rest
            });
            words.collect()
        }
    }
}

/// Columns, or whole rows, that are read again.
pub(super) fn deferred(case: &Case, line: &mut Line<'_>) -> Words {
    let table = case.child.as_ref().map(|child| child.table.clone());
    let Some(table) = table.or_else(|| case.child_from.table.clone()) else {
        return lookups(case, line);
    };
    let called = line.called(&table);
    if case.columns.is_empty() {
        return Words {
            title: format!("Use the rows of {called} that were read"),
            django: format!(
                "# in the loop: no refresh_from_db() and no get(pk=...); the rows of {called} were complete when they were read"
            ),
        };
    }
    let names: Vec<String> = case
        .columns
        .iter()
        .map(|column| format!("\"{}\"", line.lookup(&Place::new(&*table, &**column))))
        .collect();
    let names = names.join(", ");
    Words {
        title: format!("Read {names} of {called} with the rows"),
        django: line.on_queryset(
            &table,
            &format!("only(..., {names})"),
            &[&format!("or take {names} out of defer()")],
        ),
    }
}

/// Look-ups by values that no relation explains.
pub(super) fn lookups(case: &Case, line: &mut Line<'_>) -> Words {
    if matches!(
        case.operation,
        Operation::Count | Operation::Exists | Operation::Aggregate(..)
    ) {
        return grouped(case, line);
    }
    let Some(child) = &case.child else {
        return Words {
            title: "Ask for all rows at once".to_owned(),
            django: {
                line.complete = false;
                "filter(<the field that the loop looks up by>__in=[...])".to_owned()
            },
        };
    };
    let table = case.child_from.table.as_deref().unwrap_or(&child.table);
    let called = line.called(table);
    let name = line.lookup(child);
    let own: Vec<&Condition> = case.conditions.iter().collect();
    let conditions = line.conditions(&own, &case.child_from, table, "");
    let and = if conditions.is_empty() { "" } else { ", " };
    let in_table = child.table == table;
    let method = if !in_table {
        let place = Name::Open(format!("the look-up that leads to {child}"));
        let name = line.name(&place);
        format!("filter({name}__in=[...]{and}{conditions})")
    } else if name == "pk" && conditions.is_empty() {
        "in_bulk([...])".to_owned()
    } else {
        format!("filter({name}__in=[...]{and}{conditions})")
    };
    Words {
        title: format!("Look up all of {called} at once, before the loop"),
        django: line.on_manager(table, &method, &[]),
    }
}

/// Counts by values that no relation explains: one query that groups.
fn grouped(case: &Case, line: &mut Line<'_>) -> Words {
    let Some(child) = &case.child else {
        return Words {
            title: "Ask for all figures at once".to_owned(),
            django: {
                line.complete = false;
                "values(<the field that the loop counts by>).annotate(count=Count(\"pk\"))"
                    .to_owned()
            },
        };
    };
    let table = case.child_from.table.as_deref().unwrap_or(&child.table);
    let called = line.called(table);
    let name = line.lookup(child);
    let own: Vec<&Condition> = case.conditions.iter().collect();
    let conditions = line.conditions(&own, &case.child_from, table, "");
    let and = if conditions.is_empty() { "" } else { ", " };
    let figure = match &case.operation {
        Operation::Aggregate(function, Some(column)) => {
            let column_name = line.lookup(&Place::new(table, &**column));
            format!(
                "{}={}(\"{column_name}\")",
                function.to_lowercase(),
                function_name(function)
            )
        }
        _ => "count=Count(\"pk\")".to_owned(),
    };
    let method =
        format!("filter({name}__in=[...]{and}{conditions}).values(\"{name}\").annotate({figure})");
    Words {
        title: format!("Ask for all figures over {called} at once, before the loop"),
        django: line.on_manager(table, &method, &[]),
    }
}

/// A relation without a way back: its own side can still be asked for all rows at once.
fn hidden(case: &Case, line: &mut Line<'_>) -> Words {
    let mut words = lookups(case, line);
    if let Some(child) = &case.child {
        let called = line.called(&child.table);
        words.title = format!(
            "Read all of {called} at once and group them in Python: its related_name \"+\" leaves no way back to prefetch"
        );
    }
    words
}

/// The same statement with the same values.
pub(super) fn duplicate(case: &Case, line: &Line<'_>) -> Words {
    let table = case.child_from.table.as_deref();
    let table = table.or(case.child.as_ref().map(|child| &*child.table));
    let called = table.map_or_else(|| "this".to_owned(), |table| line.called(table));
    let keep = match case.operation {
        Operation::Count | Operation::Exists | Operation::Aggregate(..) => "the figure",
        Operation::Rows | Operation::First { .. } => "the rows, as list(queryset),",
        Operation::One => "the object",
    };
    Words {
        title: format!("Ask {called} once and keep the answer"),
        django: format!(
            "# keep {keep} in a variable or a functools.cached_property and pass it on"
        ),
    }
}

/// A unit of more statements than the budget.
pub(super) fn chatty(case: &Case) -> Words {
    let most = case.child_from.table.as_deref();
    let most = most.or(case.child.as_ref().map(|child| &*child.table));
    Words {
        title: "Look at what this unit of work asks for".to_owned(),
        django: match most {
            Some(table) => format!(
                "# its timeline is in /api/v1/units/ID; the shape that repeats most reads {table}"
            ),
            None => "# its timeline is in /api/v1/units/ID: begin with the shapes that repeat most"
                .to_owned(),
        },
    }
}

/// The method on the rows' own queryset, with the chunks that a prefetch needs when a cursor reads them.
fn on_rows(case: &Case, line: &Line<'_>, table: &str, method: &str, joined: bool) -> String {
    let method = match (case.cursor, joined) {
        (false, _) => method.to_owned(),
        (true, true) => format!("{method}.iterator()"),
        (true, false) => format!("{method}.iterator(chunk_size={CHUNK_SIZE})"),
    };
    line.on_queryset(table, &method, &[])
}

/// The table that the path ends in.
fn target(path: &Path) -> &str {
    path.last.last().map_or(&*path.root, |step| &*step.to)
}

/// The conditions that a relation does not bring itself.
fn narrowing<'c>(case: &'c Case, path: &Path) -> Vec<&'c Condition> {
    let content_type = path
        .last
        .last()
        .and_then(|step| step.content_type.as_deref());
    case.conditions
        .iter()
        .filter(|condition| Some(&*condition.column) != content_type)
        .collect()
}

/// The queryset of the loop without its condition on the parent.
fn narrowed(case: &Case, line: &mut Line<'_>, table: &str, conditions: &[&Condition]) -> String {
    let mut queryset = line.queryset(table);
    if !conditions.is_empty() {
        let conditions = line.conditions(conditions, &case.child_from, table, "");
        queryset.push_str(&format!(".filter({conditions})"));
    }
    if let Operation::First { ordering, rows } = &case.operation {
        if !ordering.is_empty() {
            let order = line.order(ordering, table);
            queryset.push_str(&format!(".order_by({order})"));
        } else if conditions.is_empty() {
            queryset.push_str(".all()");
        }
        queryset.push_str(match rows {
            FirstRows::One => "[:1]",
            FirstRows::Several => "[:...]",
        });
    }
    queryset
}
