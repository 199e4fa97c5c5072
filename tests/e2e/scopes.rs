//! Budgets of teams, users, tiers, providers, models, tags and pools.

use std::sync::Arc;
use std::time::Duration;

use e2e::client::{Answer, Ask, marker, prompt};
use e2e::gateway::Gateway;
use e2e::setup::Setup;
use e2e::stores::Store;
use e2e::{over_both_stores, run_cases};
use serde_json::{Value, json};

use crate::budgets::priced;

over_both_stores!(budgets_of_every_scope);

async fn budgets_of_every_scope(store: Store) {
    let setup = Setup::over(store).with(|config| {
        config["budgets"] = json!([
            {"scope": "global", "limit_usd": 1000},
            {"scope": "team", "limit_usd": 0.0002, "period": "daily"},
            {"scope": "user", "limit_usd": 0.0002, "period": "30d"},
            {"scope": "user", "tier": "premium", "limit_usd": 0.0004, "period": "weekly"},
            {"scope": "tag", "name": "env=test", "limit_usd": 0.0002, "thresholds": [0.25, 0.5]},
            {"scope": "model", "name": "o4-mini", "limit_usd": 0.003},
            {"scope": "provider", "name": "anthropic", "limit_usd": 0.00001},
            {"scope": "tenant", "name": "acme", "limit_usd": 0.0002, "hard": false, "thresholds": [0.5]},
            {"budget_id": "ai", "user_groups": ["pool-a", "pool-b"], "total_budget": 0.0002},
        ]);
        config["calendar"] = json!({"time_zone": "Asia/Ho_Chi_Minh", "fiscal_year_start": 4});
    });
    let gateway = Arc::new(Gateway::start(setup).await);
    let same = Arc::clone(&gateway);
    run_cases!(
        gateway,
        [
            teams_share_theirs,
            users_have_each_their_own,
            tags_come_from_metadata_or_key,
            a_model_has_its_own,
            a_provider_without_budget_is_left_for_the_next,
            soft_budgets_only_tell,
            pools_are_shared_by_their_teams,
            limits_change_while_requests_run,
        ]
    );
    what_was_spent_is_known_after_a_restart(same).await;
}

/// A request that costs 63 micro-dollars: of 200 three fit.
fn request(model: &str) -> Value {
    let mut body = prompt(model, &priced(20, 100, &marker()));
    body["max_tokens"] = json!(100);
    body
}

async fn key(gateway: &Gateway, mut members: Value) -> String {
    members["provider"] = json!("openai");
    gateway.new_key(members).await.0
}

/// Sends until a budget refuses: how many were answered, and the refusal.
async fn until_refused(asks: impl Fn(usize) -> Ask) -> (usize, Answer) {
    for count in 0..12 {
        let answer = asks(count).send().await;
        if answer.status != 200 {
            return (count, answer);
        }
        // What was held and not spent is given back with the settlement.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never refused");
}

async fn teams_share_theirs(gateway: Arc<Gateway>) {
    let team = marker();
    let keys = [
        key(&gateway, json!({"teams": [team]})).await,
        key(&gateway, json!({"teams": ["another", team]})).await,
    ];
    let body = request("gpt-4o-mini");
    let (answered, refused) = until_refused(|count| gateway.chat_as(&keys[count % 2], &body)).await;
    assert_eq!(answered, 3, "{refused}");
    refused.refused(429, "budget_exceeded");
    assert!(
        refused.text().contains("Daily budget limit $0.0002"),
        "{refused}"
    );
    let alone = key(&gateway, json!({})).await;
    gateway.chat_as(&alone, &body).send().await.good();
    let shown = gateway.admin("GET", "/admin/budgets", None).await.json();
    let entry = |budget: &&Value| budget["scope"] == "team" && budget["name"] == json!(team);
    let budgets = shown["data"].as_array().expect("data");
    let found = budgets.iter().find(entry).expect("the team's");
    assert!(
        found["spent_usd"].as_f64().is_some_and(|usd| usd > 0.00018),
        "{found}"
    );
    // Midnight in Saigon.
    let resets = found["resets_at"].as_str().unwrap_or_default();
    assert!(resets.ends_with("T17:00:00Z"), "{found}");
}

async fn users_have_each_their_own(gateway: Arc<Gateway>) {
    let (ada, bob) = (marker(), marker());
    let common = key(&gateway, json!({})).await;
    let (answered, refused) = until_refused(|_| {
        let mut body = request("gpt-4o-mini");
        body["user"] = json!(ada);
        gateway.chat_as(&common, &body)
    })
    .await;
    assert_eq!(answered, 3, "{refused}");
    assert!(refused.text().contains("30-day budget limit"), "{refused}");
    let mut body = request("gpt-4o-mini");
    body["user"] = json!(bob);
    gateway.chat_as(&common, &body).send().await.good();
    // A key of one user counts for that one, whatever the request says.
    let own = key(&gateway, json!({"user": ada})).await;
    let answer = gateway.chat_as(&own, &body).send().await;
    answer.refused(429, "budget_exceeded");
}

async fn tags_come_from_metadata_or_key(gateway: Arc<Gateway>) {
    let plain = key(&gateway, json!({})).await;
    let tagged = key(&gateway, json!({"tags": {"env": "test"}})).await;
    let mut in_body = request("gpt-4o-mini");
    in_body["metadata"] = json!({"env": "test"});
    let body = request("gpt-4o-mini");
    let (answered, refused) = until_refused(|count| match count % 3 {
        0 => gateway.chat_as(&plain, &in_body),
        1 => gateway.chat_as(&tagged, &body),
        _ => {
            let asked = gateway.chat_as(&plain, &body);
            asked.header("x-portkey-metadata", r#"{"env": "test"}"#)
        }
    })
    .await;
    assert_eq!(answered, 3, "{refused}");
    gateway.chat_as(&plain, &body).send().await.good();
    for threshold in ["0.25", "0.5"] {
        let threshold = format!("\"threshold\":\"{threshold}\"");
        let told = alerts(&gateway, &["\"name\":\"env=test\"", &threshold]).await;
        assert_eq!(told, 1, "{threshold}");
    }
}

/// How often a crossed threshold was told of, in lines with all of these words. What is told at settlement
/// comes some time after the answer.
async fn alerts(gateway: &Gateway, words: &[&str]) -> usize {
    let mut told = 0;
    for _ in 0..250 {
        let log = gateway.sidecar_log();
        let is_one = |line: &&str| {
            line.contains("budget threshold reached")
                && words.iter().all(|word| line.contains(word))
        };
        told = log.lines().filter(is_one).count();
        if told > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told
}

async fn a_model_has_its_own(gateway: Arc<Gateway>) {
    let common = key(&gateway, json!({})).await;
    let (answered, refused) =
        until_refused(|_| gateway.chat_as(&common, &request("o4-mini"))).await;
    assert!((2..8).contains(&answered), "{answered} {refused}");
    refused.refused(429, "budget_exceeded");
    let other = gateway
        .chat_as(&common, &request("gpt-4o-mini"))
        .send()
        .await;
    other.good();
}

async fn a_provider_without_budget_is_left_for_the_next(gateway: Arc<Gateway>) {
    let common = key(&gateway, json!({})).await;
    let alone = gateway.chat_as(&common, &request("claude-3-sonnet"));
    let refused = alone.send().await;
    refused.refused(429, "budget_exceeded");
    let route = json!({"strategy": "fallback", "targets": [
        {"provider": "anthropic", "model": "claude-3-sonnet"},
        {"provider": "openai", "model": "gpt-4o-mini"},
    ]});
    let ask = gateway.chat_as(&common, &request("gpt-4o-mini"));
    let answer = ask.config(&route).send().await;
    answer.good();
    assert_eq!(answer.header("x-weir-provider"), Some("openai"));
    assert_eq!(answer.header("x-weir-attempts"), Some("1"));
}

async fn soft_budgets_only_tell(gateway: Arc<Gateway>) {
    let soft = key(&gateway, json!({"tenant": "acme"})).await;
    for _ in 0..5 {
        let answer = gateway.chat_as(&soft, &request("gpt-4o-mini")).send().await;
        answer.good();
    }
    let told = alerts(&gateway, &["\"name\":\"acme\""]).await;
    assert_eq!(told, 1);
}

async fn pools_are_shared_by_their_teams(gateway: Arc<Gateway>) {
    // Their own budgets are larger than the pool's rest only at first: the pool ends them both.
    let keys = [
        key(&gateway, json!({"teams": ["pool-a"]})).await,
        key(&gateway, json!({"teams": ["pool-b"]})).await,
    ];
    let (answered, refused) = until_refused(|count| {
        let body = request("gpt-4o-mini");
        gateway.chat_as(&keys[count % 2], &body)
    })
    .await;
    assert_eq!(answered, 3, "{refused}");
    assert!(
        refused.text().contains("Monthly budget limit $0.0002"),
        "{refused}"
    );
}

async fn limits_change_while_requests_run(gateway: Arc<Gateway>) {
    let team = marker();
    let own = key(
        &gateway,
        json!({"teams": [team], "tags": {"project": team}}),
    )
    .await;
    let body = request("gpt-4o-mini");
    for _ in 0..2 {
        gateway.chat_as(&own, &body).send().await.good();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A scope that nobody counted until now knows what was spent before.
    let limit = json!({"scope": "tag", "name": format!("project={team}"), "limit_usd": 0.0002});
    let set = gateway.admin("PUT", "/admin/budgets", Some(limit)).await;
    let shown = set.good().json();
    let entry = |shown: &Value| {
        let budgets = shown["data"].as_array().cloned().unwrap_or_default();
        budgets
            .into_iter()
            .find(|budget| budget["name"] == format!("project={team}"))
    };
    let spent = entry(&shown).expect("the new one")["spent_usd"].as_f64();
    assert!(
        spent.is_some_and(|usd| (0.00012..0.00013).contains(&usd)),
        "{shown}"
    );
    let (answered, refused) = until_refused(|_| gateway.chat_as(&own, &body)).await;
    assert_eq!(answered, 1, "{refused}");
    assert!(
        refused.text().contains("Monthly budget limit $0.0002"),
        "{refused}"
    );
    // Raised, by the other names of its members.
    let raised = json!([{"scope": "tag", "name": format!("project={team}"), "total_budget": 1,
        "auto_disable_at_limit": true, "alert_thresholds": [0.9]}]);
    gateway
        .admin("PUT", "/admin/budgets", Some(raised))
        .await
        .good();
    // The team's own day is nearly used up; it is not what refuses here.
    let other = key(&gateway, json!({"tags": {"project": team}})).await;
    gateway.chat_as(&other, &body).send().await.good();
    let gone = format!("/admin/budgets?scope=tag&name=project%3D{team}");
    let left = gateway.admin("DELETE", &gone, None).await;
    assert_eq!(entry(&left.good().json()), None);
    let again = gateway.admin("DELETE", &gone, None).await;
    again.refused(404, "not_found");
    let wrong = json!({"scope": "team", "limit": 5});
    let wrong = gateway.admin("PUT", "/admin/budgets", Some(wrong)).await;
    wrong.refused(400, "invalid_request");
    assert!(wrong.text().contains("unknown member `limit`"), "{wrong}");
}

async fn what_was_spent_is_known_after_a_restart(gateway: Arc<Gateway>) {
    let told = |gateway: &Gateway| {
        let log = gateway.sidecar_log();
        log.matches("budget threshold reached").count()
    };
    let before = told(&gateway);
    gateway.kill_sidecar();
    gateway.restart_sidecar();
    gateway.ready().await;
    let tagged = key(&gateway, json!({"tags": {"env": "test"}})).await;
    let answer = gateway
        .chat_as(&tagged, &request("gpt-4o-mini"))
        .send()
        .await;
    answer.refused(429, "budget_exceeded");
    assert_eq!((before, told(&gateway)), (3, 3));
}
