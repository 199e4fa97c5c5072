//! What `weir.yaml` says of providers and models, as tables for those who look with SQL. Nothing is read
//! from them.

use serde_json::json;

use super::db::{Db, DbError, Value};
use super::sums::{pieces, places};
use crate::config::{Config, ProviderConfig};

/// What stands for a key that is there.
const MASKED: &str = "***";

/// Puts providers, models and their prices in place of what was there.
pub(crate) fn put(step: &mut Db, config: &Config) -> Result<(), DbError> {
    step.execute("DELETE FROM configured_providers", &[])?;
    step.execute("DELETE FROM configured_models", &[])?;
    let preferred = config.defaults.provider.as_deref();
    let providers = config.providers.iter();
    let providers: Vec<Vec<Value<'_>>> = providers
        .map(|provider| row_of(provider, preferred))
        .collect();
    let columns =
        "name, dialect, api_key, endpoint, organization, is_enabled, is_default, settings";
    insert(step, "configured_providers", columns, &providers)?;
    let policy = config.policy();
    let mut models: Vec<_> = policy.models.iter().collect();
    models.sort_by(|a, b| a.id.cmp(&b.id));
    models.dedup_by(|a, b| a.id == b.id);
    let rows: Vec<Vec<Value<'_>>> = models
        .into_iter()
        .map(|model| {
            vec![
                (&model.id).into(),
                (&model.provider).into(),
                (&model.model).into(),
                model.context.into(),
                model.max_output.into(),
                model.price.input.into(),
                model.price.cached_input.into(),
                model.price.output.into(),
                true.into(),
                false.into(),
            ]
        })
        .collect();
    let columns = "id, provider, model, context, max_output, input_nano, cached_input_nano, \
                   output_nano, is_enabled, is_default";
    insert(step, "configured_models", columns, &rows)
}

fn row_of<'a>(provider: &'a ProviderConfig, preferred: Option<&str>) -> Vec<Value<'a>> {
    let scheme = if provider.endpoint.tls {
        "https"
    } else {
        "http"
    };
    let endpoint = &provider.endpoint;
    let dialect = serde_json::to_value(provider.dialect).unwrap_or_default();
    let dialect = dialect.as_str().unwrap_or_default().to_owned();
    let address = format!("{scheme}://{}{}", endpoint.authority, endpoint.base_path);
    let organization = provider
        .headers
        .iter()
        .find(|(name, _)| name == "openai-organization");
    let headers: Vec<&str> = provider
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let settings = json!({"auth_header": provider.auth_header, "chat_path": provider.chat_path,
                          "strict_params": provider.strict_params, "headers": headers});
    vec![
        (&provider.name).into(),
        dialect.into(),
        provider.api_key.as_ref().map(|_| MASKED).into(),
        address.into(),
        organization.map(|(_, value)| value.expose()).into(),
        true.into(),
        (preferred == Some(provider.name.as_str())).into(),
        settings.to_string().into(),
    ]
}

fn insert(
    step: &mut Db,
    table: &str,
    columns: &str,
    rows: &[Vec<Value<'_>>],
) -> Result<(), DbError> {
    for rows in pieces(rows) {
        let count = columns.split(", ").count();
        let sql = format!(
            "INSERT INTO {table} ({columns}) VALUES {}",
            places(rows.len(), count)
        );
        let values: Vec<Value<'_>> = rows.iter().flatten().cloned().collect();
        step.execute(&sql, &values)?;
    }
    Ok(())
}
