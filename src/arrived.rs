//! What arrived, counted from the messages as they are handed over: the one side of the ledger, of
//! which the rows of evidence are the other.
//!
//! Guarantees that it looks at nothing that is stored, so that a row which is lost, or written
//! twice, shows as a difference.

use crate::config::Contracts;
use crate::domain::calendar::Night;
use crate::domain::event::Event;
use crate::domain::instant::Instant;
use crate::domain::refs::ContractId;
use crate::message::Message;
use crate::store::ledger::{self, Page, PageKey, Pages};
use crate::store::{Db, StoreError};
use crate::wire::topic::{self, BadTopic, Topic};

/// The pages on which the messages of a batch are counted.
pub struct Arrived<'a> {
    contracts: &'a Contracts,
    pages: Pages,
}

impl<'a> Arrived<'a> {
    /// Counts a batch as it was handed over, whatever its messages hold.
    #[must_use]
    pub fn new(contracts: &'a Contracts, messages: &[Message]) -> Self {
        let mut this = Self { contracts, pages: Pages::new() };
        for message in messages {
            this.at_receipt(message).received += 1;
        }
        this
    }

    /// The page of a message's receipt: that of its topic's contract, if the daemon has that.
    #[must_use]
    pub fn page_of(&self, message: &Message) -> PageKey {
        let contract = match topic::parse(&message.topic) {
            Ok(Topic::Event { contract, .. } | Topic::Status { contract, .. })
            | Err(BadTopic::Sender { contract }) => self.contracts.get(&contract),
            Err(BadTopic::Foreign | BadTopic::Contract { .. }) => None,
        };
        match contract {
            Some(contract) => (Some(contract.id.clone()), contract.night_of(message.received_at)),
            None => (None, message.received_at.date_naive()),
        }
    }

    /// A new event.
    pub fn accepted(&mut self, event: &Event) {
        self.of_event(event, event.received_at).accepted += 1;
    }

    /// An event said again, which was received first at that instant.
    pub fn duplicate(&mut self, event: &Event, first_received_at: Instant) {
        self.of_event(event, first_received_at).duplicate += 1;
    }

    /// A message that could not be used.
    pub fn rejected(&mut self, message: &Message) {
        self.at_receipt(message).rejected += 1;
    }

    /// The state of a unit.
    pub fn status(&mut self, message: &Message) {
        self.at_receipt(message).status += 1;
    }

    /// Adds it to what was counted before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save(self, db: &mut Db) -> Result<(), StoreError> {
        ledger::add(db, &self.pages).await
    }

    fn at_receipt(&mut self, message: &Message) -> &mut Page {
        let key = self.page_of(message);
        self.pages.entry(key).or_default()
    }

    fn of_event(&mut self, event: &Event, received_at: Instant) -> &mut Page {
        let night = self.night_of(&event.contract, event.effective_if(received_at));
        self.pages.entry((Some(event.contract.clone()), night)).or_default()
    }

    fn night_of(&self, contract: &ContractId, at: Instant) -> Night {
        self.contracts.get(contract).map_or(at.date_naive(), |contract| contract.night_of(at))
    }
}
