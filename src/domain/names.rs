//! What people are called, by their references: for coordinators' eyes only (R26).

use std::collections::HashMap;

use super::refs::{CarerRef, ClientRef};

/// The names of a contract's clients and carers, and the clients' telephones.
#[derive(Debug, Clone, Default)]
pub struct Names {
    clients: HashMap<ClientRef, (Option<String>, Option<String>)>,
    carers: HashMap<CarerRef, Option<String>>,
}

impl Names {
    /// Enters a client's name and telephone, in place of what was known before.
    pub fn put_client(&mut self, client: ClientRef, name: Option<String>, phone: Option<String>) {
        self.clients.insert(client, (name, phone));
    }

    /// Enters a carer's name, in place of what was known before.
    pub fn put_carer(&mut self, carer: CarerRef, name: Option<String>) {
        self.carers.insert(carer, name);
    }

    /// What the client is called.
    #[must_use]
    pub fn client(&self, client: &ClientRef) -> Option<&str> {
        self.clients.get(client)?.0.as_deref()
    }

    /// Where the client can be rung.
    #[must_use]
    pub fn phone(&self, client: &ClientRef) -> Option<&str> {
        self.clients.get(client)?.1.as_deref()
    }

    /// What the carer is called.
    #[must_use]
    pub fn carer(&self, carer: &CarerRef) -> Option<&str> {
        self.carers.get(carer)?.as_deref()
    }
}
