"""One test of Oscar's own models: its source archive holds none."""

from __future__ import annotations

from django.test import TestCase
from oscar.core.loading import get_model


class Categories(TestCase):
    def test_a_tree_of_categories_is_read_as_it_was_made(self) -> None:
        category = get_model("catalogue", "Category")
        root = category.add_root(name="Books")
        for name in ("Poetry", "History", "Travel"):
            root.add_child(name=name)
        self.assertEqual([child.name for child in root.get_children()], ["Poetry", "History", "Travel"])
