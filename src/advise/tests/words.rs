//! Titles and reasons.

use super::*;

#[test]
fn why_has_two_sentences_with_the_figures() {
    let case = flat(
        Kind::NPlusOneForward,
        ("shop_order.customer_id", ORDERS),
        ("shop_customer.id", CUSTOMER),
    )
    .case();
    let none = Relations::default();
    assert_eq!(
        advise(&case, &golden(), &none).why,
        "Each of 4 units of work ran about 40 statements on shop_customer, one for each value of \
         shop_order.customer_id that a query before them had returned. With the fix the largest unit goes from 43 \
         statements to 3, which saves about 38 ms of the 40 ms that they take a unit."
    );
    let once = Case {
        figures: Figures {
            occurrences: 1,
            queries: 3,
            cost_ns: 1_250_000,
            ..Figures::default()
        },
        ..case
    };
    assert_eq!(
        advise(&once, &golden(), &none).why,
        "One unit of work ran 3 statements on shop_customer, one for each value of shop_order.customer_id that a \
         query before them had returned. They take 1.3 ms a unit, the pauses between them included."
    );
    for kind in Kind::ALL {
        let why = advise(
            &Case {
                kind,
                ..once.clone()
            },
            &golden(),
            &none,
        )
        .why;
        assert_eq!(why.matches(". ").count(), 1, "{why}");
        assert!(why.ends_with('.'), "{why}");
    }
}

#[test]
fn titles_say_what_to_do() {
    for (kind, child, expected) in [
        (
            Kind::NPlusOneForward,
            ("shop_customer.id", CUSTOMER),
            "Join Customer in the query that reads Order",
        ),
        (
            Kind::QueryLoop,
            ("shop_customer.id", CUSTOMER),
            "Look up all of Customer at once, before the loop",
        ),
        (
            Kind::Duplicate,
            ("shop_customer.id", CUSTOMER),
            "Ask Customer once and keep the answer",
        ),
    ] {
        let case = flat(kind, ("shop_order.customer_id", ORDERS), child).case();
        let advice = advise(&case, &golden(), &Relations::default());
        assert_eq!(advice.title, expected);
    }
}

#[test]
fn every_kind_has_its_page_and_says_how_to_silence_it() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings");
    let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap();
    let overview = read("README.md");
    for kind in Kind::ALL {
        let word = kind.as_str();
        let page = read(&format!("{word}.md"));
        assert!(page.starts_with(&format!("# {word}\n")), "{word}");
        for part in [
            "## How it is proved",
            "## What it is not",
            "## The fix",
            "## How to silence it",
            "[[ignore]]",
        ] {
            assert!(page.contains(part), "{word}: {part}");
        }
        assert!(
            overview.contains(&format!("| [`{word}`]({word}.md) |")),
            "{word}"
        );
    }
}
