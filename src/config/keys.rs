//! The keys that exist, and which of them somebody may have meant.

/// A section and its keys.
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
}

/// The sections that a file and the environment may set.
pub(super) const SECTIONS: [Section; 9] = [
    Section { name: "database", keys: &["url", "password", "password_file"] },
    Section {
        name: "broker",
        keys: &[
            "url",
            "client_id",
            "shared_group",
            "listen",
            "tls_listen",
            "tls_cert_file",
            "tls_key_file",
            "users_file",
            "username",
            "password",
            "password_file",
            "ca_file",
            "client_cert_file",
            "client_key_file",
        ],
    },
    Section { name: "http", keys: &["listen", "tokens", "behind_tls"] },
    Section { name: "heartbeat", keys: &["url", "url_file", "every_seconds"] },
    Section { name: "log", keys: &["level", "format"] },
    Section { name: "calendar", keys: &["bank_holidays_file"] },
    Section {
        name: "notify",
        keys: &["group_within_seconds", "give_up_after_hours", "most_per_minute", "ca_file"],
    },
    Section {
        name: "smtp",
        keys: &["server", "security", "username", "password", "password_file", "from"],
    },
    Section {
        name: "govuk_notify",
        keys: &["url", "key", "key_file", "sms_template", "email_template"],
    },
];

/// The name of the list of contracts.
pub(super) const CONTRACT: &str = "contract";

/// The keys of a `[[contract]]` table.
pub(super) const CONTRACT_KEYS: [&str; 18] = [
    "id",
    "effective_from",
    "time_zone",
    SERVICE_HOURS,
    "tolerance_minutes",
    "late_minutes",
    "time_specific_late_minutes",
    "missed_after_minutes",
    "match_window_minutes",
    "overdue_checkout_minutes",
    "device_silent_after_hours",
    "fence_m",
    "week_starts_on",
    "dated_by",
    "periods_from",
    "unit",
    "unplanned_service",
    "unplanned_service_level",
];

/// The name of the list of recipients.
pub(super) const RECIPIENT: &str = "recipient";

/// The keys of a `[[recipient]]` table.
pub(super) const RECIPIENT_KEYS: [&str; 11] = [
    "name",
    "contracts",
    "kinds",
    "least_severity",
    "audience",
    "channel",
    "address",
    "secret",
    "secret_file",
    "escalate_to",
    "escalate_after_minutes",
];

/// The key of a contract that is a table itself.
pub(super) const SERVICE_HOURS: &str = "service_hours";

/// The keys of `service_hours`.
pub(super) const SERVICE_HOURS_KEYS: [&str; 2] = ["from", "to"];

/// How the names of environment variables begin that are meant for nightrun.
pub(super) const ENVIRONMENT_PREFIX: &str = "NIGHTRUN__";

/// Whether a value of that key is never shown.
pub(super) fn is_secret(section: &str, key: &str) -> bool {
    matches!(key, "password" | "secret" | "key") || (section, key) == ("heartbeat", "url")
}

/// The environment variable that sets a key.
pub(super) fn variable(section: &str, key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{section}__{key}").to_uppercase()
}

/// `: did you mean ...?` with the nearest candidate, or nothing if none is near.
pub(super) fn did_you_mean<C: AsRef<str>>(
    unknown: &str,
    candidates: impl IntoIterator<Item = C>,
) -> String {
    nearest(unknown, candidates)
        .map(|nearest| format!(": did you mean {}?", nearest.as_ref()))
        .unwrap_or_default()
}

/// The candidate that is most like the text, if any is like it at all.
pub(super) fn nearest<C: AsRef<str>>(
    unknown: &str,
    candidates: impl IntoIterator<Item = C>,
) -> Option<C> {
    let unknown = unknown.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&unknown, &candidate.as_ref().to_lowercase()), candidate))
        // Somebody who got more than half of the letters wrong meant something else.
        .filter(|(distance, candidate)| distance * 2 <= candidate.as_ref().len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, nearest)| nearest)
}

/// How many characters must be put in, left out or changed to make one text of the other
/// (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, a) in from.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, b) in to.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_may_have_meant() {
        for (unknown, meant) in [
            ("tolerence_minutes", ": did you mean tolerance_minutes?"),
            ("Time_Zone", ": did you mean time_zone?"),
            ("timezone", ": did you mean time_zone?"),
            ("unplaned_service", ": did you mean unplanned_service?"),
            ("form", ""),
            ("colour", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(unknown, CONTRACT_KEYS), meant, "{unknown:?}");
        }
        assert_eq!(nearest("form", SERVICE_HOURS_KEYS), Some("from"));
    }

    #[test]
    fn how_far_texts_are_apart() {
        for (from, to, far) in [
            ("", "", 0),
            ("", "url", 3),
            ("kitten", "sitting", 3),
            ("url", "ulr", 2),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(from, to), far, "{from:?} {to:?}");
            assert_eq!(distance(to, from), far, "{to:?} {from:?}");
        }
    }
}
