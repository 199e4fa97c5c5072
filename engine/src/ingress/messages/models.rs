//! The list of models.

use super::Writer;

/// Nobody knows when a model came out; Anthropic's clients take this for that.
const RELEASED: &str = "1970-01-01T00:00:00Z";

fn write_model(id: &str, out: &mut Writer<'_>) {
    out.object(|out| {
        out.key("type").string("model");
        out.key("id").string(id);
        out.key("display_name").string(id);
        out.key("created_at").string(RELEASED);
        out.key("lifecycle").string("active");
    });
}

/// One model, as Anthropic answers `GET /v1/models/{id}`.
pub fn model(id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_model(id, &mut Writer::new(&mut out));
    out
}

/// Models, as Anthropic answers `GET /v1/models`: all of them on one page.
pub fn models<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let (mut first, mut last) = (None, None);
    let mut out = Vec::new();
    Writer::new(&mut out).object(|out| {
        out.key("data").array(|out| {
            for id in ids {
                first = first.or(Some(id));
                last = Some(id);
                write_model(id, out);
            }
        });
        out.key("has_more").boolean(false);
        for (name, id) in [("first_id", first), ("last_id", last)] {
            match id {
                Some(id) => out.key(name).string(id),
                None => out.key(name).null(),
            }
        }
    });
    out
}
