//! The policies of a document, one by one, as they are written: for whoever reads or changes them.

use serde_json::{Map, Value};

use super::document::is_policy;

/// One policy of a document.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'d> {
    /// Its id.
    pub id: &'d str,
    /// Its organisation; the empty text for none.
    pub org_id: &'d str,
    /// What is written.
    policy: &'d Value,
    place: Place,
}

/// Where a policy is in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is the document.
    Whole,
    /// A member of it, by the policy's id.
    Member,
    /// An element of it, a list.
    Element(usize),
}

/// The policies of a document in which this stands. What is no policy is left out.
#[must_use]
pub fn entries(root: &Value) -> Vec<Entry<'_>> {
    if is_policy(root) {
        let id = root.get("id").and_then(Value::as_str);
        return id.map(|id| Entry::new(id, root, Place::Whole)).into_iter().collect();
    }
    if let Value::Array(list) = root {
        let ids = list.iter().map(|policy| policy.get("id").and_then(Value::as_str));
        let numbered = ids.zip(list).enumerate();
        return numbered
            .filter_map(|(n, (id, policy))| Some(Entry::new(id?, policy, Place::Element(n))))
            .collect();
    }
    let members = root.as_object().into_iter().flatten();
    members
        .filter(|(_, policy)| policy.is_object())
        .map(|(id, policy)| Entry::new(id, policy, Place::Member))
        .collect()
}

impl<'d> Entry<'d> {
    fn new(id: &'d str, policy: &'d Value, place: Place) -> Self {
        let org_id = policy.get("org_id").and_then(Value::as_str).unwrap_or_default();
        Self { id, org_id, policy, place }
    }

    /// The policy with its id in it, wherever that is written: the one that counts.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut members = Map::from_iter([("id".to_owned(), Value::from(self.id))]);
        members.extend(self.policy.as_object().cloned().unwrap_or_default());
        members.insert("id".to_owned(), Value::from(self.id));
        Value::Object(members)
    }

    /// What its document is when the policy is this one.
    #[must_use]
    pub fn replaced(&self, root: &Value, policy: Value) -> Value {
        match self.place {
            Place::Whole => policy,
            Place::Member => {
                let mut root = root.clone();
                if let Some(member) = root.get_mut(self.id) {
                    *member = policy;
                }
                root
            }
            Place::Element(n) => {
                let mut root = root.clone();
                if let Some(element) = root.get_mut(n) {
                    *element = policy;
                }
                root
            }
        }
    }

    /// What its document is without it.
    #[must_use]
    pub fn removed(&self, root: &Value) -> Value {
        let mut root = root.clone();
        match (self.place, &mut root) {
            (Place::Member, Value::Object(members)) => {
                members.shift_remove(self.id);
            }
            (Place::Element(n), Value::Array(list)) => {
                list.remove(n);
            }
            _ => root = Value::Object(Map::new()),
        }
        root
    }
}

/// What a document of many policies is with one more; nothing where that would take the place of another one, or
/// the document is one policy alone. Its form stays, and so does everything that is in it.
#[must_use]
pub fn with_one_more(document: &Value, id: &str, policy: Value) -> Option<Value> {
    let mut root = document.clone();
    match &mut root {
        Value::Array(list) => list.push(policy),
        Value::Object(members) if !is_policy(document) && !members.contains_key(id) => {
            members.insert(id.to_owned(), policy);
        }
        _ => return None,
    }
    Some(root)
}

/// Whether a document holds nothing any more.
#[must_use]
pub fn is_empty(root: &Value) -> bool {
    root.as_object().is_some_and(Map::is_empty) || root.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_policy_or_many() {
        let one = json!({ "id": "gold", "org_id": "o", "rate": 1 });
        let [gold] = *entries(&one) else { panic!("{one:?}") };
        assert_eq!((gold.id, gold.org_id), ("gold", "o"));
        assert_eq!(gold.replaced(&one, json!({ "id": "gold" })), json!({ "id": "gold" }));
        assert_eq!(gold.removed(&one), json!({}));

        let many = json!({ "gold": { "rate": 1 }, "tin": { "id": "tin", "org_id": "o" } });
        let [gold, tin] = *entries(&many) else { panic!("{many:?}") };
        assert_eq!(gold.to_value(), json!({ "id": "gold", "rate": 1 }));
        assert_eq!((tin.id, tin.org_id), ("tin", "o"));
        assert_eq!(
            gold.replaced(&many, json!({ "rate": 2 })),
            json!({ "gold": { "rate": 2 }, "tin": { "id": "tin", "org_id": "o" } })
        );
        let left = gold.removed(&many);
        assert_eq!(left, json!({ "tin": { "id": "tin", "org_id": "o" } }));
        assert_eq!(entries(&left)[0].removed(&left), json!({}));

        let list = json!([{ "id": "gold" }, { "rate": 1 }, { "id": "tin", "rate": 2 }]);
        let [gold, tin] = *entries(&list) else { panic!("{list:?}") };
        assert_eq!(
            tin.replaced(&list, json!({ "id": "tin" })),
            json!([{ "id": "gold" }, { "rate": 1 }, { "id": "tin" }])
        );
        let left = gold.removed(&list);
        assert_eq!(left, json!([{ "rate": 1 }, { "id": "tin", "rate": 2 }]));
        let alone = json!([{ "id": "gold" }]);
        assert_eq!(entries(&alone)[0].removed(&alone), json!([]));

        // The key counts, whatever is written inside.
        let odd = json!({ "gold": { "id": "tin", "rate": 1 } });
        assert_eq!(entries(&odd)[0].to_value(), json!({ "id": "gold", "rate": 1 }));
    }

    #[test]
    fn one_more_policy_takes_nothing_away() {
        let new = || json!({ "id": "gold", "org_id": "p" });
        for (before, after) in [
            (
                json!([{ "id": "gold", "org_id": "o" }, { "rate": 1 }]),
                Some(json!([{ "id": "gold", "org_id": "o" }, { "rate": 1 }, new()])),
            ),
            (json!([]), Some(json!([new()]))),
            (json!({}), Some(json!({ "gold": new() }))),
            (json!({ "tin": { "rate": 1 } }), Some(json!({ "tin": { "rate": 1 }, "gold": new() }))),
            (json!({ "gold": { "org_id": "o" } }), None),
            (json!({ "id": "tin", "rate": 1 }), None),
        ] {
            assert_eq!(with_one_more(&before, "gold", new()), after, "{before}");
        }
    }
}
