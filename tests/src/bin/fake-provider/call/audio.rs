//! OpenAI's speech, with a binary answer, and transcriptions, of an uploaded file.

use serde_json::{Value, json};

use super::multipart::Form;
use super::{
    Asked, CREATED, Complaint, Pieces, Reply, Request, as_text, permit, require, with_extra,
};
use crate::chat::{Answer, Question};
use crate::openai::{self, Events};

/// Reads a request for speech. The answer is what MP3 frames look like to whoever does not decode
/// them: bytes that are no text, and the spoken words.
pub(super) fn speech(request: &Request<'_>) -> Result<Asked, Complaint> {
    let body = &request.json;
    let known = [
        "model",
        "input",
        "voice",
        "instructions",
        "response_format",
        "speed",
        "stream_format",
    ];
    permit(body, &known)?;
    require(body, &["model", "input", "voice"])?;
    let question = question(&body["model"], &body["input"]);
    let kind = match body["response_format"].as_str() {
        None | Some("mp3") => "audio/mpeg",
        Some("wav") => "audio/wav",
        Some("opus") => "audio/opus",
        Some(_) => "application/octet-stream",
    };
    let (model, text) = (question.model.clone(), question.last_text.clone());
    Ok(Asked::new(Some(&model), text, move |behaviour, _| {
        let events = Events {
            head: Vec::new(),
            pieces: Answer::of(&question, behaviour).pieces,
            tail: Vec::new(),
        };
        let pieces = Pieces {
            events,
            kind,
            encode: |text| [&[0xff, 0xfb, 0x90, 0x00], text.as_bytes()].concat(),
            error: String::new(),
        };
        Ok(pieces.into())
    }))
}

fn question(model: &Value, text: &Value) -> Question {
    let text = text.as_str().unwrap_or_default();
    Question {
        model: model.as_str().unwrap_or_default().to_owned(),
        choices: 1,
        last_text: text.to_owned(),
        text_bytes: text.len() as u64,
        ..Question::default()
    }
}

/// Reads a request for a transcription; it echoes the file's name and size.
pub(super) fn transcription(request: &Request<'_>) -> Result<Asked, Complaint> {
    let form = Form::read(request)?;
    let file = form.file("file")?;
    let name = file.filename.clone().unwrap_or_default();
    let heard = format!("{name} with {} bytes", file.content.len());
    let model = form
        .text("model")
        .ok_or("you must provide a model parameter")?;
    let format = form
        .text("response_format")
        .unwrap_or_else(|| "json".to_owned());
    let stream = form.text("stream").as_deref() == Some("true");
    let question = question(&json!(model), &json!(heard));
    let hint = form.text("prompt").unwrap_or_default();
    Ok(Asked::new(Some(&model), hint, move |behaviour, _| {
        let answer = Answer::of(&question, behaviour);
        let mut body = json!({"text": answer.text()});
        if let Some(usage) = answer.usage {
            body["usage"] = json!({
                "type": "tokens", "input_tokens": usage.input, "output_tokens": usage.output,
                "input_token_details": {"text_tokens": 0, "audio_tokens": usage.input},
                "total_tokens": usage.input + usage.output,
            });
        }
        if stream {
            return Ok(transcript_events(&answer, &body));
        }
        if format == "verbose_json" {
            body["duration"] = json!(1.5);
            body["language"] = json!("vietnamese");
            body["task"] = json!("transcribe");
            body["created"] = json!(CREATED);
        }
        if matches!(format.as_str(), "text" | "srt" | "vtt") {
            let pieces = Pieces {
                events: Events {
                    head: Vec::new(),
                    pieces: answer.pieces,
                    tail: vec!["\n".to_owned()],
                },
                kind: "text/plain; charset=utf-8",
                encode: as_text,
                error: String::new(),
            };
            return Ok(pieces.into());
        }
        Ok(with_extra(body, behaviour).into())
    }))
}

fn transcript_events(answer: &Answer, body: &Value) -> Reply {
    let delta = |piece: &String| {
        let event = json!({"type": "transcript.text.delta", "delta": piece});
        format!("data: {event}\n\n")
    };
    let mut done = body.clone();
    done["type"] = json!("transcript.text.done");
    let pieces = Pieces {
        events: Events {
            head: Vec::new(),
            pieces: answer.pieces.iter().map(delta).collect(),
            tail: vec![format!("data: {done}\n\n")],
        },
        kind: "text/event-stream; charset=utf-8",
        encode: as_text,
        error: openai::error_event(),
    };
    pieces.into()
}
