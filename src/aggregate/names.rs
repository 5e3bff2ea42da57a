//! Names as small numbers, so that a delta's key is two words; each kind has a limit, beyond it all are `other`.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Settings;
use crate::event::SessionFacts;

/// A name as its number within its kind.
pub(super) type NameId = u16;

/// The number of every name that came after its kind was full. A name that is really `other` shares it.
pub(super) const OTHER: NameId = 0;

/// How the overflow is written, in labels and rows.
pub(super) const OTHER_NAME: &str = "other";

/// Longer names are cut: a label's value has a bounded length whatever a client sends.
const NAME_BYTES_MAX: usize = 128;

/// Whose query it was, as far as rows and labels tell users apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Context {
    pub(super) database: NameId,
    pub(super) user: NameId,
    pub(super) application: NameId,
}

/// All kinds of names.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) databases: Kind,
    pub(super) users: Kind,
    pub(super) applications: Kind,
    pub(super) routes: Kind,
    pub(super) listeners: Kind,
}

impl Names {
    pub(super) fn new(settings: &Settings) -> Names {
        Names {
            databases: Kind::new(settings.databases_max),
            users: Kind::new(settings.names_max),
            applications: Kind::new(settings.names_max),
            routes: Kind::new(settings.routes_max),
            // Listeners come from the configuration, which has its own limit.
            listeners: Kind::new(usize::from(NameId::MAX)),
        }
    }

    pub(super) fn context(&mut self, facts: &SessionFacts) -> Context {
        Context {
            database: self.databases.id(&facts.database),
            user: self.users.id(&facts.user),
            application: self.applications.id(&facts.application),
        }
    }
}

/// The names of one kind, numbered in the order they came.
#[derive(Debug)]
pub(super) struct Kind {
    ids: HashMap<Arc<str>, NameId, RandomState>,
    names: Vec<Arc<str>>,
    max: usize,
}

impl Kind {
    fn new(max: usize) -> Kind {
        let other: Arc<str> = Arc::from(OTHER_NAME);
        Kind {
            ids: HashMap::from_iter([(Arc::clone(&other), OTHER)]),
            names: vec![other],
            max: max.min(usize::from(NameId::MAX)),
        }
    }

    /// The number of `name`, a new one while there is room.
    pub(super) fn id(&mut self, name: &str) -> NameId {
        let name = cut(name, NAME_BYTES_MAX);
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        // `names[0]` is the overflow itself and takes no room.
        if self.names.len() > self.max {
            return OTHER;
        }
        let Ok(id) = NameId::try_from(self.names.len()) else {
            return OTHER;
        };
        let name: Arc<str> = Arc::from(name);
        self.names.push(Arc::clone(&name));
        self.ids.insert(name, id);
        id
    }

    /// The name behind a number.
    pub(super) fn name(&self, id: NameId) -> Arc<str> {
        self.names
            .get(usize::from(id))
            .or_else(|| self.names.first())
            .map_or_else(|| Arc::from(OTHER_NAME), Arc::clone)
    }
}

/// The longest prefix of `text` that has at most `bytes` bytes and ends between two characters.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
