//! Closed loops for throughput, open ones for latency.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::http::{Answer, Connection};

/// Connections that share the pace of an open loop.
const PACED_CONNECTIONS: u32 = 8;

/// What is sent, and where.
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Vec<Vec<u8>>,
}

/// The pace of an open loop.
#[derive(Clone, Copy)]
pub(crate) struct Paced {
    pub(crate) rps: u32,
    pub(crate) span: Duration,
}

/// What a closed loop got done.
pub(crate) struct Done {
    pub(crate) count: u64,
    pub(crate) took: Duration,
}

/// One answered request of an open loop.
pub(crate) struct Sample {
    pub(crate) first: Duration,
    pub(crate) whole: Duration,
}

/// Each connection sends its next request when the last is answered.
pub(crate) async fn closed(load: &Load, connections: usize, span: Duration) -> Done {
    let count = Rc::new(Cell::new(0_u64));
    let requests: Rc<[Vec<u8>]> = load.requests.as_slice().into();
    let started = Instant::now();
    let until = started + span;
    let tasks = LocalSet::new();
    for number in 0..connections {
        let (count, requests, address) = (count.clone(), requests.clone(), load.address);
        tasks.spawn_local(async move {
            let mut connection = Connection::open(address).await.expect("a connection");
            let mut next = number * requests.len() / connections;
            while Instant::now() < until {
                checked(&mut connection, &requests[next % requests.len()]).await;
                next += 1;
                count.set(count.get() + 1);
            }
        });
    }
    tasks.await;
    Done {
        count: count.get(),
        took: started.elapsed(),
    }
}

/// Requests begin at fixed times, whether or not those before them have ended.
pub(crate) async fn open(load: &Load, paced: Paced) -> Vec<Sample> {
    let requests: Rc<[Vec<u8>]> = load.requests.as_slice().into();
    let step = Duration::from_secs(1) / paced.rps;
    let begin = tokio::time::Instant::now() + Duration::from_millis(20);
    let until = begin + paced.span;
    let tasks = LocalSet::new();
    let mut handles = Vec::new();
    for number in 0..PACED_CONNECTIONS {
        let (requests, address) = (requests.clone(), load.address);
        handles.push(tasks.spawn_local(async move {
            let mut connection = Connection::open(address).await.expect("a connection");
            let mut samples = Vec::new();
            let mut due = begin + step * number;
            let mut next = number as usize;
            while due < until {
                tokio::time::sleep_until(due).await;
                let answer = checked(&mut connection, &requests[next % requests.len()]).await;
                samples.push(Sample {
                    first: answer.first,
                    whole: answer.whole,
                });
                due += step * PACED_CONNECTIONS;
                next += PACED_CONNECTIONS as usize;
            }
            samples
        }));
    }
    tasks.await;
    let mut all = Vec::new();
    for handle in handles {
        all.extend(handle.await.expect("a loop that ends"));
    }
    all
}

/// A refused request would be a cheap one: nothing but 200 is a measurement.
async fn checked(connection: &mut Connection, request: &[u8]) -> Answer {
    let answer = connection.exchange(request).await.expect("an answer");
    assert!(answer.status == 200, "{}", connection.last());
    answer
}
