//! Many cases on one gateway: starting Envoy costs more than most cases do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

/// Longest time one case may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A named case.
pub struct Case {
    name: &'static str,
    run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Case {
    /// A case of that name; a panic in `run` is its failure.
    pub fn new(name: &'static str, run: impl Future<Output = ()> + Send + 'static) -> Case {
        Case {
            name,
            run: Box::pin(run),
        }
    }
}

/// Runs all cases, `at_once` of them at a time, and panics with every failure at the end.
pub async fn run(cases: Vec<Case>, at_once: usize) {
    let count = cases.len();
    let slots = Arc::new(Semaphore::new(at_once));
    let mut running = JoinSet::new();
    for case in cases {
        let slots = Arc::clone(&slots);
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let started = Instant::now();
            let ended = tokio::spawn(tokio::time::timeout(PATIENCE, case.run)).await;
            let failure = match ended {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some(format!("did not end within {PATIENCE:?}")),
                Err(error) => Some(wording(error)),
            };
            (case.name, started.elapsed(), failure)
        });
    }
    let mut failures = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (name, took, failure) = ended.expect("the runner itself");
        println!(
            "{} {name} ({} ms)",
            if failure.is_none() { "ok  " } else { "FAIL" },
            took.as_millis()
        );
        failures.extend(failure.map(|failure| format!("--- {name}\n{failure}")));
    }
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn wording(error: JoinError) -> String {
    match error.try_into_panic() {
        Err(error) => error.to_string(),
        Ok(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (_, Some(text)) => (*text).to_owned(),
            _ => "a panic without words".to_owned(),
        },
    }
}

/// Runs `async fn(Arc<Gateway>)` cases on one gateway, four at a time.
#[macro_export]
macro_rules! run_cases {
    ($gateway:expr, [$($case:ident),* $(,)?]) => {{
        let gateway: std::sync::Arc<$crate::gateway::Gateway> = $gateway;
        let cases = vec![$($crate::cases::Case::new(stringify!($case), $case(gateway.clone()))),*];
        $crate::cases::run(cases, 4).await;
        gateway.assert_sound().await;
    }};
}

/// Makes of `async fn(Store)` two tests: one in `embedded`, one in `shared`.
#[macro_export]
macro_rules! over_both_stores {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::stores::Store::Embedded).await;
                }
            )*
        }

        mod shared {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($crate::stores::Store::Shared).await;
                }
            )*
        }
    };
}
