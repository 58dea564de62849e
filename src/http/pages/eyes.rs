//! Who looks at a page, and what they may see there (R26).
//!
//! A council sees references of its own contract, and never a name, a carer or a position.

use maud::{Markup, html};

use crate::domain::policy::Contract;
use crate::domain::refs::{CarerRef, ClientRef, VisitRef};
use crate::store::registers::Names;

/// Somebody who looks at a page of a contract.
#[derive(Clone, Copy)]
pub struct Eyes<'a> {
    /// The contract.
    pub contract: &'a Contract,
    /// What people are called.
    pub names: &'a Names,
    /// Whether they see who people are: everybody but a council.
    pub sees_people: bool,
    /// Whether they may decide and do things: coordinators.
    pub may_act: bool,
    /// What shows that a form comes from a page of ours.
    pub csrf: &'a str,
}

impl Eyes<'_> {
    /// A client, by reference and name.
    #[must_use]
    pub fn client(&self, client: &ClientRef) -> String {
        match self.names.client(client).filter(|_| self.sees_people) {
            Some(name) => format!("{client} {name}"),
            None => client.to_string(),
        }
    }

    /// The client's telephone, to be rung.
    #[must_use]
    pub fn phone(&self, client: &ClientRef) -> Option<&str> {
        self.names.phone(client).filter(|_| self.sees_people)
    }

    /// A carer, by name or reference.
    #[must_use]
    pub fn carer<'s>(&'s self, carer: &'s CarerRef) -> &'s str {
        if !self.sees_people {
            return "a carer";
        }
        self.names.carer(carer).unwrap_or(carer.as_str())
    }

    /// Several carers: who they are or, to a council, how many.
    #[must_use]
    pub fn carers<'c>(&self, carers: impl IntoIterator<Item = &'c CarerRef>) -> String {
        let all: Vec<&CarerRef> = carers.into_iter().collect();
        if self.sees_people {
            return all.iter().map(|carer| self.carer(carer)).collect::<Vec<_>>().join(", ");
        }
        match all.len() {
            1 => "1 carer".to_owned(),
            number => format!("{number} carers"),
        }
    }

    /// Where a visit's story is told.
    #[must_use]
    pub fn story(&self, visit: &VisitRef) -> String {
        format!("/contracts/{}/visits/{visit}", self.contract.id)
    }

    /// A visit, with the way to its story.
    #[must_use]
    pub fn visit(&self, visit: &VisitRef) -> Markup {
        html! { a href=(self.story(visit)) { (short(visit)) } }
    }
}

/// A visit's reference; an unplanned one's is too long for the eye.
#[must_use]
pub fn short(visit: &VisitRef) -> String {
    match visit.unplanned_event() {
        Some(_) => format!("{}…", visit.as_str().get(..8).unwrap_or_default()),
        None => visit.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::refs::CarerRef;
    use crate::http::pages::examples::{contract, names};

    use super::*;

    #[test]
    fn a_council_sees_references_only() {
        let (contract, names) = (contract(), names());
        let coordinator = Eyes {
            contract: &contract,
            names: &names,
            sees_people: true,
            may_act: true,
            csrf: "x",
        };
        let council = Eyes { sees_people: false, may_act: false, ..coordinator };
        let client: ClientRef = "C-1".parse().unwrap();
        let amy: CarerRef = "amy".parse().unwrap();
        let bola: CarerRef = "bola".parse().unwrap();
        assert_eq!(coordinator.client(&client), "C-1 Mrs <Jones>");
        assert_eq!(coordinator.phone(&client), Some("01375 000001"));
        assert_eq!(coordinator.carers([&amy, &bola]), "Amy Ash, bola");
        assert_eq!(council.client(&client), "C-1");
        assert_eq!(council.phone(&client), None);
        assert_eq!(council.carer(&amy), "a carer");
        assert_eq!(council.carers([&amy, &bola]), "2 carers");
    }
}
