"""What Django's ``_meta`` says about every installed model, as plain data.

Only names and flags are read: no query is sent and no row is seen.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import django
from django.apps import apps
from django.db.models import Field, ManyToManyField, Model
from django.db.models.fields.related import ForeignObject, OneToOneField

from django_pgprism import __version__

# Goes up with every change that an older reader would misunderstand; new keys alone do not.
VERSION = 1

RelationKind = Literal[
    "many_to_one", "one_to_one", "many_to_many", "generic_foreign_key", "generic_relation"
]


class Through(TypedDict):
    """The table between the two sides of a many-to-many relation."""

    model: str
    db_schema: str | None
    db_table: str
    from_column: str
    to_column: str


class Relation(TypedDict):
    """Where a field leads to, and what the way back is called."""

    kind: RelationKind
    # Label of the model at the other end; None for a generic foreign key, which may lead anywhere.
    to: str | None
    to_schema: str | None
    to_table: str | None
    # Columns on this side and, in the same order, those they hold the values of. For many_to_many the column of this
    # model and the one of the other that the through table refers to.
    from_columns: list[str]
    to_columns: list[str]
    # Name of the attribute at the other end that leads back; None where there is none (related_name="+").
    accessor: str | None
    # Its name in filter() and values(): related_query_name.
    query_name: str | None
    through: Through | None
    # Generic relations: the column that holds the content type, on the table that holds the object's id too.
    content_type_column: str | None


class MappedField(TypedDict):
    """A field that the model itself declares (or takes over from an abstract parent)."""

    name: str
    attname: str
    # None where the field has no column of its own: many-to-many, generic, composite primary key.
    column: str | None
    primary_key: bool
    # One column alone is unique: the primary key, unique=True, a unique constraint without condition.
    unique: bool
    null: bool
    relation: Relation | None


class Parent(TypedDict):
    """A parent in multi-table inheritance."""

    to: str
    # The field that links to it; its accessor is at the parent, under this model's name.
    field: str


class MappedModel(TypedDict):
    """One model."""

    label: str
    # Both as PostgreSQL knows them, without quotes. db_schema is None where db_table names none.
    db_schema: str | None
    db_table: str
    pk_columns: list[str]
    # The model whose table it shares, for a proxy.
    proxy_for: str | None
    parents: list[Parent]
    managed: bool
    # The model that a many-to-many relation made this one for.
    auto_created_by: str | None
    # The model that stands in its place (AUTH_USER_MODEL); its table does not exist.
    swapped_by: str | None
    # Name of the default manager: "objects" unless the model says otherwise.
    manager: str | None
    fields: list[MappedField]


class ModelMap(TypedDict):
    """The whole file."""

    version: int
    generator: str
    django: str
    models: list[MappedModel]


def model_map() -> ModelMap:
    """Map all installed models, sorted by label. Django has to be set up."""
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    return {
        "version": VERSION,
        "generator": f"django_pgprism {__version__}",
        "django": django.get_version(),
        "models": sorted((_model(model) for model in models), key=lambda model: model["label"]),
    }


def _model(model: type[Model]) -> MappedModel:
    meta = model._meta
    schema, table = split_table(meta.db_table)
    constrained = {
        constraint.fields[0] for constraint in meta.total_unique_constraints if len(constraint.fields) == 1
    } | {names[0] for names in meta.unique_together if len(names) == 1}
    fields: list[MappedField] = []
    if not meta.swapped:
        # local_* and private_fields are what this model adds to its parents: abstract ones have no table and count as
        # its own, all others (and a proxy's original) are models of this list themselves.
        own = [*meta.local_fields, *meta.local_many_to_many]
        own += [field for field in meta.private_fields if _is_own(field, model)]
        fields = [_field(field, constrained) for field in own]
    return {
        "label": meta.label,
        "db_schema": schema,
        "db_table": table,
        "pk_columns": _pk_columns(model),
        "proxy_for": meta.concrete_model._meta.label if meta.proxy else None,
        "parents": [
            {"to": parent._meta.label, "field": link.name}
            for parent, link in meta.parents.items()
            if link is not None and not meta.proxy and link.model is model
        ],
        "managed": meta.managed,
        "auto_created_by": meta.auto_created._meta.label if meta.auto_created else None,
        "swapped_by": meta.swapped or None,
        "manager": meta.default_manager.name if meta.default_manager and not meta.swapped else None,
        "fields": fields,
    }


def _is_own(field: Any, model: type[Model]) -> bool:
    """Private fields are copied to children too; there they belong to the parent's table."""
    return not any(
        field.name == other.name
        for parent in model._meta.get_parent_list()
        for other in parent._meta.private_fields
    )


def _pk_columns(model: type[Model]) -> list[str]:
    # CompositePrimaryKey (Django 5.2) has no column but the fields it is made of.
    fields = getattr(model._meta, "pk_fields", None) or [model._meta.pk]
    return [field.column for field in fields if field is not None and field.column]


def _field(field: Any, constrained: set[str]) -> MappedField:
    is_plain = isinstance(field, Field)
    # Before Django 6.1 a ManyToManyField says that it had a column of its own name.
    column = field.column if is_plain and not isinstance(field, ManyToManyField) else None
    return {
        "name": field.name,
        "attname": getattr(field, "attname", field.name),
        "column": column,
        "primary_key": bool(is_plain and field.primary_key),
        "unique": bool(is_plain and column and (field.unique or field.name in constrained)),
        "null": bool(getattr(field, "null", False)),
        "relation": _relation(field),
    }


def _relation(field: Any) -> Relation | None:
    # The generic two are told by what they carry: their classes can only be imported where contenttypes is installed.
    # GenericRelation is a ForeignObject too, so it comes first.
    if hasattr(field, "object_id_field_name"):
        return _generic_relation(field)
    if hasattr(field, "ct_field"):
        return _generic_foreign_key(field)
    if isinstance(field, ManyToManyField):
        return _many_to_many(field)
    if isinstance(field, ForeignObject):
        return _foreign(field)
    return None


def _foreign(field: Any) -> Relation:
    pairs = field.related_fields
    schema, table = split_table(field.related_model._meta.db_table)
    return {
        "kind": "one_to_one" if isinstance(field, OneToOneField) else "many_to_one",
        "to": field.related_model._meta.label,
        "to_schema": schema,
        "to_table": table,
        "from_columns": [local.column for local, _ in pairs],
        "to_columns": [target.column for _, target in pairs],
        **_way_back(field),
        "through": None,
        "content_type_column": None,
    }


def _many_to_many(field: Any) -> Relation:
    through = field.remote_field.through
    schema, table = split_table(field.related_model._meta.db_table)
    through_schema, through_table = split_table(field.m2m_db_table())
    from_field = through._meta.get_field(field.m2m_field_name())
    to_field = through._meta.get_field(field.m2m_reverse_field_name())
    return {
        "kind": "many_to_many",
        "to": field.related_model._meta.label,
        "to_schema": schema,
        "to_table": table,
        "from_columns": [target.column for _, target in from_field.related_fields],
        "to_columns": [target.column for _, target in to_field.related_fields],
        **_way_back(field),
        "through": {
            "model": through._meta.label,
            "db_schema": through_schema,
            "db_table": through_table,
            "from_column": field.m2m_column_name(),
            "to_column": field.m2m_reverse_name(),
        },
        "content_type_column": None,
    }


def _generic_relation(field: Any) -> Relation:
    other = field.related_model._meta
    schema, table = split_table(other.db_table)
    return {
        "kind": "generic_relation",
        "to": other.label,
        "to_schema": schema,
        "to_table": table,
        "from_columns": [field.model._meta.pk.column] if field.model._meta.pk.column else [],
        "to_columns": [other.get_field(field.object_id_field_name).column],
        "accessor": None,
        "query_name": None if field.remote_field.hidden else field.related_query_name(),
        "through": None,
        "content_type_column": other.get_field(field.content_type_field_name).column,
    }


def _generic_foreign_key(field: Any) -> Relation:
    meta = field.model._meta
    return {
        "kind": "generic_foreign_key",
        "to": None,
        "to_schema": None,
        "to_table": None,
        "from_columns": [meta.get_field(field.fk_field).column],
        "to_columns": [],
        "accessor": None,
        "query_name": None,
        "through": None,
        "content_type_column": meta.get_field(field.ct_field).column,
    }


class _WayBack(TypedDict):
    accessor: str | None
    query_name: str | None


def _way_back(field: Any) -> _WayBack:
    rel = field.remote_field
    if rel.hidden:
        return {"accessor": None, "query_name": None}
    return {"accessor": rel.get_accessor_name(), "query_name": field.related_query_name()}


def split_table(db_table: str) -> tuple[str | None, str]:
    """Schema and table of a ``db_table``, as PostgreSQL reads it once Django has quoted it.

    Django puts quotes around the whole unless it begins and ends with one, so ``sales"."order`` names a schema, as does
    ``"sales"."order"``, while ``sales.order`` is one name with a dot in it.

    >>> split_table('sales"."order'), split_table('sales.order')
    (('sales', 'order'), (None, 'sales.order'))
    """
    quoted = (
        db_table if db_table.startswith('"') and db_table.endswith('"') and db_table != '"' else f'"{db_table}"'
    )
    names: list[str] = []
    rest = quoted
    while rest.startswith('"'):
        name, end = "", 1
        while end < len(rest):
            if rest[end] != '"':
                name, end = name + rest[end], end + 1
            elif rest[end + 1 : end + 2] == '"':
                name, end = name + '"', end + 2
            else:
                break
        names.append(name)
        rest = rest[end + 1 :].removeprefix(".")
    return (names[-2] if len(names) > 1 else None), names[-1]
