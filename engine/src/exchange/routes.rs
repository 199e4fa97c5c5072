//! What routes say of their tries. Asking Envoy costs as much as reading a prompt of a kilobyte, so an
//! answer stands for a second for requests of one listener, name and path. Where routes are told apart
//! by something else as well, all of a path have to say the same.

use std::rc::Rc;

use super::RouteTries;

/// How long an answer stands, in milliseconds.
const STANDS_MS: u64 = 1_000;
/// Answers kept at most. Clients mostly have a few paths and one name.
const KNOWN_MAX: usize = 16;
/// Bytes of a name and a path that an answer is kept for.
const KEPT_BYTES_MAX: usize = 512;

/// What a route is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct RouteKey<'a> {
    /// Tells the filters of different listeners apart.
    pub listener: usize,
    /// `:authority`.
    pub authority: &'a [u8],
    /// `:path`.
    pub path: &'a [u8],
}

#[derive(Debug)]
struct Known {
    listener: usize,
    authority: Vec<u8>,
    path: Vec<u8>,
    tries: Option<Rc<RouteTries>>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Routes {
    since_ms: u64,
    known: Vec<Known>,
}

impl Routes {
    /// How a route tries by itself, when it says so; `ask` asks it, for JSON.
    pub fn tries(
        &mut self,
        asked: RouteKey<'_>,
        now_ms: u64,
        ask: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Rc<RouteTries>> {
        if now_ms.abs_diff(self.since_ms) >= STANDS_MS {
            self.since_ms = now_ms;
            self.known.clear();
        }
        let is_asked = |known: &&Known| {
            known.listener == asked.listener
                && known.path == asked.path
                && known.authority == asked.authority
        };
        if let Some(known) = self.known.iter().find(is_asked) {
            return known.tries.clone();
        }
        let tries = ask().and_then(|text| serde_json::from_slice(&text).ok());
        let tries = tries.map(Rc::new);
        let size = asked.authority.len().saturating_add(asked.path.len());
        if self.known.len() < KNOWN_MAX && size <= KEPT_BYTES_MAX {
            self.known.push(Known {
                listener: asked.listener,
                authority: asked.authority.to_vec(),
                path: asked.path.to_vec(),
                tries: tries.clone(),
            });
        }
        tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(listener: usize, authority: &'a str, path: &'a str) -> RouteKey<'a> {
        RouteKey {
            listener,
            authority: authority.as_bytes(),
            path: path.as_bytes(),
        }
    }

    fn tells(retries: u32) -> Option<Vec<u8>> {
        let text = format!("{{\"retries\":{retries},\"retry_on\":[],\"timeout_ms\":0}}");
        Some(text.into_bytes())
    }

    #[test]
    fn a_route_is_asked_once_a_second() {
        let mut routes = Routes::default();
        let chat = asked(1, "a", "/v1/chat");
        let retries = |tries: Option<Rc<RouteTries>>| tries.map(|tries| tries.retries);
        assert_eq!(retries(routes.tries(chat, 5_000, || tells(2))), Some(2));
        let not_asked = || panic!("asked again");
        assert_eq!(retries(routes.tries(chat, 5_999, not_asked)), Some(2));
        assert_eq!(retries(routes.tries(chat, 6_000, || tells(3))), Some(3));
        // A clock that is set back does not keep it for longer.
        assert_eq!(retries(routes.tries(chat, 4_000, || tells(4))), Some(4));
    }

    #[test]
    fn others_are_asked_too() {
        let mut routes = Routes::default();
        let wants = [
            asked(1, "a", "/v1"),
            asked(2, "a", "/v1"),
            asked(1, "b", "/v1"),
            asked(1, "a", "/v2"),
        ];
        for (at, want) in wants.into_iter().enumerate() {
            let tries = routes.tries(want, 9, || (at > 0).then(|| tells(at as u32)).flatten());
            assert_eq!(tries.map_or(0, |tries| tries.retries), at as u32);
        }
        for (at, want) in wants.into_iter().enumerate() {
            let tries = routes.tries(want, 9, || panic!("asked again"));
            assert_eq!(tries.map_or(0, |tries| tries.retries), at as u32);
        }
        assert!(
            routes
                .tries(asked(1, "a", "/v3"), 9, || Some(vec![b'?']))
                .is_none()
        );
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut routes = Routes::default();
        let long = "x".repeat(KEPT_BYTES_MAX + 1);
        let paths: Vec<String> = (0..2 * KNOWN_MAX).map(|at| format!("/{at}")).collect();
        for path in paths.iter().chain([&long]) {
            routes.tries(asked(1, "a", path), 9, || tells(1));
        }
        assert_eq!(routes.known.len(), KNOWN_MAX);
        let kept = |routes: &Routes| routes.known.iter().all(|known| known.path.len() < 9);
        assert!(kept(&routes));
    }
}
