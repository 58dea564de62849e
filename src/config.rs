//! Settings: what is built in, then a file, then the environment, read and checked once.
//!
//! Guarantees that whoever holds [`Settings`] holds valid ones, and that whoever made mistakes is
//! told of all of them at once, each with its place and what would be right. An unknown key is a
//! mistake. Never shows a secret.

mod broker;
mod contracts;
mod explain;
mod heartbeat;
mod keys;
mod layers;
mod mistakes;
mod notify;
mod read;
mod recipients;
mod sections;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use hyper::Uri;
use lettre::Address;
use lettre::message::Mailbox;
use uuid::Uuid;

use crate::domain::holidays::BankHolidays;
use crate::domain::policy::Contract;
use crate::domain::recipient::{Recipient, Recipients};
use crate::domain::refs::ContractId;
use crate::domain::role::Scope;
use crate::store::Database;

pub use explain::explain;
pub use mistakes::{Mistake, Mistakes};

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub database: Database,
    /// Through which broker the daemon hears.
    pub broker: BrokerSettings,
    /// The night board and the API.
    pub http: HttpSettings,
    /// Who is told, over HTTP, that the daemon works, if anybody.
    pub heartbeat: Option<HeartbeatSettings>,
    /// The log.
    pub log: LogSettings,
    /// Working days (R22).
    pub calendar: CalendarSettings,
    /// Who is told of alerts, and by what way (R24).
    pub notify: NotifySettings,
    /// The contracts and their policies.
    pub contracts: Contracts,
    /// The contract that is built in.
    standard: Contract,
}

impl Settings {
    /// A contract of that name with the default policy and the configured bank holidays: for files
    /// that name a contract which nobody configured.
    #[must_use]
    pub fn default_contract(&self, id: ContractId) -> Contract {
        let mut contract = self.standard.clone();
        contract.id = id;
        contract
    }
}

/// The broker, and the daemon's name there.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// The daemon's client id, in the grammar of references. The broker keeps its queue under this
    /// name.
    pub client_id: String,
    /// The group in which several daemons share what phones and units say, if they do.
    pub shared_group: Option<String>,
    /// Which broker it is.
    pub kind: BrokerKind,
}

/// Which broker the daemon uses.
#[derive(Debug, Clone)]
pub enum BrokerKind {
    /// The one inside the daemon.
    Embedded {
        /// Where it listens without TLS: a loopback address.
        listen: SocketAddr,
        /// Where and how it listens with TLS, if it does. Only with users.
        tls: Option<ListenTls>,
        /// The file of its users. Without one everybody who reaches it is let in.
        users_file: Option<PathBuf>,
    },
    /// Another one.
    External {
        /// Its name or address; an IPv6 address without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Who the daemon is there, if it is to say.
        username: Option<String>,
        /// The password; only with a user name.
        password: Option<Secret>,
        /// How TLS is spoken, if it is.
        tls: Option<ClientTls>,
    },
}

/// How the embedded broker speaks TLS. The files are good when the settings are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate, and those between it and the authority.
    pub cert_file: PathBuf,
    /// The certificate's private key.
    pub key_file: PathBuf,
}

/// How the daemon speaks TLS with a broker elsewhere.
#[derive(Clone)]
pub struct ClientTls {
    /// The authorities whom the daemon trusts; those of the machine if there is no file.
    pub ca_file: Option<PathBuf>,
    /// The certificate that the daemon shows, if it has one.
    pub client_cert_file: Option<PathBuf>,
    /// All of that, ready for use.
    pub config: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("ca_file", &self.ca_file)
            .field("client_cert_file", &self.client_cert_file)
            .finish_non_exhaustive()
    }
}

/// The night board and the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where they listen.
    pub listen: SocketAddr,
    /// Whether who comes needs a token. If not, only this machine can come.
    pub asks_for_tokens: bool,
    /// Whether browsers come by TLS, through a proxy that speaks it.
    pub behind_tls: bool,
}

/// Who is told, over HTTP, that the daemon works.
#[derive(Clone)]
pub struct HeartbeatSettings {
    /// The address that is asked for. It may hold a secret.
    pub url: reqwest::Url,
    /// How often.
    pub every: Duration,
    /// How TLS is spoken there.
    pub tls: Arc<rustls::ClientConfig>,
}

impl fmt::Debug for HeartbeatSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeartbeatSettings").field("every", &self.every).finish_non_exhaustive()
    }
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How much is logged.
    pub level: tracing::Level,
    /// How it is written.
    pub format: LogFormat,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object on each line.
    Json,
}

/// Working days (R22).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarSettings {
    /// The file with a newer list of bank holidays, if there is one.
    pub bank_holidays_file: Option<PathBuf>,
    /// The bank holidays, those of the file included.
    pub bank_holidays: BankHolidays,
}

/// Who is told of alerts, and by what way (R24).
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// Those who are told, by their names.
    pub addressees: BTreeMap<String, Addressee>,
    /// What is raised within this is told together.
    pub group_within: TimeDelta,
    /// What cannot be told within this has failed.
    pub give_up_after: TimeDelta,
    /// The time between two notifications to one recipient.
    pub spacing: TimeDelta,
    /// The authorities whom the daemon trusts there; those of the machine if there is no file.
    pub ca_file: Option<PathBuf>,
    /// How TLS is spoken with web servers, if it is.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// The server that takes e-mails, if there is one.
    pub smtp: Option<Smtp>,
    /// GOV.UK Notify, if it is used.
    pub govuk_notify: Option<GovukNotify>,
}

/// Somebody who is told, and how.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// Of what it is told.
    pub recipient: Recipient,
    /// The contracts of whose alerts it is told; none: all.
    pub contracts: Option<BTreeSet<ContractId>>,
    /// How it is told.
    pub channel: Channel,
}

/// How somebody is told.
#[derive(Debug, Clone)]
pub enum Channel {
    /// A program, by HTTP.
    Webhook {
        /// Where it is.
        url: Uri,
        /// With what it is signed, in Base64.
        key: Secret,
    },
    /// By e-mail.
    Email(Address),
    /// By a text message through GOV.UK Notify.
    GovukSms(String),
    /// By e-mail through GOV.UK Notify.
    GovukEmail(Address),
}

/// The server that takes e-mails.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to with TLS.
    pub security: Security,
    /// Who the daemon is there.
    pub user: Option<(String, Secret)>,
    /// From whom e-mails come.
    pub from: Mailbox,
}

/// How a server that takes e-mails is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS is begun by STARTTLS, or nothing is said.
    StartTls,
    /// With TLS from the beginning.
    Tls,
    /// Without TLS, on this machine.
    None,
}

impl Security {
    /// The port, if none is given.
    fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// GOV.UK Notify.
#[derive(Debug, Clone)]
pub struct GovukNotify {
    /// Where it is.
    pub url: Uri,
    /// By what the daemon is known there.
    pub key: GovukKey,
    /// The template of text messages.
    pub sms_template: Option<Uuid>,
    /// The template of e-mails.
    pub email_template: Option<Uuid>,
}

/// A key of GOV.UK Notify, in its parts.
#[derive(Debug, Clone)]
pub struct GovukKey {
    /// The service's id.
    pub service: String,
    /// With what tokens are signed.
    pub secret: Secret,
}

/// The contracts: at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Contracts {
    by_id: BTreeMap<ContractId, Arc<Contract>>,
    /// Whether somebody configured them. If not, there is one, `default`, with the defaults.
    pub configured: bool,
}

impl Contracts {
    /// Gathers contracts; of several with the same id, the last one stays.
    pub fn new(contracts: impl IntoIterator<Item = Contract>, configured: bool) -> Self {
        let by_id = contracts.into_iter().map(|one| (one.id.clone(), Arc::new(one))).collect();
        Self { by_id, configured }
    }

    /// The contract of that id, if there is one.
    #[must_use]
    pub fn get(&self, id: &ContractId) -> Option<&Arc<Contract>> {
        self.by_id.get(id)
    }

    /// Lets each contract know who is told of its alerts.
    fn tell(&mut self, of: impl Fn(&ContractId) -> Recipients) {
        for contract in self.by_id.values_mut() {
            let recipients = Arc::new(of(&contract.id));
            Arc::make_mut(contract).recipients = recipients;
        }
    }

    /// Those of them that a scope has.
    #[must_use]
    pub fn within(&self, scope: &Scope) -> Self {
        let of = self.by_id.iter().filter(|(id, _)| scope.has(id));
        let by_id = of.map(|(id, contract)| (id.clone(), Arc::clone(contract))).collect();
        Self { by_id, configured: self.configured }
    }

    /// All contracts, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.by_id.values()
    }
}

/// A password or a key. It does not show itself.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for the one who must say it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// Reads the settings: those built in, over them the file's, over them the environment's
/// (`NIGHTRUN__SECTION__KEY`; other variables are not looked at).
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    let mut notes = mistakes::Notes::default();
    let merged = layers::merge(file, environment, &mut notes);
    let settings = sections::read(&merged, file.is_some(), &mut notes);
    notes.finish(settings)
}

/// The environment of this process, as [`load`] takes it. Unlike [`std::env::vars`] it does not
/// panic when some variable is not Unicode.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}
