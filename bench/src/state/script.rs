//! What `redis-benchmark` gets out of the same Redis with one script call that does about as much as an
//! admission: three bounds looked at, three holds added, a record of the hold and its place in a queue.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use test_servers::redis::Redis;

use crate::stage;

const SCRIPT: &str = "for i = 1, 3 do \
    local held = redis.call('HMGET', KEYS[i], 'spent', 'held', 'requests') \
    if (tonumber(held[1]) or 0) + (tonumber(held[2]) or 0) > tonumber(ARGV[3]) then return {0} end end \
    for i = 1, 3 do redis.call('HINCRBY', KEYS[i], 'held', ARGV[2]) \
    redis.call('HINCRBY', KEYS[i], 'requests', 1) end \
    redis.call('HSET', KEYS[4] .. ARGV[1], 'hold', ARGV[2], 'at', ARGV[1]) \
    redis.call('ZADD', KEYS[5], ARGV[1], ARGV[1]) return {1, ARGV[2]}";
const KEYS: [&str; 5] = ["{b}global", "{b}tenant", "{b}key", "{b}h:", "{b}queue"];
const PROGRAMS: [&str; 2] = ["redis-benchmark", "valkey-benchmark"];
/// Calls a second that are certainly not reached, for choosing how many to make.
const CALLS_PER_SECOND: u64 = 15_000;

pub(super) struct Calls {
    pub(super) rate: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// `asking` connections without pipelining.
pub(super) fn measure(redis: &Redis, asking: usize, span: Duration) -> Calls {
    let loaded = redis.command(&format!("SCRIPT LOAD \"{SCRIPT}\""));
    let sha = loaded.expect("a script");
    let count = (CALLS_PER_SECOND * span.as_secs().max(1)).to_string();
    let program = PROGRAMS.into_iter().find(|program| is_there(program));
    let program = program.expect("redis-benchmark; Debian has it in redis-tools");
    let mut command = stage::on_core_of_measured(Path::new(program));
    command.args(["-p", &redis.port().to_string(), "-n", &count]);
    command.args([
        "-c",
        &asking.to_string(),
        "-P",
        "1",
        "-r",
        "100000000",
        "--csv",
    ]);
    command.args(["evalsha", &sha, &KEYS.len().to_string()]);
    command.args(KEYS);
    command.args(["__rand_int__", "1000", "1000000000000000"]);
    let output = command.output().expect("redis-benchmark");
    let text = String::from_utf8_lossy(&output.stdout);
    read(&text).unwrap_or_else(|| panic!("redis-benchmark: {text}"))
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// "test","rps","avg","min","p50","p95","p99","max"
fn read(csv: &str) -> Option<Calls> {
    let row = csv.trim().lines().last()?;
    // The name of the test is the command, which may have commas.
    let mut cells = row
        .rsplit(',')
        .map(|cell| cell.trim_matches('"').parse().ok());
    let _max = cells.next()?;
    let p99_ms = cells.next()??;
    let _p95 = cells.next()?;
    let p50_ms = cells.next()??;
    let (_min, _mean) = (cells.next()?, cells.next()?);
    let rate = cells.next()??;
    Some(Calls {
        rate,
        p50_ms,
        p99_ms,
    })
}
