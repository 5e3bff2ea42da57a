"""Its newspaper and its conference: slugs, generic relations, trees, JSON, and tables that only writers use."""
