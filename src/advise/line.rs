//! The pieces that a Django line is put together from, and whether all their names are known.

use super::path::{Name, Sources, Step};
use super::{Condition, From, Place};

/// Puts a line together, and remembers whether a name in it was open.
#[derive(Debug)]
pub(super) struct Line<'s> {
    pub(super) sources: Sources<'s>,
    pub(super) complete: bool,
    /// What names were taken from by convention.
    from: Vec<String>,
}

/// Which of a step's names is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// In `select_related`, `prefetch_related`, as an attribute.
    Attribute,
    /// In `filter`, `annotate`.
    Query,
}

impl<'s> Line<'s> {
    pub(super) fn new(sources: Sources<'s>) -> Line<'s> {
        Line {
            sources,
            complete: true,
            from: Vec::new(),
        }
    }

    /// The name, or in angle brackets what it is the name of.
    pub(super) fn name(&mut self, name: &Name) -> String {
        match name {
            Name::Known(name) => name.clone(),
            Name::ByConvention { name, from } => {
                if !self.from.contains(from) {
                    self.from.push(from.clone());
                }
                name.clone()
            }
            Name::Open(what) => {
                self.complete = false;
                format!("<{what}>")
            }
        }
    }

    /// `"items__product"`, or `<the reverse accessor of …>` where that alone is the path.
    pub(super) fn path<'p>(&mut self, steps: impl Iterator<Item = &'p Step>, used: Use) -> String {
        let names: Vec<&Name> = steps
            .map(|step| match used {
                Use::Attribute => &step.accessor,
                Use::Query => &step.query,
            })
            .collect();
        match &*names {
            [open @ Name::Open(_)] => self.name(open),
            names => {
                let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
                format!("\"{}\"", names.join("__"))
            }
        }
    }

    /// What people call the table: its model's name, else the table's.
    pub(super) fn called(&self, table: &str) -> String {
        self.sources
            .model(table)
            .map_or_else(|| table.to_owned(), |model| model.name().to_owned())
    }

    /// `OrderItem.objects`.
    pub(super) fn queryset(&mut self, table: &str) -> String {
        match self.sources.model(table) {
            Some(model) => model.queryset(),
            None => {
                self.complete = false;
                format!("<the model of {table}>.objects")
            }
        }
    }

    /// `OrderItem.objects.method`, or the method and the table whose queryset it belongs to.
    pub(super) fn on_queryset(&self, table: &str, method: &str, notes: &[&str]) -> String {
        self.on(
            table,
            method,
            &format!("on the queryset that reads {table}"),
            notes,
        )
    }

    /// The same for what begins at a manager: writes, and look-ups that replace those of the loop.
    pub(super) fn on_manager(&self, table: &str, method: &str, notes: &[&str]) -> String {
        self.on(
            table,
            method,
            &format!("on the manager of the model of {table}"),
            notes,
        )
    }

    fn on(&self, table: &str, method: &str, place: &str, notes: &[&str]) -> String {
        let (code, mut comments) = match self.sources.model(table) {
            Some(model) => (format!("{}.{method}", model.queryset()), Vec::new()),
            None => (method.to_owned(), vec![place.to_owned()]),
        };
        comments.extend(notes.iter().map(|note| (*note).to_owned()));
        if !self.from.is_empty() {
            comments.push(format!("by convention from {}", self.from.join(", ")));
        }
        if comments.is_empty() {
            return code;
        }
        format!("{code}  # {}", comments.join("; "))
    }

    /// The name in a look-up: `pk`, a field's name, or by convention the column's, which is its attribute too.
    pub(super) fn lookup(&mut self, place: &Place) -> String {
        let model = self
            .sources
            .models
            .of_table(&place.table, Some(&place.column));
        let Some(model) = model else {
            let key = self.sources.relations.primary_key(&place.table);
            let is_key = key.map_or(place.column == "id", |key| key == [place.column.clone()]);
            return if is_key {
                "pk".to_owned()
            } else {
                self.name(&Name::ByConvention {
                    name: place.column.clone(),
                    from: place.to_string(),
                })
            };
        };
        if model.is_primary_key(&place.column) {
            return "pk".to_owned();
        }
        match model.field_of(&place.column) {
            Some(field) => field.name.clone(),
            None => self.name(&Name::Open(format!("the field with the column {place}"))),
        }
    }

    /// The attribute that holds the column's own value: `customer_id`.
    pub(super) fn attribute(&mut self, place: &Place) -> String {
        let models = self.sources.models;
        let field = models
            .of_table(&place.table, Some(&place.column))
            .and_then(|model| model.field_of(&place.column));
        match field {
            Some(field) if !field.primary_key => field.attname.clone(),
            _ => self.lookup(place),
        }
    }

    /// `stars__gte=..., author=...`, each with `before` in front; the values are the loop's own.
    ///
    /// `from` is the loop's query, and `table` the one that the look-ups begin at.
    pub(super) fn conditions(
        &mut self,
        conditions: &[&Condition],
        from: &From,
        table: &str,
        before: &str,
    ) -> String {
        let words: Vec<String> = conditions
            .iter()
            .map(|condition| self.condition(condition, from, table, before))
            .collect();
        words.join(", ")
    }

    fn condition(
        &mut self,
        condition: &Condition,
        from: &From,
        table: &str,
        before: &str,
    ) -> String {
        let at = condition.table.as_deref().unwrap_or(table);
        let place = Place::new(at, &*condition.column);
        let suffix = match &*condition.operator {
            "=" => Some("=..."),
            ">" => Some("__gt=..."),
            ">=" => Some("__gte=..."),
            "<" => Some("__lt=..."),
            "<=" => Some("__lte=..."),
            "IN" => Some("__in=..."),
            "BETWEEN" => Some("__range=..."),
            "IS NULL" => Some("__isnull=True"),
            "IS NOT NULL" | "NOT IS NULL" => Some("__isnull=False"),
            // LIKE is contains, startswith and others; <> is an exclude(): the loop's code knows.
            _ => None,
        };
        // On a table that the query joins: over the relations that lead there.
        let way = self.sources.joined(table, at, &from.joins);
        match (suffix, way) {
            (Some(suffix), Some(way)) => {
                let names: Vec<String> = way.iter().map(|step| self.name(&step.query)).collect();
                let way: String = names.iter().map(|name| format!("{name}__")).collect();
                format!("{before}{way}{}{suffix}", self.lookup(&place))
            }
            _ => self.name(&Name::Open(format!("the loop's condition on {place}"))),
        }
    }

    /// `"-created_at", "pk"` of `shop_review.created_at DESC`, as ORDER BY writes it.
    pub(super) fn order(&mut self, ordering: &[String], table: &str) -> String {
        let words: Vec<String> = ordering
            .iter()
            .map(|item| {
                let (column, rest) = item.split_once(' ').unwrap_or((item, ""));
                let column = column.rsplit('.').next().unwrap_or(column);
                let column = column.trim_matches('"');
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                if column.is_empty() || !column.chars().all(is_name) || item.contains('(') {
                    return self.name(&Name::Open("the loop's order".to_owned()));
                }
                let descends = rest.to_ascii_uppercase().contains("DESC");
                let name = self.lookup(&Place::new(table, column));
                format!("\"{}{name}\"", if descends { "-" } else { "" })
            })
            .collect();
        words.join(", ")
    }
}
