//! What a normalised text says that [`Facts`](crate::sql::facts::Facts) leave out: what is selected, set and inserted.
//!
//! Reads the shapes that an ORM writes and passes over the rest: what it does not understand is left out.

/// A statement, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text {
    /// The first table of FROM, or the one that is written; `schema.table` where it is qualified.
    pub(super) table: Option<String>,
    /// What SELECT asks for.
    pub(super) selected: Vec<Selected>,
    /// What UPDATE sets.
    pub(super) sets: Vec<Assignment>,
    /// The columns of INSERT.
    pub(super) inserted: Vec<String>,
    /// INSERT has ON CONFLICT.
    pub(super) on_conflict: bool,
    /// SELECT locks its rows.
    pub(super) for_update: bool,
    /// The statement declares a cursor.
    pub(super) cursor: bool,
}

/// One expression of a SELECT list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selected {
    /// A column, with its table where the text says it.
    Column { table: Option<String>, name: String },
    /// A function of a column, or of none (`COUNT(*)`).
    Function {
        name: String,
        column: Option<String>,
    },
    /// A constant: `SELECT 1`.
    Constant,
    /// Anything else.
    Other,
}

/// `column = …` of an UPDATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) column: String,
    /// The new value is made of columns: `stock = stock - 1`.
    pub(super) computed: bool,
}

impl Text {
    /// Reads a normalised text.
    pub(super) fn read(normalized: &str) -> Text {
        let mut tokens = tokens(normalized);
        let mut text = Text::default();
        if tokens.first().is_some_and(|token| token.is("declare")) {
            text.cursor = true;
            let start = tokens.iter().position(|token| token.is("for"));
            tokens.drain(..start.map_or(tokens.len(), |start| start + 1));
        }
        match tokens.first() {
            Some(first) if first.is("select") => text.read_select(&tokens[1..]),
            Some(first) if first.is("update") => text.read_update(&tokens[1..]),
            Some(first) if first.is("insert") => text.read_insert(&tokens[1..]),
            Some(first) if first.is("delete") => {
                text.table = after(&tokens, "from").and_then(name_at);
            }
            _ => {}
        }
        text
    }

    /// The columns that are selected of `table`; those without a table in the text count too.
    pub(super) fn columns_of<'t>(&'t self, table: &'t str) -> impl Iterator<Item = &'t str> {
        self.selected.iter().filter_map(move |item| match item {
            Selected::Column { table: own, name } => own
                .as_deref()
                .is_none_or(|own| own == table)
                .then_some(&**name),
            Selected::Function { .. } | Selected::Constant | Selected::Other => None,
        })
    }

    fn read_select(&mut self, tokens: &[Token]) {
        let end = top_level(tokens, "from").unwrap_or(tokens.len());
        let mut list = &tokens[..end];
        if list.first().is_some_and(|token| token.is("distinct")) {
            list = &list[1..];
        }
        self.selected = split(list).map(selected).collect();
        let rest = &tokens[end..];
        self.table = rest.get(1..).and_then(name_at);
        self.for_update = rest
            .windows(2)
            .any(|pair| pair[0].is("for") && pair[1].is("update"));
    }

    fn read_update(&mut self, tokens: &[Token]) {
        self.table = name_at(tokens);
        let Some(behind) = after(tokens, "set") else {
            return;
        };
        let end = top_level(behind, "where").unwrap_or(behind.len());
        self.sets = split(&behind[..end])
            .filter_map(|item| {
                let [Token::Name(column), Token::Sign('='), value @ ..] = item else {
                    return None;
                };
                Some(Assignment {
                    column: column.clone(),
                    computed: value
                        .iter()
                        .any(|token| matches!(token, Token::Name(_)) && !token.is_value_word()),
                })
            })
            .collect();
    }

    fn read_insert(&mut self, tokens: &[Token]) {
        let Some(behind) = after(tokens, "into") else {
            return;
        };
        self.table = name_at(behind);
        if let Some(open) = behind.iter().position(|token| *token == Token::Sign('(')) {
            self.inserted = behind[open + 1..]
                .iter()
                .take_while(|token| **token != Token::Sign(')'))
                .filter_map(|token| match token {
                    Token::Name(name) => Some(name.clone()),
                    Token::Sign(_) | Token::Constant => None,
                })
                .collect();
        }
        self.on_conflict = tokens
            .windows(2)
            .any(|pair| pair[0].is("on") && pair[1].is("conflict"));
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word or a quoted identifier, without its quotes.
    Name(String),
    /// `$1`.
    Constant,
    /// Any other character but white space.
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Token::Name(name) if name.eq_ignore_ascii_case(word))
    }

    fn is_value_word(&self) -> bool {
        ["null", "default", "true", "false"]
            .iter()
            .any(|word| self.is(word))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                let mut name = String::new();
                while let Some(c) = characters.next() {
                    if c != '"' {
                        name.push(c);
                    } else if characters.next_if_eq(&'"').is_some() {
                        name.push('"');
                    } else {
                        break;
                    }
                }
                tokens.push(Token::Name(name));
            }
            '$' => {
                while characters.next_if(char::is_ascii_digit).is_some() {}
                tokens.push(Token::Constant);
            }
            c if c.is_alphanumeric() || c == '_' => {
                let mut name = String::from(c);
                while let Some(c) = characters.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                tokens.push(Token::Name(name));
            }
            c if c.is_whitespace() => {}
            c => tokens.push(Token::Sign(c)),
        }
    }
    tokens
}

/// Where `word` stands outside of all parentheses.
fn top_level(tokens: &[Token], word: &str) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().position(|token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            Token::Name(_) | Token::Constant | Token::Sign(_) => {}
        }
        depth == 0 && token.is(word)
    })
}

fn after<'t>(tokens: &'t [Token], word: &str) -> Option<&'t [Token]> {
    top_level(tokens, word).map(|index| &tokens[index + 1..])
}

/// The parts between the commas that stand outside of all parentheses.
fn split(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0_usize;
    tokens
        .split(move |token| {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth = depth.saturating_sub(1),
                Token::Name(_) | Token::Constant | Token::Sign(_) => {}
            }
            depth == 0 && *token == Token::Sign(',')
        })
        .filter(|part| !part.is_empty())
}

/// The table's name at the start.
fn name_at(tokens: &[Token]) -> Option<String> {
    let tokens = match tokens.first() {
        Some(only) if only.is("only") => &tokens[1..],
        _ => tokens,
    };
    match tokens {
        [
            Token::Name(schema),
            Token::Sign('.'),
            Token::Name(table),
            ..,
        ] => Some(format!("{schema}.{table}")),
        [Token::Name(table), ..] => Some(table.clone()),
        _ => None,
    }
}

fn selected(item: &[Token]) -> Selected {
    let item = match item {
        [value @ .., named, Token::Name(_)] if named.is("as") => value,
        _ => item,
    };
    match item {
        [Token::Constant] => Selected::Constant,
        [
            Token::Name(function),
            Token::Sign('('),
            inside @ ..,
            Token::Sign(')'),
        ] => {
            let inside = match inside.first() {
                Some(first) if first.is("distinct") => &inside[1..],
                _ => inside,
            };
            Selected::Function {
                name: function.to_ascii_lowercase(),
                column: column(inside).map(|(_, name)| name),
            }
        }
        _ => column(item).map_or(Selected::Other, |(table, name)| Selected::Column {
            table,
            name,
        }),
    }
}

/// `column`, `table.column` or `schema.table.column`, and nothing else.
fn column(tokens: &[Token]) -> Option<(Option<String>, String)> {
    match tokens {
        [Token::Name(name)] => Some((None, name.clone())),
        [Token::Name(table), Token::Sign('.'), Token::Name(name)] => {
            Some((Some(table.clone()), name.clone()))
        }
        [
            Token::Name(schema),
            Token::Sign('.'),
            Token::Name(table),
            Token::Sign('.'),
            Token::Name(name),
        ] => Some((Some(format!("{schema}.{table}")), name.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(table: Option<&str>, name: &str) -> Selected {
        Selected::Column {
            table: table.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    fn function(name: &str, column: Option<&str>) -> Selected {
        Selected::Function {
            name: name.to_owned(),
            column: column.map(str::to_owned),
        }
    }

    #[test]
    fn select_lists() {
        for (text, table, selected) in [
            (
                r#"SELECT "shop_product"."id", "shop_product"."de""scr" FROM "shop_product" WHERE "shop_product"."id" = $1 LIMIT $2"#,
                "shop_product",
                vec![
                    column(Some("shop_product"), "id"),
                    column(Some("shop_product"), "de\"scr"),
                ],
            ),
            (
                r#"SELECT "stock"."stock"."wh" FROM "stock"."stock""#,
                "stock.stock",
                vec![column(Some("stock.stock"), "wh")],
            ),
            (
                "SELECT COUNT(*) AS __count FROM a WHERE x = $1",
                "a",
                vec![function("count", None)],
            ),
            (
                r#"SELECT AVG("r"."stars") AS "a", COALESCE(b, $1), $2 AS "c" FROM ONLY "r""#,
                "r",
                vec![
                    function("avg", Some("stars")),
                    function("coalesce", None),
                    Selected::Constant,
                ],
            ),
            (
                "SELECT DISTINCT name, (SELECT max(x) FROM b) FROM a INNER JOIN c ON (a.i = c.i)",
                "a",
                vec![column(None, "name"), Selected::Other],
            ),
        ] {
            let read = Text::read(text);
            assert_eq!(
                (read.table.as_deref(), read.selected),
                (Some(table), selected),
                "{text}"
            );
        }
        let cursor =
            Text::read(r#"DECLARE $1 NO SCROLL CURSOR WITH HOLD FOR SELECT "id" FROM "a""#);
        assert_eq!(
            (cursor.cursor, cursor.table.as_deref()),
            (true, Some("a"))
        );
        assert!(Text::read("SELECT a FROM b WHERE c = $1 LIMIT $2 FOR UPDATE").for_update);
    }

    #[test]
    fn writes() {
        let update = Text::read(
            r#"UPDATE "p" SET "stock" = ("p"."stock" - $1), "name" = $2, "gone" = NULL WHERE "p"."id" = $3"#,
        );
        let sets: Vec<_> = update
            .sets
            .iter()
            .map(|set| (&*set.column, set.computed))
            .collect();
        assert_eq!(sets, [("stock", true), ("name", false), ("gone", false)]);
        assert_eq!(update.table.as_deref(), Some("p"));
        let insert = Text::read(
            r#"INSERT INTO "a"."b" ("c", "d") VALUES ($1, $2) ON CONFLICT DO NOTHING"#,
        );
        assert_eq!(insert.inserted, ["c", "d"]);
        assert_eq!(
            (insert.table.as_deref(), insert.on_conflict),
            (Some("a.b"), true)
        );
        let delete = Text::read(r#"DELETE FROM "a" WHERE "a"."id" IN ($1)"#);
        assert_eq!(delete.table.as_deref(), Some("a"));
    }

    #[test]
    fn anything_is_read_without_harm() {
        for text in [
            "",
            "SELECT",
            "SELECT FROM",
            "UPDATE",
            "UPDATE a SET",
            "INSERT INTO a DEFAULT VALUES",
            "DELETE",
            "DECLARE c CURSOR",
            "SELECT ((( FROM",
            "SELECT \"a",
            "VACUUM",
            "WITH a AS (SELECT $1) SELECT * FROM a",
        ] {
            let _ = Text::read(text);
        }
    }
}
