use proptest::prelude::*;

use super::*;
use crate::request::ChatRequest;

const BOTH: [Encoding; 2] = [Encoding::O200k, Encoding::Cl100k];

fn tokens(encoding: Encoding, text: &str) -> u64 {
    Tokenizer::new(encoding).unwrap().count(text)
}

/// The oracle.
fn reference(encoding: Encoding, text: &str) -> u64 {
    encoding.vocabulary().unwrap().encode_ordinary(text).len() as u64
}

fn pieces(encoding: Encoding, text: &str) -> Vec<&str> {
    split::Pieces::of(encoding, text)
        .map(|(start, end)| text.get(start..end).unwrap())
        .collect()
}

const SAMPLES: &[&str] = &[
    "",
    "Hello, world! It's a test; we'll see if THEY'RE right, aren't we? I'D say so.",
    "Xin chào, tôi là trợ lý ảo. Hôm nay trời đẹp quá! Số CMND: 012345678, ĐT 0912 345 678.",
    "Tie\u{302}\u{301}ng Vie\u{323}\u{302}t de\u{302}\u{309} da\u{309}o chie\u{302}\u{300}u NFD.",
    "我喜欢学习人工智能。今天天气很好,我们去公园吧!123元。",
    "日本語のテキスト、カタカナ、ひらがな。ㅎㅎ 한국어 문장입니다.",
    "fn main() {\n    let x: Vec<u8> = vec![1, 2, 3];\n\tprintln!(\"{:?}\", x); // ok\r\n}\n\n\n",
    "{\"a\": [1, 2.5e-3, null], \"url\": \"https://example.com/a/b?c=d&e=%20\"}",
    "Ünïcödé ÄÖÜ straße ŒUVRE DžLJnj ʰʷ ªº Ⅷ ½ ² ٣٤٥ १२३ ൰",
    "emoji 👩‍👩‍👧‍👦 🇻🇳 👍🏽 ☕️ ✌\u{fe0f}",
    "العربية مَرْحَبًا עברית שָׁלוֹם हिन्दी नमस्ते ไทยภาษา",
    "  leading\n\n  and   trailing   \n \t ",
    "camelCaseWord HTMLParser iPhone15ProMax ABCdefGHI中文ABCab",
    "it'S IT'S we'LL we'Re 'tis o'clock ''s 's'",
    "/path/to/file.txt\n//comment\n---\n===\r\n\r\n/",
    "<|endoftext|> <|im_start|>user",
];

#[test]
fn samples_count_as_the_reference_counts() {
    for encoding in BOTH {
        for text in SAMPLES {
            assert_eq!(
                tokens(encoding, text),
                reference(encoding, text),
                "{encoding:?} {text}"
            );
        }
        let all = SAMPLES.concat();
        assert_eq!(tokens(encoding, &all), reference(encoding, &all));
    }
}

#[test]
fn pieces_are_what_the_patterns_give() {
    let o200k = |text| pieces(Encoding::O200k, text);
    let cl100k = |text| pieces(Encoding::Cl100k, text);
    assert_eq!(
        o200k("It's  12345 a\n\n b!!/\n"),
        ["It's", " ", " ", "123", "45", " a", "\n\n", " b", "!!/\n"]
    );
    assert_eq!(
        cl100k("It's  12345 a\n\n b!!/\n"),
        [
            "It", "'s", " ", " ", "123", "45", " a", "\n\n", " b", "!!/\n"
        ]
    );
    assert_eq!(o200k("中AB aBC ABc"), ["中", "AB", " a", "BC", " ABc"]);
    assert_eq!(cl100k("中AB aBC"), ["中AB", " aBC"]);
    assert_eq!(o200k("\u{301}AB"), ["\u{301}", "AB"]);
    assert_eq!(o200k("x \n "), ["x", " \n", " "]);
    assert_eq!(cl100k("x \n "), ["x", " \n "]);
    assert_eq!(o200k("a'ſb"), ["a'ſ", "b"]);
}

/// Every assigned character between others of each class: a class that differed from the
/// reference's would move a border and with it a count.
#[test]
fn every_character_has_the_reference_class() {
    for encoding in BOTH {
        let mut tokenizer = Tokenizer::new(encoding).unwrap();
        let planes = (0..0x3_2400_u32).chain(0xE_0000..0xE_0200);
        let mut text = String::new();
        for character in planes.filter_map(char::from_u32) {
            for (before, after) in [
                ("a", "b"),
                ("A", "B"),
                ("12", "34"),
                ("!", "!\n"),
                (" ", "  "),
            ] {
                text.push_str(before);
                text.push(character);
                text.push_str(after);
            }
            if u32::from(character) % 64 == 63 {
                let expected = reference(encoding, &text);
                assert_eq!(
                    tokenizer.count(&text),
                    expected,
                    "{encoding:?} {character:?}"
                );
                text.clear();
            }
        }
    }
}

#[test]
fn long_pieces_cost_linear_time_and_stay_near_the_truth() {
    for encoding in BOTH {
        for unit in ["a", " ", "!", "\n", "é", "中", "xQ7z", "\u{301}"] {
            let exact = unit.repeat(PIECE_BYTES_MAX / unit.len());
            assert_eq!(
                tokens(encoding, &exact),
                reference(encoding, &exact),
                "{unit:?}"
            );
            let long = unit.repeat(10 * PIECE_BYTES_MAX / unit.len() + 7);
            let (found, expected) = (tokens(encoding, &long), reference(encoding, &long));
            assert!(
                found.abs_diff(expected) <= expected / 20 + 10,
                "{unit:?} {found} {expected}"
            );
        }
        let megabyte = 1024 * 1024;
        for unit in ["a", " ", "A", "中A", "\u{301}A", "'", "\n", "👍"] {
            assert!(
                tokens(encoding, &unit.repeat(megabyte / unit.len())) > 100,
                "{unit:?}"
            );
        }
    }
}

#[test]
fn what_is_remembered_is_bounded_and_stays_right() {
    let mut tokenizer = Tokenizer::new(Encoding::O200k).unwrap();
    for number in 0..40_000_u32 {
        // The number in letters: one piece each, and none twice.
        let word: String = number
            .to_string()
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'g'))
            .collect();
        tokenizer.count(&word);
        tokenizer.count(&word.repeat(4));
        assert!(tokenizer.longer.len() <= LONGER_PIECES_MAX);
    }
    for _ in 0..2 {
        for text in SAMPLES {
            assert_eq!(tokenizer.count(text), reference(Encoding::O200k, text));
        }
    }
}

#[test]
fn models_have_an_encoding() {
    for model in [
        "gpt-4",
        "gpt-4-0613",
        "gpt-4-32k",
        "gpt-4-turbo",
        "gpt-3.5-turbo",
        "gpt-35-turbo-16k",
        "text-embedding-3-small",
        "openai/gpt-4",
        "ft:gpt-3.5-turbo:acme::id",
        "ft:gpt-4:acme::id",
    ] {
        assert_eq!(Encoding::of_model(model), Encoding::Cl100k, "{model}");
    }
    for model in [
        "gpt-4o",
        "gpt-4o-mini-2024-07-18",
        "gpt-4.1-nano",
        "gpt-4.5-preview",
        "gpt-5",
        "gpt-6-x",
        "o1",
        "o3-mini",
        "o4-mini",
        "chatgpt-4o-latest",
        "gpt-oss-120b",
        "claude-sonnet-4-5",
        "gemini-2.5-pro",
        "meta/llama-4",
        "openai/gpt-4o",
        "",
        "ft:gpt-4o:acme::id",
    ] {
        assert_eq!(Encoding::of_model(model), Encoding::O200k, "{model}");
    }
}

fn prompt(body: &str) -> u64 {
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    Tokenizers::default().prompt_tokens(Encoding::O200k, &request, body.as_bytes())
}

/// The cookbook's own example conversation, which it says is 124 tokens for gpt-4o and 129 for
/// gpt-4 (OpenAI cookbook, "How to count tokens with tiktoken").
#[test]
fn prompts_count_as_in_the_cookbook() {
    let body = r#"{"model":"gpt-4o","messages":[
        {"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."},
        {"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."},
        {"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."},
        {"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}]}"#;
    assert_eq!(prompt(body), 124);
    let request = ChatRequest::parse(body.as_bytes()).unwrap();
    let mut tokenizers = Tokenizers::default();
    assert_eq!(
        tokenizers.prompt_tokens(Encoding::Cl100k, &request, body.as_bytes()),
        129
    );
}

#[test]
fn prompts_with_tools_images_and_escapes() {
    let of = |message: &str, rest: &str| {
        prompt(&format!(r#"{{"model":"m","messages":[{message}]{rest}}}"#))
    };
    let bare = of(r#"{"role":"user","content":"hi"}"#, "");
    assert_eq!(bare, 3 + 3 + 1 + 1);
    assert_eq!(of(r#"{"role":"user","content":"\u0068i"}"#, ""), bare);
    assert_eq!(
        of(
            r#"{"role":"user","content":[{"type":"text","text":"hi"}]}"#,
            ""
        ),
        bare
    );
    assert_eq!(
        of(r#"{"role":"user","content":"hi","name":"x"}"#, ""),
        bare + 2
    );
    let image = r#"{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:AAAA"}},
        {"type":"image_url","image_url":{"url":"data:AAAA","detail":"low"}}]}"#;
    assert_eq!(of(image, ""), bare + 765 + 85);
    let tools = r#"[{"type":"function","function":{"name":"f","parameters":{}}}]"#;
    let with_tools = of(
        r#"{"role":"user","content":"hi"}"#,
        &format!(r#", "tools": {tools}"#),
    );
    assert_eq!(with_tools, bare + reference(Encoding::O200k, tools));
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}"#;
    assert_eq!(of(call, ""), 3 + 3 + 1 + 1 + 8);
    let predicted = r#","prediction":{"type":"content","content":"not part of the prompt"}"#;
    assert_eq!(of(r#"{"role":"user","content":"hi"}"#, predicted), bare);
}

fn varied() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z]{1,8}",
        3 => "[A-Z][a-z]{0,6}",
        2 => "[A-Z]{1,5}",
        3 => "[ \t\n\r\u{b}\u{85}\u{a0}\u{2003}\u{2028}\u{3000}]{1,4}",
        2 => Just(" ".to_owned()),
        2 => "['’][sStTmMdDſrRvVlLeE]{1,2}",
        2 => "[0-9٠-٩½Ⅷ²]{1,5}",
        2 => "[/\\\\.,;:!?(){}\"'_=+*#<>|-]{1,4}",
        2 => "[àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệ]{1,4}",
        1 => "[\u{300}-\u{36f}\u{fe0f}\u{200d}\u{20d0}-\u{20f0}]{1,3}",
        1 => "\\p{Lt}{1,2}", 1 => "\\p{Lm}{1,2}", 1 => "\\p{Lo}{1,3}", 1 => "\\p{Lu}{1,3}",
        1 => "\\p{Ll}{1,3}", 1 => "\\p{M}{1,2}", 1 => "\\p{N}{1,4}",
        1 => "[一-龥ぁ-んァ-ン가-힣]{1,4}",
        1 => "[😀-🙏👍🏽🇻🇳]{1,2}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn varied_text_counts_as_the_reference_counts(text in varied()) {
        for encoding in BOTH {
            prop_assert_eq!(tokens(encoding, &text), reference(encoding, &text), "{:?}", encoding);
            prop_assert_eq!(pieces(encoding, &text).concat(), text.as_str());
        }
    }

    #[test]
    fn any_text_counts_as_the_reference_counts(text in any::<String>()) {
        for encoding in BOTH {
            prop_assert_eq!(tokens(encoding, &text), reference(encoding, &text), "{:?}", encoding);
        }
    }
}
