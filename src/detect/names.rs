//! What the names of tables and columns say of each other, by Django's conventions.

use super::knowledge::Fit;

/// Last words of a table's name by which it may be called: a model's name has fewer, and a name of nothing but
/// underscores would be called a hundred things.
const WORDS_MAX: usize = 8;

/// What a foreign key's column is named after: `customer` for `customer_id`. A bare `id` is none.
pub(super) fn refers(column: &str) -> Option<&str> {
    let stem = column.strip_suffix("_id")?;
    // Model inheritance: `place_ptr_id` is the primary key of the child and names the parent.
    let stem = stem.strip_suffix("_ptr").unwrap_or(stem);
    (!stem.is_empty()).then_some(stem)
}

/// How well a column without `_id` does for a foreign key that refers to `column` of `table`: `supplier_code` names the
/// supplier's `code`; `current_ward` has a word in common with `hospital_ward_register`. `is_called` tells whether
/// `table` is called by a name.
pub(super) fn unsuffixed(
    key: &str,
    table: &str,
    column: &str,
    is_called: impl Fn(&str) -> bool,
) -> Fit {
    let stem = key
        .strip_suffix(column)
        .and_then(|rest| rest.strip_suffix('_'));
    if stem.is_some_and(|stem| is_called(&calling(stem))) || is_called(&calling(key)) {
        return Fit::Strong;
    }
    let table = table.rsplit('.').next().unwrap_or(table);
    // The first word of Django's table names is the app's: it says nothing. A shorter word is no name.
    let mut words = table.split('_').skip(usize::from(table.contains('_')));
    let shares = words.any(|word| word.len() >= 4 && key.split('_').any(|part| part == word));
    if shares { Fit::Formed } else { Fit::Weak }
}

/// A name as names are compared.
pub(super) fn calling(stem: &str) -> String {
    let mut name = String::with_capacity(stem.len());
    name.extend(stem.chars().filter(|letter| *letter != '_'));
    name.make_ascii_lowercase();
    name
}

/// What a foreign key that names `table` may be called: each end of its name, in the singular too.
pub(super) fn callings(table: &str) -> impl Iterator<Item = String> {
    let table = table.rsplit('.').next().unwrap_or(table);
    let parts: Vec<String> = table.split('_').map(str::to_ascii_lowercase).collect();
    (parts.len().saturating_sub(WORDS_MAX)..parts.len())
        .filter_map(move |first| Some(parts.get(first..)?.concat()))
        .filter(|name| !name.is_empty())
        .flat_map(|name| {
            let singular = |ending: &str, with: &str| {
                let stem = name.strip_suffix(ending).filter(|stem| stem.len() > 1)?;
                Some(format!("{stem}{with}"))
            };
            let forms = [
                singular("s", ""),
                singular("es", ""),
                singular("ies", "y"),
                Some(name.clone()),
            ];
            forms.into_iter().flatten()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_called_by_their_models() {
        // `shop_orderitem` for `order_item`, `customers` for `customer`.
        let is_called = |stem: &str, table: &str| callings(table).any(|name| name == calling(stem));
        assert!(is_called("order_item", "shop_orderitem"));
        assert!(is_called("order_item", "order_items"));
        assert!(is_called("category", "catalog.categories"));
        assert!(!is_called("item", "shop_orderitem"));
        assert!(is_called("user", "auth_user"));
        let callings = callings(&"as_".repeat(80)).count();
        assert!(callings <= 4 * WORDS_MAX, "{callings}");
        assert_eq!(refers("id"), None);
        assert_eq!(refers("_id"), None);
        assert_eq!(refers("place_ptr_id"), Some("place"));
    }
}
