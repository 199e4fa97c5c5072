//! Embeddings, in the words of each provider that has them.

use e2e::behaviour::{Behaviour, Tokens};
use e2e::vector::{DIMENSIONS, base64, embedding};
use serde_json::{Value, json};

use super::{Asked, Complaint, Reply, Request, permit, require, with_extra};

/// Whose words a request is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words<'a> {
    Openai,
    Mistral,
    /// Ollama's own `/api/embed`.
    Ollama,
    Gemini {
        model: &'a str,
        batch: bool,
    },
    Vertex {
        model: &'a str,
    },
    Titan {
        model: &'a str,
    },
    Cohere {
        model: &'a str,
    },
}

pub(super) fn words<'a>(segments: &[&'a str]) -> Option<Words<'a>> {
    Some(match segments {
        ["mistral", .., "embeddings"] => Words::Mistral,
        [.., "embeddings"] => Words::Openai,
        [.., "api", "embed"] => Words::Ollama,
        [.., "model", model, "invoke"] if model.contains("titan") => Words::Titan { model },
        [.., "model", model, "invoke"] if model.contains("cohere") => Words::Cohere { model },
        [.., "models", call] => match call.split_once(':')? {
            (model, "batchEmbedContents") => Words::Gemini { model, batch: true },
            (model, "embedContent") => Words::Gemini {
                model,
                batch: false,
            },
            (model, "predict") => Words::Vertex { model },
            _ => return None,
        },
        _ => return None,
    })
}

/// Texts to embed, and how.
struct Wanted {
    model: String,
    texts: Vec<String>,
    dimensions: usize,
    base64: bool,
    /// Cohere's vectors by their type.
    by_type: bool,
}

impl Wanted {
    fn new(model: &str, texts: Vec<String>, dimensions: &Value) -> Wanted {
        Wanted {
            model: model.replace("%3A", ":"),
            texts,
            dimensions: dimensions.as_u64().unwrap_or(DIMENSIONS as u64) as usize,
            base64: false,
            by_type: false,
        }
    }

    fn vectors(&self) -> Vec<Vec<f32>> {
        let texts = self.texts.iter();
        texts.map(|text| embedding(text, self.dimensions)).collect()
    }

    fn tokens(&self, behaviour: &Behaviour) -> Option<u64> {
        let counted = self
            .texts
            .iter()
            .map(|text| text.len().div_ceil(4) as u64)
            .sum();
        let told = behaviour.usage.map(|Tokens { input, .. }| input);
        (!behaviour.usage_absent).then(|| told.unwrap_or(counted))
    }
}

/// Reads a request; the error is what the real API complains about.
pub(super) fn read(words: Words<'_>, request: &Request<'_>) -> Result<Asked, Complaint> {
    let body = &request.json;
    let wanted = match words {
        Words::Openai => openai(body),
        Words::Mistral => mistral(body),
        Words::Ollama => ollama(body),
        Words::Gemini { model, batch: true } => gemini(model, &body["requests"]),
        Words::Gemini {
            model,
            batch: false,
        } => gemini(model, &json!([body])),
        Words::Vertex { model } => vertex(model, body),
        Words::Titan { model } => titan(model, body),
        Words::Cohere { model } => cohere(model, body),
    }?;
    let answer: fn(&Wanted, &Behaviour) -> Value = match words {
        Words::Openai | Words::Mistral => openai_answer,
        Words::Ollama => ollama_answer,
        Words::Gemini { batch: true, .. } => gemini_answer,
        Words::Gemini { batch: false, .. } => {
            |wanted, behaviour| json!({"embedding": gemini_answer(wanted, behaviour)["embeddings"][0]})
        }
        Words::Vertex { .. } => vertex_answer,
        Words::Titan { .. } => titan_answer,
        Words::Cohere { .. } => cohere_answer,
    };
    let counted_in_head = matches!(words, Words::Titan { .. } | Words::Cohere { .. });
    let (model, text) = (wanted.model.clone(), wanted.texts.concat());
    Ok(Asked::new(Some(&model), text, move |behaviour, _| {
        let mut reply = Reply::from(with_extra(answer(&wanted, behaviour), behaviour));
        if let Some(tokens) = wanted.tokens(behaviour).filter(|_| counted_in_head) {
            let name = "x-amzn-bedrock-input-token-count";
            reply.headers.push((name, tokens.to_string()));
        }
        Ok(reply)
    }))
}

/// A text, texts, tokens or lists of tokens.
fn texts(input: &Value) -> Result<Vec<String>, Complaint> {
    let tokens = |list: &[Value]| -> Option<String> {
        let words: Option<Vec<String>> = list
            .iter()
            .map(|token| Some(token.as_u64()?.to_string()))
            .collect();
        words.map(|words| words.join(" "))
    };
    let one = |item: &Value| match item {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(list) if !list.is_empty() => tokens(list),
        _ => None,
    };
    let found = match input {
        Value::Array(list) if list.first().is_some_and(Value::is_u64) => {
            one(input).map(|one| vec![one])
        }
        Value::Array(list) if !list.is_empty() => list.iter().map(one).collect(),
        _ => one(input).map(|one| vec![one]),
    };
    found.ok_or_else(|| "'$.input' is invalid. Please check the API reference".into())
}

fn openai(body: &Value) -> Result<Wanted, Complaint> {
    permit(
        body,
        &["model", "input", "dimensions", "encoding_format", "user"],
    )?;
    require(body, &["input"])?;
    let base64 = match body["encoding_format"].as_str() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(format!("Invalid encoding_format: {other}").into()),
    };
    let model = body["model"].as_str().unwrap_or_default();
    Ok(Wanted {
        base64,
        ..Wanted::new(model, texts(&body["input"])?, &body["dimensions"])
    })
}

fn openai_answer(wanted: &Wanted, behaviour: &Behaviour) -> Value {
    let vectors = wanted.vectors().into_iter().enumerate();
    let data: Vec<Value> = vectors
        .map(|(index, vector)| {
            let embedding = if wanted.base64 && behaviour.base64 {
                json!(base64(&vector))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut answer = json!({"object": "list", "data": data, "model": wanted.model});
    if let Some(tokens) = wanted.tokens(behaviour) {
        answer["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    answer
}

fn mistral(body: &Value) -> Result<Wanted, Complaint> {
    let known = [
        "model",
        "input",
        "metadata",
        "output_dimension",
        "output_dtype",
        "encoding_format",
    ];
    permit(body, &known).map_err(|complaint| Complaint {
        status: 422,
        ..complaint
    })?;
    if let Some(list) = body["input"].as_array()
        && list.iter().any(|item| !item.is_string())
    {
        return Err(Complaint {
            status: 422,
            message: "Input should be a valid string".to_owned(),
        });
    }
    let model = body["model"].as_str().unwrap_or_default();
    Ok(Wanted {
        base64: body["encoding_format"] == "base64",
        ..Wanted::new(model, texts(&body["input"])?, &body["output_dimension"])
    })
}

fn ollama(body: &Value) -> Result<Wanted, Complaint> {
    let model = body["model"].as_str().ok_or("model is required")?;
    Ok(Wanted::new(
        model,
        texts(&body["input"])?,
        &body["dimensions"],
    ))
}

fn ollama_answer(wanted: &Wanted, behaviour: &Behaviour) -> Value {
    let mut answer = json!({
        "model": wanted.model, "embeddings": wanted.vectors(),
        "total_duration": 14_143_917, "load_duration": 1_019_500,
    });
    if let Some(tokens) = wanted.tokens(behaviour) {
        answer["prompt_eval_count"] = json!(tokens);
    }
    answer
}

fn gemini(model: &str, requests: &Value) -> Result<Wanted, Complaint> {
    let requests = requests.as_array().ok_or("requests: not specified")?;
    let mut found = Vec::new();
    for one in requests {
        let known = [
            "model",
            "content",
            "taskType",
            "title",
            "outputDimensionality",
        ];
        permit(one, &known)?;
        if one["model"].as_str() != Some(&format!("models/{model}")) {
            return Err(format!("The model {} is not models/{model}", one["model"]).into());
        }
        let parts = one["content"]["parts"].as_array();
        let parts = parts.ok_or("content contains an empty Part")?;
        let texts = parts.iter().map(|part| part["text"].as_str());
        let text: Option<String> = texts.collect();
        found.push(text.ok_or("content contains an empty Part")?);
    }
    let first = requests.first().ok_or("requests: at least one")?;
    Ok(Wanted::new(model, found, &first["outputDimensionality"]))
}

/// Usage is told when a test asks for it: older models do not.
fn gemini_answer(wanted: &Wanted, behaviour: &Behaviour) -> Value {
    let vectors = wanted.vectors().into_iter();
    let values: Vec<Value> = vectors.map(|vector| json!({"values": vector})).collect();
    let mut answer = json!({"embeddings": values});
    if let Some(usage) = behaviour.usage {
        answer["usageMetadata"] = json!({"promptTokenCount": usage.input});
    }
    answer
}

fn vertex(model: &str, body: &Value) -> Result<Wanted, Complaint> {
    permit(body, &["instances", "parameters"])?;
    let instances = body["instances"].as_array().ok_or("instances: required")?;
    let texts: Option<Vec<String>> = instances
        .iter()
        .map(|one| one["content"].as_str().map(str::to_owned))
        .collect();
    let texts = texts.ok_or("instances.content: required")?;
    Ok(Wanted::new(
        model,
        texts,
        &body["parameters"]["outputDimensionality"],
    ))
}

fn vertex_answer(wanted: &Wanted, behaviour: &Behaviour) -> Value {
    let vectors = wanted.vectors().into_iter().zip(&wanted.texts);
    let predictions: Vec<Value> = vectors
        .map(|(vector, text)| {
            let mut embeddings = json!({"values": vector});
            if !behaviour.usage_absent {
                let told = behaviour.usage.map(|usage| usage.input);
                let tokens = told.unwrap_or(text.len().div_ceil(4) as u64);
                embeddings["statistics"] = json!({"token_count": tokens, "truncated": false});
            }
            json!({"embeddings": embeddings})
        })
        .collect();
    let characters: usize = wanted.texts.iter().map(|text| text.chars().count()).sum();
    json!({"predictions": predictions, "metadata": {"billableCharacterCount": characters}})
}

fn titan(model: &str, body: &Value) -> Result<Wanted, Complaint> {
    permit(
        body,
        &["inputText", "dimensions", "normalize", "embeddingTypes"],
    )?;
    let text = body["inputText"]
        .as_str()
        .ok_or("required key [inputText] not found")?;
    Ok(Wanted::new(
        model,
        vec![text.to_owned()],
        &body["dimensions"],
    ))
}

fn titan_answer(wanted: &Wanted, behaviour: &Behaviour) -> Value {
    let vector = wanted.vectors().swap_remove(0);
    let mut answer = json!({"embedding": vector, "embeddingsByType": {"float": vector}});
    if let Some(tokens) = wanted.tokens(behaviour) {
        answer["inputTextTokenCount"] = json!(tokens);
    }
    answer
}

fn cohere(model: &str, body: &Value) -> Result<Wanted, Complaint> {
    let known = [
        "texts",
        "input_type",
        "truncate",
        "embedding_types",
        "output_dimension",
        "max_tokens",
    ];
    permit(body, &known)?;
    if body["input_type"].as_str().is_none() {
        return Err("required key [input_type] not found".into());
    }
    Ok(Wanted {
        by_type: model.contains("embed-v4") || body["embedding_types"].is_array(),
        ..Wanted::new(model, texts(&body["texts"])?, &body["output_dimension"])
    })
}

fn cohere_answer(wanted: &Wanted, _: &Behaviour) -> Value {
    let by_type = wanted.by_type;
    let embeddings = if by_type {
        json!({"float": wanted.vectors()})
    } else {
        json!(wanted.vectors())
    };
    json!({
        "id": "b7a9c3c4-fake", "texts": wanted.texts, "embeddings": embeddings,
        "response_type": if by_type { "embeddings_by_type" } else { "embeddings_floats" },
    })
}
