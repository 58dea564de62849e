//! `nightrun user`: who is let in to the embedded broker.
//!
//! A running daemon notices within a second or two.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::input;
use crate::config::{BrokerKind, Settings};
use crate::publish;
use crate::users::{self, Users};
use crate::wire::user::User;

/// The fewest characters of a password that somebody thought of.
const PASSWORD_MIN_CHARS: usize = 12;
/// The longest password that MQTT can carry, in bytes.
const PASSWORD_MAX_BYTES: usize = 65_535;

/// What is done with users.
#[derive(Subcommand)]
pub enum Command {
    /// Adds one, and shows its new password once.
    Add(Add),
    /// Says who is there.
    List,
    /// Removes one. If it is connected, it is disconnected.
    Remove {
        /// CONTRACT/carer/CARER, CONTRACT/device/DEVICE, or one word.
        name: User,
    },
}

/// Whom to add.
#[derive(Args)]
pub struct Add {
    /// CONTRACT/carer/CARER for a carer's phone, CONTRACT/device/DEVICE for a telecare unit, one word
    /// for a program that reads alerts.
    name: User,
    /// Takes the password from the first line of this file, or of standard input (-), instead of
    /// making one.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Gives a user who is there already another password.
    #[arg(long)]
    replace: bool,
}

/// Does it.
///
/// # Errors
/// When there is no such file, or it is of no use, or the user is there or not.
pub fn run(command: &Command, settings: &Settings) -> anyhow::Result<()> {
    let file = users_file(settings)?;
    let cannot = || format!("nothing was changed in {}", file.display());
    match command {
        Command::Add(arguments) => add(arguments, file, settings).with_context(cannot),
        Command::Remove { name } => users::remove(file, name).with_context(cannot),
        Command::List => {
            let mut names: String = String::new();
            for name in Users::read_if_there(file)?.names() {
                names.push_str(name);
                names.push('\n');
            }
            Ok(io::stdout().write_all(names.as_bytes())?)
        }
    }
}

fn users_file(settings: &Settings) -> anyhow::Result<&Path> {
    match &settings.broker.kind {
        BrokerKind::Embedded { users_file: Some(file), .. } => Ok(file),
        BrokerKind::Embedded { users_file: None, .. } => {
            bail!("there is no file of users: set broker.users_file to the path of one")
        }
        BrokerKind::External { .. } => bail!(
            "broker.url names another broker, which has users of its own; the embedded broker's \
             are in the file that broker.users_file names"
        ),
    }
}

fn add(arguments: &Add, file: &Path, settings: &Settings) -> anyhow::Result<()> {
    let Add { name, password_file, replace } = arguments;
    let own = &settings.broker.client_id;
    if [own.clone(), publish::client_id(own)].contains(&name.client_id()) {
        bail!("the daemon itself has this name (broker.client_id); choose another one");
    }
    if let User::Sender(id, _) = name
        && settings.contracts.get(id).is_none()
    {
        eprintln!("the configuration has no contract {id}: what this user sends will be rejected");
    }
    if let Some(path) = password_file {
        let hash = users::hash(&password(path)?)?;
        return Ok(users::add(file, name, &hash, *replace)?);
    }
    let password = users::random();
    users::add(file, name, &users::hash_of_random(&password)?, *replace)?;
    writeln!(io::stdout(), "{password}").context("the user was added, but its password not shown")
}

fn password(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = input::open(path)?.take(PASSWORD_MAX_BYTES as u64 + 1).read_to_string(&mut text);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    let password = text.lines().next().unwrap_or_default();
    if password.chars().count() < PASSWORD_MIN_CHARS || text.len() > PASSWORD_MAX_BYTES {
        bail!(
            "the password in {} must have {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_BYTES} characters; \
             without --password-file a good one is made",
            path.display()
        );
    }
    Ok(password.to_owned())
}
