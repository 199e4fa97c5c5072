//! OpenAI's images.

use e2e::vector::{base64, embedding};
use serde_json::{Value, json};

use super::multipart::Form;
use super::{Asked, CREATED, Complaint, Request, require, with_extra};

/// Reads a request; pictures of GPT models come in base64, others by address.
pub(super) fn read(request: &Request<'_>) -> Result<Asked, Complaint> {
    let upload = request
        .recorded
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("multipart/"));
    let body = if upload {
        let form = Form::read(request)?;
        form.file("image")?;
        let number = |name: &str| form.text(name).and_then(|text| text.parse::<u64>().ok());
        json!({"model": form.text("model"), "prompt": form.text("prompt").unwrap_or_default(),
               "n": number("n"), "response_format": form.text("response_format")})
    } else {
        require(&request.json, &["prompt"])?;
        request.json.clone()
    };
    let model = body["model"].as_str().unwrap_or("dall-e-2").to_owned();
    let prompt = body["prompt"].as_str().unwrap_or_default().to_owned();
    let inline = model.starts_with("gpt-") || body["response_format"] == "b64_json";
    Ok(Asked::new(
        Some(&model.clone()),
        prompt.clone(),
        move |behaviour, _| {
            let picture = |index: u64| {
                if inline {
                    json!({"b64_json": base64(&embedding(&format!("{prompt}{index}"), 64))})
                } else {
                    json!({"url": format!("https://images.example/{index}.png")})
                }
            };
            let count = body["n"].as_u64().unwrap_or(1);
            let pictures: Vec<Value> = (0..count).map(picture).collect();
            let mut answer = json!({"created": CREATED, "data": pictures});
            if model.starts_with("gpt-") && !behaviour.usage_absent {
                let told = behaviour.usage.unwrap_or_default();
                answer["usage"] = json!({
                    "input_tokens": told.input, "output_tokens": told.output,
                    "total_tokens": told.input + told.output,
                    "input_tokens_details": {"text_tokens": told.input, "image_tokens": 0},
                });
            }
            Ok(with_extra(answer, behaviour).into())
        },
    ))
}
