//! `store`.

use super::super::reader::{Field, Object, Reader};
use super::super::{Secret, StoreConfig};
use super::optional_secret;

/// Variables that name a PostgreSQL when the file does not, the first one first.
const DATABASE_VARIABLES: [&str; 2] = ["LLM_GATEWAY_DB_URL", "DATABASE_URL"];
/// Variable that names a Redis when the file does not.
const REDIS_VARIABLE: &str = "REDIS_URL";
const DATABASE_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const REDIS_SCHEMES: [&str; 2] = ["redis://", "rediss://"];
/// Records of the longest spool: some terabytes.
const SPOOL_RECORDS_MAX: u64 = 1_000_000_000;
/// Filters wait two seconds for an admission, and what is refused has to reach them before.
const REDIS_TIMEOUT_MS_MAX: u64 = 1_500;
/// Bytes of the key that provider keys are sealed with, in hexadecimal digits.
const KEY_DIGITS: usize = 64;

/// Where state is kept.
pub(super) fn store(top: &mut Object<'_>, reader: &mut Reader<'_>) -> StoreConfig {
    let mut found = StoreConfig::default();
    let place = top.field().clone();
    let field = top.member("store");
    let (mut redis_named, mut database_named) = (false, false);
    if let Some(mut object) = field.and_then(|field| reader.object(field)) {
        if let Some(field) = object.member("redis") {
            redis_named = true;
            found.redis = url(field, &REDIS_SCHEMES, reader);
        }
        if let Some(is) = object
            .member("redis_cluster")
            .and_then(|field| reader.choice(&field, &[("true", true), ("false", false)]))
        {
            found.redis_cluster = is;
        }
        if let Some(ms) = object
            .member("redis_timeout_ms")
            .and_then(|field| reader.integer(&field, 1, REDIS_TIMEOUT_MS_MAX))
        {
            found.redis_timeout_ms = ms;
        }
        if let Some(field) = object.member("database") {
            database_named = true;
            found.database = url(field, &DATABASE_SCHEMES, reader);
        }
        if let Some(field) = object.member("secret_key") {
            found.secret_key = secret_key(field, reader);
        }
        if let Some(records) = object
            .member("spool_records")
            .and_then(|field| reader.integer(&field, 1, SPOOL_RECORDS_MAX))
        {
            found.spool_records = records;
        }
        object.finish(reader);
    }
    if !redis_named {
        found.redis = variable(REDIS_VARIABLE, &REDIS_SCHEMES, reader);
    }
    if !database_named {
        let mut named = DATABASE_VARIABLES.iter();
        found.database = named.find_map(|name| variable(name, &DATABASE_SCHEMES, reader));
    }
    let before = reader.problems.len();
    if found.redis.is_some() && found.database.is_none() && before == 0 {
        reader.problem(
            &Field {
                path: "store".to_owned(),
                ..place
            },
            "a Redis is named and no PostgreSQL: what Redis counts has to be kept in one. Name it in \
             `database`, LLM_GATEWAY_DB_URL or DATABASE_URL, or leave REDIS_URL out",
        );
    }
    found
}

/// An address with a user and a password in it.
fn url(field: Field<'_>, schemes: &[&str; 2], reader: &mut Reader<'_>) -> Option<Secret> {
    let place = field.clone();
    let secret = optional_secret(field, reader)?;
    // One that a vault keeps is read at start.
    if secret.reference().is_none() && !fits(&secret, schemes) {
        reader.problem(
            &place,
            format!("is no address that begins with {}", worded(schemes)),
        );
        return None;
    }
    Some(secret)
}

/// The same from the environment. A variable that other programs use too may stand for something else.
fn variable(name: &str, schemes: &[&str; 2], reader: &mut Reader<'_>) -> Option<Secret> {
    let secret = Secret::new(reader.env(name)?);
    if fits(&secret, schemes) {
        return Some(secret);
    }
    let schemes = worded(schemes);
    reader.warnings.push(format!(
        "{name} is not used: it does not begin with {schemes}"
    ));
    None
}

fn fits(secret: &Secret, schemes: &[&str; 2]) -> bool {
    schemes
        .iter()
        .any(|scheme| secret.expose().starts_with(scheme))
}

fn worded(schemes: &[&str; 2]) -> String {
    schemes.join(" or ")
}

fn secret_key(field: Field<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    let place = field.clone();
    let secret = optional_secret(field, reader)?;
    let digits = secret.expose();
    let hex = digits.len() == KEY_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if secret.reference().is_none() && !hex {
        reader.problem(
            &place,
            "is not 64 hexadecimal digits: `openssl rand -hex 32` makes some",
        );
        return None;
    }
    Some(secret)
}
