//! Which API answers: by host, then by the longest listen path.

use std::{cmp::Reverse, collections::HashMap};

use crate::listen::{ListenAt, ListenHost, Rank};

/// Entries by host and listen path. Finding one takes a look-up for each segment of the path that
/// a listen path could reach, however many entries there are; patterns are tried one after the other, those
/// alone that begin like the path.
#[derive(Debug)]
pub struct Router<T> {
    by_host: HashMap<String, Paths<T>>,
    /// Those that say most go first.
    by_host_pattern: Vec<(ListenHost, Paths<T>)>,
    any_host: Paths<T>,
}

#[derive(Debug)]
struct Paths<T> {
    by_path: HashMap<Box<str>, T>,
    /// The length of the longest listen path: a client cannot make us hash more than that.
    longest: usize,
    /// By the folder that is written out before the first pattern.
    patterns: HashMap<Box<str>, Vec<(ListenAt, T)>>,
    longest_folder: usize,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self { by_host: HashMap::new(), by_host_pattern: Vec::new(), any_host: Paths::default() }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { by_path: HashMap::new(), longest: 0, patterns: HashMap::new(), longest_folder: 0 }
    }
}

impl<T> Router<T> {
    /// Adds an entry; without a host it answers on every one. `/orders/` answers for what is below
    /// it, `/orders` for itself as well.
    pub fn insert(&mut self, host: Option<&ListenHost>, listen_path: &ListenAt, entry: T) {
        self.paths(host).insert(listen_path, entry);
    }

    fn paths(&mut self, host: Option<&ListenHost>) -> &mut Paths<T> {
        let Some(host) = host else { return &mut self.any_host };
        if !host.is_pattern() {
            return self.by_host.entry(host.canonical().to_owned()).or_default();
        }
        let patterns = &mut self.by_host_pattern;
        let at = match patterns.binary_search_by_key(&Reverse(host.rank()), |(own, _)| Reverse(own.rank())) {
            Ok(at) => at,
            Err(at) => {
                patterns.insert(at, (host.clone(), Paths::default()));
                at
            }
        };
        patterns.get_mut(at).map_or(&mut self.any_host, |(_, paths)| paths)
    }

    /// The entry for a host (without port, in lower case) and a decoded path, and how much of the
    /// path its listen path takes, the final slash left out. Entries of the host go first.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<(&T, usize)> {
        let by_host = if self.by_host.is_empty() { None } else { self.by_host.get(host) };
        by_host
            .and_then(|paths| paths.find(path))
            .or_else(|| {
                let patterns = self.by_host_pattern.iter().filter(|(own, _)| own.matches(host));
                patterns.map(|(_, paths)| paths).find_map(|paths| paths.find(path))
            })
            .or_else(|| self.any_host.find(path))
    }
}

impl<T> Paths<T> {
    fn insert(&mut self, listen_path: &ListenAt, entry: T) {
        if !listen_path.is_pattern() {
            let path = listen_path.as_str();
            self.longest = self.longest.max(path.len());
            self.by_path.insert(path.into(), entry);
            return;
        }
        let folder = listen_path.folder();
        self.longest_folder = self.longest_folder.max(folder.len());
        let patterns = self.patterns.entry(folder.into()).or_default();
        match patterns.binary_search_by_key(&Reverse(listen_path.rank()), |(own, _)| Reverse(own.rank())) {
            Ok(at) => {
                if let Some(own) = patterns.get_mut(at) {
                    own.1 = entry;
                }
            }
            Err(at) => patterns.insert(at, (listen_path.clone(), entry)),
        }
    }

    fn find(&self, path: &str) -> Option<(&T, usize)> {
        let plain = self.find_plain(path);
        if self.patterns.is_empty() {
            return plain;
        }
        // What is written out goes before a pattern that takes as much.
        let pattern = self.find_pattern(path);
        match (plain, pattern) {
            (Some(plain), Some(pattern)) if pattern.1 > plain.1 => Some(pattern),
            (plain, pattern) => plain.or(pattern),
        }
    }

    fn find_plain(&self, path: &str) -> Option<(&T, usize)> {
        if path.len() <= self.longest
            && let Some(entry) = self.by_path.get(path)
        {
            return Some((entry, path.trim_end_matches('/').len()));
        }
        // A listen path without a final slash ends before one.
        let reach = path.len().min(self.longest.saturating_add(1));
        slashes(path, reach)?.rev().find_map(|slash| {
            let with_slash = path.get(..=slash)?;
            let without = path.get(..slash)?;
            let entry = self.by_path.get(with_slash).or_else(|| self.by_path.get(without))?;
            Some((entry, slash))
        })
    }

    /// The pattern that takes most of a path.
    fn find_pattern(&self, path: &str) -> Option<(&T, usize)> {
        let reach = path.len().min(self.longest_folder);
        let folders = slashes(path, reach)?.filter_map(|slash| self.patterns.get(path.get(..=slash)?));
        let mut best: Option<(&T, usize, Rank<'_>)> = None;
        for (listen_path, entry) in folders.flatten() {
            let Some(taken) = listen_path.take(path) else { continue };
            let rank = listen_path.rank();
            if best.is_none_or(|(_, length, own)| (taken, rank) > (length, own)) {
                best = Some((entry, taken, rank));
            }
        }
        best.map(|(entry, taken, _)| (entry, taken))
    }
}

/// Where the slashes are in the beginning of a path.
fn slashes(path: &str, reach: usize) -> Option<impl DoubleEndedIterator<Item = usize> + '_> {
    let octets = path.as_bytes().get(..reach)?.iter().enumerate();
    Some(octets.filter(|(_, b)| **b == b'/').map(|(slash, _)| slash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert<T>(router: &mut Router<T>, host: Option<&str>, path: &str, entry: T) {
        let host = host.map(|host| ListenHost::new(host).unwrap());
        router.insert(host.as_ref(), &ListenAt::new(path).unwrap(), entry);
    }

    fn found<'r>(router: &'r Router<&'static str>, path: &str) -> Option<(&'r str, usize)> {
        router.find("h", path).map(|(entry, taken)| (*entry, taken))
    }

    #[test]
    fn the_longest_listen_path_by_whole_segments() {
        let mut router = Router::default();
        for path in ["/api/", "/api/v2/", "/a", "/deep/er", "/api/v2/users"] {
            insert(&mut router, None, path, path);
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
            assert_eq!(found(&router, path), expected, "{path}");
        }
        insert(&mut router, None, "/", "/");
        assert_eq!(found(&router, "/api"), Some(("/", 0)));
        assert_eq!(found(&router, "/"), Some(("/", 0)));
    }

    #[test]
    fn patterns_compete_by_how_much_they_take() {
        let mut paths = [
            "/a/{id}/x/",
            "/a/7/",
            "/a/{id}/",
            "/a/{id:[0-9]+}/",
            "/{any}/",
            "/b/{x}/{y}",
            "/a/{id}/x/special/",
        ];
        for _ in 0..2 {
            let mut router = Router::default();
            for path in paths {
                insert(&mut router, None, path, path);
            }
            for (path, expected) in [
                ("/a/7/x/y", Some(("/a/{id}/x/", 6))),
                ("/a/7/y", Some(("/a/7/", 4))),
                ("/a/8/y", Some(("/a/{id:[0-9]+}/", 4))),
                ("/a/b/y", Some(("/a/{id}/", 4))),
                ("/a/7/x/special/", Some(("/a/{id}/x/special/", 14))),
                ("/c/d", Some(("/{any}/", 2))),
                ("/b/c/d/e", Some(("/b/{x}/{y}", 6))),
                ("/b/c", Some(("/{any}/", 2))),
                ("/b", None),
            ] {
                assert_eq!(found(&router, path), expected, "{path}");
            }
            paths.reverse();
        }
    }

    #[test]
    fn hosts_go_first() {
        let mut router = Router::default();
        insert(&mut router, None, "/a/", 1);
        insert(&mut router, Some("api.example.com"), "/a/", 2);
        insert(&mut router, Some("API.example.com."), "/b/", 3);
        insert(&mut router, Some("{x:[a-z]+}.example.com"), "/a/", 4);
        insert(&mut router, Some("{y:[a-z]+}.example.com"), "/c/", 5);
        insert(&mut router, Some("{x}.{y}.com"), "/a/", 6);
        for (host, path, expected) in [
            ("api.example.com", "/a/x", Some((&2, 2))),
            ("api.example.com", "/b/x", Some((&3, 2))),
            ("api.example.com", "/c/x", Some((&5, 2))),
            ("shop.example.com", "/a/x", Some((&4, 2))),
            ("shop1.example.com", "/a/x", Some((&6, 2))),
            ("other.test", "/a/x", Some((&1, 2))),
            ("other.test", "/b/x", None),
        ] {
            assert_eq!(router.find(host, path), expected, "{host}{path}");
        }
    }
}
