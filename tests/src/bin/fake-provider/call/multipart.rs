//! `multipart/form-data`, as clients send files.

use bytes::Bytes;

use super::{Complaint, Request};

/// One part of a form.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) filename: Option<String>,
    pub(super) content: Bytes,
}

/// A form's parts, in order.
pub(super) struct Form(Vec<Part>);

impl Form {
    pub(super) fn read(request: &Request<'_>) -> Result<Form, Complaint> {
        let kind = request.recorded.header("content-type").unwrap_or_default();
        let boundary = kind
            .strip_prefix("multipart/form-data")
            .and_then(|rest| rest.split_once("boundary="))
            .map(|(_, boundary)| boundary.split(';').next().unwrap_or_default())
            .ok_or("Could not parse multipart form")?;
        let parts = parts(request.bytes, boundary.trim_matches('"'));
        parts
            .map(Form)
            .ok_or_else(|| "Could not parse multipart form".into())
    }

    pub(super) fn file(&self, name: &str) -> Result<&Part, Complaint> {
        let found = self
            .0
            .iter()
            .find(|part| part.name == name || part.name == format!("{name}[]"));
        found.ok_or_else(|| format!("'{name}' is a required property").into())
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let part = self.0.iter().find(|part| part.name == name)?;
        Some(String::from_utf8_lossy(&part.content).into_owned())
    }
}

/// Every part between the boundaries; `None` when a head or the last boundary is missing.
fn parts(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let mark = format!("--{boundary}");
    let mut start = find(body, mark.as_bytes(), 0)? + mark.len();
    let mut parts = Vec::new();
    while body.get(start..start + 2)? == b"\r\n" {
        let head_end = find(body, b"\r\n\r\n", start)?;
        let end = find(body, format!("\r\n{mark}").as_bytes(), head_end)?;
        let head = String::from_utf8_lossy(&body[start..head_end]).into_owned();
        parts.push(Part {
            name: attribute(&head, " name=")?,
            filename: attribute(&head, " filename="),
            content: body.slice(head_end + 4..end),
        });
        start = end + 2 + mark.len();
    }
    (body.get(start..start + 2)? == b"--").then_some(parts)
}

fn find(body: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let found = body
        .get(from..)?
        .windows(wanted.len())
        .position(|window| window == wanted)?;
    Some(from + found)
}

fn attribute(head: &str, name: &str) -> Option<String> {
    let value = &head[head.find(name)? + name.len()..];
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => value.split([';', '\r']).next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_cut_at_its_boundaries_only() {
        let body = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
            Content-Type: text/plain\r\n\r\n--x\r\n\r\nb\r\n--b--\r\n";
        let found = parts(&Bytes::from(body), "b").expect("parts");
        assert_eq!(found.len(), 2);
        assert_eq!(&found[0].content[..], b"batch");
        assert_eq!(found[1].filename.as_deref(), Some("a.txt"));
        assert_eq!(&found[1].content[..], b"--x\r\n\r\nb");
        assert!(parts(&Bytes::from(&body[..body.len() - 5]), "b").is_none());
    }
}
