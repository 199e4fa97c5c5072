//! `store`, of the file and of the environment.

use super::*;

const POSTGRES: &str = "postgresql://weir:secret@db:5432/weir";

#[test]
fn the_environment_names_stores_when_the_file_does_not() {
    let named = |config: Config| {
        let shown = |secret: Option<Secret>| secret.map(|secret| secret.expose().to_owned());
        (shown(config.store.database), shown(config.store.redis))
    };
    let both = [
        ("DATABASE_URL", "postgres://other"),
        ("LLM_GATEWAY_DB_URL", POSTGRES),
        ("REDIS_URL", "redis://redis:6379/0"),
    ];
    let found = named(of("", &both).unwrap());
    let expected = (Some(POSTGRES.into()), Some("redis://redis:6379/0".into()));
    assert_eq!(found, expected);
    assert_eq!(
        named(of("", &both[..1]).unwrap()).0.unwrap(),
        "postgres://other"
    );
    let file = "store: {database: postgres://mine, redis: rediss://mine}\n";
    let found = named(of(file, &both).unwrap());
    assert_eq!(
        found,
        (Some("postgres://mine".into()), Some("rediss://mine".into()))
    );
    // Another program's database is none of ours.
    let config = of("", &[("DATABASE_URL", "mysql://db")]).unwrap();
    assert!(config.warnings[0].starts_with("DATABASE_URL is not used"));
    assert_eq!(named(config), (None, None));
}

#[test]
fn a_redis_alone_is_refused_and_so_are_other_addresses() {
    let refused = |text: &str, variables: &[(&str, &str)]| of(text, variables).unwrap_err();
    let alone = refused("", &[("REDIS_URL", "redis://redis")]);
    assert!(
        alone.contains("a Redis is named and no PostgreSQL"),
        "{alone}"
    );
    let odd = refused("store: {database: 'mysql://db'}\n", &[]);
    assert!(
        odd.contains("store.database: is no address that begins with postgres://"),
        "{odd}"
    );
    let odd = refused("store: {secret_key: abc}\n", &[]);
    assert!(odd.contains("openssl rand -hex 32"), "{odd}");
    let config = of("store: {spool_records: 7, redis_timeout_ms: 40}\n", &[]).unwrap();
    assert_eq!(config.store.spool_records, 7);
    assert_eq!(config.store.redis_timeout_ms, 40);
    let odd = refused("store: {redis_timeout_ms: 1501}\n", &[]);
    assert!(odd.contains("store.redis_timeout_ms"), "{odd}");
}
