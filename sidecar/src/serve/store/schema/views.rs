//! Views that every database takes as they are. Part of a version: a change of one is a new migration.

/// Prices, and the tables of the documents over those of Weir.
pub(super) const VIEWS: &str = "
CREATE VIEW pricing_config AS SELECT provider, model, id, input_usd_per_million,
    cached_input_usd_per_million, output_usd_per_million FROM configured_models;
CREATE VIEW LLMUsageLogs AS SELECT exchange_id AS Id,
    trace_id AS RequestId,
    user_id AS UserId,
    provider AS ProviderId,
    model AS ModelId,
    endpoint AS RequestType,
    prompt_tokens AS InputTokens,
    completion_tokens AS OutputTokens,
    total_tokens AS TotalTokens,
    cost AS Cost,
    duration_ms AS DurationMs,
    ending = 'done' AND status < 400 AS Success,
    code AS ErrorMessage,
    cache = 'hit' AS CacheHit,
    timestamp AS RequestTimestamp,
    tags AS Metadata FROM llm_usage_log;
CREATE VIEW LLMProviderConfigs AS SELECT name AS ProviderId,
    name AS Name,
    dialect AS Type,
    api_key AS ApiKey,
    endpoint AS Endpoint,
    organization AS Organization,
    is_enabled AS IsEnabled,
    is_default AS IsDefault,
    settings AS Settings FROM configured_providers;
CREATE VIEW LLMModelConfigs AS SELECT id AS ModelId,
    provider AS ProviderId,
    model AS Name,
    id AS DisplayName,
    temperature AS Temperature,
    max_output AS MaxTokens,
    context AS ContextLength,
    input_usd_per_million / 1000000 AS CostPerToken,
    use_case AS UseCase,
    capabilities AS Capabilities,
    is_enabled AS IsEnabled,
    is_default AS IsDefault FROM configured_models;
";
