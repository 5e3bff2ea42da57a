//! A cast's type modifiers: `::numeric($1, $2)` is what `::numeric(8, 2)` is normalised to, and no grammar knows it.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

/// The tokens without the placeholders behind the types of casts.
pub(super) fn without(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        if token != Token::LParen || !is_behind_type(&kept) {
            kept.push(token);
            continue;
        }
        let mut inside = vec![token];
        while let Some(next) = rest.next_if(is_modifier) {
            inside.push(next);
        }
        let placeholders = inside
            .iter()
            .any(|token| matches!(token, Token::Placeholder(_)));
        if placeholders && rest.next_if_eq(&Token::RParen).is_some() {
            continue;
        }
        kept.append(&mut inside);
    }
    kept
}

fn is_modifier(token: &Token) -> bool {
    matches!(
        token,
        Token::Placeholder(_) | Token::Comma | Token::Whitespace(_)
    )
}

/// Whether what was kept ends with a cast to a type: `::numeric`, `AS character varying`.
fn is_behind_type(kept: &[Token]) -> bool {
    let mut words = 0;
    for token in kept.iter().rev() {
        match token {
            Token::Whitespace(_) => {}
            Token::Word(word) if word.keyword == Keyword::AS => return words > 0,
            Token::Word(_) if words < 3 => words += 1,
            Token::DoubleColon => return words > 0,
            _ => return false,
        }
    }
    false
}
