//! GOV.UK Notify: text messages and e-mails by its API of version 2.
//!
//! Each request has a token of its own (JWT, HS256) from the service's key. The templates are the
//! service's; they have the places `subject` (of an e-mail) and `message`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Uri;
use serde_json::json;
use sha2::Sha256;

use super::letter::Letter;
use super::post::Post;
use crate::config::{Channel, GovukKey, GovukNotify};
use crate::domain::instant::Instant;
use crate::report::notification::Words;

/// Where and how it is told; none if the channel, or its template, is none.
pub(super) fn request(
    notify: &GovukNotify,
    channel: &Channel,
    letter: &Letter,
    words: &Words,
    now: Instant,
) -> Option<(Uri, Post)> {
    let (path, body) = match channel {
        Channel::GovukSms(number) => (
            "sms",
            json!({
                "phone_number": number, "template_id": notify.sms_template?.to_string(),
                "personalisation": {"message": words.brief}, "reference": letter.id,
            }),
        ),
        Channel::GovukEmail(address) => (
            "email",
            json!({
                "email_address": address.to_string(), "template_id": notify.email_template?.to_string(),
                "personalisation": {"subject": words.subject, "message": words.text},
                "reference": letter.id,
            }),
        ),
        Channel::Webhook { .. } | Channel::Email(_) => return None,
    };
    let url = Uri::builder()
        .scheme(notify.url.scheme()?.clone())
        .authority(notify.url.authority()?.clone())
        .path_and_query(format!("/v2/notifications/{path}"))
        .build()
        .ok()?;
    let token = format!("Bearer {}", token(&notify.key, now)?);
    Some((url, Post { headers: vec![("authorization", token)], body: body.to_string() }))
}

/// A token that says who the service is, and when.
fn token(key: &GovukKey, now: Instant) -> Option<String> {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({"typ": "JWT", "alg": "HS256"}));
    let claims = part(json!({"iss": key.service, "iat": now.timestamp()}));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose().as_bytes()).ok()?;
    mac.update(format!("{head}.{claims}").as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Some(format!("{head}.{claims}.{signature}"))
}
