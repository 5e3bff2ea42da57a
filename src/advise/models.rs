//! The model map: what `python -m django_pgprism models` wrote, and look-ups in it by table and column.
//!
//! The file is described in `docs/models.md`. Keys that this version does not know are passed over.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The version of the file that is read here.
pub const VERSION: u64 = 1;
/// Largest file that is read. A thousand models of thirty fields are 10 MiB.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a model map cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ModelsError {
    #[error("{path}: {source}", path = path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: more than {FILE_BYTES_MAX} bytes, which no model map has", path = path.display())]
    TooLarge { path: PathBuf },
    #[error("{path}: {at}: {reason}", path = path.display())]
    Malformed {
        path: PathBuf,
        /// Where in the JSON: `models[3].fields[0].relation.kind`.
        at: String,
        reason: serde_json::Error,
    },
    #[error(
        "{path}: version: it is {found}, and this pgprism reads {VERSION}; write it with the django_pgprism of the same release",
        path = path.display()
    )]
    Version { path: PathBuf, found: u64 },
}

/// The models of a project. Empty where no map was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Models {
    models: Vec<Model>,
    by_table: HashMap<String, Vec<usize>>,
    by_label: HashMap<String, usize>,
}

/// One model, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "docs/models.md describes them")]
pub struct Model {
    pub label: String,
    pub db_schema: Option<String>,
    pub db_table: String,
    pub pk_columns: Vec<String>,
    pub proxy_for: Option<String>,
    pub parents: Vec<Parent>,
    pub managed: bool,
    pub auto_created_by: Option<String>,
    pub swapped_by: Option<String>,
    pub manager: Option<String>,
    pub fields: Vec<Field>,
}

/// A parent in multi-table inheritance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "docs/models.md describes them")]
pub struct Parent {
    pub to: String,
    pub field: String,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "docs/models.md describes them")]
pub struct Field {
    pub name: String,
    pub attname: String,
    pub column: Option<String>,
    pub primary_key: bool,
    pub unique: bool,
    pub null: bool,
    pub relation: Option<Relation>,
}

/// Where a field leads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "docs/models.md describes them")]
pub struct Relation {
    pub kind: RelationKind,
    pub to: Option<String>,
    pub to_schema: Option<String>,
    pub to_table: Option<String>,
    pub from_columns: Vec<String>,
    pub to_columns: Vec<String>,
    pub accessor: Option<String>,
    pub query_name: Option<String>,
    pub through: Option<Through>,
    pub content_type_column: Option<String>,
}

/// What Django calls a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "Django's names")]
pub enum RelationKind {
    ManyToOne,
    OneToOne,
    ManyToMany,
    GenericForeignKey,
    GenericRelation,
}

/// The table between the two sides of a many-to-many relation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "docs/models.md describes them")]
pub struct Through {
    pub model: String,
    pub db_schema: Option<String>,
    pub db_table: String,
    pub from_column: String,
    pub to_column: String,
}

impl Through {
    /// Whether it is `table`, which may be qualified or not.
    pub fn is(&self, table: &str) -> bool {
        names(self.db_schema.as_deref(), &self.db_table, table)
    }
}

impl Model {
    /// `OrderItem` of `shop.OrderItem`.
    pub fn name(&self) -> &str {
        self.label
            .rsplit_once('.')
            .map_or(&*self.label, |(_, name)| name)
    }

    /// `OrderItem.objects`, by the name of its default manager.
    pub fn queryset(&self) -> String {
        let manager = self.manager.as_deref().unwrap_or("_default_manager");
        format!("{}.{manager}", self.name())
    }

    /// The field of `column`, not one of a parent.
    pub fn field_of(&self, column: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.column.as_deref() == Some(column))
    }

    /// Whether `column` alone is the primary key.
    pub fn is_primary_key(&self, column: &str) -> bool {
        matches!(&*self.pk_columns, [only] if only == column)
    }

    /// Whether its table is `table`, which may be qualified or not.
    pub fn is(&self, table: &str) -> bool {
        names(self.db_schema.as_deref(), &self.db_table, table)
    }

    fn has_table(&self) -> bool {
        self.proxy_for.is_none() && self.swapped_by.is_none()
    }
}

#[derive(Deserialize)]
struct MapFile {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

impl Models {
    /// Reads the file that `python -m django_pgprism models` wrote.
    pub fn read(path: &Path) -> Result<Models, ModelsError> {
        let unreadable = |source| ModelsError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(ModelsError::TooLarge {
                path: path.to_owned(),
            });
        }
        Models::parse(path, &bytes)
    }

    /// Reads the bytes of such a file; `path` is what errors call it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Models, ModelsError> {
        // The version comes first: a later file may have another shape.
        let VersionOnly { version } = json(path, bytes)?;
        if version != VERSION {
            return Err(ModelsError::Version {
                path: path.to_owned(),
                found: version,
            });
        }
        let MapFile { models } = json(path, bytes)?;
        Ok(Models::new(models))
    }

    fn new(models: Vec<Model>) -> Models {
        let mut by_table: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_label = HashMap::new();
        for (index, model) in models.iter().enumerate() {
            by_label.insert(model.label.clone(), index);
            if !model.has_table() {
                continue;
            }
            if let Some(schema) = &model.db_schema {
                let qualified = format!("{schema}.{}", model.db_table);
                by_table.entry(qualified).or_default().push(index);
            }
            by_table
                .entry(model.db_table.clone())
                .or_default()
                .push(index);
        }
        // Of several models on one table, the one that Django made it for is meant first.
        for indexes in by_table.values_mut() {
            indexes.sort_by_key(|&index| !models[index].managed);
        }
        Models {
            models,
            by_table,
            by_label,
        }
    }

    /// Whether there is no map.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// How many models it has.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    /// The model of this label, `shop.OrderItem`.
    pub fn labelled(&self, label: &str) -> Option<&Model> {
        self.by_label.get(label).map(|&index| &self.models[index])
    }

    /// The model whose table this is, `table` or `schema.table`.
    ///
    /// Not a proxy and not a swapped one. Of several, the first managed one that has `column`.
    pub fn of_table(&self, table: &str, column: Option<&str>) -> Option<&Model> {
        let found = self.by_table.get(table).or_else(|| {
            // The map names no schema where the search path decides, but a statement may.
            let (_, bare) = table.rsplit_once('.')?;
            self.by_table.get(bare)
        })?;
        let mut models = found.iter().map(|&index| &self.models[index]);
        let has = |model: &&Model| column.is_none_or(|column| model.field_of(column).is_some());
        models.clone().find(has).or_else(|| models.next())
    }

    /// The model itself, or the one that a proxy stands for.
    pub fn concrete<'m>(&'m self, model: &'m Model) -> &'m Model {
        let original = model.proxy_for.as_deref();
        original
            .and_then(|label| self.labelled(label))
            .unwrap_or(model)
    }

    /// Whether one is the other, or its ancestor in multi-table inheritance: they share a primary key's values.
    pub fn are_kin(&self, one: &Model, other: &Model) -> bool {
        let (one, other) = (self.concrete(one), self.concrete(other));
        one.label == other.label || self.descends(one, other) || self.descends(other, one)
    }

    /// Whether `child` inherits, over any number of tables, from `ancestor`.
    pub fn descends(&self, child: &Model, ancestor: &Model) -> bool {
        // Django allows no cycle, a file might.
        let mut waiting: Vec<&Model> = vec![self.concrete(child)];
        for _ in 0..self.models.len() {
            let Some(model) = waiting.pop() else {
                return false;
            };
            for parent in &model.parents {
                let Some(parent) = self.labelled(&parent.to) else {
                    continue;
                };
                let parent = self.concrete(parent);
                if parent.label == ancestor.label {
                    return true;
                }
                waiting.push(parent);
            }
        }
        false
    }
}

fn json<'b, T: Deserialize<'b>>(path: &Path, bytes: &'b [u8]) -> Result<T, ModelsError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let malformed = |at: String, reason| ModelsError::Malformed {
        path: path.to_owned(),
        at,
        reason,
    };
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let at = match error.path().to_string() {
            whole if whole == "." => "the file".to_owned(),
            at => at,
        };
        malformed(at, error.into_inner())
    })?;
    reader
        .end()
        .map_err(|error| malformed("the file".to_owned(), error))?;
    Ok(value)
}

/// Whether `table`, as a statement names it, is this schema's and this table's name.
fn names(schema: Option<&str>, own: &str, table: &str) -> bool {
    if own == table {
        return true;
    }
    match (schema, table.strip_suffix(own)) {
        (Some(schema), Some(before)) => before.strip_suffix('.') == Some(schema),
        // Without a schema in the map the search path decides, so any may be meant.
        (None, Some(before)) => before.ends_with('.'),
        (_, None) => false,
    }
}
