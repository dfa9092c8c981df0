//! What an API lets pass before it asks for a token: addresses, sizes of bodies, operations.

use super::{
    context::Context,
    operations::DeclaredById,
    raw::{self, Tyk},
};
use crate::{
    document::FieldPath,
    middleware::{
        AddressLists, Allowed, Beginnings, Closed, Networks, PathLists, PathTemplate, Restrictions,
        SizeLimits, WidePath, WidePaths,
    },
};

pub(super) struct RestrictionsParser<'r, 'p> {
    pub(super) context: &'r mut Context<'p>,
    /// Of the extension.
    pub(super) at: &'r FieldPath,
    pub(super) tyk: &'r Tyk,
    /// Method and path of each operation that the document declares.
    pub(super) operations: &'r DeclaredById<'r>,
    /// Paths are looked for anywhere in those of requests (`unanchoredPaths`).
    pub(super) unanchored: bool,
}

impl RestrictionsParser<'_, '_> {
    pub(super) fn parse(mut self) -> Restrictions {
        let (addresses, sizes) = (self.addresses(), self.sizes());
        Restrictions { addresses, sizes, paths: self.paths() }
    }

    fn addresses(&mut self) -> AddressLists {
        let raw = &self.tyk.server.ip_access_control;
        if !raw.enabled {
            return AddressLists::default();
        }
        let at = self.at.members(&["server", "ipAccessControl"]);
        if raw.allow.is_empty() && raw.block.is_empty() {
            let message = "this is on, and both lists are empty, so every address is let in, as in Tyk; list addresses or networks, or switch it off";
            self.context.warning(&at, message);
        }
        let allowed = self.networks(&at.member("allow"), &raw.allow);
        let blocked = self.networks(&at.member("block"), &raw.block);
        AddressLists::new(allowed, blocked)
    }

    fn networks(&mut self, at: &FieldPath, texts: &[String]) -> Networks {
        let mut networks = Vec::with_capacity(texts.len());
        for (n, text) in texts.iter().enumerate() {
            match Networks::read(text.trim()) {
                Ok(network) => networks.push(network),
                Err(reason) => self.context.error(&at.element(n), reason.to_string()),
            }
        }
        networks.into_iter().collect()
    }

    fn sizes(&mut self) -> SizeLimits {
        let global = &self.tyk.middleware.global.request_size_limit;
        let of_api = self.size(&self.at.members(&["middleware", "global", "requestSizeLimit"]), global);
        let mut limited = Vec::new();
        for (id, operation) in &self.tyk.middleware.operations {
            let at = self.at_operation(id).member("requestSizeLimit");
            limited.extend(self.size(&at, &operation.request_size_limit).and_then(|size| {
                // An id without a path has been told of with the operation.
                self.wide(id, false, size)
            }));
        }
        SizeLimits { of_api, of_operations: self.wide_paths(limited) }
    }

    fn size(&mut self, at: &FieldPath, raw: &raw::RequestSizeLimit) -> Option<u64> {
        if !raw.enabled {
            return None;
        }
        if raw.value == 0 {
            let message =
                "a value of 0 limits nothing, as in Tyk; write the largest body in octets, or switch it off";
            self.context.warning(&at.member("value"), message);
            return None;
        }
        Some(raw.value)
    }

    fn paths(&mut self) -> PathLists {
        let (mut allowed, mut closed) = (Vec::new(), Vec::new());
        for (id, operation) in &self.tyk.middleware.operations {
            if operation.block.enabled {
                self.tell_of_a_block(id, operation);
                closed.extend(self.wide(id, operation.block.ignore_case, Closed::Block));
            }
            if operation.internal.enabled {
                closed.extend(self.wide(id, false, Closed::Internal));
            }
            if operation.allow.enabled {
                allowed.extend(self.wide(id, operation.allow.ignore_case, ()));
            }
        }
        let closed = self.wide_paths(closed);
        if allowed.is_empty() {
            return PathLists { allowed: None, closed };
        }
        let allowed = if self.unanchored {
            Allowed::Anywhere(self.wide_paths(allowed))
        } else {
            // What is no path has been told of with the operation.
            let operation = |WidePath { method, path, ignore_case, .. }: WidePath<()>| {
                Some((method, PathTemplate::new(&path).ok()?, ignore_case))
            };
            Allowed::Beginnings(Box::new(Beginnings::new(allowed.into_iter().filter_map(operation))))
        };
        PathLists { allowed: Some(allowed), closed }
    }

    fn tell_of_a_block(&mut self, id: &str, operation: &raw::Operation) {
        let at = self.at_operation(id).member("block");
        for (is_on, other) in [
            (operation.allow.enabled, "allow"),
            (operation.ignore_authentication.enabled, "ignoreAuthentication"),
        ] {
            if is_on {
                let message = format!(
                    "this operation is blocked, so {other} beside it has no effect; switch one of the two off"
                );
                self.context.warning(&at, message);
            }
        }
    }

    fn at_operation(&self, id: &str) -> FieldPath {
        self.at.members(&["middleware", "operations", id])
    }

    fn wide<T>(&self, id: &str, ignore_case: bool, value: T) -> Option<WidePath<T>> {
        let (method, path) = self.operations.get(id)?;
        let ignore_case = ignore_case || self.tyk.middleware.global.ignore_case.enabled;
        Some(WidePath { method: method.clone(), path: (*path).to_owned(), ignore_case, value })
    }

    fn wide_paths<T>(&mut self, paths: Vec<WidePath<T>>) -> WidePaths<T> {
        WidePaths::new(paths).unwrap_or_else(|reason| {
            let message = format!("the paths of these operations cannot be looked for at once: {reason}");
            self.context.error(&self.at.members(&["middleware", "operations"]), message);
            WidePaths::default()
        })
    }
}
