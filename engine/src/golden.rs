//! Golden files: what a test sees is compared with what is committed under `testdata`.
//!
//! `UPDATE_EXPECT=1 cargo test -p weir-engine` writes the expected files anew.

use std::fs;
use std::path::{Path, PathBuf};

use crate::json::{self, Kind, Span};

/// A folder under `testdata`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

/// Inputs of a folder by name: files with only one dot. There are at least `least`.
pub(crate) fn inputs(folder: &Path, least: usize) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let stem = path.file_stem()?.to_str()?.to_owned();
            (!stem.contains('.')).then(|| (stem, fs::read(path).unwrap()))
        })
        .collect();
    inputs.sort();
    assert!(
        inputs.len() >= least,
        "{} has lost its files",
        folder.display()
    );
    inputs
}

/// Compares with a golden file, or writes it; answers whether they differ.
pub(crate) fn differs(path: &Path, seen: &[u8]) -> bool {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, seen).unwrap();
        return false;
    }
    let expected = fs::read(path).unwrap_or_default();
    if expected != seen {
        eprintln!(
            "--- {}\n{}\n",
            path.display(),
            String::from_utf8_lossy(seen)
        );
    }
    expected != seen
}

/// JSON with a line per member, so that a change shows as a change of lines. Numbers and strings
/// stay as they are written.
pub(crate) fn pretty(compact: &[u8]) -> Vec<u8> {
    let root = json::document(compact).expect("what is written is JSON");
    let mut out = Vec::new();
    indent(compact, root, 0, &mut out);
    out.push(b'\n');
    out
}

fn indent(body: &[u8], value: Span, depth: usize, out: &mut Vec<u8>) {
    let (open, close) = match json::kind(body, value) {
        Some(Kind::Object) => (b'{', b'}'),
        Some(Kind::Array) => (b'[', b']'),
        _ => return out.extend_from_slice(value.of(body)),
    };
    let items: Vec<(Option<Span>, Span)> = if open == b'{' {
        json::members(body, value)
            .map(|member| (Some(member.key), member.value))
            .collect()
    } else {
        json::elements(body, value)
            .map(|element| (None, element))
            .collect()
    };
    out.push(open);
    for (index, (key, item)) in items.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
        out.extend(std::iter::repeat_n(b' ', (depth + 1) * 2));
        if let Some(key) = key {
            out.extend_from_slice(
                format!("\"{}\": ", String::from_utf8_lossy(key.of(body))).as_bytes(),
            );
        }
        indent(body, *item, depth + 1, out);
    }
    if !items.is_empty() {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    }
    out.push(close);
}
