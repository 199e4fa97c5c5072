//! The manual is kept true: its tables are made from the code, its configurations are read by it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use engine::guard::detectors;
use engine::ingress::Ingress;
use engine::price::{CATALOGUE, parse_catalogue, usd};
use engine::reply::{Code, Row, TABLE};
use engine::route::RouteConfig;
use engine::wire::Model;

use crate::config::Config;
use crate::{help, serve};

mod forms;

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

/// Compares with the committed file, or writes it with `UPDATE_EXPECT=1`.
pub(crate) fn fresh(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is stale: run UPDATE_EXPECT=1 cargo test -p weir",
        path.display()
    );
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Replaces what stands between `<!-- generated: NAME -->` and `<!-- end -->`.
fn with_table(document: &str, name: &str, table: &str) -> String {
    let mark = format!("<!-- generated: {name} -->\n");
    let (before, rest) = document
        .split_once(&mark)
        .unwrap_or_else(|| panic!("no {mark}"));
    let (_, after) = rest.split_once("<!-- end -->").expect("<!-- end -->");
    format!("{before}{mark}{table}<!-- end -->{after}")
}

fn table<const N: usize>(heads: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(N));
    for row in rows {
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    text
}

fn refusals() -> String {
    let status = |row: &Row| match row.code {
        Code::UpstreamError => "the provider's".to_owned(),
        Code::UpstreamStreamInterrupted => "in the stream".to_owned(),
        _ => row.status.to_string(),
    };
    let when = |row: &Row| match row.should_retry {
        Some(false) => format!("{}; `x-should-retry: false`", row.code.when()),
        _ => row.code.when().to_owned(),
    };
    let row = |row: &Row| [format!("`{}`", row.name), status(row), when(row)];
    table(["code", "status", "when"], TABLE.iter().map(row))
}

fn guard() -> String {
    let rows = detectors().iter().map(|detector| {
        let example = format!("`{}`", detector.example);
        [
            format!("`{}`", detector.name),
            detector.what.to_owned(),
            example,
            if detector.by_default { "on" } else { "off" }.to_owned(),
        ]
    });
    table(
        ["type", "what is found", "for example", "unless asked for"],
        rows,
    )
}

fn models() -> String {
    let row = |model: &Model| {
        let price = model.price;
        let long = match price.long_from {
            0 => String::new(),
            from => format!(
                "from {from}: {} / {}",
                usd(price.long_input),
                usd(price.long_output)
            ),
        };
        [
            format!("`{}`", model.id),
            model.provider.clone(),
            model.context.to_string(),
            model.max_output.to_string(),
            usd(price.input),
            usd(price.cached_input),
            usd(price.output),
            long,
        ]
    };
    let heads = [
        "model",
        "provider",
        "context",
        "max output",
        "input",
        "cached input",
        "output",
        "long prompts, input / output",
    ];
    table(heads, parse_catalogue(CATALOGUE).unwrap().iter().map(row))
}

fn metrics() -> String {
    let rows = serve::metric_families();
    let rows = rows
        .into_iter()
        .map(|[name, kind, labels, help]| [format!("`{name}`"), kind, labels, help]);
    table(["metric", "type", "labels", "what"], rows)
}

fn commands() -> String {
    let mut text = format!("```text\n{}```\n", help::overview());
    for command in help::COMMANDS {
        let usage = help::of(command.name).unwrap();
        write!(text, "\n```text\n{usage}```\n").unwrap();
    }
    text
}

#[test]
fn generated_tables_are_fresh() {
    let mut documents = BTreeMap::new();
    for (path, name, table) in [
        ("README.md", "refusals", refusals()),
        ("docs/guardrails.md", "detectors", guard()),
        ("docs/models.md", "models", models()),
        ("docs/operations.md", "metrics", metrics()),
        ("docs/operations.md", "commands", commands()),
        (
            "docs/clients.md",
            "messages",
            forms::members(Ingress::Messages),
        ),
        (
            "docs/clients.md",
            "responses",
            forms::members(Ingress::Responses),
        ),
        (
            "docs/clients.md",
            "completions",
            forms::members(Ingress::Completions),
        ),
    ] {
        let document = documents.entry(path).or_insert_with(|| read(path));
        *document = with_table(document, name, &table);
    }
    for (path, document) in documents {
        fresh(path, &document);
    }
}

/// Code blocks of `language` in a document, each with the line it starts in.
fn blocks<'d>(document: &'d str, language: &str) -> Vec<(usize, &'d str)> {
    let fence = format!("```{language}\n");
    let mut line = 1;
    let mut found = Vec::new();
    let mut pieces = document.split(fence.as_str());
    line += pieces.next().map_or(0, |piece| piece.matches('\n').count());
    for piece in pieces {
        let (block, _) = piece.split_once("```").expect("a closing fence");
        found.push((line, block));
        line += 1 + piece.matches('\n').count();
    }
    found
}

fn manual() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("docs")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter(|name| name.ends_with(".md"));
    let mut paths: Vec<String> = pages.map(|name| format!("docs/{name}")).collect();
    paths.push("README.md".to_owned());
    paths
}

const PROVIDER: &str = "providers: [{name: openai, base_url: 'https://api.openai.com/v1'}, \
                        {name: anthropic, dialect: anthropic, base_url: 'https://api.anthropic.com'}]\n";

/// Variables whose value is more than a text.
const UNSET: [&str; 8] = [
    "WEIR_DEV_KEY",
    "VAULT_CACERT",
    "AZURE_AUTHORITY_HOST",
    "REDIS_URL",
    "DATABASE_URL",
    "GLOBAL_BUDGET_LIMIT",
    "BUDGET_RESET_PERIOD",
    "BUDGET_WARNING_THRESHOLD",
];

#[test]
fn configurations_in_the_manual_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "from a file\n").unwrap();
    let mut count = 0;
    for path in manual() {
        let document = read(&path);
        for (line, block) in blocks(&document, "yaml") {
            // Envoy's own configuration.
            if block.starts_with(SNIPPET) || block.contains("@type") {
                continue;
            }
            let secrets = ["openai", "entra", "vertex"].map(|name| format!("/run/secrets/{name}"));
            let block = secrets.iter().fold(block.to_owned(), |block, secret| {
                block.replace(secret, &file.display().to_string())
            });
            let whole = if block.contains("providers:") {
                block
            } else {
                format!("{PROVIDER}{block}")
            };
            let env = |name: &str| {
                if name == "LLM_GATEWAY_DB_URL" {
                    return Some("postgresql://db/weir".to_owned());
                }
                let text = !UNSET.contains(&name) && !name.starts_with("RATE_LIMIT_");
                text.then(|| format!("value of {name}").replace(' ', "-"))
            };
            if let Err(error) = Config::parse(Path::new(&path), &whole, &env) {
                panic!("{path}, the block in line {line}: {error}");
            }
            count += 1;
        }
        for (line, block) in blocks(&document, "json") {
            if let Err(error) = RouteConfig::parse(block) {
                panic!("{path}, the block in line {line}: {error}");
            }
            count += 1;
        }
    }
    assert!(count > 10, "{count} blocks");
}

/// How a piece of Envoy's configuration begins.
const SNIPPET: &str = "# weir render ";

#[test]
fn snippets_of_the_readme_are_pieces_of_what_is_rendered() {
    let readme = read("README.md");
    let mut names = Vec::new();
    for (line, block) in blocks(&readme, "yaml") {
        let Some(rest) = block.strip_prefix(SNIPPET) else {
            continue;
        };
        let name = rest.split_whitespace().next().unwrap();
        let whole = read(&format!("envoy/snippets/{name}.yaml"));
        let mut rendered = whole.lines();
        for wanted in block
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            assert!(
                rendered.any(|line| line == wanted),
                "README.md, the block in line {line}: envoy/snippets/{name}.yaml has no further\n{wanted}"
            );
        }
        names.push(name.to_owned());
    }
    assert_eq!(names, ["filter", "route", "cluster"]);
}

/// Every refusal of the table is given somewhere: the table promises nothing that does not happen.
#[test]
fn every_code_is_in_use() {
    let mut sources = String::new();
    let mut folders: Vec<PathBuf> = ["engine/src", "sidecar/src", "filter/src"]
        .map(|folder| root().join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("engine/src/reply.rs") && !path.ends_with("tests.rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for row in TABLE {
        let name = format!("Code::{:?}", row.code);
        assert!(sources.contains(&name), "nothing refuses with {name}");
    }
}

/// The same of `detectors`, which the engine reads.
fn expected(detectors: &str) -> Vec<String> {
    let text = format!("{PROVIDER}detectors: {detectors}\n");
    let error = Config::parse(Path::new("x"), &text, &|_| None).expect_err("an unknown member");
    let text = error.to_string();
    let (_, names) = text
        .split_once("expected ")
        .unwrap_or_else(|| panic!("{text}"));
    let names = names.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// The members that the reader knows in the mapping that `with` gives an unknown one.
fn known(with: &str) -> Vec<String> {
    let error = Config::parse(Path::new("x"), with, &|_| None).expect_err("an unknown member");
    let text = error.to_string();
    let known = text
        .split("; known here: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{text}"));
    let line = known.lines().next().unwrap();
    line.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_member_of_the_configuration_is_documented_and_no_other() {
    let document = read("docs/configuration.md");
    let odd = "zzzzzzzzzzzz: 1";
    let with = |text: &str| known(&format!("{PROVIDER}{text}\n"));
    for (section, members) in [
        ("weir.yaml", with(odd)),
        (
            "providers[]",
            known(&format!("providers: [{{name: a, base_url: demo, {odd}}}]")),
        ),
        (
            "models[]",
            with(&format!(
                "models: [{{id: a, provider: openai, price: free, {odd}}}]"
            )),
        ),
        (
            "price",
            with(&format!(
                "models: [{{id: a, provider: openai, price: {{input: 1, output: 1, {odd}}}}}]"
            )),
        ),
        ("defaults", with(&format!("defaults: {{{odd}}}"))),
        (
            "defaults.retry",
            with(&format!("defaults: {{retry: {{{odd}}}}}")),
        ),
        (
            "defaults.cache",
            with(&format!("defaults: {{cache: {{{odd}}}}}")),
        ),
        (
            "budgets[]",
            with(&format!(
                "budgets: [{{scope: global, limit_usd: 1, {odd}}}]"
            )),
        ),
        (
            "rate_limits[]",
            with(&format!(
                "rate_limits: [{{scope: global, requests: 1, {odd}}}]"
            )),
        ),
        (
            "virtual_keys[]",
            with(&format!("virtual_keys: [{{name: a, key: b, {odd}}}]")),
        ),
        (
            "judges[]",
            with(&format!("judges: [{{name: a, kind: webhook, {odd}}}]")),
        ),
        ("detectors", expected(&format!("{{{odd}}}"))),
        (
            "detectors.custom[]",
            expected(&format!("{{custom: [{{{odd}}}]}}")),
        ),
        (
            "detectors.allow",
            expected(&format!("{{allow: {{{odd}}}}}")),
        ),
        ("calendar", with(&format!("calendar: {{{odd}}}"))),
        (
            "alerts.webhook",
            with(&format!(
                "alerts: {{webhook: {{url: \"http://127.0.0.1:9\", {odd}}}}}"
            )),
        ),
        ("sidecar", with(&format!("sidecar: {{{odd}}}"))),
        ("envoy", with(&format!("envoy: {{{odd}}}"))),
        ("limits", with(&format!("limits: {{{odd}}}"))),
        (
            "vaults[]",
            ["hashicorp", "azure", "aws", "local"]
                .iter()
                .flat_map(|provider| {
                    with(&format!(
                        "vaults: [{{name: a, provider: {provider}, {odd}}}]"
                    ))
                })
                .collect(),
        ),
    ] {
        let heading = format!("\n## `{section}`\n");
        let (_, rest) = document
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no heading {section}"));
        let text = rest.split("\n## ").next().unwrap();
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let mut documented: Vec<String> = rows.map(|(name, _)| name.to_owned()).collect();
        let mut members = members;
        members.sort();
        members.dedup();
        documented.sort();
        assert_eq!(documented, members, "{section}");
    }
}

#[test]
fn the_defaults_of_the_manual_are_the_programs() {
    let document = read("docs/configuration.md");
    let (_, rest) = document
        .split_once("<!-- every default -->\n")
        .expect("the mark");
    let (_, block) = blocks(rest, "yaml")[0];
    let parse = |text: &str| {
        let config = Config::parse(Path::new("x"), text, &|_| None);
        config.unwrap_or_else(|error| panic!("{error}"))
    };
    let providers = block.lines().skip_while(|line| *line != "providers:");
    let least: Vec<&str> = providers
        .take_while(|line| line.starts_with("providers:") || line.starts_with(' '))
        .collect();
    assert_eq!(
        format!("{:?}", parse(block)),
        format!("{:?}", parse(&least.join("\n")))
    );
}

#[test]
fn commands_of_the_manual_exist() {
    let makefile = read("Makefile");
    for path in manual() {
        let document = read(&path);
        let lines = blocks(&document, "sh");
        for line in lines.iter().flat_map(|(_, block)| block.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["weir", name, ..] => assert!(help::of(name).is_some(), "{path}: {line}"),
                ["make", target, ..] => {
                    assert!(makefile.contains(&format!("\n{target}:")), "{path}: {line}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for path in manual() {
        let document = read(&path);
        let folder = Path::new(&path).parent().unwrap().to_owned();
        for target in document
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file).display().to_string()
            };
            assert!(root().join(&file).exists(), "{path}: {target}");
            if anchor.is_empty() {
                continue;
            }
            let anchors = read(&file);
            let mut headings = anchors
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(slug);
            assert!(headings.any(|slug| slug == anchor), "{path}: {target}");
        }
    }
}

/// The anchor that Markdown renderers give a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
