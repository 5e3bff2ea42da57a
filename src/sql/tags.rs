//! sqlcommenter tags: the key-value pairs of a statement's comments.

/// The tags of one statement, in the order they stand; later duplicates of a key win. At most 64 of 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tags {
    /// Key and decoded value.
    pub pairs: Vec<(Box<str>, Box<str>)>,
}

impl Tags {
    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .rev()
            .find(|(k, _)| &**k == key)
            .map(|(_, v)| &**v)
    }
}
