//! What documents may name: none of the secrets of the gateway itself, and nothing else that they are not allowed.
//!
//! Whoever may write a definition can have each value that it names sent to a server of theirs. What opens the
//! gateway, its Redis and its stores must not come about in that way, however it is written and wherever else
//! the same value is kept.

use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Secret, Unresolved, Values,
    reference::{Field, Piece, Place, Reference, expand, pieces},
};

/// What the names of the variables of the gateway's own configuration begin with.
const OWN_VARIABLES: &str = "CLAIMGATE_";
/// A shorter secret may stand in a value by chance.
const MIN_CONTAINED: usize = 8;
/// Of a larger file no copy is known, but only the file itself, in octets.
const MAX_TEXT: u64 = 1 << 20;

/// A secret of the gateway itself, or a file with some, and the setting that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSecret {
    /// The setting, such as `admin.secret`.
    pub setting: String,
    /// What it says.
    pub kind: OwnSecretKind,
}

/// How a secret of the gateway is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnSecretKind {
    /// As a text, which may be a reference.
    Text(Secret),
    /// As a file, all of which is secret.
    File(PathBuf),
}

/// What documents may name at most: stores, each with the beginning of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedReferences(Vec<(String, String)>);

/// What references in documents stand for.
#[derive(Debug)]
pub struct DocumentValues<'v> {
    values: &'v Values,
    allowed: Option<&'v AllowedReferences>,
    references: Vec<(&'v str, Reference)>,
    secrets: Vec<(&'v str, Secret)>,
    /// Device and inode: whatever name leads there.
    files: Vec<(&'v str, (u64, u64))>,
}

impl AllowedReferences {
    /// # Errors
    /// What one of these texts should look like.
    pub fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let one = |text: &'t str| {
            let (store, key) = text.split_once(':').filter(|(store, _)| !store.is_empty())?;
            // `vault://` is not what is meant, and would allow nothing.
            (!key.starts_with("//")).then(|| (store.to_owned(), key.to_owned()))
        };
        let each = texts.into_iter().map(|text| {
            one(text).ok_or_else(|| format!("{text:?} is no store with the beginning of a key, such as vault:secret/apis/ or env:API_; correct it"))
        });
        each.collect::<Result<_, _>>().map(Self)
    }

    /// The stores that it names.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(store, _)| store.as_str())
    }

    fn admit(&self, place: &Place) -> bool {
        let (named, path) = match place {
            Place::Variable(name) => ("env", name),
            Place::Stored { store, path } => (store.as_str(), path),
        };
        self.0.iter().any(|(store, beginning)| *store == named && path.starts_with(beginning))
    }
}

impl Values {
    /// The same values, for documents: without the secrets of the gateway itself, and without what is not allowed.
    #[must_use]
    pub fn for_documents<'v>(
        &'v self,
        own: &'v [OwnSecret],
        allowed: Option<&'v AllowedReferences>,
    ) -> DocumentValues<'v> {
        let mut guarded = DocumentValues {
            values: self,
            allowed,
            references: Vec::new(),
            secrets: Vec::new(),
            files: Vec::new(),
        };
        for OwnSecret { setting, kind } in own {
            match kind {
                OwnSecretKind::Text(written) => guarded.keep_text(setting, written),
                OwnSecretKind::File(path) => {
                    guarded.files.extend(identity(path).map(|id| (&**setting, id)));
                    // It may have been copied.
                    guarded.secrets.extend(text_of(path).map(|text| (&**setting, text)));
                }
            }
        }
        guarded
    }
}

impl<'v> DocumentValues<'v> {
    fn keep_text(&mut self, setting: &'v str, written: &Secret) {
        for piece in pieces(written).ok().flatten().into_iter().flatten() {
            if let Piece::Reference(reference, _) = piece {
                // Of a file of which it is a part the rest may be for documents.
                let file = self.values.file(&reference.place).filter(|_| reference.field == Field::Whole);
                self.files.extend(file.and_then(|file| identity(&file)).map(|id| (setting, id)));
                self.references.push((setting, reference));
            }
        }
        // One that has no value yet is looked at again when it has.
        match expand(written, |reference, written| self.values.peek(reference, written)) {
            Ok(Some(value)) => self.secrets.push((setting, value)),
            Ok(None) => self.secrets.push((setting, written.trim().into())),
            Err(_) => {}
        }
    }

    /// What a reference stands for, if a document may have it.
    pub(super) fn value(&self, reference: &Reference, written: &str) -> Result<Secret, Unresolved> {
        self.check(reference, written)?;
        let value = self.values.value(reference, written)?;
        self.check_value(&value, written)?;
        Ok(value)
    }

    /// Has a value fetched with the next [`Values::fetch`], if a document may name it.
    pub(super) fn want(&self, reference: &Reference, written: &str) {
        if self.check(reference, written).is_ok() {
            self.values.want(reference, written);
        }
    }

    /// Whether a document may name this place.
    fn check(&self, reference: &Reference, written: &str) -> Result<(), Unresolved> {
        let place = &reference.place;
        if self.values.variable(place).is_some_and(|name| name.starts_with(OWN_VARIABLES)) {
            return Err(own(written, "a variable of its configuration"));
        }
        let is_same = |(_, other): &&(&str, Reference)| {
            let is_part = other.field != Field::Whole && reference.field != Field::Whole;
            other.place == *place && (!is_part || other.field == reference.field)
        };
        if let Some((setting, _)) = self.references.iter().find(is_same) {
            return Err(own(written, setting));
        }
        let file = self.values.file(place);
        if let Some(id) = file.as_deref().and_then(identity)
            && let Some((setting, _)) = self.files.iter().find(|(_, other)| *other == id)
        {
            return Err(own(written, setting));
        }
        if self.allowed.is_some_and(|allowed| !allowed.admit(place)) {
            return Err(Unresolved::new(format!(
                "documents may not name {written}: it is not in references.allow of claimgate.yaml; name what is, or add it there"
            )));
        }
        Ok(())
    }

    /// Whether a document may have this value, from whichever place.
    fn check_value(&self, value: &Secret, written: &str) -> Result<(), Unresolved> {
        let holds = |(_, secret): &&(&str, Secret)| {
            **value == **secret || (secret.len() >= MIN_CONTAINED && value.contains(&**secret))
        };
        match self.secrets.iter().find(holds) {
            Some((setting, _)) => Err(own(written, setting)),
            None => Ok(()),
        }
    }
}

fn own(written: &str, setting: &str) -> Unresolved {
    Unresolved::new(format!(
        "{written} is a secret of the gateway itself ({setting}), which no document may name, for whoever writes one could have it sent anywhere; keep another value for this"
    ))
}

/// What stands in a file, as far as a value could have it.
fn text_of(path: &Path) -> Option<Secret> {
    // Before it is opened: a pipe would wait for its other end.
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MAX_TEXT {
        return None;
    }
    let mut text = Zeroizing::new(String::new());
    File::open(path).ok()?.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    Some(text.trim().into())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
