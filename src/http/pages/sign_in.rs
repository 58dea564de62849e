//! The page that turns a token into a session.

use maud::{Markup, html};

use super::frame;

/// The page. `error` says why the last try failed, `next` where to go afterwards.
#[must_use]
pub fn page(error: Option<&str>, next: &str) -> Markup {
    let content = html! {
        @if let Some(error) = error {
            p #error.banner.blind role="alert" { (error) }
        }
        form.stacked method="post" action="/sign-in" {
            input type="hidden" name="next" value=(next);
            label { "Token"
                input type="password" name="token" required autofocus autocomplete="current-password"
                    aria-describedby=[error.map(|_| "error")];
            }
            button.go { "Sign in" }
        }
        p { "Whoever runs nightrun makes a token with " code { "nightrun token create" } "." }
    };
    frame::bare("Sign in", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_stays_text() {
        let page = page(Some("<b>"), "/?x=\"><script>").into_string();
        assert!(page.contains("&lt;b&gt;"), "{page}");
        assert!(page.contains("value=\"/?x=&quot;&gt;&lt;script&gt;\""), "{page}");
    }
}
