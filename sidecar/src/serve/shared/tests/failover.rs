//! A node of a cluster that takes over from another.

use test_servers::redis::Cluster;

use super::*;

/// The budget of the key has room for one of these.
const MOST: i64 = 500;

fn counters(cluster: &Cluster, node: usize) -> Counters {
    let url = format!("redis://127.0.0.1:{}", cluster.nodes[node].port());
    let client = Client::new(&url, true, LONG_PATIENCE);
    Counters::new(client, Layout::Tenants, "me")
}

#[tokio::test]
async fn what_a_node_has_not_got_is_not_spent_again() {
    let mut cluster = Cluster::start(1);
    let mut world = World::of(counters(&cluster, 0)).await;
    let home = world.counters.home(OWNER);
    let key = home.key("e");
    let epoch = cluster.nodes[0].command(&format!("GET {key}")).unwrap();
    cluster.add_replica();
    let (shares, wish) = (world.shares(None), world.wish("x1", MOST, 0, 1));
    let lost = async {
        let held = world.counters.hold(&wish, &shares, None, NOON).await;
        assert!(matches!(held, Ok(Held::Yes(_))), "{held:?}");
    };
    cluster.fail_over(lost).await;
    // It has the epoch, and all that was counted but for the last.
    world.counters = counters(&cluster, 1);
    let found = cluster.nodes[1].command(&format!("GET {key}"));
    assert_eq!(found, Ok(epoch));
    let wish = world.wish("x2", MOST, 0, 1);
    let held = world.counters.hold(&wish, &shares, None, NOON).await;
    assert_eq!(held, Ok(Held::Unopened(Group::common())));
    for (group, bounds) in &shares {
        let share = [(group.clone(), bounds.clone())];
        let read = world.counters.read(&share, NOON).await;
        assert_eq!(read, Ok(Held::Unopened(group.clone())));
        begin(&world.counters, group).await;
        let read = world.counters.read(&share, NOON).await;
        assert!(matches!(read, Ok(Held::Unready(..))), "{read:?}");
    }
    let held = world.counters.hold(&wish, &shares, None, NOON).await;
    assert!(matches!(held, Ok(Held::Unready(..))), "{held:?}");
}
