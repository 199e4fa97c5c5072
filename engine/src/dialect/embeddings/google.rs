//! Requests for Gemini's API and Vertex AI.
//!
//! Gemini's API takes a batch of contents. Vertex AI predicts for its older models, with the texts
//! as instances; the later ones it asks as Gemini does, but one content at a time (google-genai
//! 3.4.0 chooses by the same names).

use super::encoded;
use super::input::Asked;
use crate::dialect::path::push_segment;
use crate::dialect::{Encoded, Target};
use crate::json::{Span, Writer};
use crate::request::RequestError;
use crate::wire::Dialect;

/// Google's own members, as clients write them.
const OWN: [&str; 3] = ["auto_truncate", "task_type", "title"];

pub(super) fn encode(
    target: &Target<'_>,
    asked: &Asked<'_>,
) -> Result<Encoded<'static>, RequestError> {
    let (folder, name) = match target.model.split_once('/') {
        Some((folder @ ("models" | "tunedModels"), name)) => (folder, name),
        _ => ("models", target.model),
    };
    let mut path = format!("/{folder}/");
    push_segment(&mut path, name);
    let mut body = Vec::with_capacity(asked.body.len().saturating_add(256));
    let mut out = Writer::new(&mut body);
    if target.dialect == Dialect::Gemini {
        let texts = asked.texts()?;
        path.push_str(":batchEmbedContents");
        out.object(|out| {
            out.key("requests").array(|out| {
                for text in texts {
                    out.object(|out| {
                        out.key("model").string(&format!("{folder}/{name}"));
                        write_content(asked, text, out);
                        write_own(asked, &[("taskType", "task_type"), ("title", "title")], out);
                        write_dimensions(asked, out);
                    });
                }
            });
        });
        return Ok(encoded(path, body, asked.others(&["task_type", "title"])));
    }
    if predicts(name) {
        let texts = asked.texts()?;
        path.push_str(":predict");
        out.object(|out| write_instances(asked, &texts, out));
    } else {
        let text = asked.only_text()?;
        path.push_str(":embedContent");
        out.object(|out| {
            write_content(asked, text, out);
            out.key("embedContentConfig").object(|out| {
                write_own(
                    asked,
                    &[
                        ("taskType", "task_type"),
                        ("title", "title"),
                        ("autoTruncate", "auto_truncate"),
                    ],
                    out,
                );
                write_dimensions(asked, out);
            });
        });
    }
    Ok(encoded(path, body, asked.others(&OWN)))
}

/// Whether Vertex AI predicts with this model.
fn predicts(name: &str) -> bool {
    name == "gemini-embedding-001" || !(name.contains("gemini") || name.contains("maas"))
}

fn write_content(asked: &Asked<'_>, text: Span, out: &mut Writer<'_>) {
    out.key("content").object(|out| {
        out.key("parts").array(|out| {
            out.object(|out| out.key("text").copy(asked.body, text));
        });
    });
}

fn write_instances(asked: &Asked<'_>, texts: &[Span], out: &mut Writer<'_>) {
    out.key("instances").array(|out| {
        for text in texts {
            out.object(|out| {
                out.key("content").copy(asked.body, *text);
                write_own(
                    asked,
                    &[("task_type", "task_type"), ("title", "title")],
                    out,
                );
            });
        }
    });
    out.key("parameters").object(|out| {
        write_own(asked, &[("autoTruncate", "auto_truncate")], out);
        write_dimensions(asked, out);
    });
}

/// Members that go on under Google's name, the first of each pair.
fn write_own(asked: &Asked<'_>, names: &[(&str, &str)], out: &mut Writer<'_>) {
    for (theirs, ours) in names {
        if let Some(value) = asked.get(ours) {
            out.key(theirs).copy(asked.body, value);
        }
    }
}

fn write_dimensions(asked: &Asked<'_>, out: &mut Writer<'_>) {
    if let Some(dimensions) = asked.dimensions {
        out.key("outputDimensionality").copy(asked.body, dimensions);
    }
}
