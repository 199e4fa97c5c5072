use engine::wire::PiiAction;

use super::*;

mod dialects;
mod rates;
mod stores;
mod vaults;

fn parse(text: &str) -> Result<Config, ConfigError> {
    let env = |name: &str| match name {
        "SET" => Some("from-env".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse(Path::new("weir.yaml"), text, &env)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The problems as they are printed, one a line.
fn problems(text: &str) -> String {
    parse(text)
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

const ONE: &str = "providers: [{name: a, base_url: 'http://127.0.0.1:1/v1'}]\n";

/// A file with one provider and `text`, read with these variables.
fn of(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let env = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let text = format!("{ONE}{text}");
    Config::parse(Path::new("weir.yaml"), &text, &env).map_err(|error| error.to_string())
}

#[test]
fn the_shape_of_the_documentation_is_read() {
    let config = good(
        "listen: 0.0.0.0:8000
data: ./data
admin_token: {env: SET}
providers:
  - {name: openai,    dialect: openai,    base_url: https://api.openai.com/v1,    api_key: {env: SET}}
  - {name: anthropic, dialect: anthropic, base_url: https://api.anthropic.com,    api_key: {env: UNSET}}
  - {name: local,     dialect: openai,    base_url: http://127.0.0.1:11434/v1}
models:
  - {id: gpt-4o-mini, provider: openai, model: gpt-4o-mini, context: 128000, max_output: 16384, price: {input: 0.15, cached_input: 0.075, output: 0.60}}
defaults: {provider: openai, guardrails: {input: [{type: pii_detection, action: redact}]}, cache: {mode: simple, ttl: 3600},
           retry: {attempts: 2, on_status_codes: [429, 500, 502, 503, 504]}, request_timeout_ms: 60000}
budgets: [{scope: global, limit_usd: 1000, period: monthly}]
virtual_keys: [{name: ci, key: {env: SET}, provider: openai, rate_limit: 100, budget_limit_usd: 500}]
",
    );
    assert_eq!(
        config.admin_token.as_ref().map(Secret::expose),
        Some("from-env")
    );
    let policy = config.policy();
    let [openai, anthropic, local] = policy.providers.as_slice() else {
        panic!("{policy:?}")
    };
    assert_eq!(
        (openai.authority.as_str(), openai.base_path.as_str()),
        ("api.openai.com", "/v1")
    );
    assert_eq!(
        (openai.auth_header.as_str(), openai.auth_prefix.as_str()),
        ("authorization", "Bearer ")
    );
    assert_eq!(openai.api_key.as_deref(), Some("from-env"));
    assert_eq!(
        (
            anthropic.auth_header.as_str(),
            anthropic.auth_prefix.as_str()
        ),
        ("x-api-key", "")
    );
    assert_eq!(
        (anthropic.api_key.as_deref(), anthropic.base_path.as_str()),
        (None, "")
    );
    assert_eq!(
        (local.authority.as_str(), local.base_path.as_str()),
        ("127.0.0.1:11434", "/v1")
    );
    let price = policy
        .models
        .first()
        .map(|model| model.price)
        .unwrap_or_default();
    let (cached, reasoning) = (price.cached_input, price.reasoning);
    assert_eq!(
        (price.input, cached, price.output, reasoning),
        (150_000_000, 75_000_000, 600_000_000, 600_000_000)
    );
    assert_eq!(
        policy.defaults.guardrails,
        Guardrails::input(PiiAction::Redact)
    );
    assert_eq!(policy.defaults.cache_ttl_s, Some(3600));
    let key = config.virtual_keys.first().unwrap();
    assert_eq!(
        (key.rate_limit, key.budget_limit_nano),
        (Some(100), Some(500_000_000_000))
    );
    let [warning] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings)
    };
    assert_eq!(
        warning,
        "providers[1].api_key: UNSET is not set; requests go there without a key"
    );
}

#[test]
fn what_is_not_said_has_defaults() {
    let config = good(ONE);
    assert_eq!(config.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(
        config.sidecar.internal,
        Address::Unix("./data/internal.sock".into())
    );
    assert_eq!(config.envoy.admin.to_string(), "127.0.0.1:9901");
    assert_eq!(
        config.limits.request_body_bytes as usize,
        engine::limits::REQUEST_BODY_BYTES_MAX
    );
    assert_eq!(config.defaults.provider.as_deref(), Some("a"));
    assert_eq!(
        (config.defaults.retry_attempts, config.defaults.cache_ttl_s),
        (2, None)
    );
    assert_eq!(config.defaults.budget_status, 429);
}

#[test]
fn every_problem_of_one_run_has_its_place() {
    let text = "listen: 8000
provider: []
providers:
- {name: a, dialect: opnai, base_url: http://x}
- {name: a b, base_url: ftp://x, pricee: free}
models: [{id: m, provider: aa, price: {input: -1}}]
defaults: {retry: {atempts: 1, on_status_codes: [99]}, budget_status_code: 500}
virtual_keys: [{name: k, key: {evn: X}}]
";
    let expected = "\
weir.yaml:1:9: listen: `8000` is not IP:PORT, for example 0.0.0.0:8000
weir.yaml:2:1: unknown member `provider`; did you mean `providers`?
weir.yaml:4:22: providers[0].dialect: `opnai` is none of openai, anthropic, azure, bedrock, gemini, mistral, ollama, perplexity, vertex; did you mean `openai`?
weir.yaml:5:10: providers[1].name: `a b` is not a name: letters, digits, `.`, `_` and `-`, at most 64
weir.yaml:5:25: providers[1].base_url: `ftp://x` is neither http://, https:// nor `demo`
weir.yaml:5:34: providers[1]: unknown member `pricee`; did you mean `price`?
weir.yaml:6:28: models[0].provider: no provider is named `aa`; did you mean `a`?
weir.yaml:6:39: models[0].price: `output` is missing
weir.yaml:6:47: models[0].price.input: expected dollars such as 0.15 (not negative, at most nine decimal places), found `-1`
weir.yaml:7:20: defaults.retry: unknown member `atempts`; did you mean `attempts`?
weir.yaml:7:50: defaults.retry.on_status_codes[0]: expected a whole number from 400 to 599, found `99`
weir.yaml:7:76: defaults.budget_status_code: `500` is none of 429, 402, 403
weir.yaml:8:32: virtual_keys[0].key: unknown member `evn`; did you mean `env`?";
    assert_eq!(problems(text), expected);
}

#[test]
fn mistakes_are_refused() {
    for (text, part) in [
        ("providers: [", "not valid YAML"),
        ("{}", "`providers` is missing"),
        ("- 1", "expected a mapping, found a list"),
        ("a: 1\na: 2", "`a` is given twice"),
        ("providers: {}", "expected a list, found a mapping"),
        ("providers: []\n---\n{}", "a second document"),
        ("providers: *no", "not valid YAML"),
        (
            "providers: [{name: a, base_url: 'http://x'}, {name: a, base_url: 'http://y'}]",
            "given twice",
        ),
        (
            "providers: [{name: a, base_url: 'http://u:p@x'}]",
            "has a user",
        ),
        ("providers: [{name: a, base_url: 'http://x?y'}]", "a query"),
        ("providers: [{name: a, base_url: 'http://x:99999'}]", "port"),
        (
            "providers: [{name: a, base_url: 'http://'}]",
            "names no host",
        ),
        (
            "providers: [{name: a, base_url: 'http://x', chat_path: v1}]",
            "starts with `/`",
        ),
        (
            "providers: [{name: a, base_url: 'http://x', headers: {'a b': c}}]",
            "not the name of a header",
        ),
        (
            "providers: [{name: a, base_url: 'http://x', api_key: {file: /nonexistent}}]",
            "cannot read /nonexistent",
        ),
        (
            "providers: [{name: a, base_url: 'http://x', when: {env: UNSET}}]",
            "no provider is present",
        ),
    ] {
        let found = problems(text);
        assert!(found.contains(part), "{text}\n{found}");
    }
    for (text, part) in [
        ("models: [{id: m, provider: a}]", "has no known price"),
        (
            "models: [{id: m, provider: a, price: free}, {id: m, provider: a, price: free}]",
            "given twice",
        ),
        (
            "models: [{id: m, provider: a, price: {input: 0.0000000001, output: 1}}]",
            "nine decimal places",
        ),
        (
            "models: [{id: m, provider: a, price: {input: 1e3, output: 1}}]",
            "expected dollars",
        ),
        (
            "models: [{id: m, provider: a, price: {input: 2000000, output: 1}}]",
            "per million tokens",
        ),
        (
            "models: [{id: m, provider: a, price: cheap}]",
            "expected `free`",
        ),
        (
            "budgets: [{scope: gobal, limit_usd: 1}]",
            "did you mean `global`?",
        ),
        (
            "budgets: [{scope: global, limit_usd: 1}, {scope: global, limit_usd: 2}]",
            "given twice",
        ),
        ("virtual_keys: [{name: k, key: 'a b'}]", "visible ASCII"),
        (
            "virtual_keys: [{name: k, key: x}, {name: l, key: x}]",
            "the same key",
        ),
        (
            "virtual_keys: [{name: k, key: x, real_api_key: y}]",
            "needs `provider`",
        ),
        (
            "virtual_keys: [{name: k, key: x, config: {strategy: nope}}]",
            "strategy",
        ),
        (
            "sidecar: {internal: '127.0.0.1:1', admin: '127.0.0.1:1'}",
            "must differ",
        ),
        ("sidecar: {internal: here}", "neither unix:PATH nor IP:PORT"),
        (
            "limits: {request_body_bytes: 33554433}",
            "from 1024 to 33554432",
        ),
        ("defaults: {retry: {attempts: 6}}", "from 0 to 5"),
        (
            "defaults: {retry: {backoff_ms: {base: 20, max: 10}}}",
            "less than `base`",
        ),
        (
            "defaults: {guardrails: {input: [{type: pii_detection, action: masc}]}}",
            "did you mean `mask`",
        ),
    ] {
        let found = problems(&format!("{ONE}{text}"));
        assert!(found.contains(part), "{text}\n{found}");
    }
}

#[test]
fn an_entry_with_when_exists_where_its_variable_is_set() {
    let text = "
providers:
- {name: real, base_url: 'https://x', when: {env: UNSET}}
- {name: empty, base_url: 'https://x', when: {env: EMPTY}}
- {name: here, base_url: 'http://x', when: {env: SET}}
models:
- {id: m, provider: real, price: free}
- {id: m, provider: here, price: free}
defaults: {provider: real}
virtual_keys: [{name: k, key: x, provider: real}, {name: l, key: y, when: {env: UNSET}}]
";
    let config = good(text);
    let names: Vec<&str> = config
        .providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    assert_eq!(names, ["here"]);
    assert_eq!(
        config.models.first().map(|model| model.provider.as_str()),
        Some("here")
    );
    assert_eq!(config.defaults.provider.as_deref(), Some("here"));
    let [key] = config.virtual_keys.as_slice() else {
        panic!("{:?}", config.virtual_keys)
    };
    assert_eq!(key.provider, None);
}

#[test]
fn prices_and_windows_come_from_the_catalogue_and_then_from_the_provider() {
    let text = "
providers:
- {name: openai, base_url: 'https://x/v1'}
- {name: mine, base_url: 'https://x/v1', default_price: {input: 1, output: 2}}
models:
- {id: small, provider: openai, model: gpt-4o-mini}
- {id: other, provider: mine}
";
    let config = good(text);
    let [small, other] = config.models.as_slice() else {
        panic!("{:?}", config.models)
    };
    assert!(small.price.input > 0 && small.context > 0 && small.max_output > 0);
    assert_eq!(
        (other.price.input, other.price.output),
        (1_000_000_000, 2_000_000_000)
    );
    let models = config.policy().models;
    assert!(models.iter().filter(|model| model.listed).count() == 2);
    assert!(
        models
            .iter()
            .any(|model| model.id == "gpt-4o-mini" && model.provider == "openai")
    );
    assert!(models.iter().all(|model| model.provider != "anthropic"));
}

#[test]
fn base_urls_are_taken_apart() {
    for (url, tls, host, authority, path) in [
        (
            "https://api.x.com/v1/",
            true,
            Host::Name("api.x.com".into(), 443),
            "api.x.com",
            "/v1",
        ),
        (
            "http://X.com:80",
            false,
            Host::Name("x.com".into(), 80),
            "X.com",
            "",
        ),
        (
            "https://x.com:80/a/b",
            true,
            Host::Name("x.com".into(), 80),
            "x.com:80",
            "/a/b",
        ),
        (
            "http://[::1]:8/v1",
            false,
            Host::Ip("[::1]:8".parse().unwrap()),
            "[::1]:8",
            "/v1",
        ),
        (
            "https://[::1]",
            true,
            Host::Ip("[::1]:443".parse().unwrap()),
            "[::1]",
            "",
        ),
        (
            "demo",
            false,
            Host::Demo("d/demo.sock".into()),
            "demo",
            "/v1",
        ),
    ] {
        let found = Endpoint::parse(url, Path::new("d"));
        let expected = Endpoint {
            tls,
            host,
            authority: authority.into(),
            base_path: path.into(),
        };
        assert_eq!(found, Ok(expected), "{url}");
    }
}

#[test]
fn local_secrets_do_not_replace_those_of_the_file() {
    let env = |name: &str| match name {
        ADMIN_TOKEN_VARIABLE => Some("local-token".to_owned()),
        DEV_KEY_VARIABLE => Some("local-key".to_owned()),
        _ => None,
    };
    let load = |text: &str| Config::parse(Path::new("weir.yaml"), text, &env).unwrap();
    let config = load(ONE);
    assert_eq!(
        config.admin_token.as_ref().map(Secret::expose),
        Some("local-token")
    );
    assert_eq!(
        config.virtual_keys.first().map(|key| key.key.expose()),
        Some("local-key")
    );
    let config = load(&format!(
        "{ONE}admin_token: own\nvirtual_keys: [{{name: dev, key: own-key}}]"
    ));
    assert_eq!(config.admin_token.as_ref().map(Secret::expose), Some("own"));
    let names = config.virtual_keys.iter().map(|key| key.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["dev", "dev-local"]);
}

#[test]
fn a_secret_does_not_print_itself() {
    let config = good(
        "admin_token: hush\nproviders: [{name: a, base_url: demo, api_key: hush, headers: {x: hush}}]",
    );
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn aliases_can_not_multiply_a_file_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    assert!(problems(&text).contains("more than 200000 parts"));
    let deep = format!("a: {}1{}", "[".repeat(100), "]".repeat(100));
    assert!(
        problems(&deep).contains("nested deeper"),
        "{}",
        problems(&deep)
    );
}

#[test]
fn a_route_configuration_may_be_written_in_yaml() {
    let text = format!(
        "{ONE}virtual_keys: [{{name: k, key: x, config: {{strategy: single, provider: a, retry: {{attempts: 1}}}}}}]"
    );
    let config = good(&text);
    let json = config
        .virtual_keys
        .first()
        .and_then(|key| key.config.clone())
        .unwrap();
    assert!(engine::route::RouteConfig::parse(&json).is_ok(), "{json}");
}
