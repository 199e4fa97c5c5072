//! OpenAI's older completions.

use e2e::behaviour::Behaviour;
use serde_json::{Value, json};

use super::{
    Asked, CREATED, Complaint, Pieces, Reply, Request, as_text, permit, require, with_extra,
};
use crate::chat::{Answer, Question};
use crate::openai::{self, Events};

const MEMBERS: &[&str] = &[
    "model",
    "prompt",
    "suffix",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stream",
    "stream_options",
    "logprobs",
    "echo",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "best_of",
    "logit_bias",
    "seed",
    "user",
];

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(request: &Request<'_>) -> Result<Asked, Complaint> {
    let body = &request.json;
    permit(body, MEMBERS)?;
    require(body, &["model", "prompt"])?;
    let prompts = prompts(&body["prompt"])?;
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    let stream = body["stream"].as_bool().unwrap_or(false);
    let include_usage = body["stream_options"]["include_usage"] == true;
    let echo = body["echo"] == true;
    let questions: Vec<Question> = prompts
        .iter()
        .map(|prompt| Question {
            model: model.clone(),
            stream,
            include_usage,
            output_cap: Some(body["max_tokens"].as_u64().unwrap_or(16)),
            choices: body["n"].as_u64().unwrap_or(1),
            last_text: prompt.clone(),
            text_bytes: prompt.len() as u64,
            tool: None,
        })
        .collect();
    let text = prompts.concat();
    Ok(Asked::new(
        Some(&model.clone()),
        text,
        move |behaviour, _| {
            let answers: Vec<Answer> = questions
                .iter()
                .map(|question| {
                    let mut answer = Answer::of(question, behaviour);
                    if echo {
                        answer.pieces.insert(0, question.last_text.clone());
                    }
                    answer
                })
                .collect();
            Ok(if stream {
                events(&model, &answers, include_usage, behaviour)
            } else {
                answer(&model, &answers, behaviour).into()
            })
        },
    ))
}

fn prompts(prompt: &Value) -> Result<Vec<String>, Complaint> {
    let tokens = |list: &[Value]| {
        list.iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    match prompt {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(list) if list.first().is_some_and(Value::is_u64) => Ok(vec![tokens(list)]),
        Value::Array(list) if !list.is_empty() => Ok(list
            .iter()
            .map(|item| match item {
                Value::Array(list) => tokens(list),
                text => text.as_str().unwrap_or_default().to_owned(),
            })
            .collect()),
        _ => Err("'$.prompt' is invalid.".into()),
    }
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.cut { "length" } else { "stop" }
}

fn usage(answers: &[Answer]) -> Option<Value> {
    let mut sum = answers.first()?.usage?;
    for usage in answers.iter().skip(1).filter_map(|answer| answer.usage) {
        sum.input += usage.input;
        sum.output += usage.output;
    }
    Some(openai::usage_value(sum))
}

/// Every choice of every prompt, with its index.
fn choices(answers: &[Answer]) -> impl Iterator<Item = (usize, &Answer)> {
    let repeated = answers
        .iter()
        .flat_map(|answer| (0..answer.choices).map(move |_| answer));
    repeated.enumerate()
}

fn answer(model: &str, answers: &[Answer], behaviour: &Behaviour) -> Value {
    let choices: Vec<Value> = choices(answers)
        .map(|(index, answer)| {
            json!({
                "text": answer.text(), "index": index, "logprobs": null,
                "finish_reason": finish_reason(answer),
            })
        })
        .collect();
    let mut body = json!({
        "id": "cmpl-fake1", "object": "text_completion", "created": CREATED, "model": model,
        "choices": choices,
    });
    if let Some(usage) = usage(answers) {
        body["usage"] = usage;
    }
    with_extra(body, behaviour)
}

fn events(model: &str, answers: &[Answer], include_usage: bool, behaviour: &Behaviour) -> Reply {
    let chunk = |choices: Value, usage: Value| {
        let mut body = json!({
            "id": "cmpl-fake1", "object": "text_completion", "created": CREATED, "model": model,
            "choices": choices,
        });
        if include_usage {
            body["usage"] = usage;
        }
        format!("data: {}\n\n", with_extra(body, behaviour))
    };
    let choice = |index: usize, text: &str, finish: Option<&str>| {
        let choice =
            json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish});
        chunk(json!([choice]), Value::Null)
    };
    let pieces = choices(answers)
        .flat_map(|(index, answer)| answer.pieces.iter().map(move |piece| (index, piece)));
    let pieces = pieces.map(|(index, piece)| choice(index, piece, None));
    let mut tail: Vec<String> = choices(answers)
        .map(|(index, answer)| choice(index, "", Some(finish_reason(answer))))
        .collect();
    if let (true, Some(usage)) = (include_usage, usage(answers)) {
        tail.push(chunk(json!([]), usage));
    }
    tail.push("data: [DONE]\n\n".to_owned());
    let events = Events {
        head: Vec::new(),
        pieces: pieces.collect(),
        tail,
    };
    let pieces = Pieces {
        events,
        kind: "text/event-stream; charset=utf-8",
        encode: as_text,
        error: openai::error_event(),
    };
    pieces.into()
}
