//! What other people's programs meet over MQTT: topics and payloads of version 1.
//!
//! Pure: reads no clock and touches nothing outside. Nothing that arrives makes it panic, and no
//! text that it makes for an error repeats what arrived: payloads hold personal data.

/// An enum whose values are words of the interface, the same in JSON and in text.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$word_doc])* #[serde(rename = $text)] $word,)+ }

        impl $name {
            /// Every word there is.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word as the interface writes it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::wire::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
                    .ok_or($crate::wire::UnknownWord)
            }
        }
    };
}

pub mod alert;
pub mod event_payload;
mod json;
pub mod payload;
pub mod receipt;
pub mod rejection;
pub mod status;
mod text;
pub mod topic;

/// The text is none of the words that version 1 has for this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a word of version 1")]
pub struct UnknownWord;
