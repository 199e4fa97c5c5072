use super::*;
use crate::config::{VaultAccess, VaultConfig, VaultReference};

const VAULTS: &str = "vaults:
- {name: main, provider: hashicorp, url: 'https://vault.test:8200', token: {env: SET}, ttl: 60}
- {name: cloud, provider: azure, url: 'https://v.vault.azure.net/', tenant_id: t, client_id: c, client_secret: s}
";

fn references(config: &mut Config) -> Vec<VaultReference> {
    config.references(&[Purpose::Service, Purpose::Administration, Purpose::Envoy])
}

#[test]
fn a_vault_keeps_a_secret_wherever_the_file_takes_one() {
    let mut config = good(&format!(
        "{VAULTS}admin_token: {{vault: weir/admin}}
providers:
- {{name: a, base_url: 'http://x', api_key: {{vault: {{in: cloud, secret: openai-api-key, version: latest}}}}, headers: {{X-Team: {{vault: {{secret: team, field: f, version: 2}}}}}}}}
- {{name: b, dialect: bedrock, aws: {{region: r, access_key_id: {{vault: id}}, secret_access_key: {{vault: key}}}}}}
- {{name: c, base_url: 'http://x', api_key_reference: {{provider: azure, vault_url: 'https://v.vault.azure.net', secret_name: n}}}}
- {{name: d, base_url: 'http://x', api_key_secret_ref: {{provider: hashicorp, secret_identifier: i, version: latest}}}}
virtual_keys:
- {{name: k, key: {{vault: k}}, provider: a, real_api_key: {{vault: r}}}}
- {{name: l, key: {{vault: l}}}}
"
    ));
    let shown: Vec<String> = references(&mut config)
        .iter()
        .map(|found| {
            let version = found.version.as_deref().unwrap_or("-");
            let field = found.field.as_deref().unwrap_or("-");
            format!(
                "{}: {} {} {version} {field}",
                found.member, found.vault, found.secret
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "admin_token: main weir/admin - -",
            "providers[0].api_key: cloud openai-api-key - -",
            "providers[0].headers.X-Team: main team 2 f",
            "providers[1].aws.access_key_id: main id - -",
            "providers[1].aws.secret_access_key: main key - -",
            "providers[2].api_key_reference: cloud n - -",
            "providers[3].api_key_secret_ref: main i - -",
            "virtual_keys[0].key: main k - -",
            "virtual_keys[0].real_api_key: main r - -",
            "virtual_keys[1].key: main l - -",
        ]
    );
    let of_envoy = config.references(&[Purpose::Envoy]);
    assert_eq!(of_envoy.len(), 2);

    let value = |reference: &VaultReference| Some(reference.secret.clone());
    assert_eq!(config.fill(&value).len(), 10);
    assert_eq!(config.fill(&value), [""; 0]);
    assert_eq!(config.policy().providers[2].api_key.as_deref(), Some("n"));
    assert_eq!(config.check_filled(), Ok(()));
    config.fill(&|reference| (reference.secret == "l").then(|| "k".to_owned()));
    let same = "virtual keys `k` and `l` have the same key";
    assert_eq!(config.check_filled(), Err(same.to_owned()));
    config.fill(&|reference| (reference.secret == "l").then(|| "k l".to_owned()));
    let odd = "virtual key `l`: its key has characters other than visible ASCII";
    assert_eq!(config.check_filled(), Err(odd.to_owned()));
}

#[test]
fn the_environment_can_name_the_vault() {
    const AZURE: &[(&str, &str)] = &[
        ("AZURE_KEY_VAULT_URL", "https://v.vault.azure.net/"),
        ("AZURE_CLIENT_ID", "c"),
        ("AZURE_CLIENT_SECRET", "s"),
        ("AZURE_TENANT_ID", "t"),
    ];
    const AWS: &[(&str, &str)] = &[
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "st"),
    ];
    const HASHICORP: &[(&str, &str)] = &[("VAULT_URL", "https://v:8200"), ("VAULT_TOKEN", "hvs.t")];
    const ADDR: &[(&str, &str)] = &[("VAULT_ADDR", "https://v:8200"), ("VAULT_TOKEN", "hvs.t")];
    let load = |reference: &str, variables: &[(&str, &str)], provider: Option<&str>| {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            let named = provider.filter(|_| name == "KEY_VAULT_PROVIDER");
            found.map(|(_, value)| *value).or(named).map(str::to_owned)
        };
        let text = format!("providers: [{{name: a, base_url: 'http://x', {reference}}}]");
        Config::parse(Path::new("weir.yaml"), &text, &env)
    };
    let simple = "api_key: {vault: x}";
    for (name, variables, endpoint) in [
        ("azure", AZURE, "v.vault.azure.net"),
        ("aws", AWS, "secretsmanager.eu-west-1.amazonaws.com"),
        ("hashicorp", HASHICORP, "v:8200"),
        ("hashicorp", ADDR, "v:8200"),
    ] {
        for provider in [None, Some(name)] {
            let config = load(simple, variables, provider).unwrap();
            let [vault] = config.vaults.as_slice() else {
                panic!("{:?}", config.vaults)
            };
            assert_eq!(vault.name, name);
            assert_eq!(vault.provider().name(), name);
            assert_eq!(vault.endpoint().unwrap().authority, endpoint);
            assert_eq!(config.warnings, [""; 0]);
        }
    }
    let all = [AZURE, AWS].concat();
    let reference = "api_key_reference: {provider: azure, vault_url: 'https://other.vault.azure.net/', secret_name: x}, headers: {a: {vault: x}}";
    let config = load(reference, &all, Some("aws")).unwrap();
    let urls = config.vaults.iter().filter_map(VaultConfig::endpoint);
    let urls: Vec<&str> = urls.map(|endpoint| endpoint.authority.as_str()).collect();
    assert_eq!(
        urls,
        [
            "other.vault.azure.net",
            "secretsmanager.eu-west-1.amazonaws.com"
        ]
    );
    let local = load(simple, &[], Some("local")).unwrap();
    assert!(
        matches!(&local.vaults[0].access, VaultAccess::Local(path) if path == Path::new("./secrets"))
    );

    for (variables, provider, part) in [
        (&[][..], None, "there is no vault"),
        (
            &[],
            Some("gcp"),
            "KEY_VAULT_PROVIDER is none of hashicorp, azure, aws, local",
        ),
        (
            &AZURE[..3],
            None,
            "the vault needs AZURE_TENANT_ID, which is not set",
        ),
        (
            &[],
            Some("hashicorp"),
            "the vault needs VAULT_TOKEN, which is not set",
        ),
    ] {
        let error = load(simple, variables, provider).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(load("api_key: x", AZURE, None).unwrap().vaults.len(), 0);
    // Who is not here needs no vault.
    let absent =
        "api_key: x}, {name: b, base_url: 'http://x', api_key: {vault: y}, when: {env: NO}";
    assert!(load(absent, &[], None).is_ok());
}

#[test]
fn mistakes_with_vaults_are_refused() {
    for (key, part) in [
        (
            "{vault: {in: mian, secret: x}}",
            "no vault is named `mian`; did you mean `main`?",
        ),
        ("{vault: {in: main}}", "`secret` is missing"),
        ("{vault: x, env: SET}", "expected one of"),
        ("{vault: /x}", "is not a secret of a vault of hashicorp"),
        ("{vault: a/../x}", "is not a secret of a vault of hashicorp"),
        (
            "{vault: {secret: x, version: new}}",
            "`new` is not a version",
        ),
        (
            "{vault: {in: cloud, secret: a_b}}",
            "is not a secret of a vault of azure",
        ),
        (
            "{vault: {in: cloud, secret: a, versoin: b}}",
            "did you mean `version`?",
        ),
        (
            "x, api_key_reference: {provider: azure, secret_name: x}",
            "the key is given twice",
        ),
    ] {
        let found = problems(&format!(
            "{VAULTS}providers: [{{name: a, base_url: 'http://x', api_key: {key}}}]"
        ));
        assert!(found.contains(part), "{key}\n{found}");
    }
    for (vault, part) in [
        ("name: a", "`provider` is missing"),
        (
            "name: a, provider: gcp",
            "none of hashicorp, azure, aws, local",
        ),
        (
            "name: a, provider: hashicorp, url: 'https://x'",
            "`token` is missing, and VAULT_TOKEN is not set",
        ),
        (
            "name: a, provider: hashicorp, url: 'x:8200', token: t",
            "neither http:// nor https://",
        ),
        (
            "name: a, provider: hashicorp, url: 'https://x', token: {vault: x}",
            "what opens a vault cannot be in one",
        ),
        (
            "name: a, provider: hashicorp, url: 'https://x', token: t, ttl: 0",
            "from 1 to 86400",
        ),
        (
            "name: a, provider: local, token: t",
            "unknown member `token`",
        ),
        (
            "name: a, provider: local}, {name: a, provider: local",
            "vault `a` is given twice",
        ),
    ] {
        let found = problems(&format!("{ONE}vaults: [{{{vault}}}]"));
        assert!(found.contains(part), "{vault}\n{found}");
    }
    let clear = good(&format!(
        "{ONE}vaults: [{{name: a, provider: hashicorp, url: 'http://v.test', token: t}}]"
    ));
    assert_eq!(
        clear.warnings,
        ["vault `a`: secrets cross the network in the clear, v.test is without TLS"]
    );
}
