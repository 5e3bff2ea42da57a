"""A university: text, uuid and integer keys, inheritance over tables, a legacy schema, a through model with fields."""
