//! Registers, versioned by date: an event is judged by the version in force at its effective time
//! (R8), so a telecare unit that moves to another home does not take its old events along.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::plan::{ClientRow, DeviceRow, LatLon, Suspension, TagRow};
use super::refs::{ClientRef, DeviceRef, Tag};

/// Versions of something, each in force from its date on.
#[derive(Debug, Clone)]
pub struct Versions<T>(Vec<(Option<NaiveDate>, T)>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Versions<T> {
    /// Adds a version, or takes the place of the one with the same date.
    pub fn put(&mut self, from: Option<NaiveDate>, version: T) {
        match self.0.binary_search_by_key(&from, |(from, _)| *from) {
            Ok(index) => self.0[index].1 = version,
            Err(index) => self.0.insert(index, (from, version)),
        }
    }

    /// The version in force on a local date, if any.
    #[must_use]
    pub fn on(&self, date: NaiveDate) -> Option<&T> {
        self.0
            .iter()
            .rev()
            .find(|(from, _)| from.is_none_or(|from| from <= date))
            .map(|(_, version)| version)
    }
}

/// Where a client lives, and how far around that counts as there (R19).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Home {
    /// The position, if known.
    pub at: Option<LatLon>,
    /// The radius of the fence in metres, if not the policy's.
    pub fence_m: Option<f64>,
}

/// The registers of one contract, or as much of them as the work at hand needs.
#[derive(Debug, Clone, Default)]
pub struct Registers {
    clients: HashMap<ClientRef, Versions<Home>>,
    devices: HashMap<DeviceRef, Versions<ClientRef>>,
    tags: HashMap<Tag, Versions<ClientRef>>,
    suspensions: HashMap<ClientRef, Vec<Suspension>>,
}

impl Registers {
    /// Enters a row of the client register.
    pub fn put_client(&mut self, row: &ClientRow) {
        let home = Home { at: row.home, fence_m: row.fence_m };
        self.clients.entry(row.client_ref.clone()).or_default().put(row.from, home);
    }

    /// Takes over the homes of other registers.
    pub fn add_homes(&mut self, other: Self) {
        self.clients.extend(other.clients);
    }

    /// Enters a row of the device register.
    pub fn put_device(&mut self, row: DeviceRow) {
        self.devices.entry(row.device_ref).or_default().put(row.from, row.client_ref);
    }

    /// Enters a row of the tag register.
    pub fn put_tag(&mut self, row: TagRow) {
        self.tags.entry(row.tag).or_default().put(row.from, row.client_ref);
    }

    /// Enters a suspension; one of the same client with the same beginning is replaced.
    pub fn put_suspension(&mut self, row: Suspension) {
        let rows = self.suspensions.entry(row.client_ref.clone()).or_default();
        match rows.binary_search_by_key(&row.from, |row| row.from) {
            Ok(index) => rows[index] = row,
            Err(index) => rows.insert(index, row),
        }
    }

    /// Every home that there has been, and whose.
    pub fn homes(&self) -> impl Iterator<Item = (&ClientRef, &Home)> {
        self.clients
            .iter()
            .flat_map(|(client, homes)| homes.0.iter().map(move |(_, home)| (client, home)))
    }

    /// Where the client lived on that local date.
    #[must_use]
    pub fn home(&self, client: &ClientRef, date: NaiveDate) -> Option<Home> {
        self.clients.get(client)?.on(date).copied()
    }

    /// In whose home the unit stood on that local date.
    #[must_use]
    pub fn device(&self, device: &DeviceRef, date: NaiveDate) -> Option<&ClientRef> {
        self.devices.get(device)?.on(date)
    }

    /// In whose home the chip or code was on that local date.
    #[must_use]
    pub fn tag(&self, tag: &Tag, date: NaiveDate) -> Option<&ClientRef> {
        self.tags.get(tag)?.on(date)
    }

    /// All suspensions, in no order.
    pub fn all_suspensions(&self) -> impl Iterator<Item = &Suspension> {
        self.suspensions.values().flatten()
    }

    /// The client's suspensions, by their beginning.
    #[must_use]
    pub fn suspensions(&self, client: &ClientRef) -> &[Suspension] {
        self.suspensions.get(client).map_or(&[], Vec::as_slice)
    }
}
