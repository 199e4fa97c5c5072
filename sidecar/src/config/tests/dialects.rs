//! What each wire format needs and takes of a provider.

use super::*;

#[test]
fn anthropics_base_is_read_with_and_without_its_version() {
    let base = |dialect: &str, url: &str, more: &str| {
        let text =
            format!("providers: [{{name: a, dialect: {dialect}, base_url: '{url}'{more}}}]\n");
        good(&text).policy().providers.remove(0).base_path
    };
    for (url, path) in [
        ("https://x", ""),
        ("https://x/", ""),
        ("https://x/v1", ""),
        ("https://x/v1/", ""),
        ("https://x/proxy/v1", "/proxy"),
        ("https://x/proxy", "/proxy"),
        ("https://x/apiv1", "/apiv1"),
        ("https://x/v1/v1", "/v1"),
    ] {
        assert_eq!(base("anthropic", url, ""), path, "{url}");
    }
    // A path of one's own follows the base as it is written, and so does OpenAI's.
    let own = ", chat_path: /messages";
    assert_eq!(base("anthropic", "https://x/v1", own), "/v1");
    assert_eq!(base("openai", "https://x/v1", ""), "/v1");
    assert_eq!(base("openai", "https://x", ""), "");
}

#[test]
fn each_dialect_knows_where_it_lives_and_what_opens_it() {
    let config = good(
        "providers:
  - {name: az, dialect: azure, base_url: https://a.openai.azure.com/openai/v1, api_key: k}
  - {name: az-old, dialect: azure, base_url: https://a.openai.azure.com, api_version: 2024-10-21, entra_token: t}
  - {name: gemini, dialect: gemini, api_key: k}
  - {name: gemini-proxy, dialect: gemini, base_url: 'http://10.0.0.2', api_key: k}
  - {name: vertex, dialect: vertex, project: my-project, location: us-central1, access_token: t}
  - {name: vertex-global, dialect: vertex, project: p, location: global, access_token: t}
  - {name: mistral, dialect: mistral, api_key: k}
  - {name: ollama, dialect: ollama, base_url: 'http://127.0.0.1:11434'}
  - {name: pplx, dialect: perplexity, api_key: k, strict_params: true}
  - {name: vllm, base_url: 'http://10.0.0.1:8000/v1', params: {drop: [seed], refuse: [logit_bias], rename: {max_completion_tokens: max_tokens}}}
",
    );
    let policy = config.policy();
    let seen: Vec<String> = policy
        .providers
        .iter()
        .map(|it| {
            let (header, prefix) = (&it.auth_header, &it.auth_prefix);
            format!(
                "{} {}{} {header}: {prefix}",
                it.name, it.authority, it.base_path
            )
        })
        .collect();
    let expected = [
        "az a.openai.azure.com api-key: ",
        "az-old a.openai.azure.com authorization: Bearer ",
        "gemini generativelanguage.googleapis.com/v1beta x-goog-api-key: ",
        "gemini-proxy 10.0.0.2/v1beta x-goog-api-key: ",
        "vertex us-central1-aiplatform.googleapis.com/v1/projects/my-project/locations/us-central1/publishers/google authorization: Bearer ",
        "vertex-global aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google authorization: Bearer ",
        "mistral api.mistral.ai/v1 authorization: Bearer ",
        "ollama 127.0.0.1:11434/v1 authorization: Bearer ",
        "pplx api.perplexity.ai authorization: Bearer ",
        "vllm 10.0.0.1:8000/v1 authorization: Bearer ",
    ];
    assert_eq!(seen, expected);
    let [az, az_old, .., pplx, vllm] = policy.providers.as_slice() else {
        panic!("{policy:?}")
    };
    assert_eq!(
        (az.api_version.as_str(), az_old.api_version.as_str()),
        ("", "2024-10-21")
    );
    assert_eq!(az_old.api_key.as_deref(), Some("t"));
    assert!(pplx.strict_params && !vllm.strict_params);
    assert_eq!(vllm.params.drop, ["seed"]);
    assert_eq!(vllm.params.refuse, ["logit_bias"]);
    let renamed = [("max_completion_tokens".to_owned(), "max_tokens".to_owned())];
    assert_eq!(vllm.params.rename, renamed);
}

#[test]
fn what_a_dialect_does_not_have_is_a_problem() {
    for (members, problem) in [
        (
            "dialect: azure, base_url: https://a, api_key: k, entra_token: t",
            "either `api_key` or `entra_token`",
        ),
        (
            "dialect: azure, base_url: https://a, api_version: latest",
            "`latest` is not an api-version",
        ),
        (
            "dialect: azure, base_url: https://a, chat_path: /x",
            "unknown member `chat_path`",
        ),
        ("dialect: azure", "`base_url` is missing"),
        ("dialect: vertex, location: global", "`project` is missing"),
        (
            "dialect: gemini, chat_path: /x",
            "unknown member `chat_path`",
        ),
        (
            "base_url: https://a, api_version: 2024-10-21",
            "unknown member `api_version`",
        ),
        (
            "base_url: https://a, params: {drop: [model]}",
            "`model` is read by the gateway itself",
        ),
        (
            "base_url: https://a, params: {rename: {seed: 'a b'}}",
            "`a b` is not the name of a parameter",
        ),
    ] {
        let text = format!("providers: [{{name: p, {members}}}]\n");
        let seen = problems(&text);
        assert!(seen.contains(problem), "{members}: {seen}");
    }
}

#[test]
fn bedrock_is_opened_by_a_token_or_by_signatures() {
    let config = good(
        "providers:
  - {name: token, dialect: bedrock, aws: {region: us-east-1, bearer_token: t}}
  - {name: keys, dialect: bedrock, aws: {region: eu-west-1, access_key_id: AK, secret_access_key: sk}}
  - {name: chain, dialect: bedrock, base_url: 'http://127.0.0.1:1', aws: {region: eu-west-1, irsa: true}}
  - {name: profile, dialect: bedrock, aws: {region: eu-west-1, profile: prod}}
",
    );
    let [token, keys, chain, profile] = config.providers.as_slice() else {
        panic!("{:?}", config.providers)
    };
    assert_eq!(
        token.endpoint.authority,
        "bedrock-runtime.us-east-1.amazonaws.com"
    );
    assert_eq!((token.api_key.is_some(), &token.signing), (true, &None));
    let credentials = |provider: &ProviderConfig| {
        assert!(provider.api_key.is_none());
        provider.signing.clone().map(|signing| signing.credentials)
    };
    let expected = AwsCredentials::Keys {
        id: Secret::new("AK"),
        secret: Secret::new("sk"),
        session_token: None,
    };
    assert_eq!(credentials(keys), Some(expected));
    assert_eq!(credentials(chain), Some(AwsCredentials::Chain));
    assert_eq!(chain.endpoint.authority, "127.0.0.1:1");
    assert_eq!(
        credentials(profile),
        Some(AwsCredentials::Profile("prod".into()))
    );
    for (aws, problem) in [
        ("{bearer_token: t}", "`region` is missing"),
        ("{region: a, access_key_id: k}", "go together"),
        (
            "{region: a, profile: p, bearer_token: t}",
            "more than one kind",
        ),
        ("{region: a, irsa: true, profile: p}", "more than one kind"),
    ] {
        let seen = problems(&format!(
            "providers: [{{name: p, dialect: bedrock, aws: {aws}}}]\n"
        ));
        assert!(seen.contains(problem), "{aws}: {seen}");
    }
}
