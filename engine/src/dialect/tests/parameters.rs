use super::*;
use crate::dialect::parameters::{COLUMNS as NAMES, Fate, TABLE, UNKNOWN};
use crate::wire::ParameterRules;

const QUESTION: &str = r#""model":"m","messages":[{"role":"user","content":"a"}]"#;

fn sent(target: &Target<'_>, members: &str) -> Result<(String, Vec<String>), RequestError> {
    let body = format!("{{{members},{QUESTION}}}").into_bytes();
    let request = ChatRequest::parse(&body)?;
    let sent = encode(target, &request, &body, Edits::default())?;
    Ok((
        String::from_utf8(sent.body.into_owned()).unwrap(),
        sent.dropped,
    ))
}

fn table() -> String {
    let word = |fate: &Fate| match fate {
        Fate::Forwarded => "forwarded".to_owned(),
        Fate::Renamed(name) => format!("as `{name}`"),
        Fate::Mapped(place) => format!("→ {place}"),
        Fate::Gated(place) => format!("→ {place} \\*"),
        Fate::Dropped => "dropped".to_owned(),
        Fate::Refused(_) => "refused".to_owned(),
    };
    let row = |name: &str, cells: Vec<String>| format!("| {name} | {} |\n", cells.join(" | "));
    let mut text = String::from(
        "# What becomes of each request parameter\n\n\
         Made from the table that the gateway runs on. *Forwarded*: as the client sent it. *→*: \
         said in the provider's own way, there. *\\**: where the model takes it, else dropped. \
         *Dropped*: left out, and named in the answer's header `x-weir-dropped-params`; with \
         `strict_params: true` on the provider the request is refused instead. *Refused*: `400` \
         with the parameter's name, unless its value says nothing (`n: 1`, an empty list).\n\n",
    );
    text += &row(
        "parameter",
        NAMES.iter().map(|name| (*name).to_owned()).collect(),
    );
    text += &row("---", vec!["---".to_owned(); NAMES.len()]);
    for (name, fates) in TABLE {
        text += &row(&format!("`{name}`"), fates.iter().map(word).collect());
    }
    text += &row("any other", UNKNOWN.iter().map(word).collect());
    text
}

#[test]
fn the_documented_table_is_the_one_that_runs() {
    let path = golden::folder("../../docs").join("parameters.md");
    assert!(
        !differs(&path, table().as_bytes()),
        "UPDATE_EXPECT=1 writes it anew"
    );
}

#[test]
fn the_table_is_sorted_and_has_every_member_of_openais_api() {
    assert!(TABLE.is_sorted_by_key(|row| row.0));
    // openai-python 2.54.0, CompletionCreateParams.
    let api = "audio frequency_penalty function_call functions logit_bias logprobs \
        max_completion_tokens max_tokens messages metadata modalities model moderation n \
        parallel_tool_calls prediction presence_penalty prompt_cache_key prompt_cache_options \
        prompt_cache_retention reasoning_effort response_format safety_identifier seed \
        service_tier stop store stream stream_options temperature tool_choice tools top_logprobs \
        top_p user verbosity web_search_options";
    for name in api.split_whitespace() {
        assert!(TABLE.iter().any(|row| row.0 == name), "{name}");
    }
}

/// A value for each member that says something and that no encoder takes apart.
fn value_of(name: &str) -> &'static str {
    match name {
        "n" => "2",
        "stop" => "[\"END\"]",
        "functions" | "tools" => r#"[{"type":"function","function":{"name":"f"}}]"#,
        "stream" => "true",
        "max_tokens" | "max_completion_tokens" => "77",
        _ => "{\"x\":1}",
    }
}

/// The table is what encoders do, not only what they are said to do.
#[test]
fn every_encoder_does_what_the_table_says() {
    for column in &COLUMNS {
        let target = Target::new(column.dialect, column.model);
        let at = NAMES
            .iter()
            .position(|names| names.split(", ").any(|it| it == column.name));
        let at = at.unwrap_or_else(|| panic!("{} has no column", column.name));
        for (name, fates) in TABLE {
            if matches!(*name, "model" | "messages") {
                continue;
            }
            let member = format!("\"{name}\":{}", value_of(name));
            let result = sent(&target, &member);
            let seen = format!("{} {name}: {result:?}", column.name);
            let has = |body: &str, name: &str| {
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                body.get(name).is_some()
            };
            match (fates[at], result) {
                (Fate::Refused(why), Err(error)) => {
                    assert_eq!(
                        (error.param.as_deref(), &*error.message),
                        (Some(*name), why)
                    );
                }
                (Fate::Dropped, Ok((body, dropped))) => {
                    assert_eq!(dropped, [*name], "{seen}");
                    assert!(!has(&body, name), "{seen}");
                }
                (Fate::Forwarded, Ok((body, dropped))) => {
                    assert!(has(&body, name) && dropped.is_empty(), "{seen}");
                }
                (Fate::Renamed(new), Ok((body, dropped))) => {
                    let member = format!("\"{new}\":{}", value_of(name));
                    assert!(body.contains(&member) && dropped.is_empty(), "{seen}");
                }
                (Fate::Mapped(_), Ok((_, dropped))) => assert!(dropped.is_empty(), "{seen}"),
                (Fate::Gated(_), Ok(_)) => {}
                _ => panic!("{seen}"),
            }
        }
        let unknown = sent(&target, "\"x_new\":true").unwrap();
        assert_eq!(
            unknown.1.is_empty(),
            UNKNOWN[at] == Fate::Forwarded,
            "{}",
            column.name
        );
    }
}

#[test]
fn strict_targets_refuse_what_others_drop() {
    for column in COLUMNS
        .iter()
        .filter(|column| column.name != "openai" && column.name != "azure")
    {
        let mut target = Target::new(column.dialect, column.model);
        assert_eq!(
            sent(&target, "\"logit_bias\":{}").unwrap().1,
            ["logit_bias"]
        );
        target.strict = true;
        let error = sent(&target, "\"logit_bias\":{}").unwrap_err();
        assert_eq!(
            error.param.as_deref(),
            Some("logit_bias"),
            "{}",
            column.name
        );
        assert!(sent(&target, "\"logit_bias\":null").is_ok());
    }
}

#[test]
fn an_operators_rules_come_before_the_formats_own() {
    let rules = ParameterRules {
        drop: vec!["logprobs".into()],
        refuse: vec!["seed".into()],
        rename: vec![("max_completion_tokens".into(), "max_tokens".into())],
    };
    let target = Target {
        rules: Some(&rules),
        ..Target::new(Dialect::Openai, "m")
    };
    let (body, dropped) = sent(&target, "\"logprobs\":true,\"max_completion_tokens\":9").unwrap();
    assert_eq!(body, format!("{{\"max_tokens\":9,{QUESTION}}}"));
    assert_eq!(dropped, ["logprobs"]);
    assert_eq!(
        sent(&target, "\"seed\":1").unwrap_err().param.as_deref(),
        Some("seed")
    );
    assert_eq!(sent(&target, "\"seed\":null").unwrap().1, [""; 0]);
}

#[test]
fn names_of_dropped_members_fit_a_header() {
    let target = Target::new(Dialect::Anthropic, "claude-haiku-4-5");
    let (_, dropped) = sent(&target, "\"x\\r\\ny: z,\":1").unwrap();
    assert_eq!(dropped, ["x??y??z?"]);
}
