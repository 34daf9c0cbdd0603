//! Who is registered, by the rules of each dialect. Pure: no sockets.
//!
//! The dialects differ in one thing. A newer hub closes the connection that a
//! second one of the same runtime replaces. An older hub leaves it open, and
//! when it ends, takes the *new* registration away with it.

use std::collections::{HashMap, HashSet};

use crate::protocol::Dialect;

#[derive(Debug)]
pub(super) struct Registry {
    dialect: Dialect,
    /// Runtime id → connection it is spoken to on.
    runtimes: HashMap<String, u64>,
    /// Connection → the runtime id it said hello with.
    hellos: HashMap<u64, String>,
    /// Endpoint id → runtime id. Global in a hub: the last one to register has it.
    endpoints: HashMap<String, String>,
}

impl Registry {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            runtimes: HashMap::new(),
            hellos: HashMap::new(),
            endpoints: HashMap::new(),
        }
    }

    /// Registers a runtime on `connection`; answers the connection to close for it.
    pub fn register(
        &mut self,
        runtime: &str,
        endpoints: impl IntoIterator<Item = String>,
        connection: u64,
    ) -> Option<u64> {
        self.hellos.insert(connection, runtime.to_owned());
        for endpoint in endpoints {
            self.endpoints.insert(endpoint, runtime.to_owned());
        }
        let replaced = self.runtimes.insert(runtime.to_owned(), connection);
        match self.dialect {
            Dialect::Agent => replaced.filter(|&old| old != connection),
            Dialect::Endpoint => None,
        }
    }

    /// A connection is over.
    pub fn ended(&mut self, connection: u64) {
        let Some(runtime) = self.hellos.remove(&connection) else { return };
        let takes_along = match self.dialect {
            Dialect::Agent => self.runtimes.get(&runtime) == Some(&connection),
            Dialect::Endpoint => true,
        };
        if takes_along {
            self.runtimes.remove(&runtime);
        }
    }

    /// Whether the connection said a hello that was accepted.
    pub fn has_said_hello(&self, connection: u64) -> bool {
        self.hellos.contains_key(&connection)
    }

    /// The connection an endpoint's messages go to; `None`: offline, or unknown.
    pub fn connection_of(&self, endpoint: &str) -> Option<u64> {
        self.runtimes.get(self.endpoints.get(endpoint)?).copied()
    }

    /// The connections of all registered runtimes.
    pub fn connections(&self) -> HashSet<u64> {
        self.runtimes.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_one(dialect: Dialect) -> Registry {
        let mut registry = Registry::new(dialect);
        assert_eq!(registry.register("box", ["sh".to_owned()], 1), None);
        assert_eq!(registry.connection_of("sh"), Some(1));
        registry
    }

    #[test]
    fn a_newer_hub_closes_the_replaced_connection_and_keeps_the_new_one() {
        let mut registry = with_one(Dialect::Agent);
        assert_eq!(registry.register("box", ["sh".to_owned()], 2), Some(1));
        registry.ended(1);
        assert_eq!(registry.connection_of("sh"), Some(2));
        registry.ended(2);
        assert_eq!(registry.connection_of("sh"), None);
    }

    #[test]
    fn an_older_hub_loses_the_new_registration_with_the_old_connection() {
        let mut registry = with_one(Dialect::Endpoint);
        assert_eq!(registry.register("box", ["sh".to_owned()], 2), None);
        assert_eq!(registry.connection_of("sh"), Some(2));
        registry.ended(1);
        assert_eq!(registry.connection_of("sh"), None, "connected, and deaf");
        assert!(registry.has_said_hello(2));
    }

    #[test]
    fn the_last_runtime_to_register_an_endpoint_has_it() {
        let mut registry = with_one(Dialect::Agent);
        registry.register("other", ["sh".to_owned()], 2);
        assert_eq!(registry.connection_of("sh"), Some(2));
        assert_eq!(registry.connections(), HashSet::from([1, 2]));
    }
}
