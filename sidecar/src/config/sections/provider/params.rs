//! `params`: what a server takes that differs from its dialect.

use engine::wire::ParameterRules;

use super::super::super::reader::{Field, Object, Reader};

/// Members that the gateway itself reads or writes.
const OWN: [&str; 4] = ["messages", "model", "stream", "stream_options"];

/// `{drop: [seed], rename: {max_completion_tokens: max_tokens}, refuse: [logit_bias]}`.
pub(super) fn rules(object: &mut Object<'_>, reader: &mut Reader<'_>) -> ParameterRules {
    let mut rules = ParameterRules::default();
    let params = object.member("params");
    let Some(mut params) = params.and_then(|field| reader.object(field)) else {
        return rules;
    };
    for (name, list) in [("drop", &mut rules.drop), ("refuse", &mut rules.refuse)] {
        if let Some(field) = params.member(name) {
            for item in reader.list(&field) {
                list.extend(
                    reader
                        .text(&item)
                        .filter(|name| is_free(name, &item, reader)),
                );
            }
        }
    }
    if let Some(field) = params.member("rename") {
        for (from, value) in reader.map(&field) {
            let Some(to) = reader.text(&value) else {
                continue;
            };
            if is_free(from, &value, reader) && is_free(&to, &value, reader) {
                rules.rename.push((from.to_owned(), to));
            }
        }
    }
    params.finish(reader);
    rules
}

fn is_free(name: &str, field: &Field<'_>, reader: &mut Reader<'_>) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let own = OWN.contains(&name);
    if own {
        reader.problem(field, format!("`{name}` is read by the gateway itself"));
    } else if name.is_empty() || !name.bytes().all(plain) {
        reader.problem(field, format!("`{name}` is not the name of a parameter"));
    }
    !own && !name.is_empty() && name.bytes().all(plain)
}
