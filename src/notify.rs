//! Telling people: what is due is taken from the database and sent, until it is sent or has failed
//! (R24).
//!
//! Guarantees that each recipient is told of one thing after the other, by one daemon at a time; that a
//! repeat has the id of what it repeats; and that what cannot be sent is an alert. A recipient that
//! cannot be reached is tried as a whole, ever more seldom, and holds up nobody else. Decides nothing
//! about who is told. Logs names of recipients, never addresses.

mod govuk;
mod letter;
mod outcome;
mod post;
mod smtp;
mod webhook;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::backoff::{self, Backoff};
use crate::caseload::alert_id;
use crate::clock;
use crate::config::{Addressee, Channel, Contracts, NotifySettings, Settings};
use crate::domain::alert::{AlertKind, Resolution};
use crate::domain::instant::Instant;
use crate::report::notification::{About as WordsAbout, Words, words};
use crate::slots::Slots;
use crate::store::alerts::{About, Raised, Said as Stored, ToSave};
use crate::store::notifications::{self, Fate};
use crate::store::{Db, Store, StoreError, alerts};
use crate::telling::{self, Said};
use crate::wire::alert::{AlertMessage, State};

use letter::{Letter, Sorted};
use outcome::Outcome;

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Most recipients that are told at the same time.
const AT_ONCE_MAX: usize = 16;
/// A recipient that has not taken a notification by then cannot be reached.
const SEND_WITHIN: Duration = Duration::from_secs(15);
/// What a daemon has had in hand for so long, it has lost: longer than sending and noting it takes.
const LEASE_FOR: TimeDelta = TimeDelta::seconds(60);
/// How long a stop waits for what is being sent.
const STOP_WITHIN: Duration = Duration::from_secs(3);
/// How often what came of a try is noted, if the database fails. It is sent again then.
const NOTE_TRIES_MAX: u32 = 5;

/// Who tells people, until it is stopped.
pub struct Notifier {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What it works with.
struct Desk {
    store: Store,
    contracts: Arc<Contracts>,
    settings: NotifySettings,
    slots: Arc<Slots>,
    http: post::Client,
    smtp: Option<smtp::Server>,
    /// One task at a time uses the database: the writer's connections are few.
    turn: Mutex<()>,
}

/// What is to be done for a recipient.
enum Work {
    Send(Letter),
    /// It was tried for too long, or there is nobody to whom it could be sent.
    GiveUp(Letter, String),
}

impl Notifier {
    /// Begins to tell people. `alone`: no other daemon has this database.
    ///
    /// # Errors
    /// When the server for e-mails cannot be set up.
    pub fn start(
        settings: &Settings,
        (store, contracts, slots): (Store, Arc<Contracts>, Arc<Slots>),
        alone: bool,
    ) -> anyhow::Result<Self> {
        let settings = settings.notify.clone();
        let http = post::Client::new(settings.tls.clone());
        let ca_file = settings.ca_file.as_deref();
        let smtp =
            settings.smtp.as_ref().map(|smtp| smtp::Server::new(smtp, ca_file)).transpose()?;
        let turn = Mutex::new(());
        let desk = Arc::new(Desk { store, contracts, settings, slots, http, smtp, turn });
        let (stop, stopping) = watch::channel(false);
        Ok(Self { stop, task: tokio::spawn(desk.run(alone, stopping)) })
    }

    /// Takes nothing more in hand, and waits a moment for what is being sent.
    ///
    /// # Errors
    /// When the task has died, which is a bug.
    pub async fn stop(self) -> Result<(), JoinError> {
        self.stop.send_replace(true);
        self.task.await
    }
}

impl Desk {
    async fn run(self: Arc<Self>, alone: bool, mut shutdown: watch::Receiver<bool>) {
        let (mut begun, mut failing) = (!alone, false);
        let mut tasks = JoinSet::new();
        let mut in_hand: HashSet<String> = HashSet::new();
        while !*shutdown.borrow() {
            let looked = if begun { self.due().await } else { self.begin().await };
            match looked {
                Ok(due) => {
                    (begun, failing) = (true, false);
                    for name in due {
                        if in_hand.len() < AT_ONCE_MAX && in_hand.insert(name.clone()) {
                            let desk = Arc::clone(&self);
                            tasks.spawn(async move {
                                desk.serve(&name).await;
                                name
                            });
                        }
                    }
                }
                // It is said once, for it is looked at often.
                Err(failed) if !failing => {
                    failing = true;
                    warn!("cannot read whom to notify, which is tried again: {failed}");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                _ = shutdown.changed() => {}
                Some(served) = tasks.join_next() => match served {
                    Ok(name) => _ = in_hand.remove(&name),
                    Err(died) => {
                        error!("telling somebody has died, which is a bug: {died}");
                        in_hand.clear();
                    }
                },
            }
        }
        let rest = async { while tasks.join_next().await.is_some() {} };
        if timeout(STOP_WITHIN, rest).await.is_err() {
            info!("what was being sent to recipients is sent again after the next start");
        }
    }

    /// After the start of a daemon that is alone.
    async fn begin(&self) -> Result<Vec<String>, StoreError> {
        let mut tx = self.write().await?;
        notifications::release_all(&mut tx).await?;
        tx.commit().await?;
        self.due().await
    }

    /// The recipients to whom something is to be sent.
    async fn due(&self) -> Result<Vec<String>, StoreError> {
        let _turn = self.turn.lock().await;
        let mut tx = self.store.read().await?;
        let most = i64::try_from(AT_ONCE_MAX).unwrap_or(i64::MAX);
        notifications::recipients_due(&mut tx, clock::now(), most).await
    }

    /// Sends a recipient what has been due for the longest.
    async fn serve(&self, name: &str) {
        let (letter, outcome) = match self.take(name).await {
            Ok(None) => return,
            Ok(Some(Work::Send(letter))) => {
                let outcome = timeout(SEND_WITHIN, self.send(&letter)).await;
                let outcome = outcome.unwrap_or_else(|_| Outcome::unanswered(SEND_WITHIN));
                (letter, outcome)
            }
            Ok(Some(Work::GiveUp(letter, why))) => (letter, Outcome::Never(why)),
            Err(failed) => return warn!(recipient = name, "cannot read what to tell: {failed}"),
        };
        say(&letter, &outcome);
        let mut pauses = Backoff::default();
        for tries in 1.. {
            match self.note(&letter, &outcome).await {
                Ok(()) => return,
                Err(failed) if tries >= NOTE_TRIES_MAX => {
                    error!(
                        recipient = name,
                        "cannot note what was told, it is told again: {failed}"
                    );
                    return;
                }
                Err(_) => sleep(pauses.next_pause()).await,
            }
        }
    }

    async fn write(&self) -> Result<Db, StoreError> {
        self.store.write_for(self.slots.own().unwrap_or_default()).await
    }

    /// Takes a recipient and what it is to be told in hand.
    async fn take(&self, name: &str) -> Result<Option<Work>, StoreError> {
        let _turn = self.turn.lock().await;
        let now = clock::now();
        let mut tx = self.write().await?;
        let Some(failures) = notifications::lease(&mut tx, name, now, now + LEASE_FOR).await?
        else {
            return Ok(None);
        };
        let soon = now + self.settings.group_within;
        let waiting = notifications::take(&mut tx, name, now, soon).await?;
        let Sorted { ready, too_late, not_needed } = Sorted::of(waiting, now);
        notifications::not_needed(&mut tx, &not_needed, now).await?;
        let work = if !self.settings.addressees.contains_key(name) {
            let why = "the configuration has no recipient of that name";
            let all = too_late.into_iter().chain(ready).collect();
            Letter::of(name, all, failures).map(|letter| Work::GiveUp(letter, why.to_owned()))
        } else if too_late.is_empty() {
            Letter::of(name, ready, failures).map(Work::Send)
        } else {
            let hours = self.settings.give_up_after.num_hours();
            let why = format!("it could not be sent for {hours} hours");
            Letter::of(name, too_late, failures).map(|letter| Work::GiveUp(letter, why))
        };
        match &work {
            None => notifications::release(&mut tx, name, now, failures).await?,
            Some(Work::Send(letter)) => {
                notifications::seal(&mut tx, &letter.notifications, &letter.id).await?;
            }
            Some(Work::GiveUp(..)) => {}
        }
        tx.commit().await?;
        Ok(work)
    }

    async fn send(&self, letter: &Letter) -> Outcome {
        let Some(Addressee { recipient, channel, .. }) =
            self.settings.addressees.get(&letter.recipient)
        else {
            return Outcome::Never("the configuration has no recipient of that name".to_owned());
        };
        let contract = letter.alerts.first().and_then(|alert| self.contracts.get(&alert.contract));
        let words = words(WordsAbout {
            zone: contract.map_or(chrono_tz::UTC, |contract| contract.zone),
            audience: recipient.audience,
            occasion: letter.occasion,
            id: &letter.id,
            alerts: &letter.alerts,
        });
        self.send_words(letter, &words, channel).await
    }

    async fn send_words(&self, letter: &Letter, words: &Words, channel: &Channel) -> Outcome {
        let now = clock::now();
        let missing = || Outcome::refused("it is not set up");
        match channel {
            Channel::Webhook { url, key } => match webhook::request(letter, words, key, now) {
                Some(request) => self.http.post(url, request, now).await,
                None => missing(),
            },
            Channel::Email(address) => match &self.smtp {
                Some(server) => server.send(address, letter, words).await,
                None => missing(),
            },
            Channel::GovukSms(_) | Channel::GovukEmail(_) => {
                let Some(notify) = &self.settings.govuk_notify else { return missing() };
                match govuk::request(notify, channel, letter, words, now) {
                    Some((url, request)) => self.http.post(&url, request, now).await,
                    None => missing(),
                }
            }
        }
    }

    /// Notes what came of a try.
    async fn note(&self, letter: &Letter, outcome: &Outcome) -> Result<(), StoreError> {
        let Letter { recipient, notifications: rows, unheard, .. } = letter;
        let _turn = self.turn.lock().await;
        let now = clock::now();
        let mut tx = self.write().await?;
        // Alerts first, as the writer does: two that wait for each other get nowhere.
        let (free_at, failures) = match outcome {
            Outcome::Sent => {
                self.reached(&mut tx, recipient, now).await?;
                notifications::end(&mut tx, rows, Fate::Sent, now, None).await?;
                (now + self.settings.spacing, 0)
            }
            Outcome::Down { why, after, heard } => {
                let failures = letter.failures.saturating_add(1);
                let again_at = now + pause(failures, *after);
                let unheard = if *heard { &[][..] } else { unheard };
                notifications::put_off(&mut tx, rows, unheard, again_at, why).await?;
                (again_at, failures)
            }
            Outcome::Refused { why, after } => {
                let again_at = now + pause(letter.tries.saturating_add(1), *after);
                notifications::put_off(&mut tx, rows, unheard, again_at, why).await?;
                (now + self.settings.spacing, letter.failures)
            }
            Outcome::Never(why) => {
                self.failed(&mut tx, letter, why, now).await?;
                notifications::end(&mut tx, rows, Fate::Failed, now, Some(why)).await?;
                notifications::forget(&mut tx, unheard).await?;
                (now + self.settings.spacing, letter.failures)
            }
        };
        notifications::release(&mut tx, recipient, free_at, failures).await?;
        tx.commit().await
    }

    /// Raises the alert that somebody could not be told, unless one is open. That nobody could be told
    /// of such an alert raises none.
    async fn failed(
        &self,
        db: &mut Db,
        letter: &Letter,
        why: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        let (kind, name) = (AlertKind::NotificationFailed, &letter.recipient);
        let Some(first) = letter.alerts.first().filter(|alert| alert.kind != kind) else {
            return Ok(());
        };
        let Some(contract) = self.contracts.get(&first.contract) else { return Ok(()) };
        let open = alerts::of_recipient(db, name).await?;
        if open.iter().any(|open| open.message.contract == contract.id) {
            return Ok(());
        }
        let id = alert_id(&[contract.id.as_str(), kind.as_str(), &letter.id]);
        let about = match (&first.visit_ref, letter.alerts.len()) {
            (Some(visit), 1) => format!("{} of visit {visit}", first.kind),
            (Some(visit), more) => format!("{} of visit {visit} and {} more", first.kind, more - 1),
            (None, _) => first.kind.to_string(),
        };
        let detail = format!("{name} was not told of {about}: {why}");
        let night = first.night.unwrap_or_else(|| contract.night_of(now));
        let message = AlertMessage::open(id, contract.id.clone(), kind, night, now, detail);
        let of = About::Recipient(contract.id.clone(), name.clone(), night);
        let changed = ToSave { about: of, message: &message, told: true, resolved_at: None };
        let said = Said { contract, message: &message, about: Some(name) };
        db.raises(Raised { kind, due_at: None });
        telling::save(db, &[changed], &[said], now).await
    }

    /// Ends the alerts that this recipient could not be told.
    async fn reached(&self, db: &mut Db, name: &str, now: Instant) -> Result<(), StoreError> {
        for Stored { night, told, mut message } in alerts::of_recipient(db, name).await? {
            let Some(contract) = self.contracts.get(&message.contract) else { continue };
            message.state = State::Resolved;
            message.resolution = Some(Resolution::Over);
            message.detail = format!("{name} is told again; what it was not told, it was not told");
            let about = About::Recipient(contract.id.clone(), name.to_owned(), night);
            let changed = ToSave { about, message: &message, told, resolved_at: Some(now) };
            let said = Said { contract, message: &message, about: Some(name) };
            telling::save(db, &[changed], &[said], now).await?;
        }
        Ok(())
    }
}

/// How long to wait after so many failures; longer, if the recipient asks for it.
fn pause(failures: u32, after: Option<Duration>) -> TimeDelta {
    let pause = backoff::seldom(failures);
    let pause = after.map_or(pause, |after| pause.max(after.min(outcome::AFTER_MAX)));
    TimeDelta::from_std(pause).unwrap_or(LEASE_FOR)
}

fn say(letter: &Letter, outcome: &Outcome) {
    let Letter { recipient, id, tries, .. } = letter;
    let count = letter.notifications.len();
    match outcome {
        Outcome::Sent => debug!(%recipient, %id, count, tries, "told"),
        Outcome::Down { why, .. } => warn!(%recipient, %id, tries, "cannot be reached: {why}"),
        Outcome::Refused { why, .. } => warn!(%recipient, %id, tries, "does not take it: {why}"),
        Outcome::Never(why) => error!(%recipient, %id, count, "could not be told: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_that_asks_for_more_time_gets_it_within_reason() {
        assert!(pause(1, None) <= TimeDelta::seconds(5));
        let minute = Some(Duration::from_mins(1));
        assert_eq!(pause(1, minute), TimeDelta::seconds(60));
        assert_eq!(pause(1, Some(Duration::from_hours(99))), TimeDelta::hours(1));
        // It does not make it sooner.
        assert!(pause(30, Some(Duration::ZERO)) > TimeDelta::minutes(2));
    }
}
