//! How connections hear that the worker stops.

use std::{
    cell::{Cell, RefCell},
    task::Waker,
};

use slab::Slab;

/// Tells all connections of a listener that it stops. Nobody waits for that: who is idle is woken to see it.
#[derive(Debug, Default)]
pub(super) struct Closing {
    is_set: Cell<bool>,
    connections: RefCell<Slab<Waker>>,
}

/// A connection that will be told.
#[derive(Debug)]
pub(super) struct Registered<'c> {
    closing: &'c Closing,
    key: usize,
}

impl Closing {
    /// Tells all.
    pub(super) fn set(&self) {
        self.is_set.set(true);
        self.connections.borrow().iter().for_each(|(_, connection)| connection.wake_by_ref());
    }

    pub(super) const fn is_set(&self) -> bool {
        self.is_set.get()
    }

    /// Has the task woken that this wakes.
    pub(super) fn register(&self, connection: Waker) -> Registered<'_> {
        Registered { closing: self, key: self.connections.borrow_mut().insert(connection) }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.closing.connections.borrow_mut().try_remove(self.key);
    }
}
