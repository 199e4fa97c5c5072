//! Services that count in a Redis Cluster.

use std::path::Path;

use serde_json::json;
use test_servers::postgres::Postgres;
use test_servers::redis::Cluster;

use crate::process::{Service, share};
use crate::together::{SUMS, code, nano, settle, shown, spend, stays, until};

fn clustered(folder: &Path) -> (Cluster, Postgres, Service) {
    let cluster = Cluster::start(3);
    let postgres = share(folder, &format!("{} cluster", cluster.url()));
    let service = Service::start_with(folder, false);
    (cluster, postgres, service)
}

fn new_key(service: &Service, tenant: &str) -> String {
    let members = json!({"name": "k", "tenant": tenant, "budget_limit_usd": 0.00001});
    let (key, _) = service.new_key(members);
    let first = format!("first of {tenant}");
    until("it admits", &"granted".to_owned(), || {
        code(service, &first, &key, 0)
    });
    settle(service, &first, &key, 0);
    key
}

#[test]
fn in_a_cluster_holds_are_renewed_by_whoever_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _postgres, service) = clustered(folder.path());
    let key = new_key(&service, "acme");
    assert_eq!(code(&service, "a", &key, 1_000), "granted");
    let live = json!({"live": [["a", 400], ["nobody", 1]]});
    let renewed = |service: &Service| service.internal("renew", &live).good()["extended"].clone();
    assert_eq!(renewed(&service), 1);
    service.kill();
    let service = Service::start_with(folder.path(), false);
    assert_eq!(renewed(&service), 1);
    let grow = json!({"live": [], "grow": {"id": "a", "by_nano": 500}});
    assert_eq!(
        service.internal("renew", &grow).good()["grown_nano"],
        json!(500)
    );
    assert_eq!(shown(&service, &key), (0, 1_500));
    settle(&service, "a", &key, 700);
    assert_eq!(shown(&service, &key), (700, 0));
}

#[test]
fn in_a_cluster_a_node_that_reads_back_what_it_had_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, postgres, service) = clustered(folder.path());
    let key = new_key(&service, "acme");
    spend(&service, "a", &key, 1_000);
    for node in &cluster.nodes {
        node.command("SAVE").unwrap();
    }
    spend(&service, "b", &key, 2_000);
    assert_eq!(shown(&service, &key), (3_000, 0));
    until("the ledger has it", &"3000".to_owned(), || {
        postgres.sql(SUMS).unwrap()
    });
    for node in &mut cluster.nodes {
        node.restart();
    }
    until("it admits again", &"granted".to_owned(), || {
        code(&service, "c", &key, 10)
    });
    stays("what was spent", &(3_000, 10), || shown(&service, &key));
}

#[test]
fn in_a_cluster_a_key_takes_its_spend_to_another_tenant_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _postgres, service) = clustered(folder.path());
    let key = new_key(&service, "acme");
    let (_other, _) = service.new_key(json!({"name": "o", "tenant": "other"}));
    let go = |tenant: &str| {
        let path = format!("/admin/virtual-keys/{key}");
        let change = json!({"tenant": tenant});
        service.admin("PATCH", &path, Some(change)).good();
    };
    spend(&service, "a", &key, 1_000);
    assert_eq!(code(&service, "runs", &key, 100), "granted");
    go("other");
    until("there", &"granted".to_owned(), || {
        code(&service, "b", &key, 0)
    });
    settle(&service, "b", &key, 2_000);
    settle(&service, "runs", &key, 100);
    stays("with the other", &3_100, || shown(&service, &key).0);
    go("acme");
    until("back", &"granted".to_owned(), || {
        code(&service, "c", &key, 10)
    });
    stays("with the first", &(3_100, 10), || shown(&service, &key));
}

#[test]
fn a_cluster_counts_as_one_redis_does() {
    let folder = tempfile::tempdir().unwrap();
    let (_cluster, _postgres, service) = clustered(folder.path());
    let budget = json!({"scope": "tenant", "name": "acme", "limit_usd": 0.005, "period": "daily"});
    service.admin("PUT", "/admin/budgets", Some(budget)).good();
    let model = json!({"scope": "model", "name": "m", "limit_usd": 0.02, "period": "daily"});
    service.admin("PUT", "/admin/budgets", Some(model)).good();
    let new = |name: &str, tenant: &str| {
        let members = json!({"name": name, "tenant": tenant, "budget_limit_usd": 0.01});
        service.new_key(members).0
    };
    let (a, b, c) = (new("a", "acme"), new("b", "acme"), new("c", "other"));
    until("it admits", &true, || {
        code(&service, "first", &c, 1) == "granted"
    });
    settle(&service, "first", &c, 1);
    assert_eq!(code(&service, "a", &a, 3_000_000), "granted");
    assert_eq!(code(&service, "b", &b, 3_000_000), "budget_exceeded");
    assert_eq!(code(&service, "c", &c, 9_000_000), "granted");
    settle(&service, "a", &a, 2_500_000);
    assert_eq!(code(&service, "d", &b, 2_500_000), "granted");
    settle(&service, "c", &c, 8_000_000);
    settle(&service, "d", &b, 2_000_000);
    assert_eq!(shown(&service, &c), (8_000_001, 0));
    let budgets = service.admin("GET", "/admin/budgets", None).good();
    let budgets = budgets["data"].as_array().unwrap();
    let spent = |scope: &str| {
        let found = budgets.iter().find(|budget| budget["scope"] == scope);
        let budget = found.unwrap();
        (nano(&budget["spent_usd"]), nano(&budget["held_usd"]))
    };
    assert_eq!(
        (spent("tenant"), spent("model")),
        ((4_500_000, 0), (12_500_001, 0))
    );
}

#[tokio::test]
async fn in_a_cluster_a_node_that_takes_over_spends_nothing_again_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(3);
    cluster.add_replica();
    let postgres = share(folder.path(), &format!("{} cluster", cluster.url()));
    let service = Service::start_with(folder.path(), false);
    // On the first node, as is everybody's budget.
    let key = new_key(&service, "other");
    let elsewhere = new_key(&service, "acme");
    spend(&service, "a", &key, 1_000);
    spend(&service, "there", &elsewhere, 700);
    assert_eq!(code(&service, "runs", &key, 2_000), "granted");
    let delivered = || postgres.sql(SUMS).unwrap();
    until("the ledger has it", &"1700".to_owned(), delivered);
    let lost = async {
        spend(&service, "b", &key, 500);
        assert_eq!(code(&service, "lost", &key, 3_000), "granted");
    };
    cluster.fail_over(lost).await;
    until("it admits again", &"granted".to_owned(), || {
        code(&service, "c", &key, 10)
    });
    stays("what was spent and held", &(1_500, 5_010), || {
        shown(&service, &key)
    });
    stays("elsewhere", &(700, 0), || shown(&service, &elsewhere));
    assert_eq!(code(&service, "d", &key, 3_491), "budget_exceeded");
    assert_eq!(code(&service, "e", &key, 3_490), "granted");
    for (exchange, nano) in [("runs", 1_900), ("lost", 2_900), ("c", 10), ("e", 3_400)] {
        settle(&service, exchange, &key, nano);
    }
    stays("all is settled", &(9_710, 0), || shown(&service, &key));
    until("the ledger has all", &"10410".to_owned(), delivered);
}

#[test]
fn in_a_cluster_a_node_that_says_nothing_holds_up_only_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, _postgres, service) = clustered(folder.path());
    // Everybody's budget is on the first node as well.
    let (here, there) = (new_key(&service, "other"), new_key(&service, "acme"));
    cluster.nodes[1].freeze();
    let refused = || code(&service, "refused", &there, 1);
    until(
        "its node is silent",
        &"state_unavailable".to_owned(),
        refused,
    );
    for count in 0..10 {
        let exchange = format!("x{count}");
        assert_eq!(code(&service, &exchange, &here, 10), "granted", "{count}");
        settle(&service, &exchange, &here, 10);
    }
    cluster.nodes[1].thaw();
    until("its node is back", &"granted".to_owned(), || {
        code(&service, "there", &there, 10)
    });
    stays("here", &(100, 0), || shown(&service, &here));
}
