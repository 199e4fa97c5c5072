//! Who is waited for when an epoch begins, and for how long.

use super::super::roll::{ABSENT_MS, Answer, Call};
use super::*;

struct Service(Counters);

impl Service {
    fn new(server: &Redis, who: &str) -> Service {
        let client = Client::new(&server.url(), false, LONG_PATIENCE);
        Service(Counters::new(client, Layout::One, who))
    }

    async fn call(&self, done: &str, peers: &[&str], now_ms: u64) -> Answer {
        let call = Call {
            open_ms: now_ms,
            done: done.to_owned(),
            peers: peers.iter().map(|peer| (*peer).to_owned()).collect(),
        };
        let group = Group::common();
        self.0.epoch(&group, &call, now_ms).await.unwrap()
    }
}

#[tokio::test]
async fn budgets_wait_for_all_that_were_known() {
    let server = Redis::start();
    let mut world = World::new(&server, Layout::One).await;
    server.command("FLUSHALL").unwrap();
    let [me, b, c] = ["me", "b", "c"].map(|who| Service::new(&server, who));
    let begun = me.call("", &["b", "c"], NOON).await;
    assert!(begun.waits);
    let epoch = begun.epoch.as_str();
    let bounded = world.shares(None);
    let free = vec![(Group::common(), Bounds::default())];
    let read = async |shares: &[(Group, Bounds)], now_ms| {
        let read = world.counters.read(shares, now_ms).await.unwrap();
        read != Held::Closed
    };
    // An epoch before is no word on this one.
    assert!(me.call("0123456789012before", &[], NOON).await.waits);
    assert!(me.call(epoch, &["b", "c"], NOON).await.waits);
    assert_eq!(
        (read(&bounded, NOON).await, read(&free, NOON).await),
        (false, true)
    );
    assert!(b.call(epoch, &["me", "c"], NOON + 1).await.waits);
    // For one that stays away no longer than that.
    assert!(!read(&bounded, NOON + ABSENT_MS).await);
    assert!(read(&bounded, NOON + ABSENT_MS + 1).await);
    // One that comes back late is waited for again.
    let late = NOON + ABSENT_MS + 5;
    assert!(c.call("", &["me", "b"], late).await.waits);
    assert!(!read(&bounded, late + ABSENT_MS).await);
    assert!(!c.call(epoch, &[], late + 1).await.waits);
    assert!(read(&bounded, late).await);
    // Who was done is waited for no more.
    assert!(!b.call("", &["c"], late + 2).await.waits);
}

#[tokio::test]
async fn what_is_held_again_expires_when_it_would_have() {
    let server = Redis::start();
    let mut world = World::new(&server, Layout::One).await;
    let shares = world.shares(None);
    let (wish, counters) = (world.wish("x", 100, 7, 1), &world.counters);
    let held = counters.hold(&wish, &shares, Some(500), NOON).await;
    assert!(matches!(held, Ok(Held::Yes(_))));
    let group = Group::common();
    assert!(
        counters
            .expire(&group, NOON + 499)
            .await
            .unwrap()
            .is_empty()
    );
    let late = counters.expire(&group, NOON + 500).await.unwrap();
    assert_eq!((late[0].id.as_str(), late[0].cost_nano), ("x", 7));
}
