//! Plans that are made once: a request that brings no route goes where the last one of its key and
//! model went.

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::{Equivalent, HashMap};

use super::{Plan, PlanError, Request};
use crate::route::Node;
use crate::wire::KeyRecord;

/// Plans that are remembered. At the cap all are forgotten.
const PLANS_MAX: usize = 1_024;
/// Longest name of a model that is remembered.
const MODEL_BYTES_MAX: usize = 128;

/// Plans of one policy.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    known: RefCell<HashMap<Name, Known>>,
}

#[derive(Debug)]
struct Known {
    /// Another record of the key may lead elsewhere.
    key: Rc<KeyRecord>,
    plan: Rc<Plan>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Name {
    key: String,
    model: String,
}

/// A name that is only looked for.
#[derive(Hash)]
struct NameOf<'a> {
    key: &'a str,
    model: &'a str,
}

impl Equivalent<Name> for NameOf<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.key == name.key && self.model == name.model
    }
}

impl Plans {
    /// The plan of a request without a route of its own, of the policy that these plans are of.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub(crate) fn plan(
        &self,
        key: &Rc<KeyRecord>,
        request: &Request<'_>,
    ) -> Result<Rc<Plan>, PlanError> {
        let make = || Plan::new(&Node::default(), request).map(Rc::new);
        if request.through.is_some() || request.model.len() > MODEL_BYTES_MAX {
            return make();
        }
        let name = NameOf {
            key: &key.id,
            model: request.model,
        };
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get(&name)
            && Rc::ptr_eq(&known.key, key)
        {
            return Ok(known.plan.clone());
        }
        let plan = make()?;
        if known.len() >= PLANS_MAX {
            known.clear();
        }
        let name = Name {
            key: key.id.clone(),
            model: request.model.to_owned(),
        };
        let made = Known {
            key: key.clone(),
            plan: plan.clone(),
        };
        known.insert(name, made);
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyIndex;
    use crate::wire::{Model, Policy, Provider};

    fn policy() -> PolicyIndex {
        PolicyIndex::new(Policy {
            providers: vec![Provider {
                name: "p".into(),
                ..Provider::default()
            }],
            models: ["m", "n"]
                .map(|id| Model {
                    id: id.into(),
                    provider: "p".into(),
                    model: id.into(),
                    ..Model::default()
                })
                .into(),
            ..Policy::default()
        })
    }

    fn key(models: &[&str]) -> Rc<KeyRecord> {
        Rc::new(KeyRecord {
            id: "key_1".into(),
            models: models.iter().map(|model| (*model).to_owned()).collect(),
            ..KeyRecord::default()
        })
    }

    #[test]
    fn a_plan_is_made_once_for_a_key_as_it_is() {
        let policy = policy();
        let plan = |key: &Rc<KeyRecord>, model| {
            let request = Request {
                model,
                key,
                policy: &policy,
                random: 1,
                through: None,
            };
            policy.plans().plan(key, &request)
        };
        let first = key(&[]);
        let made = plan(&first, "m").expect("a plan");
        assert!(Rc::ptr_eq(&made, &plan(&first, "m").expect("a plan")));
        let other = plan(&first, "n").expect("a plan");
        assert_eq!(other.targets.first().map(|it| it.model.as_str()), Some("n"));
        assert!(plan(&first, "x").is_err());
        // The same key after a change.
        let less = key(&["n"]);
        assert!(plan(&less, "m").is_err());
        let again = plan(&less, "n").expect("a plan");
        assert!(!Rc::ptr_eq(&other, &again));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let policy = policy();
        let key = key(&[]);
        for number in 0..3 * PLANS_MAX {
            let key = Rc::new(KeyRecord {
                id: format!("key_{number}"),
                ..KeyRecord::clone(&key)
            });
            let request = Request {
                model: "m",
                key: &key,
                policy: &policy,
                random: 1,
                through: None,
            };
            assert!(policy.plans().plan(&key, &request).is_ok());
            assert!(policy.plans().known.borrow().len() <= PLANS_MAX);
        }
    }
}
