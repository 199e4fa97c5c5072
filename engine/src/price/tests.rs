use proptest::prelude::*;

use super::*;
use crate::wire::Model;

fn model(id: &str) -> Model {
    let models = parse_catalogue(CATALOGUE).unwrap();
    models.into_iter().find(|model| model.id == id).unwrap()
}

fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        ..Usage::default()
    }
}

#[test]
fn prices_the_published_example() {
    let price = model("gpt-4o-mini").price;
    assert_eq!(price.input, 150_000_000);
    assert_eq!(price.output, 600_000_000);
    let nano = cost(&price, &usage(150, 50));
    assert_eq!(nano, 52_500);
    assert_eq!(usd(nano), "0.0000525");
    assert_eq!(worst_input(&price, 150), 22_500);
}

#[test]
fn prices_each_kind_of_token_on_its_own() {
    let price = Price {
        input: 1_000_000,
        cached_input: 100_000,
        cache_write: 2_000_000,
        output: 10_000_000,
        reasoning: 20_000_000,
        ..Price::default()
    };
    let used = Usage {
        input: 100,
        cached_input: 40,
        cache_write: 10,
        output: 9,
        reasoning: 4,
    };
    assert_eq!(cost(&price, &used), 50 + 4 + 20 + 50 + 80);
    assert_eq!(worst_input(&price, 100), 200);
    assert_eq!(worst_output_per_mtok(&price, 100), 20_000_000);
    // Parts larger than the whole are a provider's mistake, and never a negative price.
    let odd = Usage {
        input: 10,
        cached_input: 40,
        cache_write: 10,
        output: 1,
        reasoning: 4,
    };
    assert_eq!(cost(&price, &odd), 1 + 20);
}

#[test]
fn long_requests_are_priced_anew_as_a_whole() {
    let price = model("gpt-5.4").price;
    assert_eq!(price.long_from, 272_001);
    assert_eq!(
        cost(&price, &usage(272_000, 1_000)),
        680_000_000 + 15_000_000
    );
    assert_eq!(
        cost(&price, &usage(272_001, 1_000)),
        1_360_005_000 + 22_500_000
    );
    let cached = Usage {
        cached_input: 272_001,
        ..usage(272_001, 0)
    };
    assert_eq!(cost(&price, &cached), 136_000_500);
}

#[test]
fn rounds_up_once() {
    let price = Price {
        input: 1,
        output: 1,
        ..Price::default()
    };
    assert_eq!(cost(&price, &usage(1, 0)), 1);
    assert_eq!(cost(&price, &usage(1, 1)), 1);
    assert_eq!(cost(&price, &usage(0, 0)), 0);
    assert_eq!(cost(&price, &usage(1_000_000, 1)), 2);
    let dearest = Price {
        input: i64::MAX,
        output: i64::MAX,
        ..Price::default()
    };
    assert_eq!(cost(&dearest, &usage(u64::MAX, u64::MAX)), i64::MAX);
}

#[test]
fn reads_and_writes_dollars_exactly() {
    for (text, value) in [
        ("0", 0),
        ("0.15", 150_000_000),
        ("0.00875", 8_750_000),
        ("12.5", 12_500_000_000),
        ("0.000000001", 1),
        ("9223372036.854775807", i64::MAX),
    ] {
        assert_eq!(nano(text), Some(value), "{text}");
        assert_eq!(usd(value), text);
    }
    assert_eq!(usd(-1_500_000_000), "-1.5");
    assert_eq!(usd(i64::MIN), "-9223372036.854775808");
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e-6",
        "0.0000000001",
        "9223372036.9",
        "1,5",
    ] {
        assert_eq!(nano(text), None, "{text}");
    }
}

#[test]
fn the_catalogue_is_whole() {
    let models = parse_catalogue(CATALOGUE).unwrap();
    assert!(models.len() >= 60, "{}", models.len());
    for model in &models {
        assert!(model.price.input > 0 && !model.listed, "{}", model.id);
        assert!(
            model.price.cached_input <= model.price.input,
            "{}",
            model.id
        );
        assert!(model.context > 0, "{}", model.id);
    }
    for (id, input, output) in [
        ("claude-3-sonnet", "3", "15"),
        ("claude-3-5-sonnet-20241022", "3", "15"),
        ("gpt-4o-2024-08-06", "2.5", "10"),
        ("gpt-3.5-turbo", "0.5", "1.5"),
        ("gpt-4-turbo", "10", "30"),
        ("o1", "15", "60"),
        ("o3-mini", "1.1", "4.4"),
        ("text-embedding-3-small", "0.02", "0"),
    ] {
        let price = model(id).price;
        assert_eq!(
            (usd(price.input), usd(price.output)),
            (input.into(), output.into()),
            "{id}"
        );
    }
    let thinking = model("sonar-deep-research").price;
    assert_eq!(
        (thinking.output, thinking.reasoning),
        (8_000_000_000, 3_000_000_000)
    );
}

#[test]
fn says_what_is_wrong_with_a_catalogue() {
    let entry = |id: &str, input: &str| {
        format!(
            r#"{{"id":"{id}","provider":"p","model":"m","usd_per_mtok":{{"input":"{input}","output":"1"}}}}"#
        )
    };
    let document = |entries: &[String]| format!(r#"{{"models":[{}]}}"#, entries.join(","));
    assert_eq!(
        parse_catalogue(&document(&[entry("a", "1e-6")])),
        Err(CatalogueError::Price {
            model: "a".into(),
            member: "input"
        })
    );
    assert_eq!(
        parse_catalogue(&document(&[entry("a", "1"), entry("a", "1")])),
        Err(CatalogueError::Repeated("a".into()))
    );
    assert!(matches!(
        parse_catalogue("{}"),
        Err(CatalogueError::Malformed(_))
    ));
}

proptest! {
    #[test]
    fn dollars_survive_the_round_trip(value in 0..=i64::MAX) {
        prop_assert_eq!(nano(&usd(value)), Some(value));
    }

    #[test]
    fn no_prompt_costs_more_than_its_hold(
        input in 0u64..2_000_000, cached in 0u64..2_000_000, written in 0u64..2_000_000,
        rates in prop::array::uniform4(0i64..100_000_000_000), long_from in 0u64..1_000_000,
    ) {
        let price = Price {
            input: rates[0], cached_input: rates[1], cache_write: rates[2],
            long_from, long_input: rates[3], ..Price::default()
        };
        let used = Usage { input, cached_input: cached, cache_write: written, ..Usage::default() };
        prop_assert!(cost(&price, &used) <= worst_input(&price, input));
    }
}
