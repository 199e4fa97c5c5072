//! What an exchange is called.

use super::Exchange;
use crate::digits::push_hex;

impl Exchange {
    /// An id out of the time, what tells this worker from all others, and a number of its own.
    pub fn id_of(now_ms: u64, worker: u64, number: u64) -> String {
        let mut id = String::with_capacity("wr-".len() + 11 + 16 + 6);
        id.push_str("wr-");
        push_hex(&mut id, now_ms, 11);
        push_hex(&mut id, worker, 16);
        push_hex(&mut id, number, 6);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_time_the_worker_and_a_number() {
        let id = Exchange::id_of(1_750_000_000_000, 0xab, 0x0100_0012);
        assert_eq!(id, "wr-1977420dc0000000000000000ab000012");
    }
}
