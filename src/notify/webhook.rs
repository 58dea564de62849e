//! Webhooks: a notification as JSON, signed by the scheme of Standard Webhooks (see
//! `docs/notifications.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use super::letter::Letter;
use super::post::Post;
use crate::config::Secret;
use crate::domain::instant::{Instant, format_instant};
use crate::domain::recipient::Occasion;
use crate::report::notification::Words;
use crate::wire::alert::AlertMessage;

#[derive(Serialize)]
struct Payload<'a> {
    r#type: String,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    recipient: &'a str,
    occasion: Occasion,
    subject: &'a str,
    text: &'a str,
    alerts: &'a [AlertMessage],
}

/// The request that tells it; none if the key is none.
pub(super) fn request(letter: &Letter, words: &Words, key: &Secret, now: Instant) -> Option<Post> {
    let payload = Payload {
        r#type: format!("alert.{}", letter.occasion),
        timestamp: format_instant(letter.written_at),
        data: Data {
            recipient: &letter.recipient,
            occasion: letter.occasion,
            subject: &words.subject,
            text: &words.text,
            alerts: &letter.alerts,
        },
    };
    let body = serde_json::to_string(&payload).ok()?;
    let timestamp = now.timestamp().to_string();
    let signature = signature(key, &letter.id, &timestamp, &body)?;
    let headers = vec![
        ("webhook-id", letter.id.clone()),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", signature),
    ];
    Some(Post { headers, body })
}

fn signature(key: &Secret, id: &str, timestamp: &str, body: &str) -> Option<String> {
    let key = STANDARD.decode(key.expose()).ok()?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
