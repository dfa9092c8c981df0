//! Which API answers: by host, then by the longest listen path.

use std::collections::HashMap;

/// Entries by host and listen path. Finding one takes a look-up for each segment of the path that
/// a listen path could reach, however many entries there are.
#[derive(Debug)]
pub struct Router<T> {
    by_host: HashMap<String, Paths<T>>,
    any_host: Paths<T>,
}

#[derive(Debug)]
struct Paths<T> {
    by_path: HashMap<Box<str>, T>,
    /// The length of the longest listen path: a client cannot make us hash more than that.
    longest: usize,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { by_host: HashMap::new(), any_host: Paths::default() }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { by_path: HashMap::new(), longest: 0 }
    }
}

impl<T> Router<T> {
    /// Adds an entry; without a host it answers on every one. `/orders/` answers for what is below
    /// it, `/orders` for itself as well.
    pub fn insert(&mut self, host: Option<&str>, listen_path: &str, entry: T) {
        let paths = match host {
            Some(host) => self.by_host.entry(host.to_owned()).or_default(),
            None => &mut self.any_host,
        };
        paths.longest = paths.longest.max(listen_path.len());
        paths.by_path.insert(listen_path.into(), entry);
    }

    /// The entry for a host (without port, in lower case) and a decoded path, and how much of the
    /// path its listen path takes, the final slash left out. Entries of the host go first.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<(&T, usize)> {
        let by_host = if self.by_host.is_empty() { None } else { self.by_host.get(host) };
        by_host.and_then(|paths| paths.find(path)).or_else(|| self.any_host.find(path))
    }
}

impl<T> Paths<T> {
    fn find(&self, path: &str) -> Option<(&T, usize)> {
        if path.len() <= self.longest
            && let Some(entry) = self.by_path.get(path)
        {
            return Some((entry, path.trim_end_matches('/').len()));
        }
        // A listen path without a final slash ends before one.
        let reach = path.len().min(self.longest.saturating_add(1));
        let slashes = path.as_bytes().get(..reach)?.iter().enumerate().rev().filter(|(_, b)| **b == b'/');
        slashes.map(|(slash, _)| slash).find_map(|slash| {
            let with_slash = path.get(..=slash)?;
            let without = path.get(..slash)?;
            let entry = self.by_path.get(with_slash).or_else(|| self.by_path.get(without))?;
            Some((entry, slash))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_listen_path_by_whole_segments() {
        let mut router = Router::default();
        for path in ["/api/", "/api/v2/", "/a", "/deep/er", "/api/v2/users"] {
            router.insert(None, path, path);
        }
        for (path, expected) in [
            ("/api/x", Some(("/api/", 4))),
            ("/api/", Some(("/api/", 4))),
            ("/api", None),
            ("/api/v2", Some(("/api/", 4))),
            ("/api/v2x", Some(("/api/", 4))),
            ("/api/v2/", Some(("/api/v2/", 7))),
            ("/api/v2/users/7/x", Some(("/api/v2/users", 13))),
            ("/a", Some(("/a", 2))),
            ("/a/b", Some(("/a", 2))),
            ("/abc", None),
            ("/API/x", None),
            ("/deep/er/x", Some(("/deep/er", 8))),
            ("/deep", None),
            ("/", None),
        ] {
            assert_eq!(router.find("h", path).map(|(entry, taken)| (*entry, taken)), expected, "{path}");
        }
        router.insert(None, "/", "/");
        assert_eq!(router.find("h", "/api"), Some((&"/", 0)));
        assert_eq!(router.find("h", "/"), Some((&"/", 0)));
    }

    #[test]
    fn hosts_go_first() {
        let mut router = Router::default();
        router.insert(None, "/a/", 1);
        router.insert(Some("api.example.com"), "/a/", 2);
        router.insert(Some("api.example.com"), "/b/", 3);
        assert_eq!(router.find("api.example.com", "/a/x"), Some((&2, 2)));
        assert_eq!(router.find("other.example.com", "/a/x"), Some((&1, 2)));
        assert_eq!(router.find("other.example.com", "/b/x"), None);
    }
}
