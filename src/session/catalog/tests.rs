//! Portals that are not copied before somebody asks.

use proptest::prelude::*;

use super::*;
use crate::event::Statement;
use crate::session::asked::Wording;
use crate::sql::{Fingerprint, Verb};

fn statement(number: u64) -> Origin {
    let statement = Statement {
        fingerprint: Fingerprint(number),
        verb: Verb::Select,
        shape: None,
        truncated: false,
    };
    Origin::of(Wording::of(statement, None).into(), None)
}

fn fingerprint(asked: &Asked) -> (u64, bool) {
    let is_text = matches!(asked.formats, Formats::Text);
    (asked.wording().statement.fingerprint.0, is_text)
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Prepare(u64),
    Deallocate(u64),
    DeallocateAll,
    Bind(u64, bool),
    Look,
    Execute,
    Close,
    TransactionEnds,
    TakeAll,
}

/// The statement without a name, and some that have one.
fn name(number: u64) -> NameHash {
    match number {
        0 => NameHash::UNNAMED,
        number => NameHash(number),
    }
}

/// Plays a step; what it gave. With `plain`, what it binds is not copied.
fn play(catalog: &mut Catalog, step: Step, number: u64, plain: bool) -> Vec<(u64, bool)> {
    let portals = |found: Vec<Portal>| found.iter().map(|it| fingerprint(&it.asked)).collect();
    match step {
        Step::Prepare(at) => {
            let replaced = catalog.prepare(name(at), statement(number));
            return replaced
                .map(|it| fingerprint(&it.asked()))
                .into_iter()
                .collect();
        }
        Step::Deallocate(at) => {
            let gone = catalog.deallocate(name(at));
            return gone
                .map(|it| fingerprint(&it.asked()))
                .into_iter()
                .collect();
        }
        Step::DeallocateAll => catalog.deallocate_all(),
        Step::Bind(at, is_text) => {
            let Some(bound) = catalog.statement(name(at)).cloned() else {
                return Vec::new();
            };
            let formats = match is_text {
                true => Formats::Text,
                false => Formats::Binary,
            };
            if plain {
                assert!(catalog.open_plain(name(at), formats, number).is_none());
                return Vec::new();
            }
            let portal = Portal {
                asked: Asked {
                    formats,
                    ..bound.asked()
                },
                progress: None,
                lifetime: Lifetime::Transaction,
                group: number,
                runs: Runs::ToItsEnd,
            };
            assert!(catalog.open(NameHash::UNNAMED, portal).0.is_none());
        }
        Step::Look => {
            let portal = catalog.portal(NameHash::UNNAMED);
            return portal
                .map(|it| fingerprint(&it.asked))
                .into_iter()
                .collect();
        }
        Step::Execute => {
            let asked = catalog.execute(NameHash::UNNAMED, Runs::ToItsEnd);
            return asked.map(|(it, _)| fingerprint(&it)).into_iter().collect();
        }
        Step::Close => {
            let closed = catalog.close(NameHash::UNNAMED);
            return closed
                .map(|it| fingerprint(&it.asked))
                .into_iter()
                .collect();
        }
        Step::TransactionEnds => {
            assert!(catalog.ends_quietly(number));
            return portals(catalog.end_transaction(number));
        }
        Step::TakeAll => return portals(catalog.take_portals()),
    }
    Vec::new()
}

proptest! {
    /// A portal that is not copied before somebody asks is what it would be as a copy, whatever becomes of its
    /// statement.
    #[test]
    fn a_plain_portal_is_one_like_all_others(
        steps in prop::collection::vec(prop_oneof![
            3 => (0u64..4).prop_map(Step::Prepare),
            1 => (0u64..4).prop_map(Step::Deallocate),
            1 => Just(Step::DeallocateAll),
            6 => (0u64..4, any::<bool>()).prop_map(|(at, is_text)| Step::Bind(at, is_text)),
            2 => Just(Step::Look),
            2 => Just(Step::Execute),
            1 => Just(Step::Close),
            2 => Just(Step::TransactionEnds),
            1 => Just(Step::TakeAll),
        ], 1..60),
    ) {
        // Of three statements two have room.
        let mut catalogs = [Catalog::new(2, 4), Catalog::new(2, 4)];
        for (number, step) in (0..).zip(steps) {
            let [plain, copied] = &mut catalogs;
            let given = play(plain, step, number, true);
            prop_assert_eq!(given, play(copied, step, number, false), "{:?}", step);
        }
    }
}
