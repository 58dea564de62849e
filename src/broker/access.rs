//! Who is let in to the embedded broker, and what they may do there.
//!
//! Without users everybody is, for the broker is on the loopback interface then. With users a client
//! needs one, uses its client id and no other, and does what its name says. In both cases nobody but
//! the daemon gets the daemon's client ids: whoever takes one can end that session.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::types::ReasonCode;
use sha2::{Digest, Sha256};

use crate::mqtt::BrokerSession;
use crate::publish;
use crate::users::{self, Users};
use crate::wire::user::User;

use super::known::Known;
use super::lock;

/// What the broker calls the daemon. No user can have this name, for the blank in it.
const DAEMON: &str = "the daemon";

/// The daemon's own connection to its broker. The password is made at the start, and is in memory
/// only.
#[derive(Clone)]
pub struct Own {
    client_id: String,
    password: String,
}

impl Own {
    /// Makes a password for the daemon with that client id.
    #[must_use]
    pub fn new(client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), password: users::random() }
    }

    /// How the daemon reaches its broker there.
    #[must_use]
    pub fn session(&self, broker: SocketAddr) -> BrokerSession {
        BrokerSession {
            host: broker.ip().to_string(),
            port: broker.port(),
            username: Some(self.client_id.clone()),
            password: Some(self.password.clone()),
            client_id: self.client_id.clone(),
            instance: self.client_id.clone(),
            tls: None,
        }
    }

    fn is_password(&self, password: Option<&[u8]>) -> bool {
        // Of digests, so that the time says nothing.
        let digest = |bytes: &[u8]| Sha256::digest(bytes);
        password.is_some_and(|given| digest(given) == digest(self.password.as_bytes()))
    }
}

/// The rules of the door.
pub(super) struct Access {
    own: Own,
    /// None lets everybody in.
    known: Option<Arc<Known>>,
    /// What has been said about whom since they last did well: each once.
    reported: Mutex<HashSet<(String, Refusal)>>,
}

/// Why somebody was refused, or something was.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refusal {
    Stranger,
    Password,
    ClientId,
    Will,
    Subscription,
    Publish,
    Daemon,
}

impl Refusal {
    fn words(self) -> &'static str {
        match self {
            Self::Stranger => {
                "somebody came without a user, or with one that is not in broker.users_file, and \
                 was refused; if it is a phone, see to its settings (this is said once)"
            }
            Self::Password => "a user came with a wrong password and was refused",
            Self::ClientId => {
                "a user was refused: its client id must be its name, with ~ in the place of each /"
            }
            Self::Will => "a user was refused: it may have no will on that topic",
            Self::Subscription => "a user was refused a subscription that it may not have",
            Self::Publish => "a user published where it may not; it is disconnected",
            Self::Daemon => "somebody came with the daemon's own client id and was refused",
        }
    }
}

impl Access {
    pub(super) fn new(own: Own, users: Option<Users>) -> Self {
        let known = users.map(|users| Arc::new(Known::new(users)));
        Self { own, known, reported: Mutex::default() }
    }

    /// Takes other users from now on; the client ids of those who are no longer what they were.
    pub(super) fn replace_users(&self, users: Users) -> Vec<String> {
        let Some(known) = &self.known else { return Vec::new() };
        let users = Arc::new(users);
        let before = known.replace(Arc::clone(&users));
        let gone = before.names().filter(|name| before.hash_of(name) != users.hash_of(name));
        gone.filter_map(|name| name.parse().ok()).map(|user: User| user.client_id()).collect()
    }

    /// Whether there is still such a user.
    pub(super) fn is_known(&self, user: Option<&str>) -> bool {
        match (&self.known, user) {
            (None, _) | (_, Some(DAEMON)) => true,
            (Some(known), Some(name)) => known.users().hash_of(name).is_some(),
            (Some(_), None) => false,
        }
    }

    /// Whether this user may publish there.
    pub(super) fn may_publish(&self, user: Option<&str>, topic: &str) -> bool {
        self.may(user, |user| user.may_publish(topic))
    }

    fn may(&self, user: Option<&str>, rule: impl FnOnce(&User) -> bool) -> bool {
        match (&self.known, user) {
            (None, _) | (_, Some(DAEMON)) => true,
            (Some(_), Some(name)) => name.parse().is_ok_and(|user| rule(&user)),
            (Some(_), None) => false,
        }
    }

    /// Tells the log, once.
    pub(super) fn report(&self, user: &str, refusal: Refusal) {
        if lock(&self.reported).insert((user.to_owned(), refusal)) {
            tracing::warn!(user, "at the embedded broker, {}", refusal.words());
        }
    }

    async fn admit(&self, connect: &ConnectPacket) -> Result<Option<String>, ReasonCode> {
        let password = connect.password.as_deref();
        let publisher = publish::client_id(&self.own.client_id);
        if connect.client_id == publisher && self.own.is_password(password) {
            return Ok(Some(DAEMON.to_owned()));
        }
        if connect.client_id == publisher || connect.client_id == self.own.client_id {
            self.report(&connect.client_id, Refusal::Daemon);
            return Err(ReasonCode::NotAuthorized);
        }
        let Some(known) = &self.known else { return Ok(None) };
        let (Some(name), Some(password)) = (&connect.username, password) else {
            self.report("", Refusal::Stranger);
            return Err(ReasonCode::BadUsernameOrPassword);
        };
        if !known.is_right(name, password).await {
            // What is no user's name may be anything, a password too, and is not repeated.
            if self.is_known(Some(name)) {
                self.report(name, Refusal::Password);
            } else {
                self.report("", Refusal::Stranger);
            }
            return Err(ReasonCode::BadUsernameOrPassword);
        }
        let user: User = name.parse().map_err(|_| ReasonCode::BadUsernameOrPassword)?;
        if connect.client_id != user.client_id() {
            self.report(name, Refusal::ClientId);
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        if connect.will.as_ref().is_some_and(|will| !user.may_publish(&will.topic)) {
            self.report(name, Refusal::Will);
            return Err(ReasonCode::NotAuthorized);
        }
        lock(&self.reported).remove(&(name.clone(), Refusal::Password));
        Ok(Some(name.clone()))
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl AuthProvider for Access {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _client: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move {
            Ok(match self.admit(connect).await {
                Ok(Some(user)) => AuthResult::success_with_user(user),
                Ok(None) => AuthResult::success(),
                Err(reason) => AuthResult::fail(reason),
            })
        })
    }

    /// The intake decides: what is refused here, the broker answers as MQTT 5 does, which breaks
    /// clients of 3.1.1. Wills, about which it is asked too, were looked at when the client came.
    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        _user: Option<&'a str>,
        _topic: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        user: Option<&'a str>,
        filter: &'a str,
    ) -> Answer<'a, bool> {
        let may = self.may(user, |user| user.may_subscribe(filter));
        if let (false, Some(user)) = (may, user) {
            self.report(user, Refusal::Subscription);
        }
        Box::pin(std::future::ready(may))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt5::types::ConnectOptions;

    const AMY: &str = "t/carer/amy";

    fn users(passwords: &[(&str, &str)]) -> Users {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        for (name, password) in passwords {
            let hash = users::hash_of_random(password).unwrap();
            users::add(&path, &name.parse().unwrap(), &hash, false).unwrap();
        }
        Users::read_if_there(&path).unwrap()
    }

    async fn admits(access: &Access, id: &str, user: &str, password: &str) -> bool {
        let mut connect = ConnectPacket::new(ConnectOptions::new(id).protocol_options);
        connect.username = Some(user.to_owned());
        connect.password = Some(password.into());
        access.admit(&connect).await.is_ok()
    }

    #[tokio::test]
    async fn who_is_no_longer_what_it_was_is_named_and_not_known() {
        let access = Access::new(Own::new("nightrun"), Some(users(&[(AMY, "one"), ("b", "b")])));
        assert!(admits(&access, "t~carer~amy", AMY, "one").await);
        assert_eq!(access.replace_users(users(&[(AMY, "two")])), ["b", "t~carer~amy"]);
        assert!(!admits(&access, "t~carer~amy", AMY, "one").await);
        assert!(admits(&access, "t~carer~amy", AMY, "two").await);
        assert!(!access.is_known(Some("b")) && access.is_known(Some(AMY)));
    }

    #[tokio::test]
    async fn nobody_comes_in_where_nobody_is_known() {
        let access = Access::new(Own::new("nightrun"), Some(Users::default()));
        assert!(!admits(&access, "t~carer~amy", AMY, "one").await);
    }
}
